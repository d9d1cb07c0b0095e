/* SPDX-License-Identifier: MIT
 *
 * What the checks of the kernels share: the run's options, random and hostile values, operands
 * between guard pages, and the report of a failure.
 */
#ifndef NPUENC_TESTS_KERNELS_CHECK_H
#define NPUENC_TESTS_KERNELS_CHECK_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/cpu/kernels.h"

/* The largest register tile that the checks have room for. */
enum { most_rows = 32, most_cols = 64 };

typedef struct Check {
    npuenc_kernels kernels; /* of the instruction set under test */
    uint64_t seed;
    uint64_t random; /* the generator's state */
    int quick;
    const char* kernel; /* the one being checked */
    int failures;       /* of that kernel */
    int failed_kernels;
} Check;

/* A kernel's checks stand between these. */
void begin(Check* check, const char* kernel);
void end(Check* check);
/* Counts a failure and prints the first few of each kernel. */
void fail(Check* check, const char* format, ...) __attribute__((format(printf, 2, 3)));

uint64_t random_bits(Check* check);
size_t random_below(Check* check, size_t n);
double random_normal(Check* check);     /* mean 0, deviation 1 */
float random_hostile_f32(Check* check); /* extremes, specials, and any bits */

/* Memory between two pages that must not be touched. */
typedef struct Guarded {
    unsigned char* data; /* page-aligned */
    size_t size;
} Guarded;

Guarded guarded_new(size_t size);
/* From now on the pages around may be read, though not written. */
void guarded_allow_reading(void);
void guarded_free(Guarded* guarded);
/* Fills all of it with a pattern, and returns where `bytes` of it begin: the first ones, or the
 * last ones that begin at a multiple of `alignment`. */
void* guarded_place(Guarded* guarded, size_t bytes, size_t alignment, int at_end);
/* Whether the pattern still stands everywhere outside of what was placed. */
int guarded_intact(const Guarded* guarded, const void* placed, size_t bytes);
/* Whether these bytes still have the pattern. */
int untouched(const void* bytes, size_t n);

float f32_of(uint32_t bits);
uint32_t bits_of(float value);
/* The same bits, or both NaN. */
int same_f32(float a, float b);

/* A binary float format of 16 bits. */
typedef struct Format {
    int precision; /* bits of the significand, the hidden one included */
    int least;     /* exponent of the least normal number */
    int most;      /* exponent of the greatest */
} Format;

extern const Format bf16, f16;

double decoded(Format format, uint16_t bits);
/* Whether `bits` is the nearest to `value`, even in a tie; a NaN has to be a quiet one. */
int is_nearest(Format format, float value, uint16_t bits);

/* Additions that an element of a sum over n goes through: no instruction set has fewer lanes than
 * eight, or more than 64, which take six additions to join, and one more for the result. */
double depth_of(size_t n);

void check_init(Check* check);
void check_gemm(Check* check);
void check_finish(Check* check);
void check_softmax(Check* check);
void check_rows(Check* check);
void check_convert(Check* check);
void check_unpack(Check* check);

/* Prints what the kernels reach beside the arithmetic peak of their instruction set. */
void bench(const npuenc_kernels* kernels);

#endif

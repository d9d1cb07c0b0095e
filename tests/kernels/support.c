/* SPDX-License-Identifier: MIT
 *
 * Random values, guarded memory, and float formats.
 */
#define _DEFAULT_SOURCE
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

enum { pattern = 0xa5 };

/* SplitMix64 (Steele, Lea, Flood 2014). */
uint64_t random_bits(Check* check) {
    uint64_t z = check->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

size_t random_below(Check* check, size_t n) {
    return (size_t)(random_bits(check) % n);
}

double random_normal(Check* check) {
    const double u = (double)((random_bits(check) >> 11) + 1) * 0x1p-53;
    const double v = (double)(random_bits(check) >> 11) * 0x1p-53;
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

float random_hostile_f32(Check* check) {
    static const float values[] = {
        0.0f,      -0.0f,        0x1p-149f,      -0x1p-149f,  0x1.fffffcp-127f,
        FLT_MIN,   -FLT_MIN,     FLT_MAX,        -FLT_MAX,    1.0f,
        -1.0f,     1.5f,         0x1.fffffep-1f, 16777217.0f, INFINITY,
        -INFINITY, NAN,          65504.0f,       65520.0f,    0x1p-25f,
        -127.5f,   -128.5f,      2147483648.f,   0.5f,        126.5f,
        0x1p-14f,  0x1.ffcp-15f, 3e-40f};
    if (random_below(check, 2))
        return values[random_below(check, sizeof values / sizeof values[0])];
    return f32_of((uint32_t)random_bits(check));
}

static int around = PROT_NONE;

void guarded_allow_reading(void) {
    around = PROT_READ;
}

Guarded guarded_new(size_t size) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    Guarded guarded = {NULL, (size + page - 1) / page * page};
    unsigned char* base =
        mmap(NULL, guarded.size + 2 * page, around, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED || mprotect(base + page, guarded.size, PROT_READ | PROT_WRITE) != 0) {
        perror("guarded memory");
        exit(2);
    }
    guarded.data = base + page;
    return guarded;
}

void guarded_free(Guarded* guarded) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    munmap(guarded->data - page, guarded->size + 2 * page);
}

void* guarded_place(Guarded* guarded, size_t bytes, size_t alignment, int at_end) {
    if (bytes > guarded->size) {
        fprintf(stderr, "%zu bytes do not fit in %zu\n", bytes, guarded->size);
        exit(2);
    }
    memset(guarded->data, pattern, guarded->size);
    return guarded->data + (at_end ? (guarded->size - bytes) / alignment * alignment : 0);
}

int untouched(const void* bytes, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (((const unsigned char*)bytes)[i] != pattern)
            return 0;
    return 1;
}

int guarded_intact(const Guarded* guarded, const void* placed, size_t bytes) {
    const size_t before = (size_t)((const unsigned char*)placed - guarded->data);
    return untouched(guarded->data, before) &&
           untouched((const unsigned char*)placed + bytes, guarded->size - before - bytes);
}

float f32_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

int same_f32(float a, float b) {
    return bits_of(a) == bits_of(b) || (a != a && b != b);
}

const Format bf16 = {8, -126, 127};
const Format f16 = {11, -14, 15};

double decoded(Format format, uint16_t bits) {
    const int fraction_bits = format.precision - 1;
    const int exponent = (bits & 0x7fff) >> fraction_bits;
    const int fraction = bits & ((1 << fraction_bits) - 1);
    const double sign = bits & 0x8000 ? -1 : 1;
    if (exponent == 2 * format.most + 1)
        return fraction ? NAN : sign * INFINITY;
    if (exponent == 0)
        return sign * ldexp(fraction, format.least - fraction_bits);
    return sign * ldexp(fraction + (1 << fraction_bits), exponent - format.most - fraction_bits);
}

int is_nearest(Format format, float value, uint16_t bits) {
    const int fraction_bits = format.precision - 1;
    if (value != value) /* quiet: the first bit of the fraction */
        return decoded(format, bits) != decoded(format, bits) && bits >> (fraction_bits - 1) & 1;
    double exact = value;
    if (isfinite(exact) && exact != 0) {
        const int exponent = ilogb(exact) < format.least ? format.least : ilogb(exact);
        const double quantum = ldexp(1, exponent - fraction_bits);
        exact = nearbyint(exact / quantum) * quantum;
        if (fabs(exact) >= ldexp(1, format.most + 1))
            exact = copysign(INFINITY, exact);
    }
    const double got = decoded(format, bits);
    return got == exact && !signbit(got) == !signbit(exact);
}

double depth_of(size_t n) {
    return (double)((n + 7) / 8) + 7;
}

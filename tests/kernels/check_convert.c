/* SPDX-License-Identifier: MIT
 *
 * Conversions, each element bit for bit against its definition in double and 64-bit integers, and
 * the choice of an instruction set.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check.h"

/* What a conversion is called with. */
typedef struct Parameters {
    float scale;
    int32_t zero_point;
} Parameters;

typedef struct Conversion {
    const char* name;
    size_t in, out; /* bytes of an element */
    void (*call)(const npuenc_convert*, size_t, const void*, void*, const Parameters*);
    int (*right)(const void* in, const void* out, const Parameters*, size_t i);
} Conversion;

#define CALL(name, ...)                                                                            \
    static void call_##name(const npuenc_convert* convert, size_t n, const void* in, void* out,    \
                            const Parameters* parameters) {                                        \
        (void)parameters;                                                                          \
        convert->name(n, in, __VA_ARGS__);                                                         \
    }
CALL(f32_to_bf16, out)
CALL(bf16_to_f32, out)
CALL(f32_to_f16, out)
CALL(f16_to_f32, out)
CALL(f32_to_s8, parameters->scale, out)
CALL(s8_to_f32, parameters->scale, out)
CALL(s32_to_s8, parameters->scale, parameters->zero_point, out)

#define RIGHT(name)                                                                                \
    static int right_##name(const void* in, const void* out, const Parameters* parameters, size_t i)

RIGHT(f32_to_bf16) {
    (void)parameters;
    return is_nearest(bf16, ((const float*)in)[i], ((const uint16_t*)out)[i]);
}
RIGHT(f32_to_f16) {
    (void)parameters;
    return is_nearest(f16, ((const float*)in)[i], ((const uint16_t*)out)[i]);
}

static int is_decoded(Format format, uint16_t in, float out) {
    const double exact = decoded(format, in);
    if (exact != exact)
        return out != out && bits_of(out) >> 22 & 1;
    return out == exact && !signbit(out) == !signbit(exact);
}
RIGHT(bf16_to_f32) {
    (void)parameters;
    return is_decoded(bf16, ((const uint16_t*)in)[i], ((const float*)out)[i]);
}
RIGHT(f16_to_f32) {
    (void)parameters;
    return is_decoded(f16, ((const uint16_t*)in)[i], ((const float*)out)[i]);
}

/* The product is one of f32; the rest is exact. */
RIGHT(f32_to_s8) {
    const float value = ((const float*)in)[i] * parameters->scale;
    const double exact = value != value ? 0 : fmin(fmax(nearbyint(value), -128), 127);
    return ((const int8_t*)out)[i] == exact;
}
RIGHT(s8_to_f32) {
    return same_f32(((const float*)out)[i], ((const int8_t*)in)[i] * parameters->scale);
}
RIGHT(s32_to_s8) {
    const float value = (float)((const int32_t*)in)[i] * parameters->scale;
    const double zero = fmin(fmax(parameters->zero_point, -0x1p21), 0x1p21);
    const double level = (value != value ? 0 : nearbyint(value)) + zero;
    return ((const int8_t*)out)[i] == fmin(fmax(level, -128), 127);
}
#define CONVERSION(name, in, out)                                                                  \
    { #name, in, out, call_##name, right_##name }
static const Conversion conversions[] = {
    CONVERSION(f32_to_bf16, 4, 2), CONVERSION(bf16_to_f32, 2, 4), CONVERSION(f32_to_f16, 4, 2),
    CONVERSION(f16_to_f32, 2, 4),  CONVERSION(f32_to_s8, 4, 1),   CONVERSION(s8_to_f32, 1, 4),
    CONVERSION(s32_to_s8, 4, 1)};

static void run(Check* check, const Conversion* conversion, size_t n, const void* in, void* out,
                const Parameters* parameters) {
    conversion->call(&check->kernels.convert, n, in, out, parameters);
    for (size_t i = 0; i < n; i++)
        if (!conversion->right(in, out, parameters, i)) {
            uint32_t from = 0, to = 0;
            memcpy(&from, (const char*)in + i * conversion->in, conversion->in);
            memcpy(&to, (const char*)out + i * conversion->out, conversion->out);
            fail(check, "n %zu, element %zu: %x became %x (scale %g, zero point %d)", n, i, from,
                 to, parameters->scale, parameters->zero_point);
            return;
        }
}

static Parameters random_parameters(Check* check) {
    static const float scales[] = {1, 0.01f, 3e-7f, 30, 0, -1, 1e30f, INFINITY, NAN, 0x1p-140f};
    static const int32_t zero_points[] = {0,       3,          -128,      127,
                                          1 << 21, -(1 << 21), INT32_MAX, INT32_MIN};
    return (Parameters){
        scales[random_below(check, sizeof scales / sizeof scales[0])],
        zero_points[random_below(check, sizeof zero_points / sizeof zero_points[0])]};
}

static void fill(Check* check, const Conversion* conversion, size_t n, unsigned char* in) {
    for (size_t i = 0; i < n; i++) {
        const uint32_t bits = conversion->in == 4 && random_below(check, 4)
                                  ? bits_of(random_hostile_f32(check))
                                  : (uint32_t)random_bits(check);
        memcpy(in + i * conversion->in, &bits, conversion->in);
    }
    if (conversion->right == right_s32_to_s8)
        for (size_t i = 0; i < n; i++) { /* of all sizes, and the extremes */
            int32_t value = (int32_t)random_bits(check) >> random_below(check, 32);
            if (random_below(check, 20) == 0)
                value = random_below(check, 2) ? INT32_MAX : INT32_MIN;
            memcpy(in + i * sizeof value, &value, sizeof value);
        }
}

enum { most = 200 };

static void check_sizes(Check* check, const Conversion* conversion) {
    Guarded in_memory = guarded_new(most * 4), out_memory = guarded_new(most * 4);
    const int rounds = check->quick ? 2 : 12;
    for (size_t n = 0; n <= (check->quick ? 70 : most); n++)
        for (int round = 0; round < rounds; round++) {
            const int at_end = round & 1;
            const Parameters parameters = random_parameters(check);
            void* in = guarded_place(&in_memory, n * conversion->in, conversion->in, at_end);
            void* out = guarded_place(&out_memory, n * conversion->out, conversion->out, at_end);
            fill(check, conversion, n, in);
            run(check, conversion, n, in, out, &parameters);
            if (!guarded_intact(&out_memory, out, n * conversion->out))
                fail(check, "n %zu: wrote outside", n);
        }
    guarded_free(&in_memory);
    guarded_free(&out_memory);
}

/* To two parts of bf16, each held against its definition. */
static void check_parts(Check* check) {
    begin(check, "f32_to_bf16x2");
    Guarded in_memory = guarded_new(most * sizeof(float));
    Guarded high_memory = guarded_new(most * sizeof(uint16_t));
    Guarded low_memory = guarded_new(most * sizeof(uint16_t));
    for (size_t n = 0; n <= (check->quick ? 70 : most); n++) {
        const int at_end = n & 1;
        const size_t bytes = n * sizeof(uint16_t);
        float* in = guarded_place(&in_memory, n * sizeof *in, sizeof *in, at_end);
        uint16_t* high = guarded_place(&high_memory, bytes, sizeof *high, at_end);
        uint16_t* low = guarded_place(&low_memory, bytes, sizeof *low, at_end);
        for (size_t i = 0; i < n; i++)
            in[i] =
                random_below(check, 2) ? random_hostile_f32(check) : (float)random_normal(check);
        check->kernels.convert.f32_to_bf16x2(n, in, high, low);
        for (size_t i = 0; i < n; i++) {
            const float rest = in[i] - (float)decoded(bf16, high[i]);
            if (!is_nearest(bf16, in[i], high[i]) || !is_nearest(bf16, rest, low[i]))
                fail(check, "n %zu, element %zu: %x became %x and %x", n, i, bits_of(in[i]),
                     high[i], low[i]);
        }
        if (!guarded_intact(&high_memory, high, bytes) || !guarded_intact(&low_memory, low, bytes))
            fail(check, "n %zu: wrote outside", n);
    }
    guarded_free(&in_memory);
    guarded_free(&high_memory);
    guarded_free(&low_memory);
    end(check);
}

/* All 16-bit values, and of s8 all values. */
static void check_all(Check* check, const Conversion* conversion) {
    static uint16_t in[65536];
    static float out[65536];
    for (size_t i = 0; i < 65536; i++)
        in[i] = (uint16_t)i;
    run(check, conversion, 65536, in, out, &(Parameters){.scale = 0.37f});
}

/* Each value of the format, what lies halfway to the next, and the neighbours of both. */
static void check_boundaries(Check* check, const Conversion* conversion, Format format) {
    enum { each = 5, values = 4096 };
    static float in[values * each];
    static uint16_t out[values * each];
    for (size_t part = 0; part < 65536; part += check->quick ? 8 * values : values) {
        for (size_t i = 0; i < values; i++) {
            const uint16_t bits = (uint16_t)(part + i);
            const double here = decoded(format, bits);
            const float value = (float)here;
            /* Halfway to the next above in size, which past the greatest is where infinity begins.
             */
            const int exponent =
                here == 0 || ilogb(here) < format.least ? format.least : ilogb(here);
            const double step = ldexp(copysign(0.5, here), exponent - (format.precision - 1));
            const float half = isfinite(here) ? (float)(here + step) : value;
            const float around[each] = {value, nextafterf(value, 0), half, nextafterf(half, 0),
                                        nextafterf(half, copysignf(INFINITY, half))};
            memcpy(in + i * each, around, sizeof around);
        }
        run(check, conversion, values * each, in, out, &(Parameters){.scale = 1});
    }
}

/* The choice itself: names, refusals, and that a refusal writes nothing. */
void check_init(Check* check) {
    begin(check, "init");
    npuenc_kernels kernels, before;
    memset(&kernels, 0x5a, sizeof kernels);
    memcpy(&before, &kernels, sizeof kernels);
    if (npuenc_kernels_init(&kernels, "avx3") != NPUENC_KERNELS_UNKNOWN_ISA ||
        npuenc_kernels_init(&kernels, "") != NPUENC_KERNELS_UNKNOWN_ISA ||
        npuenc_kernels_init(&kernels, "AVX2") != NPUENC_KERNELS_UNKNOWN_ISA)
        fail(check, "took an unknown name");
    const char* highest = NULL;
    for (const char* const* isa = npuenc_kernels_isas(); *isa; isa++) {
        npuenc_kernels one;
        const int status = npuenc_kernels_init(&one, *isa);
        if (status == NPUENC_KERNELS_OK) {
            highest = *isa;
            if (strcmp(one.isa, *isa) != 0)
                fail(check, "%s instead of %s", one.isa, *isa);
        } else if (status != NPUENC_KERNELS_LACKING_ISA ||
                   npuenc_kernels_init(&kernels, *isa) != NPUENC_KERNELS_LACKING_ISA) {
            fail(check, "status %d of %s", status, *isa);
        }
    }
    if (memcmp(&kernels, &before, sizeof kernels) != 0)
        fail(check, "a refusal wrote");
    if (strcmp(*npuenc_kernels_isas(), "reference") != 0)
        fail(check, "the first is %s", *npuenc_kernels_isas());
    if (npuenc_kernels_init(&kernels, NULL) != NPUENC_KERNELS_OK || !highest ||
        strcmp(kernels.isa, highest) != 0)
        fail(check, "the default is not %s", highest);
    end(check);
}

void check_convert(Check* check) {
    for (size_t c = 0; c < sizeof conversions / sizeof conversions[0]; c++) {
        const Conversion* conversion = &conversions[c];
        begin(check, conversion->name);
        check_sizes(check, conversion);
        if (conversion->in <= 2)
            check_all(check, conversion);
        if (conversion->right == right_f32_to_bf16)
            check_boundaries(check, conversion, bf16);
        if (conversion->right == right_f32_to_f16)
            check_boundaries(check, conversion, f16);
        end(check);
    }
    check_parts(check);
}

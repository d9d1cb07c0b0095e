/* SPDX-License-Identifier: MIT
 *
 * What the tests of the ABI share.
 */
#include "support.h"

#include <dlfcn.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void expect_status(int32_t expected, int32_t status, const char* call, const char* file, int line) {
    char detail[1024] = "";
    npuenc_last_error(detail, sizeof detail);
    if (status != expected) {
        print_error("%s\n  returned %d (%s), expected %d (%s)\n", call, status,
                    npuenc_status_string(status), expected, npuenc_status_string(expected));
        if (status < 0)
            print_error("  detail: %s\n", detail);
        _fail(file, line);
    }
    if (expected != NPUENC_OK && (detail[0] == '\0' || strchr(detail, '\n'))) {
        print_error("%s\n  failed without one line of detail: '%s'\n", call, detail);
        _fail(file, line);
    }
}

/* splitmix64 (Steele, Lea and Flood 2014). */
static uint64_t next(random_source* source) {
    uint64_t z = source->state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint32_t random_below(random_source* source, uint32_t n) {
    return (uint32_t)((next(source) >> 32) * n >> 32);
}

float random_real(random_source* source) {
    return (float)((int32_t)(next(source) >> 40) - (1 << 23)) * 0x1p-23f;
}

double sum_error(size_t n) {
    return (double)n * unit_f32 / (1 - (double)n * unit_f32);
}

double bf16_sum_error(size_t n) {
    return device_under_test() == NPUENC_DEVICE_CPU ? sum_error(n)
                                                    : (double)((n + 7) / 8) * 10 * 0x1p-23;
}

/* To a format of `bits` significant bits whose least normal number is 2^least. */
static double rounded(double x, int bits, int least) {
    if (x == 0 || !isfinite(x))
        return x;
    int exponent;
    frexp(x, &exponent); /* |x| in [2^(exponent-1), 2^exponent) */
    if (exponent - 1 < least)
        exponent = least + 1;
    return ldexp(nearbyint(ldexp(x, bits - exponent)), exponent - bits);
}

uint16_t bf16_of(double x) {
    const float value = (float)rounded(x, 8, -126); /* exact, or beyond float and so infinite */
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return isnan(x) ? 0x7fc0 : (uint16_t)(bits >> 16);
}

double real_of_bf16(uint16_t bits) {
    const uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

uint16_t f16_of(double x) {
    const uint16_t sign = signbit(x) ? 0x8000 : 0;
    if (isnan(x))
        return 0x7e00;
    const double magnitude = fabs(rounded(x, 11, -14));
    if (magnitude >= 65536)
        return sign | 0x7c00;
    if (magnitude < 0x1p-14)
        return sign | (uint16_t)ldexp(magnitude, 24);
    int exponent;
    const double fraction = frexp(magnitude, &exponent);
    return (uint16_t)(sign | (exponent + 14) << 10 | (int)(ldexp(fraction, 11) - 1024));
}

double real_of_f16(uint16_t bits) {
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    double magnitude = ldexp(fraction + 1024, exponent - 25);
    if (exponent == 0)
        magnitude = ldexp(fraction, -24);
    else if (exponent == 31)
        magnitude = fraction ? NAN : INFINITY;
    return bits & 0x8000 ? -magnitude : magnitude;
}

size_t element_bytes(int32_t dtype) {
    return dtype == NPUENC_S8 ? 1 : dtype == NPUENC_F32 || dtype == NPUENC_S32 ? 4 : 2;
}

double element(int32_t dtype, const void* data, size_t i) {
    switch (dtype) {
    case NPUENC_F32:
        return ((const float*)data)[i];
    case NPUENC_BF16:
        return real_of_bf16(((const uint16_t*)data)[i]);
    case NPUENC_F16:
        return real_of_f16(((const uint16_t*)data)[i]);
    case NPUENC_S8:
        return ((const int8_t*)data)[i];
    default:
        return ((const int32_t*)data)[i];
    }
}

void set_element(int32_t dtype, void* data, size_t i, double value) {
    switch (dtype) {
    case NPUENC_F32:
        ((float*)data)[i] = (float)value;
        break;
    case NPUENC_BF16:
        ((uint16_t*)data)[i] = bf16_of(value);
        break;
    case NPUENC_F16:
        ((uint16_t*)data)[i] = f16_of(value);
        break;
    case NPUENC_S8:
        ((int8_t*)data)[i] = (int8_t)nearbyint(value);
        break;
    default:
        ((int32_t*)data)[i] = (int32_t)nearbyint(value);
    }
}

void* random_elements(random_source* source, int32_t dtype, size_t n) {
    void* data = malloc(n * element_bytes(dtype));
    for (size_t i = 0; i < n; i++)
        if (dtype == NPUENC_S8)
            ((int8_t*)data)[i] = (int8_t)((int)random_below(source, 256) - 128);
        else
            set_element(dtype, data, i, random_real(source));
    return data;
}

enum { fill = 0xa5 };

void* filled(size_t bytes) {
    void* data = malloc(bytes);
    memset(data, fill, bytes);
    return data;
}

bool is_filled(const void* data, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        if (((const unsigned char*)data)[i] != fill)
            return false;
    return true;
}

int32_t device_under_test(void) {
    const char* name = getenv("NPUENC_TEST_DEVICE");
    if (!name || strcmp(name, "cpu") == 0)
        return NPUENC_DEVICE_CPU;
    assert_string_equal(name, "npu");
    return NPUENC_DEVICE_NPU;
}

/* A virtual NPU whose memory is not coherent sees a synchronisation only when it is a system call,
 * which XRT makes of it when it is told so before it is used. */
static void synchronise_through_driver(void) {
    static bool is_done;
    const char* coherent = getenv("VIRTUAL_NPU_COHERENT");
    if (is_done || !coherent || strcmp(coherent, "0") != 0)
        return;
    void* xrt = dlopen("libxrt_coreutil.so.2", RTLD_NOW);
    assert_non_null(xrt);
    int (*set)(const char*, const char*);
    *(void**)&set = dlsym(xrt, "xrtIniStringSet");
    assert_non_null(set);
    assert_int_equal(set("Debug.force_driver_sync", "true"), 0);
    is_done = true;
}

static npuenc_ctx* open_of_type(int32_t type, uint32_t n_threads) {
    synchronise_through_driver();
    npuenc_open_options options = {
        .struct_size = sizeof options, .device_type = type, .n_threads = n_threads};
    npuenc_ctx* ctx = NULL;
    expect_ok(npuenc_open(&options, &ctx));
    assert_non_null(ctx);
    return ctx;
}

npuenc_ctx* open_device(uint32_t n_threads) {
    return open_of_type(device_under_test(), n_threads);
}

npuenc_ctx* open_cpu(uint32_t n_threads) {
    return open_of_type(NPUENC_DEVICE_CPU, n_threads);
}

int32_t support_of(int32_t type) {
    const bool lacks = type == NPUENC_F32 && device_under_test() == NPUENC_DEVICE_NPU;
    return lacks ? NPUENC_E_UNSUPPORTED : NPUENC_OK;
}

void check_transfers(const npuenc_stats* stats) {
    const uint64_t npu_only[] = {stats->n_submissions,     stats->n_syncs,   stats->bytes_to_device,
                                 stats->bytes_from_device, stats->pack_ns,   stats->submit_ns,
                                 stats->sync_ns,           stats->device_ns, stats->unpack_ns};
    for (size_t i = 0; i < COUNT(npu_only); i++)
        assert_int_equal(npu_only[i] > 0, device_under_test() == NPUENC_DEVICE_NPU);
    if (device_under_test() == NPUENC_DEVICE_CPU) /* where the array adds up, the host need not */
        assert_int_equal(stats->accumulate_ns, 0);
}

bool has_forced_isa(void) {
    const npuenc_open_options options = {.struct_size = sizeof options,
                                         .device_type = NPUENC_DEVICE_CPU};
    npuenc_ctx* ctx;
    const bool lacks = npuenc_open(&options, &ctx) == NPUENC_E_UNSUPPORTED;
    npuenc_close(ctx);
    return !lacks;
}

uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

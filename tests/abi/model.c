/* SPDX-License-Identifier: MIT
 *
 * Models: loading from memory and from files, what they say about themselves, damaged ones, and
 * every way to call the functions wrongly. What the states are is in encode.c.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support.h"
#include "whisper.h"

static npuenc_ctx* ctx;
static whisper* small;
static char directory[] = "/tmp/npuenc-model-XXXXXX";

static void write_file(const char* name, const void* data, size_t bytes) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE* file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    fclose(file);
}

static void remove_file(const char* name) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    remove(path);
}

static int32_t load(const char* name, npuenc_model** out) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return npuenc_model_load(ctx, path, NULL, out);
}

static void expect_not_loaded(int32_t status, const char* name) {
    npuenc_model* model = (npuenc_model*)&model;
    expect(status, load(name, &model));
    assert_null(model);
}

static void expect_bad(const void* data, size_t bytes) {
    npuenc_model* model = (npuenc_model*)&model;
    expect(NPUENC_E_BAD_MODEL, npuenc_model_load_memory(ctx, data, bytes, NULL, &model));
    assert_null(model);
}

static npuenc_model_info info_of(const npuenc_model* model) {
    npuenc_model_info info = {.struct_size = sizeof info};
    expect_ok(npuenc_model_get_info(model, &info));
    return info;
}

/* ---- What a model says about itself ---- */

/* Of a model whose options are all defaults. */
static void check_info(const npuenc_model* model, const whisper* made) {
    const bool is_npu = device_under_test() == NPUENC_DEVICE_NPU;
    const npuenc_model_info info = info_of(model);
    assert_int_equal(info.n_mels, made->shape.n_mels);
    assert_int_equal(info.n_ctx, made->shape.n_ctx);
    assert_int_equal(info.n_state, made->shape.n_state);
    assert_int_equal(info.n_head, made->shape.n_head);
    assert_int_equal(info.n_layer, made->shape.n_layer);
    assert_int_equal(info.n_vocab, 0);
    assert_int_equal(info.precision, is_npu ? NPUENC_PRECISION_BF16 : NPUENC_PRECISION_F32);
    assert_int_equal(info.linear_device, device_under_test());
    assert_int_equal(info.conv_device, device_under_test());
    assert_int_equal(info.attention_device, NPUENC_DEVICE_CPU);
    assert_int_equal(info.elementwise_device, NPUENC_DEVICE_CPU);
    assert_int_equal(info.n_parameters, made->n_parameters);
    assert_int_equal(info.file_bytes, made->file_bytes);
    if (is_npu) /* whole tiles of the array, which are wide for models as small as these */
        assert_true(info.weight_bytes >= info.n_parameters * 2);
    else
        assert_in_range(info.weight_bytes, info.n_parameters * 4, info.n_parameters * 8);
    assert_string_equal(info.name, "custom");
    assert_string_equal(info.format, "safetensors");
    assert_string_equal(info.weight_type, "f32");
}

static void information_is_that_of_the_file(void** state) {
    (void)state;
    const whisper_shape shapes[] = {
        small_shape, {128, 7, 64, 1, 1}, {80, 1, 192, 3, 1}, {80, 3, 64, 1, 8}};
    for (size_t i = 0; i < COUNT(shapes); i++) {
        whisper* made = whisper_create(shapes[i], i);
        npuenc_model* model = NULL;
        expect_ok(npuenc_model_load_memory(ctx, made->file, made->file_bytes, NULL, &model));
        check_info(model, made);
        npuenc_model_free(model);
        whisper_free(made);
    }
}

static void published_shapes_have_names(void** state) {
    (void)state;
    whisper* made = whisper_create((whisper_shape){80, 1500, 384, 6, 4}, 1);
    npuenc_model* model;
    expect_ok(npuenc_model_load_memory(ctx, made->file, made->file_bytes, NULL, &model));
    assert_string_equal(info_of(model).name, "tiny");
    npuenc_model_free(model);
    whisper_free(made);
}

static void data_may_lie_anywhere(void** state) {
    (void)state;
    char* moved = malloc(small->file_bytes + 8);
    for (size_t off = 1; off < 8; off += 3) {
        memcpy(moved + off, small->file, small->file_bytes);
        npuenc_model* model = NULL;
        expect_ok(npuenc_model_load_memory(ctx, moved + off, small->file_bytes, NULL, &model));
        check_info(model, small);
        npuenc_model_free(model);
    }
    free(moved);
}

/* ---- Files ---- */

static void files_and_directories(void** state) {
    (void)state;
    write_file("small.safetensors", small->file, small->file_bytes);
    npuenc_model* model = NULL;
    expect_ok(load("small.safetensors", &model));
    check_info(model, small);
    npuenc_model_free(model);

    /* A directory needs its config.json, which says more than the tensors can. */
    write_file("model.safetensors", small->file, small->file_bytes);
    expect_not_loaded(NPUENC_E_NOT_FOUND, "");
    static const char config[] =
        "{\"model_type\": \"whisper\", \"activation_function\": \"gelu\", \"num_mel_bins\": 80,"
        " \"max_source_positions\": 50, \"d_model\": 128, \"encoder_attention_heads\": 4,"
        " \"encoder_layers\": 2, \"encoder_ffn_dim\": 512, \"vocab_size\": 51864}";
    write_file("config.json", config, sizeof config - 1);
    expect_ok(load("", &model));
    const npuenc_model_info info = info_of(model);
    assert_int_equal(info.n_head, 4);
    assert_int_equal(info.n_vocab, 51864);
    assert_int_equal(info.file_bytes, small->file_bytes + sizeof config - 1);
    npuenc_model_free(model);
    write_file("config.json", config, sizeof config - 9);
    expect_not_loaded(NPUENC_E_BAD_MODEL, "");
    remove_file("config.json");
    remove_file("model.safetensors");
    remove_file("small.safetensors");
}

static void files_that_are_not_there(void** state) {
    (void)state;
    expect_not_loaded(NPUENC_E_NOT_FOUND, "nothing");
    expect_not_loaded(NPUENC_E_NOT_FOUND, "nothing/at/all");
    npuenc_model* model = (npuenc_model*)&model;
    expect(NPUENC_E_NOT_FOUND, npuenc_model_load(ctx, "", NULL, &model));
    assert_null(model);
}

static void files_that_cannot_be_read(void** state) {
    (void)state;
    if (geteuid() == 0)
        skip(); /* who may read everything */
    write_file("secret", small->file, small->file_bytes);
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/secret", directory);
    chmod(path, 0);
    expect_not_loaded(NPUENC_E_IO, "secret");
    remove_file("secret");
}

static void files_that_are_no_models(void** state) {
    (void)state;
    expect_not_loaded(NPUENC_E_BAD_MODEL, ""); /* an empty directory */
    write_file("empty", "", 0);
    expect_not_loaded(NPUENC_E_BAD_MODEL, "empty");
    remove_file("empty");
    write_file("text", "Call me Ishmael.", 16);
    expect_not_loaded(NPUENC_E_BAD_MODEL, "text");
    remove_file("text");
    write_file("half", small->file, small->file_bytes / 2);
    expect_not_loaded(NPUENC_E_BAD_MODEL, "half");
    remove_file("half");
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/pipe", directory);
    assert_int_equal(mkfifo(path, 0600), 0); /* must not wait for a writer */
    expect_not_loaded(NPUENC_E_BAD_MODEL, "pipe");
    remove_file("pipe");
    npuenc_model* model = (npuenc_model*)&model;
    expect(NPUENC_E_BAD_MODEL, npuenc_model_load(ctx, "/dev/zero", NULL, &model));
    assert_null(model);
}

static int n_open_files(void) {
    int n = 0;
    for (int i = 0; i < 256; i++)
        n += fcntl(i, F_GETFD) != -1;
    return n;
}

static void no_file_stays_open(void** state) {
    (void)state;
    const int before = n_open_files();
    write_file("whole", small->file, small->file_bytes);
    write_file("half", small->file, small->file_bytes / 2);
    npuenc_model* model = NULL;
    expect_ok(load("whole", &model));
    assert_int_equal(n_open_files(), before);
    npuenc_model* other;
    expect(NPUENC_E_BAD_MODEL, load("half", &other));
    assert_int_equal(n_open_files(), before);
    npuenc_model_free(model);
    remove_file("whole");
    remove_file("half");
}

/* ---- Damage ---- */

static void truncated_models_are_bad(void** state) {
    (void)state;
    const size_t step = small->file_bytes / 97;
    for (size_t bytes = 0; bytes < small->file_bytes; bytes += bytes < 64 ? 1 : step) {
        char* exact = malloc(bytes);
        memcpy(exact, small->file, bytes);
        expect_bad(bytes ? exact : NULL, bytes);
        free(exact);
    }
    expect_bad(small->file, small->file_bytes - 1);
    char* longer = calloc(1, small->file_bytes + 1);
    memcpy(longer, small->file, small->file_bytes);
    expect_bad(longer, small->file_bytes + 1);
    free(longer);
}

/* Whatever a header says: an answer, and no crash. */
static void damaged_headers_are_survived(void** state) {
    (void)state;
    whisper* made = whisper_create((whisper_shape){80, 2, 64, 1, 1}, 4);
    const size_t header_bytes = (size_t)((char*)made->weights - (char*)made->file);
    random_source source = {1};
    unsigned n_loaded = 0;
    for (unsigned i = 0; i < 1500; i++) {
        unsigned char* const file = made->file;
        const size_t at = random_below(&source, (uint32_t)header_bytes);
        const unsigned char before = file[at];
        static const char telling[] = "0123456789-,:\"[]{}\\e.\0";
        file[at] = i & 1 ? (unsigned char)random_below(&source, 256)
                         : (unsigned char)telling[random_below(&source, sizeof telling)];
        npuenc_model* model = (npuenc_model*)&model;
        const int32_t status =
            npuenc_model_load_memory(ctx, made->file, made->file_bytes, NULL, &model);
        assert_true(status == NPUENC_OK || status == NPUENC_E_BAD_MODEL);
        assert_int_equal(status == NPUENC_OK, model != NULL);
        n_loaded += status == NPUENC_OK;
        npuenc_model_free(model);
        file[at] = before;
    }
    assert_true(n_loaded < 300); /* spaces and unchanged bytes */
    whisper_free(made);
}

/* Headers that promise more than there is must not be believed. */
static void large_promises_are_not_believed(void** state) {
    (void)state;
    const char* const headers[] = {
        "{\"model.encoder.conv1.weight\":{\"dtype\":\"F32\",\"shape\":[4294967295,4294967295,3],"
        "\"data_offsets\":[0,8]}}",
        "{\"model.encoder.conv1.weight\":{\"dtype\":\"F32\",\"shape\":[18446744073709551615],"
        "\"data_offsets\":[0,18446744073709551612]}}",
        "{\"model.encoder.conv1.weight\":{\"dtype\":\"F32\",\"shape\":[1073741824,1073741824],"
        "\"data_offsets\":[0,4611686018427387904]}}",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
        "{}",
    };
    for (size_t i = 0; i < COUNT(headers); i++) {
        const uint64_t n = strlen(headers[i]);
        char* file = calloc(1, n + 16);
        memcpy(file, &n, 8);
        memcpy(file + 8, headers[i], n);
        expect_bad(file, n + 16);
        const uint64_t sizes[] = {UINT64_MAX, UINT64_MAX - 7, (uint64_t)1 << 63, n + 9};
        for (size_t s = 0; s < COUNT(sizes); s++) {
            memcpy(file, &sizes[s], 8);
            expect_bad(file, n + 16);
        }
        free(file);
    }
}

/* ---- Wrong arguments ---- */

static void loading_needs_its_arguments(void** state) {
    (void)state;
    npuenc_model *const garbage = (npuenc_model*)&ctx, *model = garbage;
    expect_invalid(npuenc_model_load(NULL, directory, NULL, &model));
    assert_null(model);
    model = garbage;
    expect_invalid(npuenc_model_load(ctx, NULL, NULL, &model));
    assert_null(model);
    expect_invalid(npuenc_model_load(ctx, directory, NULL, NULL));

    model = garbage;
    expect_invalid(npuenc_model_load_memory(NULL, small->file, small->file_bytes, NULL, &model));
    assert_null(model);
    model = garbage;
    expect_invalid(npuenc_model_load_memory(ctx, NULL, small->file_bytes, NULL, &model));
    assert_null(model);
    expect_invalid(npuenc_model_load_memory(ctx, small->file, small->file_bytes, NULL, NULL));

    npuenc_model_info info = {.struct_size = sizeof info};
    expect_invalid(npuenc_model_get_info(NULL, &info));
    assert_int_equal(info.n_mels, 0);
    expect_ok(npuenc_model_load_memory(ctx, small->file, small->file_bytes, NULL, &model));
    expect_invalid(npuenc_model_get_info(model, NULL));
    npuenc_model_free(model);
    npuenc_model_free(NULL);
}

static int32_t load_with(npuenc_model_options options, npuenc_model** model) {
    options.struct_size = sizeof options;
    const int32_t status =
        npuenc_model_load_memory(ctx, small->file, small->file_bytes, &options, model);
    /* Options are looked at before the file, which is not there. */
    npuenc_model* none = (npuenc_model*)&none;
    const int32_t from_file = npuenc_model_load(ctx, "/no/such/file", &options, &none);
    assert_null(none);
    assert_int_equal(from_file, status == NPUENC_OK ? NPUENC_E_NOT_FOUND : status);
    return status;
}

static int32_t* place_of(npuenc_model_options* options, size_t family) {
    int32_t* const places[] = {&options->linear_device, &options->attention_device,
                               &options->conv_device, &options->elementwise_device};
    return places[family];
}

static void options_must_be_in_range(void** state) {
    (void)state;
    const int32_t wrong[] = {INT32_MIN, -1, 3, 4, INT32_MAX};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        npuenc_model* model = (npuenc_model*)&model;
        if (wrong[i] != NPUENC_PRECISION_INT8)
            expect_invalid(load_with((npuenc_model_options){.precision = wrong[i]}, &model));
        for (size_t family = 0; family < 4; family++) {
            npuenc_model_options options = {0};
            *place_of(&options, family) = wrong[i];
            model = (npuenc_model*)&model;
            expect_invalid(load_with(options, &model));
            assert_null(model);
        }
    }
}

static void expect_place(const npuenc_model* model, size_t family, int32_t device) {
    const npuenc_model_info info = info_of(model);
    const int32_t places[] = {info.linear_device, info.attention_device, info.conv_device,
                              info.elementwise_device};
    assert_int_equal(places[family], device);
}

static void families_run_where_they_are_put(void** state) {
    (void)state;
    enum { elementwise = 3 };
    for (size_t family = 0; family < 4; family++) {
        npuenc_model_options options = {0};
        *place_of(&options, family) = NPUENC_DEVICE_CPU;
        npuenc_model* model = NULL;
        expect_ok(load_with(options, &model));
        expect_place(model, family, NPUENC_DEVICE_CPU);
        npuenc_model_free(model);
        /* No NPU has norms, and a context on the CPU no NPU. */
        const bool has_it = device_under_test() == NPUENC_DEVICE_NPU && family < elementwise;
        *place_of(&options, family) = NPUENC_DEVICE_NPU;
        model = (npuenc_model*)&model;
        expect(has_it ? NPUENC_OK : NPUENC_E_UNSUPPORTED, load_with(options, &model));
        if (has_it)
            expect_place(model, family, NPUENC_DEVICE_NPU);
        else
            assert_null(model);
        npuenc_model_free(model);
    }
}

/* What is a step wider. */
static int32_t wider(npuenc_ctx* with, int32_t precision) {
    npuenc_ctx_info info = {.struct_size = sizeof info};
    expect_ok(npuenc_ctx_get_info(with, &info));
    const bool is_npu = info.device_type == NPUENC_DEVICE_NPU;
    const bool has_amx = !is_npu && strcmp(info.isa, "amx") == 0;
    switch (precision) {
    case NPUENC_PRECISION_INT8:
        return has_amx ? NPUENC_PRECISION_BF16X2 : NPUENC_PRECISION_BF16;
    case NPUENC_PRECISION_BF16:
        return has_amx || is_npu ? NPUENC_PRECISION_BF16X2 : NPUENC_PRECISION_F32;
    default:
        return NPUENC_PRECISION_F32;
    }
}

static void every_precision_is_had(void** state) {
    (void)state;
    for (int32_t precision = NPUENC_PRECISION_F32; precision <= NPUENC_PRECISION_INT8;
         precision++) {
        npuenc_model* model = (npuenc_model*)&model;
        const int32_t status = load_with((npuenc_model_options){.precision = precision}, &model);
        expect(support_of(precision), status);
        if (status != NPUENC_OK) {
            assert_null(model);
            continue;
        }
        const npuenc_model_info info = info_of(model);
        assert_int_equal(info.precision, precision);
        assert_int_equal(info.wide_precision, wider(ctx, precision));
        npuenc_model_free(model);
    }
}

/* The table of the header. */
static int32_t auto_of(const char* isa, uint32_t n_state) {
    const bool has_bf16 = strcmp(isa, "avx512bf16") == 0 || strcmp(isa, "amx") == 0;
    const bool is_bf16 = has_bf16 && (n_state == 384 || n_state == 512);
    return is_bf16 ? NPUENC_PRECISION_BF16 : NPUENC_PRECISION_F32;
}

static void automatic_precision_follows_the_table(void** state) {
    (void)state;
    const char* const isas[] = {"reference",  "avx2",       "avxvnni", "avx512",
                                "avx512vnni", "avx512bf16", "amx"};
    const uint32_t widths[] = {64, 384, 448, 512, 768};
    for (size_t i = 0; i < COUNT(widths); i++) {
        whisper* made = whisper_create((whisper_shape){80, 2, widths[i], 1, 1}, 1);
        for (size_t j = 0; j < COUNT(isas); j++) {
            setenv("NPUENC_ISA", isas[j], 1);
            const npuenc_open_options cpu = {.struct_size = sizeof cpu,
                                             .device_type = NPUENC_DEVICE_CPU};
            npuenc_ctx* with = NULL;
            const int32_t status = npuenc_open(&cpu, &with);
            if (status != NPUENC_OK && j > 0) /* this processor has no such thing */
                continue;
            expect_ok(status);
            npuenc_model* model = NULL;
            expect_ok(npuenc_model_load_memory(with, made->file, made->file_bytes, NULL, &model));
            const npuenc_model_info info = info_of(model);
            assert_int_equal(info.precision, auto_of(isas[j], widths[i]));
            assert_int_equal(info.wide_precision, info.precision == NPUENC_PRECISION_BF16
                                                      ? wider(with, NPUENC_PRECISION_BF16)
                                                      : NPUENC_PRECISION_F32);
            npuenc_model_free(model);
            npuenc_close(with);
        }
        whisper_free(made);
    }
    unsetenv("NPUENC_ISA");
}

static int set_up(void** state) {
    (void)state;
    assert_non_null(mkdtemp(directory));
    small = whisper_create(small_shape, 1);
    ctx = open_device(1);
    return 0;
}

static int tear_down(void** state) {
    (void)state;
    npuenc_close(ctx);
    whisper_free(small);
    return rmdir(directory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(information_is_that_of_the_file),
        cmocka_unit_test(published_shapes_have_names),
        cmocka_unit_test(data_may_lie_anywhere),
        cmocka_unit_test(files_and_directories),
        cmocka_unit_test(files_that_are_not_there),
        cmocka_unit_test(files_that_cannot_be_read),
        cmocka_unit_test(files_that_are_no_models),
        cmocka_unit_test(no_file_stays_open),
        cmocka_unit_test(truncated_models_are_bad),
        cmocka_unit_test(damaged_headers_are_survived),
        cmocka_unit_test(large_promises_are_not_believed),
        cmocka_unit_test(loading_needs_its_arguments),
        cmocka_unit_test(options_must_be_in_range),
        cmocka_unit_test(families_run_where_they_are_put),
        cmocka_unit_test(every_precision_is_had),
        cmocka_unit_test(automatic_precision_follows_the_table),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

// SPDX-License-Identifier: MIT
// Model files of every format and type against what make_models.py says they hold, and damaged ones
// against what the loaders promise: an Error that names the damage, and no memory beyond the
// file's.
//
// usage: model_file_test DIRECTORY, as make_models.py has written it
#include "error.hpp" // before cmocka, which has a macro fail()
#include "model/model_file.hpp"
#include "model/storage.hpp"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
extern "C" {
#include <cmocka.h>
}

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <latch>
#include <memory>
#include <new>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

std::atomic<size_t> allocated{0};
std::atomic<size_t> peak{0};

} // namespace

// Every allocation of this program, to know the most that was held at once. Inlined, gcc would see
// memory of new given to free.
[[gnu::noinline]] void* operator new(size_t bytes) {
    void* memory = std::malloc(bytes > 0 ? bytes : 1);
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    const size_t now = allocated += malloc_usable_size(memory);
    size_t highest = peak;
    while (now > highest && !peak.compare_exchange_weak(highest, now)) {
    }
    return memory;
}

[[gnu::noinline]] void operator delete(void* memory) noexcept {
    allocated -= malloc_usable_size(memory);
    std::free(memory);
}

void operator delete(void* memory, size_t) noexcept {
    operator delete(memory);
}

namespace {

using npuenc::Error;
using npuenc::HyperParameters;
using npuenc::ModelFile;
using npuenc::Role;
using npuenc::Shape;
using npuenc::Storage;
using npuenc::TensorId;

// What an index may take beyond the bytes of the file: max_tensors entries of some 512 bytes.
constexpr size_t index_bytes = size_t{8} << 20;

std::string root;

std::vector<char> contents(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        fail_msg("cannot read %s", path.c_str());
    }
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

struct Valid {
    std::string path;
    std::string expected;
    std::string format;
    std::string type;
    HyperParameters dims;
    uint32_t n_vocab = 0;

    bool is_one_file() const {
        struct stat status;
        return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
               path.find("/hf-") == path.npos; // whose config.json counts
    }
};

struct Bad {
    std::string path;
    npuenc_status status = NPUENC_OK;
    std::string message;
};

std::vector<Valid> valid_models;
std::vector<Bad> bad_models;

npuenc_status status_named(const std::string& name) {
    return name == "BAD_MODEL"   ? NPUENC_E_BAD_MODEL
           : name == "NOT_FOUND" ? NPUENC_E_NOT_FOUND
           : name == "TOO_NEW"   ? NPUENC_E_TOO_NEW
                                 : NPUENC_E_INTERNAL;
}

bool read_manifest() {
    std::ifstream manifest(root + "/manifest");
    std::string line;
    while (std::getline(manifest, line)) {
        std::istringstream words(line);
        std::string kind;
        words >> kind;
        if (kind == "valid") {
            Valid model;
            HyperParameters& dims = model.dims;
            words >> model.path >> model.expected >> model.format >> model.type >> dims.n_mels >>
                dims.n_ctx >> dims.n_state >> dims.n_head >> dims.n_layer >> model.n_vocab;
            model.path = root + "/" + model.path;
            model.expected = root + "/" + model.expected;
            valid_models.push_back(model);
        } else {
            Bad model;
            std::string status;
            words >> model.path >> status >> std::ws;
            std::getline(words, model.message);
            model.path = root + "/" + model.path;
            model.status = status_named(status);
            bad_models.push_back(model);
        }
    }
    return !valid_models.empty() && !bad_models.empty();
}

std::vector<float> read_all(const ModelFile& model) {
    std::vector<float> all;
    npuenc::for_each_tensor(model.hyper_parameters(), [&](TensorId id) {
        const Shape shape = npuenc::shape_of(id.role, model.hyper_parameters());
        const size_t begin = all.size();
        all.resize(begin + shape.rows() * shape.row_elements());
        model.read_rows(id, 0, static_cast<uint32_t>(shape.rows()), all.data() + begin);
    });
    return all;
}

bool same_bits(const std::vector<float>& values, const std::vector<char>& bytes) {
    return values.size() * sizeof(float) == bytes.size() &&
           std::memcmp(values.data(), bytes.data(), bytes.size()) == 0;
}

void assert_is(const ModelFile& model, const Valid& expected) {
    const HyperParameters& dims = model.hyper_parameters();
    assert_string_equal(model.format(), expected.format.c_str());
    assert_string_equal(model.weight_type().c_str(), expected.type.c_str());
    assert_int_equal(dims.n_mels, expected.dims.n_mels);
    assert_int_equal(dims.n_ctx, expected.dims.n_ctx);
    assert_int_equal(dims.n_state, expected.dims.n_state);
    assert_int_equal(dims.n_head, expected.dims.n_head);
    assert_int_equal(dims.n_layer, expected.dims.n_layer);
    assert_int_equal(model.n_vocab(), expected.n_vocab);
    if (!same_bits(read_all(model), contents(expected.expected))) {
        fail_msg("%s does not hold the expected weights", expected.path.c_str());
    }
}

void test_valid(void**) {
    for (const Valid& expected : valid_models) {
        assert_is(*npuenc::open_model_file(expected.path), expected);
        if (expected.is_one_file()) {
            const std::vector<char> bytes = contents(expected.path);
            const auto model = npuenc::open_model_memory(bytes.data(), bytes.size());
            assert_is(*model, expected);
            assert_int_equal(model->file_bytes(), bytes.size());
        }
    }
}

// Any range of rows is the same as that part of the whole.
void test_rows(void**) {
    std::mt19937 random(1);
    for (const Valid& expected : valid_models) {
        const auto model = npuenc::open_model_file(expected.path);
        npuenc::for_each_tensor(expected.dims, [&](TensorId id) {
            const Shape shape = npuenc::shape_of(id.role, expected.dims);
            const uint32_t rows = static_cast<uint32_t>(shape.rows());
            const size_t row = shape.row_elements();
            std::vector<float> whole(rows * row);
            model->read_rows(id, 0, rows, whole.data());
            const uint32_t first = random() % (rows + 1);
            const uint32_t count = random() % (rows - first + 1);
            std::vector<float> part(count * row + 1, 7.0f);
            model->read_rows(id, first, count, part.data());
            assert_true(part.back() == 7.0f);
            assert_memory_equal(part.data(), whole.data() + first * row,
                                count * row * sizeof(float));
        });
    }
}

void test_rows_outside(void**) {
    const auto model = npuenc::open_model_file(valid_models.front().path);
    const HyperParameters& dims = model->hyper_parameters();
    std::vector<float> out(dims.n_ctx * dims.n_state);
    const struct {
        TensorId id;
        uint32_t first;
        uint32_t count;
    } wrong[] = {
        {{Role::positions}, 0, dims.n_ctx + 1}, {{Role::positions}, dims.n_ctx + 1, 0},
        {{Role::positions}, 1, UINT32_MAX},     {{Role::query_bias, dims.n_layer}, 0, 1},
        {{Role::conv1_bias, 1}, 0, 1},
    };
    for (const auto& [id, first, count] : wrong) {
        try {
            model->read_rows(id, first, count, out.data());
            fail_msg("rows %u + %u were read", first, count);
        } catch (const Error& error) {
            assert_int_equal(error.status(), NPUENC_E_INTERNAL);
        }
    }
}

void test_threads(void**) {
    for (const Valid& expected : valid_models) {
        const auto model = npuenc::open_model_file(expected.path);
        const std::vector<char> bytes = contents(expected.expected);
        constexpr int n_threads = 4;
        constexpr int n_times = 16; // enough for threads that share a buffer to be caught
        std::atomic<int> right{0};
        std::latch start(n_threads);
        std::vector<std::thread> threads;
        for (int i = 0; i < n_threads; ++i) {
            threads.emplace_back([&] {
                start.arrive_and_wait();
                for (int k = 0; k < n_times; ++k) {
                    right += same_bits(read_all(*model), bytes);
                }
            });
        }
        for (std::thread& thread : threads) {
            thread.join();
        }
        assert_int_equal(right, n_threads * n_times);
    }
}

// By the definition of IEEE 754's binary16, bit by bit, with ldexp.
void test_f16(void**) {
    std::vector<uint16_t> halves(65536);
    for (size_t i = 0; i < halves.size(); ++i) {
        halves[i] = static_cast<uint16_t>(i);
    }
    std::vector<float> floats(halves.size());
    npuenc::decode(Storage::f16, halves.data(), halves.size(), floats.data());
    for (uint32_t half = 0; half < halves.size(); ++half) {
        const int exponent = half >> 10 & 31;
        const int fraction = half & 1023;
        const float value = floats[half];
        assert_int_equal(std::signbit(value), half >> 15);
        if (exponent == 31) {
            assert_int_equal(std::isnan(value), fraction != 0);
            assert_int_equal(std::isinf(value), fraction == 0);
        } else {
            const double magnitude = exponent == 0 ? std::ldexp(fraction, -24)
                                                   : std::ldexp(1024 + fraction, exponent - 25);
            assert_true(std::fabs(value) == magnitude);
        }
    }
}

// Opens what must not open; true when the Error is as promised. The peak is what opening held.
bool is_refused(const std::string& what, uint64_t file_bytes, npuenc_status* status,
                std::string* message, auto open) {
    const size_t before = allocated;
    peak = before;
    try {
        open();
        print_error("%s was opened\n", what.c_str());
        return false;
    } catch (const Error& error) {
        *status = error.status();
        *message = error.what();
    }
    const bool is_line = !message->empty() && message->size() < 512 &&
                         std::all_of(message->begin(), message->end(),
                                     [](unsigned char c) { return c >= 32 && c != 127; });
    if (!is_line) {
        print_error("%s: not a line: %s\n", what.c_str(), message->c_str());
    }
    const size_t held = peak - before;
    if (held > file_bytes + index_bytes) {
        print_error("%s of %llu bytes took %zu\n", what.c_str(),
                    static_cast<unsigned long long>(file_bytes), held);
        return false;
    }
    return is_line;
}

bool is_refused_bytes(const std::string& what, const char* data, size_t bytes) {
    npuenc_status status = NPUENC_OK;
    std::string message;
    if (!is_refused(what, bytes, &status, &message,
                    [&] { npuenc::open_model_memory(data, bytes); })) {
        return false;
    }
    if (status != NPUENC_E_BAD_MODEL && status != NPUENC_E_TOO_NEW) {
        print_error("%s: status %d, %s\n", what.c_str(), status, message.c_str());
        return false;
    }
    return true;
}

uint64_t bytes_below(const std::string& path) {
    struct stat status;
    if (::stat(path.c_str(), &status) != 0) {
        return 0;
    }
    // Of a directory no more is read than the shards' headers and one JSON file at a time.
    return S_ISDIR(status.st_mode) ? size_t{20} << 20 : static_cast<uint64_t>(status.st_size);
}

void test_bad(void**) {
    int failures = 0;
    for (const Bad& bad : bad_models) {
        npuenc_status status = NPUENC_OK;
        std::string message;
        if (!is_refused(bad.path, bytes_below(bad.path), &status, &message,
                        [&] { npuenc::open_model_file(bad.path); })) {
            ++failures;
        } else if (status != bad.status || message.find(bad.message) == message.npos) {
            print_error("%s: expected %d, %s\n    found %d, %s\n", bad.path.c_str(), bad.status,
                        bad.message.c_str(), status, message.c_str());
            ++failures;
        }
    }
    print_message("%zu damaged files\n", bad_models.size());
    assert_int_equal(failures, 0);
}

struct Mark {
    size_t begin = 0;
    size_t end = 0;
    bool is_checked = false;
};

std::vector<Mark> marks_of(const Valid& model) {
    std::ifstream file(model.path + ".marks");
    std::vector<Mark> marks;
    Mark mark;
    std::string kind;
    while (file >> mark.begin >> mark.end >> kind) {
        mark.is_checked = kind == "checked";
        marks.push_back(mark);
    }
    return marks;
}

void test_truncated(void**) {
    std::mt19937 random(2);
    size_t n = 0;
    int failures = 0;
    for (const Valid& model : valid_models) {
        const std::vector<Mark> marks = marks_of(model);
        if (marks.empty()) {
            continue;
        }
        const std::vector<char> bytes = contents(model.path);
        std::vector<size_t> ends;
        for (const Mark& mark : marks) {
            ends.push_back(mark.begin);
            ends.push_back(mark.end - 1);
        }
        for (int i = 0; i < 200; ++i) {
            ends.push_back(random() % bytes.size());
        }
        for (const size_t end : ends) {
            failures +=
                !is_refused_bytes(model.path + " cut to " + std::to_string(end), bytes.data(), end);
        }
        n += ends.size();
    }
    print_message("%zu truncated files\n", n);
    assert_true(n > 0);
    assert_int_equal(failures, 0);
}

void test_flipped(void**) {
    size_t n = 0;
    int failures = 0;
    for (const Valid& model : valid_models) {
        std::vector<char> bytes;
        for (const Mark& mark : marks_of(model)) {
            if (bytes.empty()) {
                bytes = contents(model.path);
            }
            for (size_t at = mark.begin; mark.is_checked && at < mark.end; ++at) {
                // f16 and bf16, 4 and 5 in CTranslate2, have the same size.
                const char flips[] = {'\xff', '\x02', '\x40'};
                for (const char flip : flips) {
                    bytes[at] ^= flip;
                    failures += !is_refused_bytes(model.path + " with byte " + std::to_string(at) +
                                                      " changed",
                                                  bytes.data(), bytes.size());
                    bytes[at] ^= flip;
                    ++n;
                }
            }
        }
    }
    print_message("%zu changed bytes\n", n);
    assert_true(n > 0);
    assert_int_equal(failures, 0);
}

// Whatever a mutated file is, it opens and can be read to its end, or it is an Error.
void test_mutated(void**) {
    std::mt19937 random(3);
    size_t n_opened = 0;
    size_t n_refused = 0;
    for (const Valid& model : valid_models) {
        const std::vector<Mark> marks = marks_of(model);
        if (marks.empty()) {
            continue;
        }
        const std::vector<char> original = contents(model.path);
        std::vector<char> headers; // bytes of other headers to splice in
        for (const Mark& mark : marks) {
            if (mark.is_checked) {
                headers.insert(headers.end(), original.begin() + static_cast<long>(mark.begin),
                               original.begin() + static_cast<long>(mark.end));
            }
        }
        for (int i = 0; i < 1300; ++i) {
            std::vector<char> bytes = original;
            for (uint32_t k = random() % 4 + 1; k > 0; --k) {
                const Mark& mark = marks[random() % marks.size()];
                const size_t at = mark.begin + random() % (mark.end - mark.begin);
                static constexpr uint32_t numbers[] = {0,          1,          0x7f,       0xff,
                                                       0x7fffffff, 0x80000000, 0xffffffff, 65536};
                switch (random() % 5) {
                case 0:
                    bytes[at] = static_cast<char>(random());
                    break;
                case 1: {
                    const uint32_t number = numbers[random() % std::size(numbers)];
                    std::memcpy(&bytes[at], &number, std::min<size_t>(4, bytes.size() - at));
                    break;
                }
                case 2: {
                    const size_t size = std::min<size_t>(random() % 64, bytes.size() - at);
                    const size_t from = random() % headers.size();
                    std::copy_n(headers.begin() + static_cast<long>(from),
                                std::min(size, headers.size() - from),
                                bytes.begin() + static_cast<long>(at));
                    break;
                }
                case 3:
                    bytes[at] ^= static_cast<char>(1u << random() % 8);
                    break;
                default:
                    if (random() % 4 == 0) {
                        bytes.resize(at + 1);
                        bytes.shrink_to_fit();
                        k = 1;
                    }
                }
            }
            const size_t before = allocated;
            peak = before;
            try {
                const auto mutant = npuenc::open_model_memory(bytes.data(), bytes.size());
                assert_true(peak - before <= bytes.size() + index_bytes);
                ++n_opened;
                read_all(*mutant);
            } catch (const Error& error) {
                assert_true(peak - before <= bytes.size() + index_bytes);
                assert_true(error.status() == NPUENC_E_BAD_MODEL ||
                            error.status() == NPUENC_E_TOO_NEW);
                ++n_refused;
            }
        }
    }
    print_message("%zu mutants opened, %zu refused\n", n_opened, n_refused);
    assert_true(n_opened > 0 && n_refused > n_opened);
}

npuenc_status status_of(const std::string& path, std::string* message) {
    npuenc_status status = NPUENC_OK;
    constexpr size_t header_bytes = size_t{16} << 20; // the most that is read at once
    assert_true(
        is_refused(path, header_bytes, &status, message, [&] { npuenc::open_model_file(path); }));
    return status;
}

// Opening a FIFO would wait for a writer that never comes.
void test_not_a_file(void**) {
    const std::string fifo = root + "/fifo";
    ::unlink(fifo.c_str());
    assert_int_equal(::mkfifo(fifo.c_str(), 0600), 0);
    std::string message;
    assert_int_equal(status_of(fifo, &message), NPUENC_E_BAD_MODEL);
    assert_non_null(std::strstr(message.c_str(), "is not a regular file"));
    assert_int_equal(status_of("/dev/zero", &message), NPUENC_E_BAD_MODEL);
    assert_non_null(std::strstr(message.c_str(), "is not a regular file"));
    assert_int_equal(status_of("", &message), NPUENC_E_NOT_FOUND);
    assert_int_equal(status_of(root + "/" + std::string(300, 'x'), &message), NPUENC_E_IO);
    assert_non_null(std::strstr(message.c_str(), "File name too long"));
}

void test_no_memory(void**) {
    std::string message;
    npuenc_status status = NPUENC_OK;
    assert_true(
        is_refused("nothing", 0, &status, &message, [] { npuenc::open_model_memory(nullptr, 0); }));
    assert_int_equal(status, NPUENC_E_BAD_MODEL);
    assert_non_null(std::strstr(message.c_str(), "model in memory: is empty"));
}

// A file of a terabyte that claims to be one header, one tensor or one word costs no memory.
void test_huge(void**) {
    const std::string path = root + "/huge";
    const std::string heads[] = {
        std::string("\0\0\0\0\xff\0\0\0{", 9),
        std::string("\0\0\0\x7f\0\0\0\0{", 9),
        std::string("\0\0\0\1\0\0\0\0{", 9),
        std::string("\6\0\0\0\x0c\0WhisperSpec\0\3\0\0\0\xff\xff\xff\xff\xff\xff", 28),
        std::string("lmgg", 4),
    };
    for (const std::string& head : heads) {
        std::ofstream(path, std::ios::binary) << head;
        if (::truncate(path.c_str(), off_t{1} << 40) != 0) {
            skip(); // a file system without such files
        }
        std::string message;
        assert_int_equal(status_of(path, &message), NPUENC_E_BAD_MODEL);
    }
    ::unlink(path.c_str());
}

void test_truncated_while_open(void**) {
    for (const Valid& model : valid_models) {
        if (!model.is_one_file()) {
            continue;
        }
        const std::vector<char> bytes = contents(model.path);
        const std::string path = root + "/shrinking";
        std::ofstream(path, std::ios::binary)
            .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
        const auto opened = npuenc::open_model_file(path);
        assert_int_equal(::truncate(path.c_str(), 4096), 0);
        try {
            read_all(*opened);
            fail_msg("%s was read past its end", model.path.c_str());
        } catch (const Error& error) {
            assert_int_equal(error.status(), NPUENC_E_IO);
            assert_non_null(std::strstr(error.what(), "bytes when it was opened"));
        }
        ::unlink(path.c_str());
    }
}

// q / scale with a scale that is no scale is damage that only reading finds.
void test_bad_scale(void**) {
    const Valid* found = nullptr;
    for (const Valid& model : valid_models) {
        if (model.type == "int8" && model.is_one_file()) {
            found = &model;
        }
    }
    assert_non_null(found);
    const std::vector<char> original = contents(found->path);
    const std::string name = std::string("encoder/conv1/weight_scale") + '\0';
    const auto place = std::search(original.begin(), original.end(), name.begin(), name.end());
    // After the name: rank, one dimension, type, size; then the scales.
    const size_t at = static_cast<size_t>(place - original.begin()) + name.size() + 1 + 4 + 1 + 4;
    for (const float scale : {0.0f, -1.0f, std::nanf(""), HUGE_VALF}) {
        std::vector<char> bytes = original;
        std::memcpy(&bytes[at + 4 * sizeof scale], &scale, sizeof scale);
        const auto model = npuenc::open_model_memory(bytes.data(), bytes.size());
        std::vector<float> rows(size_t{4} * 3 * model->hyper_parameters().n_mels);
        model->read_rows({Role::conv1_weight}, 0, 4, rows.data());
        try {
            model->read_rows({Role::conv1_weight}, 4, 1, rows.data());
            fail_msg("a scale of %g was used", static_cast<double>(scale));
        } catch (const Error& error) {
            assert_int_equal(error.status(), NPUENC_E_BAD_MODEL);
            assert_non_null(std::strstr(error.what(), std::to_string(at + 16).c_str()));
        }
    }
}

// What is wrong is said even where the path is longer than a message.
void test_long_path(void**) {
    std::string path = root;
    for (int i = 0; i < 8; ++i) {
        path += "/" + std::string(100, 'd');
        ::mkdir(path.c_str(), 0700);
    }
    path += "/page";
    std::ofstream(path) << "<html>";
    std::string message;
    assert_int_equal(status_of(path, &message), NPUENC_E_BAD_MODEL);
    assert_non_null(std::strstr(message.c_str(), "/page: is HTML"));
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]);
        return 2;
    }
    root = argv[1];
    if (!read_manifest()) {
        std::fprintf(stderr, "no manifest in %s\n", argv[1]);
        return 2;
    }
    const CMUnitTest tests[] = {
        cmocka_unit_test(test_valid),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_rows_outside),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_f16),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_flipped),
        cmocka_unit_test(test_mutated),
        cmocka_unit_test(test_not_a_file),
        cmocka_unit_test(test_no_memory),
        cmocka_unit_test(test_huge),
        cmocka_unit_test(test_truncated_while_open),
        cmocka_unit_test(test_bad_scale),
        cmocka_unit_test(test_long_path),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}

// SPDX-License-Identifier: MIT
#include "npu/overlay_catalog.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <map>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <type_traits>
#include <utility>

#include <nlohmann/json.hpp>

#include "error.hpp"
#include "kernels/aie2/container/sha256.hpp"
#include "kernels/aie2/container/xclbin.hpp"
#include "npu/gemm_stream.hpp"
#include "npu/gemm_tiling.hpp"
#include "npu/installation.hpp"

namespace npuenc {
namespace {

using Json = nlohmann::json;

constexpr const char* reinstall = "reinstall npuenc's overlays, or name others in "
                                  "NPUENC_OVERLAY_PATH";

// Far more than any overlay has; the heap of a device, where images go, is of 64 MiB.
constexpr size_t max_manifest_bytes = 64 << 10;
constexpr size_t max_xclbin_bytes = 16 << 20;

// Columns 0 to 4, of which a partition may be (amdxdna, aie2_pci.c, total_col).
constexpr unsigned array_columns = 5;

// Why an overlay cannot be used.
class Damage : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

// What the host's half of an overlay, its instruction streams and packings, takes for granted.
struct Expectation {
    const char* name;
    const char* kernel;
    size_t buffers;   // arguments
    unsigned columns; // that the instruction stream speaks to
    std::map<std::string, std::string> types;
    std::map<std::string, uint64_t> tile, layout;
};

const char* type_name(npuenc_dtype type) {
    switch (type) {
    case NPUENC_S8:
        return "int8";
    case NPUENC_S32:
        return "int32";
    case NPUENC_BF16:
        return "bfloat16";
    default:
        return "float32";
    }
}

const char* type_name(GemmResult result) {
    switch (result) {
    case GemmResult::s32:
        return "int32";
    case GemmResult::s16:
        return "int16";
    case GemmResult::s8:
        return "int8";
    default:
        return "float32";
    }
}

// Of products of bf16 cores send chunks of either type, and of others whole tiles.
Expectation expect(const GemmOverlay& gemm) {
    const char* operand = type_name(gemm.operand_type);
    const bool either = gemm.operand_type == NPUENC_BF16;
    return {gemm.name,
            "gemm",
            3,
            array_cores,
            {{"a", operand},
             {"b", operand},
             {"c", either ? "float32, int16 or bfloat16" : type_name(gemm.result)}},
            {{"rows", core_tile}, {"columns", core_tile}, {"depth", gemm.k_tile}},
            {{"a_message_bytes", gemm.a_message},
             {"b_message_bytes", gemm.b_message},
             {"b_header_bytes", gemm.b_header},
             {"c_chunk_bytes", gemm.c_chunk},
             {"c_message_bytes", (either ? 1 : c_chunks(gemm)) * gemm.c_chunk},
             {"group_rows", output_group},
             {"group_columns", output_group}}};
}

Expectation expect(const OneToOneOverlay& overlay, const char* kernel,
                   std::map<std::string, std::string> types, std::map<std::string, uint64_t> tile) {
    return {overlay.name,
            kernel,
            2,
            1,
            std::move(types),
            std::move(tile),
            {{"input_bytes", overlay.input_bytes}, {"output_bytes", overlay.output_bytes}}};
}

std::vector<Expectation> expectations() {
    return {expect(gemm_s8_s32),
            expect(gemm_s8_s16),
            expect(gemm_s8_s8),
            expect(gemm_bf16_f32),
            expect(attention_s8_64x64, "attention",
                   {{"q", "int8"}, {"k", "int8"}, {"v", "int8"}, {"out", "int8"}},
                   {{"positions", 64}, {"dimensions", 64}}),
            expect(matmul_s8_16x16, "matmul", {{"a", "int8"}, {"b", "int8"}, {"c", "int8"}},
                   {{"rows", 16}, {"columns", 16}, {"depth", 16}})};
}

std::vector<std::string> split(std::string_view list) {
    std::vector<std::string> parts;
    while (!list.empty()) {
        const size_t colon = std::min(list.find(':'), list.size());
        if (colon > 0)
            parts.emplace_back(list.substr(0, colon));
        list.remove_prefix(std::min(colon + 1, list.size()));
    }
    return parts;
}

std::vector<std::string> directories_of_environment() {
    const char* list = trusted_variable("NPUENC_OVERLAY_PATH");
    return list ? split(list) : std::vector<std::string>{installed_overlay_directory("npu1")};
}

class OpenFile {
  public:
    // Does not wait for a writer where the path turns out to be a pipe.
    explicit OpenFile(const std::string& path)
        : descriptor_(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
    ~OpenFile() {
        if (descriptor_ >= 0)
            close(descriptor_);
    }
    OpenFile(const OpenFile&) = delete;
    OpenFile& operator=(const OpenFile&) = delete;

    int descriptor() const { return descriptor_; }

  private:
    int descriptor_;
};

// The whole of a file that nobody has vouched for.
std::vector<uint8_t> read_file(const std::string& path, size_t max_bytes) {
    const OpenFile file(path);
    struct stat status;
    if (file.descriptor() < 0 || fstat(file.descriptor(), &status) != 0)
        throw Damage(std::generic_category().message(errno));
    if (!S_ISREG(status.st_mode))
        throw Damage("it is no file");
    if (status.st_size > static_cast<off_t>(max_bytes))
        throw Damage("it has " + std::to_string(status.st_size) + " bytes, more than the " +
                     std::to_string(max_bytes) + " that one may have");
    std::vector<uint8_t> bytes(static_cast<size_t>(status.st_size));
    size_t done = 0;
    while (done < bytes.size()) {
        const ssize_t n = read(file.descriptor(), bytes.data() + done, bytes.size() - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            throw Damage(n < 0 ? std::generic_category().message(errno)
                               : "it shrank while it was read");
        done += static_cast<size_t>(n);
    }
    return bytes;
}

bool exists(const std::string& path) {
    return access(path.c_str(), F_OK) == 0;
}

// ---- Manifest ----

const Json& member(const Json& object, const std::string& key) {
    const auto found = object.find(key);
    if (found == object.end())
        throw Damage("it has no \"" + key + '"');
    return *found;
}

const Json& object_member(const Json& object, const std::string& key) {
    const Json& value = member(object, key);
    if (!value.is_object())
        throw Damage('"' + key + "\" is no object");
    return value;
}

std::string shown(const std::string& text) {
    return aie2::quoted(text);
}
std::string shown(uint64_t number) {
    return std::to_string(number);
}

template <class Value>
bool holds(const Json& value) {
    if constexpr (std::is_same_v<Value, std::string>)
        return value.is_string();
    else
        return value.is_number_unsigned();
}

template <class Value>
Value value_of(const Json& object, const std::string& key) {
    const Json& value = member(object, key);
    if (!holds<Value>(value))
        throw Damage('"' + key + "\" is no " +
                     (std::is_same_v<Value, std::string> ? "text" : "whole number"));
    return value.get<Value>();
}

template <class Value>
void require_values(const Json& manifest, const std::string& group,
                    const std::map<std::string, Value>& expected) {
    const Json& object = object_member(manifest, group);
    for (const auto& [key, value] : expected) {
        const Value found = value_of<Value>(object, key);
        if (found != value)
            throw Damage(group + '.' + key + " is " + shown(found) + ", and npuenc needs " +
                         shown(value));
    }
}

Json parse_manifest(const std::vector<uint8_t>& bytes) {
    // Does not recurse, and throws nothing but for want of memory.
    Json manifest = Json::parse(bytes.begin(), bytes.end(), nullptr, false);
    if (!manifest.is_object())
        throw Damage("it is no JSON object");
    return manifest;
}

void check_manifest(const Json& manifest, const Expectation& expected) {
    const std::string name = value_of<std::string>(manifest, "name");
    if (name != expected.name)
        throw Damage("it is of overlay " + shown(name));
    const std::string kernel = value_of<std::string>(manifest, "kernel");
    if (kernel != expected.kernel)
        throw Damage("its kernel is " + shown(kernel) + ", and npuenc needs " +
                     shown(std::string(expected.kernel)));
    require_values(manifest, "types", expected.types);
    require_values(manifest, "tile", expected.tile);
    require_values(manifest, "layout", expected.layout);
}

// ---- xclbin ----

void check_columns(const aie2::Xclbin& xclbin, const Expectation& expected) {
    if (xclbin.columns < expected.columns || xclbin.columns > array_columns)
        throw Damage("its partition has " + std::to_string(xclbin.columns) +
                     " columns, and npuenc needs " + std::to_string(expected.columns));
    if (xclbin.start_columns.empty())
        throw Damage("its partition may begin nowhere");
    for (const uint16_t first : xclbin.start_columns)
        if (first + xclbin.columns > array_columns)
            throw Damage("its partition may begin in column " + std::to_string(first) +
                         ", where the array has no " + std::to_string(xclbin.columns) + " columns");
}

// The command of a kernel of mlir-aie: an opcode, the instructions and their number, buffers.
bool takes_commands(const aie2::Kernel& kernel, size_t buffers) {
    const std::vector<aie2::KernelArgument> expected = aie2::dpu_kernel(buffers).arguments;
    return kernel.arguments.size() >= expected.size() &&
           std::equal(expected.begin(), expected.end(), kernel.arguments.begin(),
                      [](const aie2::KernelArgument& a, const aie2::KernelArgument& b) {
                          return a.size == b.size && a.offset == b.offset &&
                                 a.memory.empty() == b.memory.empty();
                      });
}

const aie2::Kernel& check_kernels(const aie2::Xclbin& xclbin, const Expectation& expected) {
    if (xclbin.kernels.size() != 1)
        throw Damage("it has " + std::to_string(xclbin.kernels.size()) + " kernels instead of 1");
    const aie2::Kernel& kernel = xclbin.kernels[0];
    if (!kernel.name.starts_with("MLIR_AIE"))
        throw Damage("its kernel is " + shown(kernel.name) + " instead of MLIR_AIE");
    if (!takes_commands(kernel, expected.buffers))
        throw Damage("its kernel does not take an opcode, instructions and " +
                     std::to_string(expected.buffers) + " buffers");
    const bool has_image =
        std::any_of(xclbin.images.begin(), xclbin.images.end(), [&](const aie2::ArrayImage& image) {
            return !image.pdi.empty() && std::find(image.kernels.begin(), image.kernels.end(),
                                                   kernel.id) != image.kernels.end();
        });
    if (!has_image)
        throw Damage("it has no image of the array for its kernel");
    return kernel;
}

void check_sha256(const std::vector<uint8_t>& bytes, const std::string& expected) {
    if (aie2::text_of_bytes(aie2::sha256(bytes)) != expected)
        throw Damage("its sha256 is not the manifest's");
}

// Runs a step on a file; what is wrong is wrong with that file.
template <class Step>
auto on_file(const Expectation& expected, const std::string& path, Step&& step) {
    try {
        return step();
    } catch (const std::runtime_error& error) { // Damage or aie2::ContainerError
        fail(NPUENC_E_UNSUPPORTED, "overlay %s cannot be used: %s: %s; %s", expected.name,
             path.c_str(), error.what(), reinstall);
    }
}

OverlayFile read_overlay(const Expectation& expected, const std::string& directory) {
    const std::string manifest_path = directory + '/' + expected.name + ".json";
    const Json manifest = on_file(expected, manifest_path, [&] {
        Json parsed = parse_manifest(read_file(manifest_path, max_manifest_bytes));
        check_manifest(parsed, expected);
        return parsed;
    });
    const std::string sha256 =
        on_file(expected, manifest_path, [&] { return value_of<std::string>(manifest, "sha256"); });

    OverlayFile file;
    file.name = expected.name;
    file.path = directory + '/' + expected.name + ".xclbin";
    on_file(expected, file.path, [&] {
        file.xclbin = read_file(file.path, max_xclbin_bytes);
        check_sha256(file.xclbin, sha256);
        const aie2::Xclbin xclbin = aie2::parse_xclbin(file.xclbin);
        check_columns(xclbin, expected);
        file.kernel = check_kernels(xclbin, expected).name;
        file.columns = xclbin.columns;
        file.uuid = aie2::text_of(xclbin.uuid);
    });
    if (const auto version = manifest.find("version");
        version != manifest.end() && version->is_string())
        file.version = version->get<std::string>();
    return file;
}

std::string joined(const std::vector<std::string>& parts) {
    std::string text;
    for (const std::string& part : parts)
        text += (text.empty() ? "" : ", ") + part;
    return text;
}

} // namespace

OverlayCatalog::OverlayCatalog() : OverlayCatalog(directories_of_environment()) {}

OverlayCatalog::OverlayCatalog(std::vector<std::string> directories)
    : directories_(std::move(directories)) {}

OverlayFile OverlayCatalog::get(const char* name) const {
    const std::vector<Expectation> all = expectations();
    const auto expected = std::find_if(all.begin(), all.end(), [&](const Expectation& each) {
        return std::string_view(name) == each.name;
    });
    if (expected == all.end())
        fail(NPUENC_E_UNSUPPORTED, "npuenc knows no overlay %s", name);
    for (const std::string& directory : directories_) {
        const std::string stem = directory + '/' + name;
        if (exists(stem + ".json") || exists(stem + ".xclbin"))
            return read_overlay(*expected, directory);
    }
    fail(NPUENC_E_UNSUPPORTED, "overlay %s is not in %s: %s", name, joined(directories_).c_str(),
         reinstall);
}

std::vector<const char*> OverlayCatalog::names() {
    std::vector<const char*> names;
    const std::vector<Expectation> all = expectations();
    std::transform(all.begin(), all.end(), std::back_inserter(names),
                   [](const Expectation& each) { return each.name; });
    return names;
}

} // namespace npuenc

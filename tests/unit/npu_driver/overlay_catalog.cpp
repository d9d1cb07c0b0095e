// SPDX-License-Identifier: MIT
// The overlays that this build makes are taken; whatever else is refused with path and reason.
#include <fcntl.h>
#include <sys/stat.h>

#include <functional>

#include <nlohmann/json.hpp>

#include "kernels/aie2/container/sha256.hpp"
#include "kernels/aie2/container/xclbin.hpp"
#include "npu/overlay_catalog.hpp"
#include "support.hpp"

using namespace npuenc;
using Json = nlohmann::ordered_json;

namespace {

path built; // directory of the overlays

constexpr const char* gemm = "gemm_s8_s32";
constexpr const char* single = "attention_s8_64x64";

// An overlay of this build in a directory of its own, to be damaged.
class Copy {
  public:
    explicit Copy(const char* overlay = gemm) : name(overlay) {
        std::filesystem::copy(built / (name + ".json"), manifest_path());
        std::filesystem::copy(built / (name + ".xclbin"), xclbin_path());
    }

    path manifest_path() const { return directory / (name + ".json"); }
    path xclbin_path() const { return directory / (name + ".xclbin"); }

    Json manifest() const {
        const std::vector<uint8_t> bytes = read_bytes(manifest_path());
        return Json::parse(bytes.begin(), bytes.end());
    }
    void write_manifest(const Json& json) const { write_text(manifest_path(), json.dump()); }

    // Other contents that the manifest vouches for.
    void replace(const std::vector<uint8_t>& xclbin) const {
        write_bytes(xclbin_path(), xclbin);
        Json json = manifest();
        json["sha256"] = aie2::text_of_bytes(aie2::sha256(xclbin));
        write_manifest(json);
    }

    // The same overlay as another tool might have made it.
    void rewrite(const std::function<void(aie2::Xclbin&)>& change) const {
        aie2::Xclbin xclbin = aie2::parse_xclbin(read_bytes(built / (name + ".xclbin")));
        change(xclbin);
        replace(aie2::write_xclbin(xclbin));
    }

    OverlayFile read() const { return OverlayCatalog({directory.string()}).get(name.c_str()); }

    const Directory directory;
    const std::string name;
};

void assert_refused_at(const Copy& copy, const path& file, const std::string& reason,
                       const char* source, int line) {
    const std::string detail =
        "overlay " + copy.name + " cannot be used: " + file.string() + ": " + reason;
    assert_error_at([&] { copy.read(); }, NPUENC_E_UNSUPPORTED, detail.c_str(), source, line);
    assert_error_at([&] { copy.read(); }, NPUENC_E_UNSUPPORTED, "NPUENC_OVERLAY_PATH", source,
                    line);
}
#define assert_manifest_refused(copy, reason)                                                      \
    assert_refused_at(copy, (copy).manifest_path(), reason, __FILE__, __LINE__)
#define assert_xclbin_refused(copy, reason)                                                        \
    assert_refused_at(copy, (copy).xclbin_path(), reason, __FILE__, __LINE__)

void every_overlay_of_this_build_is_taken(void**) {
    const OverlayCatalog catalog({built.string()});
    assert_int_equal(OverlayCatalog::names().size(), 6);
    for (const char* name : OverlayCatalog::names()) {
        const OverlayFile overlay = catalog.get(name);
        assert_string_equal(overlay.name.c_str(), name);
        assert_string_equal(overlay.path.c_str(), (built / name).concat(".xclbin").c_str());
        assert_true(overlay.xclbin == read_bytes(overlay.path));
        assert_string_equal(overlay.kernel.c_str(), "MLIR_AIE");
        assert_int_equal(overlay.columns, std::string(name).starts_with("gemm") ? 4 : 1);
        assert_int_equal(overlay.uuid.size(), 36);
        assert_string_equal(overlay.version.c_str(), NPUENC_VERSION);
    }
    assert_error(catalog.get("gemm_f64"), NPUENC_E_UNSUPPORTED, "knows no overlay gemm_f64");
}

void the_first_directory_that_has_it_counts(void**) {
    const Copy good, bad;
    write_text(bad.xclbin_path(), "x");
    const Directory empty;
    const std::string to_good =
        empty.string() + "::" + good.directory.string() + ":" + bad.directory.string();
    {
        const Variable variable("NPUENC_OVERLAY_PATH", to_good);
        const OverlayCatalog catalog;
        assert_int_equal(catalog.directories().size(), 3);
        assert_string_equal(catalog.get(gemm).path.c_str(), good.xclbin_path().c_str());
        const std::string where = std::string("overlay ") + single + " is not in " +
                                  empty.string() + ", " + good.directory.string() + ", " +
                                  bad.directory.string() + ": ";
        assert_error(catalog.get(single), NPUENC_E_UNSUPPORTED, where.c_str());
    }
    const OverlayCatalog other({bad.directory.string(), good.directory.string()});
    assert_error(other.get(gemm), NPUENC_E_UNSUPPORTED, bad.xclbin_path().c_str());
}

void without_the_variable_the_installed_ones_are_looked_for(void**) {
    assert_error(OverlayCatalog().get(gemm), NPUENC_E_UNSUPPORTED, NPUENC_DATADIR "/npuenc/npu1");
    const Variable empty("NPUENC_OVERLAY_PATH", "");
    assert_error(OverlayCatalog().get(gemm), NPUENC_E_UNSUPPORTED, NPUENC_DATADIR "/npuenc/npu1");
}

void half_an_overlay_is_refused(void**) {
    const Copy no_xclbin, no_manifest;
    std::filesystem::remove(no_xclbin.xclbin_path());
    assert_xclbin_refused(no_xclbin, "No such file or directory");
    std::filesystem::remove(no_manifest.manifest_path());
    assert_manifest_refused(no_manifest, "No such file or directory");
}

void what_is_repaired_is_taken(void**) {
    const Copy copy;
    const OverlayCatalog catalog({copy.directory.string()});
    const std::vector<uint8_t> bytes = read_bytes(copy.xclbin_path());
    write_text(copy.xclbin_path(), "xclbin2");
    assert_error(catalog.get(gemm), NPUENC_E_UNSUPPORTED, "sha256");
    write_bytes(copy.xclbin_path(), bytes);
    assert_true(catalog.get(gemm).xclbin == bytes);
}

void damaged_bytes_are_noticed(void**) {
    const Copy copy;
    const std::vector<uint8_t> bytes = read_bytes(copy.xclbin_path());
    for (const size_t size : {size_t{0}, size_t{100}, bytes.size() - 1}) {
        write_bytes(copy.xclbin_path(), {bytes.begin(), bytes.begin() + ptrdiff_t(size)});
        assert_xclbin_refused(copy, "its sha256 is not the manifest's");
    }
    for (const size_t at : {size_t{0}, bytes.size() / 2, bytes.size() - 1}) {
        std::vector<uint8_t> changed = bytes;
        changed[at] ^= 1;
        write_bytes(copy.xclbin_path(), changed);
        assert_xclbin_refused(copy, "its sha256 is not the manifest's");
    }
}

void what_is_no_file_of_bearable_size_is_not_read(void**) {
    const Copy copy;
    std::filesystem::resize_file(copy.xclbin_path(), (16 << 20) + 1);
    assert_xclbin_refused(copy, "it has 16777217 bytes, more than the 16777216");
    std::filesystem::remove(copy.xclbin_path());
    std::filesystem::create_directory(copy.xclbin_path());
    assert_xclbin_refused(copy, "it is no file");
    std::filesystem::remove(copy.xclbin_path());
    assert_int_equal(mkfifo(copy.xclbin_path().c_str(), 0600), 0);
    assert_xclbin_refused(copy, "it is no file");
    std::filesystem::resize_file(copy.manifest_path(), (64 << 10) + 1);
    assert_manifest_refused(copy, "it has 65537 bytes, more than the 65536");
}

void a_manifest_is_json(void**) {
    const Copy copy;
    for (const std::string& text :
         {std::string(), std::string("hello"), std::string("[]"), std::string("{"),
          std::string("\"name\""), std::string(60000, '['), std::string("{\"a\": \"\xff\"}")}) {
        write_text(copy.manifest_path(), text);
        assert_manifest_refused(copy, "it is no JSON object");
    }
}

// Values that are of another kind or another number.
std::vector<Json> others_than(const Json& value) {
    std::vector<Json> others = {nullptr, true, Json::array(), Json::object(), -1, 0.5, 1e300};
    if (value.is_string())
        others.push_back("int64");
    else
        others.push_back(value.get<int>() + 1);
    return others;
}

void every_fact_of_a_manifest_counts(void**) {
    for (const char* name : OverlayCatalog::names()) {
        const Copy copy(name);
        const Json good = copy.manifest();
        // Where the core keeps its parameters is nobody's affair; the rest is the xclbin's.
        const auto matters = [](const std::string& key) {
            return !key.ends_with("_row") && !key.ends_with("_address");
        };
        for (const char* group : {"types", "tile", "layout"}) {
            for (const auto& [key, value] : good[group].items()) {
                if (!matters(key))
                    continue;
                Json json = good;
                json[group].erase(key);
                copy.write_manifest(json);
                assert_manifest_refused(copy, "it has no \"" + key + '"');
                for (const Json& other : others_than(value)) {
                    json[group][key] = other;
                    copy.write_manifest(json);
                    assert_manifest_refused(copy, "");
                }
            }
            Json json = good;
            json[group] = 1;
            copy.write_manifest(json);
            assert_manifest_refused(copy, std::string("\"") + group + "\" is no object");
        }
        for (const char* key : {"name", "kernel", "sha256"}) {
            Json json = good;
            json.erase(key);
            copy.write_manifest(json);
            assert_manifest_refused(copy, std::string("it has no \"") + key + '"');
            json[key] = 12;
            copy.write_manifest(json);
            assert_manifest_refused(copy, std::string("\"") + key + "\" is no text");
        }
    }
    const Copy copy;
    Json json = copy.manifest();
    json["tile"]["depth"] = 32;
    copy.write_manifest(json);
    assert_manifest_refused(copy, "tile.depth is 32, and npuenc needs 64; reinstall");
    json["name"] = "gemm_s8_s8";
    copy.write_manifest(json);
    assert_manifest_refused(copy, "it is of overlay \"gemm_s8_s8\"");
}

void a_manifest_may_say_more_or_less_of_what_the_xclbin_says(void**) {
    const Copy copy;
    Json json = copy.manifest();
    json["compiler"] = {{"name", "aiecc"}};
    json["layout"]["stock"] = 4;
    for (const char* key : {"columns", "start_columns", "uuid", "version"})
        json.erase(key);
    copy.write_manifest(json);
    assert_string_equal(copy.read().version.c_str(), "");
}

// Makes XRT blind to all sections of these kinds.
std::vector<uint8_t> without_sections(std::vector<uint8_t> bytes, std::vector<uint8_t> kinds) {
    constexpr size_t count = 0x1c0, table = 0x1c8, entry = 40; // XRT, struct axlf
    for (size_t i = 0; i < bytes[count]; ++i)
        if (std::find(kinds.begin(), kinds.end(), bytes[table + i * entry]) != kinds.end())
            bytes[table + i * entry] = 99;
    return bytes;
}

void sections_that_xrt_needs_are_needed(void**) {
    constexpr uint8_t metadata = 2, connectivity = 7, ip_layout = 8, group_connectivity = 27,
                      partition = 32;
    const Copy copy;
    const std::vector<uint8_t> bytes = read_bytes(copy.xclbin_path());
    for (const uint8_t kind : {metadata, ip_layout, partition}) {
        copy.replace(without_sections(bytes, {kind}));
        assert_xclbin_refused(copy, "xclbin: no section ");
    }
    // XRT crashes then.
    copy.replace(without_sections(bytes, {connectivity, group_connectivity}));
    assert_xclbin_refused(copy, "xclbin: no section ");
    for (const uint8_t kind : {connectivity, group_connectivity}) {
        copy.replace(without_sections(bytes, {kind}));
        copy.read();
    }
    copy.replace({'x', 'c', 'l', 'b', 'i', 'n', '2', 0});
    assert_xclbin_refused(copy, "xclbin: ");
    copy.replace({bytes.begin(), bytes.end() - 8});
    assert_xclbin_refused(copy, "xclbin: ");
}

void the_partition_must_fit(void**) {
    const Copy four, one(single);
    const auto refuse = [](const Copy& copy, uint16_t columns, std::vector<uint16_t> starts,
                           const char* reason) {
        copy.rewrite([&](aie2::Xclbin& xclbin) {
            xclbin.columns = columns;
            xclbin.start_columns = starts;
        });
        assert_xclbin_refused(copy, reason);
    };
    refuse(four, 3, {1}, "its partition has 3 columns, and npuenc needs 4");
    refuse(four, 6, {0}, "its partition has 6 columns, and npuenc needs 4");
    refuse(one, 0, {1}, "its partition has 0 columns, and npuenc needs 1");
    refuse(four, 4, {}, "its partition may begin nowhere");
    refuse(four, 4, {1, 2}, "its partition may begin in column 2, where the array has no 4");
    refuse(one, 1, {0, 65535}, "its partition may begin in column 65535");
}

void the_kernel_must_be_npuencs(void**) {
    const Copy copy;
    const auto refuse = [&](const char* reason, auto&& change) {
        copy.rewrite(change);
        assert_xclbin_refused(copy, reason);
    };
    refuse("its kernel is \"vadd\" instead of MLIR_AIE",
           [](aie2::Xclbin& xclbin) { xclbin.kernels[0].name = "vadd"; });
    refuse("it has 2 kernels instead of 1", [](aie2::Xclbin& xclbin) {
        xclbin.kernels.push_back(xclbin.kernels[0]);
        xclbin.kernels[1].name = "MLIR_AIE2";
    });
    refuse("it has 0 kernels instead of 1", [](aie2::Xclbin& xclbin) { xclbin.kernels.clear(); });
    const char* arguments = "its kernel does not take an opcode, instructions and 3 buffers";
    refuse(arguments, [](aie2::Xclbin& xclbin) { xclbin.kernels[0] = aie2::dpu_kernel(2); });
    refuse(arguments, [](aie2::Xclbin& xclbin) { xclbin.kernels[0].arguments[2].size = 8; });
    refuse(arguments, [](aie2::Xclbin& xclbin) { xclbin.kernels[0].arguments[3].offset += 4; });
    refuse(arguments, [](aie2::Xclbin& xclbin) { xclbin.kernels[0].arguments[3].memory = ""; });
    refuse("it has no image of the array for its kernel",
           [](aie2::Xclbin& xclbin) { xclbin.images[0].kernels = {0x902}; });
    refuse("it has no image of the array for its kernel",
           [](aie2::Xclbin& xclbin) { xclbin.images.clear(); });
    refuse("it has no image of the array for its kernel",
           [](aie2::Xclbin& xclbin) { xclbin.images[0].pdi.clear(); });
}

void overlays_of_other_tools_are_taken(void**) {
    const Copy copy;
    // mlir-aie has declared five buffers whatever the design, and names kernels at will.
    copy.rewrite([](aie2::Xclbin& xclbin) {
        xclbin.kernels[0] = aie2::dpu_kernel(5);
        xclbin.kernels[0].name = "MLIR_AIE_gemm";
        xclbin.kernels[0].instance = "GEMM";
        xclbin.kernels[0].arguments[3].name = "in0";
    });
    assert_string_equal(copy.read().kernel.c_str(), "MLIR_AIE_gemm");
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 2)
        return 2;
    built = argv[1];
    const CMUnitTest tests[] = {
        cmocka_unit_test(every_overlay_of_this_build_is_taken),
        cmocka_unit_test(the_first_directory_that_has_it_counts),
        cmocka_unit_test(without_the_variable_the_installed_ones_are_looked_for),
        cmocka_unit_test(half_an_overlay_is_refused),
        cmocka_unit_test(what_is_repaired_is_taken),
        cmocka_unit_test(damaged_bytes_are_noticed),
        cmocka_unit_test(what_is_no_file_of_bearable_size_is_not_read),
        cmocka_unit_test(a_manifest_is_json),
        cmocka_unit_test(every_fact_of_a_manifest_counts),
        cmocka_unit_test(a_manifest_may_say_more_or_less_of_what_the_xclbin_says),
        cmocka_unit_test(sections_that_xrt_needs_are_needed),
        cmocka_unit_test(the_partition_must_fit),
        cmocka_unit_test(the_kernel_must_be_npuencs),
        cmocka_unit_test(overlays_of_other_tools_are_taken),
    };
    return cmocka_run_group_tests(tests, nullptr, nullptr);
}

// SPDX-License-Identifier: MIT
// xclbin: bytes by the published structures, round trips, uuids, and what is said of each
// malformation.
#include "kernels/aie2/container/pdi.hpp"
#include "kernels/aie2/container/xclbin.hpp" // before cmocka, which has a macro fail()
#include "tests/kernels/aie2/container/support.hpp"

#include <array>
#include <utility>

using namespace npuenc::aie2;

namespace {

std::vector<uint8_t> pdi() {
    return write_pdi(bytes_of(cdo_words));
}

Xclbin overlay() {
    Xclbin result;
    result.columns = 4;
    result.start_columns = {1};
    result.images = {{{}, 1, {0x901}, pdi()}};
    result.kernels = {dpu_kernel(3)};
    return result;
}

// What an overlay is once it has the uuids that its file gives it.
Xclbin with_uuids_of(Xclbin result, const Xclbin& file) {
    result.uuid = file.uuid;
    for (size_t i = 0; i < result.images.size(); i++) {
        result.images[i].uuid = file.images[i].uuid;
    }
    return result;
}

void xclbin_round_trip(void**) {
    Xclbin several = overlay();
    several.columns = 1;
    several.start_columns = {1, 2, 3, 4};
    several.images.push_back({{}, 2, {0x902, 0x903}, std::vector<uint8_t>(5, 9)});
    several.kernels.push_back(
        {"SECOND", "second0", 0x902, {{"a", "char *", 8, 0, "HOST"}, {"n", "int", 4, 8, ""}}});
    for (const Xclbin& each : {overlay(), several}) {
        const std::vector<uint8_t> file = write_xclbin(each);
        const Xclbin read = parse_xclbin(file);
        assert_true(read == with_uuids_of(each, read));
        assert_same_bytes(write_xclbin(read), file); // whatever uuids it is given
    }
}

// uuids depend on all of the content and on nothing else.
void xclbin_uuids(void**) {
    const Xclbin read = parse_xclbin(write_xclbin(overlay()));
    assert_int_equal(read.uuid[6] >> 4, 8);
    assert_int_equal(read.uuid[8] >> 6, 2);
    assert_true(read.uuid != read.images[0].uuid);
    assert_true(parse_xclbin(write_xclbin(overlay())).uuid == read.uuid);
    assert_true(text_of(Uuid{0x90, 0xe8, 0x36, 0x45, 0x16, 0x76, 0xd8, 0x8b, 0xa9, 0x21, 0x98, 0x4b,
                             0xfb, 0xda, 0xdc, 0x0b}) == "90e83645-1676-d88b-a921-984bfbdadc0b");

    Xclbin other = overlay();
    other.images[0].pdi.back() ^= 1;
    const Xclbin other_image = parse_xclbin(write_xclbin(other));
    assert_true(other_image.uuid != read.uuid);
    assert_true(other_image.images[0].uuid != read.images[0].uuid);
    other = overlay();
    other.start_columns = {0};
    const Xclbin other_place = parse_xclbin(write_xclbin(other));
    assert_true(other_place.uuid != read.uuid);
    assert_true(other_place.images[0].uuid == read.images[0].uuid);
}

// Where the sections of a file are, by the published structures.
struct Section {
    uint32_t kind;
    size_t header; // of the file
    size_t offset;
    size_t size;
};

std::vector<Section> sections_of(Bytes file) {
    std::vector<Section> sections;
    for (size_t i = 0; i < number_at<uint32_t>(file, 0x1c0); i++) {
        const size_t header = 0x1c8 + 40 * i;
        sections.push_back({number_at<uint32_t>(file, header), header,
                            number_at<uint64_t>(file, header + 24),
                            number_at<uint64_t>(file, header + 32)});
    }
    return sections;
}

Section section_of(Bytes file, uint32_t kind) {
    for (const Section& section : sections_of(file)) {
        if (section.kind == kind) {
            return section;
        }
    }
    fail_msg("no section %u", kind);
    return {};
}

// Written down from XRT's published structures and from what xclbinutil makes for mlir-aie.
void xclbin_as_published(void**) {
    const std::vector<uint8_t> file = write_xclbin(overlay());
    assert_memory_equal(file.data(), "xclbin2\0", 8);
    for (size_t i = 8; i < 0x128; i++) {
        assert_int_equal(file[i], 0xff);
    }
    assert_int_equal(number_at<uint64_t>(file, 0x130), file.size());
    assert_int_equal(number_at<uint64_t>(file, 0x138), 0); // no time
    assert_int_equal(number_at<uint32_t>(file, 0x1c0), 7);
    const std::array<uint32_t, 7> kinds{6, 32, 2, 8, 7, 27, 26};
    size_t end = 0x1c8 + 7 * 40;
    for (size_t i = 0; i < kinds.size(); i++) {
        const Section section = sections_of(file)[i];
        assert_int_equal(section.kind, kinds[i]);
        assert_int_equal(section.offset, (end + 7) / 8 * 8);
        end = section.offset + section.size;
    }
    assert_int_equal(end, file.size());

    const Section connectivity = section_of(file, 7);
    const std::vector<uint32_t> connections{4, 1, 0, 1, 3, 0, 0, 4, 0, 0, 5, 0, 0};
    assert_same_bytes(Bytes(file).subspan(connectivity.offset, connectivity.size),
                      bytes_of(connections));
    const Section layout = section_of(file, 8);
    assert_int_equal(layout.size, 8 + 80);
    const std::vector<uint32_t> ip{1, 0, 7, 0x09010001, UINT32_MAX, UINT32_MAX};
    assert_same_bytes(Bytes(file).subspan(layout.offset, 24), bytes_of(ip));
    assert_string_equal(reinterpret_cast<const char*>(&file[layout.offset + 24]),
                        "MLIR_AIE:MLIRAIE");
    const Section partition = section_of(file, 32);
    assert_int_equal(number_at<uint32_t>(file, partition.offset + 8), 2048);
    assert_int_equal(number_at<uint64_t>(file, partition.offset + 16), 0x5b7f);
    assert_int_equal(number_at<uint16_t>(file, partition.offset + 32), 4);
    assert_int_equal(number_at<uint32_t>(file, partition.offset + 120), 1);
    assert_same_bytes(Bytes(file).subspan(partition.offset + 0xd0, pdi().size()), pdi());
}

void xclbin_not_writable(void**) {
    const auto assert_refused = [](const std::string& expected,
                                   const std::function<void(Xclbin&)>& change) {
        Xclbin changed = overlay();
        change(changed);
        assert_error(expected, [&] { write_xclbin(changed); });
    };
    assert_refused("xclbin: the id 0x1000 of a kernel has over 12 bits",
                   [](Xclbin& x) { x.kernels[0].id = 0x1000; });
    assert_refused("xclbin: argument \"bo0\" is in no memory \"DDR\"",
                   [](Xclbin& x) { x.kernels[0].arguments[3].memory = "DDR"; });
    assert_refused("xclbin: EMBEDDED_METADATA: \"a<b\" would have to be escaped",
                   [](Xclbin& x) { x.kernels[0].name = "a<b"; });
    assert_refused("xclbin: name \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa…\" is longer than 63 "
                   "bytes",
                   [](Xclbin& x) { x.kernels[0].name = std::string(56, 'a'); });
}

void xclbin_malformed(void**) {
    const std::vector<uint8_t> good = write_xclbin(overlay());
    const std::string size = std::to_string(good.size());
    // The whole file with a number put at an offset.
    const auto assert_malformed = [&](const std::string& expected, size_t at, auto number) {
        std::vector<uint8_t> file = good;
        put_number_at(file, at, number);
        assert_error(expected, [&] { parse_xclbin(file); });
    };
    const auto offset = [&](uint32_t kind) { return section_of(good, kind).offset; };
    const auto header = [&](uint32_t kind) { return section_of(good, kind).header; };

    assert_malformed("xclbin: no xclbin: it does not begin with \"xclbin2\"", 0, uint8_t{'X'});
    assert_malformed("xclbin: its header says 7 bytes, and there are " + size, 0x130, uint64_t{7});
    assert_malformed("xclbin: the table of sections passes the end: 171798691800 bytes at byte 456 "
                     "of " +
                         size,
                     0x1c0, UINT32_MAX);
    assert_malformed("xclbin: section 8 passes the end: 88 bytes at byte 18446744073709551608 of " +
                         size,
                     header(8) + 24, UINT64_MAX - 7);
    assert_malformed("xclbin: section 8 passes the end: 18446744073709551615 bytes at byte " +
                         std::to_string(offset(8)) + " of " + size,
                     header(8) + 32, UINT64_MAX);
    for (const auto& [kind, name] : {std::pair{2, "EMBEDDED_METADATA"},
                                     {6, "MEM_TOPOLOGY"},
                                     {8, "IP_LAYOUT"},
                                     {32, "AIE_PARTITION"}}) {
        assert_malformed(std::string("xclbin: no section ") + name,
                         header(static_cast<uint32_t>(kind)), uint32_t{99});
    }

    // Either connectivity will do, with the memories it is about.
    std::vector<uint8_t> file = good;
    put_number_at(file, header(7), uint32_t{99});
    put_number_at(file, header(6), uint32_t{99});
    assert_true(parse_xclbin(file).kernels == overlay().kernels);
    put_number_at(file, header(26), uint32_t{99});
    assert_error("xclbin: no section GROUP_TOPOLOGY", [&] { parse_xclbin(file); });
    put_number_at(file, header(26), uint32_t{26});
    put_number_at(file, header(27), uint32_t{99});
    assert_error("xclbin: no section GROUP_CONNECTIVITY", [&] { parse_xclbin(file); });

    const size_t part = offset(32), part_size = section_of(good, 32).size;
    assert_malformed("xclbin: the header of AIE_PARTITION passes the end: 184 bytes at byte 0 of 7",
                     header(32) + 32, uint64_t{7});
    assert_malformed("xclbin: the list of start columns passes the end: 8589934590 bytes at byte "
                     "200 of " +
                         std::to_string(part_size),
                     part + 40, UINT32_MAX);
    assert_malformed("xclbin: the list of images passes the end: 96 bytes at byte 4294967295 of " +
                         std::to_string(part_size),
                     part + 124, UINT32_MAX);
    const size_t image = part + number_at<uint32_t>(good, part + 124);
    const size_t group = part + number_at<uint32_t>(good, image + 28);
    assert_malformed("xclbin: an image passes the end: 4294967295 bytes at byte 208 of " +
                         std::to_string(part_size),
                     image + 16, UINT32_MAX);
    assert_malformed(
        "xclbin: an image's list of groups passes the end: 412316860320 bytes at byte " +
            std::to_string(group - part) + " of " + std::to_string(part_size),
        image + 24, UINT32_MAX);
    assert_malformed(
        "xclbin: a group's list of kernels passes the end: 34359738360 bytes at byte " +
            std::to_string(number_at<uint32_t>(good, group + 20)) + " of " +
            std::to_string(part_size),
        group + 16, UINT32_MAX);
    // Columns that are the bytes of the image, then the image once more.
    file = good;
    put_number_at(file, part + 40, uint32_t{300});
    assert_error("xclbin: an image lies over other parts", [&] { parse_xclbin(file); });

    assert_malformed("xclbin: the list in IP_LAYOUT passes the end: 160 bytes at byte 8 of 88",
                     offset(8), uint32_t{2});
    assert_malformed("xclbin: the list in MEM_TOPOLOGY passes the end: 120 bytes at byte 8 of 88",
                     offset(6), uint32_t{3});
    assert_malformed("xclbin: the list in CONNECTIVITY passes the end: 51539607540 bytes at byte 4 "
                     "of 52",
                     offset(7), UINT32_MAX);
    assert_malformed("xclbin: a connection of kernel \"MLIR_AIE\" names argument 6 and memory 1",
                     offset(7) + 4, uint32_t{6});
    assert_malformed("xclbin: a connection of kernel \"MLIR_AIE\" names argument 1 and memory 2",
                     offset(7) + 12, uint32_t{2});
    assert_malformed("xclbin: argument \"bo2\" of kernel \"MLIR_AIE\" is connected to no memory",
                     offset(7), uint32_t{3});
}

void xclbin_truncated(void**) {
    const std::vector<uint8_t> whole = write_xclbin(overlay());
    for (size_t size = 0; size < whole.size(); size++) {
        error_of([&] { parse_xclbin(Bytes(whole).first(size)); });
        // As if it had been made so short.
        std::vector<uint8_t> file(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(size));
        if (size >= 0x138) {
            put_number_at(file, 0x130, static_cast<uint64_t>(size));
            error_of([&] { parse_xclbin(file); });
        }
    }
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(xclbin_round_trip),   cmocka_unit_test(xclbin_uuids),
        cmocka_unit_test(xclbin_as_published), cmocka_unit_test(xclbin_not_writable),
        cmocka_unit_test(xclbin_malformed),    cmocka_unit_test(xclbin_truncated),
    };
    return cmocka_run_group_tests_name("xclbin", tests, nullptr, nullptr);
}

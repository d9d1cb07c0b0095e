// SPDX-License-Identifier: MIT
// PDI: bytes laid out by hand, and what is said of each malformation.
#include "kernels/aie2/container/pdi.hpp" // before cmocka, which has a macro fail()
#include "tests/kernels/aie2/container/support.hpp"

using namespace npuenc::aie2;

namespace {

std::vector<uint8_t> cdo() {
    return bytes_of(cdo_words);
}

// The image of that CDO by hand, from the layout that bootgen documents for Versal.
std::vector<uint32_t> pdi_words() {
    std::vector<uint32_t> words(0x150 / 4);
    words[0] = 0xdd; // 0x000, width pattern
    words[1] = 0x11223344;
    words[2] = 0x55667788;
    words[3] = 0x99aabbcc;
    words[4] = 0x00040000;  // 0x010, version of the table
    words[5] = 1;           // images
    words[6] = 0x24;        // their headers, in words
    words[7] = 1;           // partitions
    words[8] = 0x34;        // their headers
    words[10] = 0x14ca8093; // id code
    words[14] = 0x50504449; // "IDPP"
    words[15] = 0x00201020; // words of the three kinds of headers
    words[16] = 0x30;       // words of the headers behind the table
    words[21] = 1;          // extended id code
    words[35] = 0x9ac12a78;
    words[36] = 0x34;       // 0x090, image: its first partition
    words[37] = 1;          // partitions
    words[40] = 0x5f656961; // "aie_image"
    words[41] = 0x67616d69;
    words[42] = 0x65;
    words[44] = 0x1c000000; // id
    words[51] = 0x1d39289b;
    words[52] = 24;         // 0x0d0, partition: words with padding
    words[53] = 21;         // of them used
    words[54] = 24;         // in all
    words[58] = 0xffffffff; // no load address
    words[59] = 0xffffffff;
    words[60] = 0x54;       // first word
    words[61] = 0x02000006; // a CDO
    words[62] = 1;          // sections
    words[83] = 0xfdffff61;
    words.insert(words.end(), cdo_words.begin(), cdo_words.end());
    words.resize(0x54 + 24);
    return words;
}

std::vector<uint8_t> pdi() {
    return bytes_of(pdi_words());
}

// The image of this file with one word changed and every checksum made right.
std::vector<uint8_t> changed_pdi(size_t word, uint32_t value) {
    std::vector<uint32_t> words = pdi_words();
    words[word] = value;
    words[35] = checksum(std::span(words).subspan(4, 31));
    words[51] = checksum(std::span(words).subspan(36, 15));
    words[83] = checksum(std::span(words).subspan(52, 31));
    return bytes_of(words);
}

void pdi_as_published(void**) {
    assert_same_bytes(write_pdi(cdo()), pdi());
    const std::vector<uint8_t> image = pdi();
    const std::vector<Bytes> cdos = parse_pdi(image);
    assert_int_equal(cdos.size(), 1);
    assert_same_bytes(cdos[0], cdo());
    assert_error("PDI: a CDO of 3 bytes", [] { write_pdi(std::vector<uint8_t>(3)); });
}

void pdi_malformed(void**) {
    const auto assert_malformed = [](const std::string& expected, size_t word, uint32_t value) {
        const std::vector<uint8_t> image = changed_pdi(word, value);
        assert_error(expected, [&] { parse_pdi(image); });
    };
    assert_malformed("PDI: no PDI: it begins with 0xdd 0x1", 1, 1);
    assert_malformed("PDI: the header table is called 0x1", 14, 1);
    assert_malformed("PDI: an image header passes the end: 64 bytes at byte 17179869180 of 432", 6,
                     UINT32_MAX);
    assert_malformed("PDI: a partition header passes the end: 128 bytes at byte 400 of 432", 8,
                     100);
    assert_malformed("PDI: a partition of 24 words holds a CDO of 25", 53, 25);
    assert_malformed("PDI: a partition passes the end: 100 bytes at byte 336 of 432", 54, 25);
    assert_malformed("PDI: a partition passes the end: 96 bytes at byte 17179869180 of 432", 60,
                     UINT32_MAX);
    assert_malformed("PDI: none of its 1 partitions is a CDO", 61, 0x03000006);
    assert_malformed("PDI: none of its 0 partitions is a CDO", 7, 0);

    std::vector<uint8_t> image = pdi();
    image[0x50] ^= 1;
    assert_error("PDI: the header table has the checksum 0x9ac12a78 and should have 0x9ac12a77",
                 [&] { parse_pdi(image); });
    image = pdi();
    image[0xa0] ^= 1;
    assert_error("PDI: an image header has the checksum 0x1d39289b and should have 0x1d39289c",
                 [&] { parse_pdi(image); });
    image = pdi();
    image[0x114] ^= 1;
    assert_error("PDI: a partition header has the checksum 0xfdffff61 and should have 0xfdffff60",
                 [&] { parse_pdi(image); });
}

// Partitions that name the same bytes would make much out of little.
void pdi_partitions_that_overlap(void**) {
    const std::vector<uint32_t> one = pdi_words();
    const auto with_headers = [&](uint32_t n) {
        std::vector<uint32_t> words = one;
        words[7] = n;
        words[8] = static_cast<uint32_t>(one.size());
        words[35] = checksum(std::span(words).subspan(4, 31));
        std::vector<uint32_t> header(one.begin() + 52, one.begin() + 84);
        header[1] = header[2] = 108; // the rest of the words of one
        header[8] = 0;
        header[31] = checksum(std::span(header).first(31));
        for (uint32_t i = 0; i < n; i++) {
            words.insert(words.end(), header.begin(), header.end());
        }
        return bytes_of(words);
    };
    const std::vector<uint8_t> image = with_headers(1);
    assert_int_equal(parse_pdi(image).size(), 1);
    assert_error("PDI: its partitions lie one over the other", [&] { parse_pdi(with_headers(2)); });
}

void pdi_truncated(void**) {
    const std::vector<uint8_t> image = pdi();
    for (size_t size = 0; size < image.size(); size++) {
        const std::string said = error_of([&] { parse_pdi(Bytes(image).first(size)); });
        assert_non_null(strstr(said.c_str(), "passes the end"));
    }
}

} // namespace

int main() {
    const CMUnitTest tests[] = {
        cmocka_unit_test(pdi_as_published),
        cmocka_unit_test(pdi_malformed),
        cmocka_unit_test(pdi_partitions_that_overlap),
        cmocka_unit_test(pdi_truncated),
    };
    return cmocka_run_group_tests_name("PDI", tests, nullptr, nullptr);
}

// SPDX-License-Identifier: MIT
// PDI, the boot image around a CDO that the NPU's firmware loads.
#include "kernels/aie2/container/pdi.hpp"

#include <algorithm>
#include <array>
#include <string>

namespace npuenc::aie2 {

namespace {

// Four words by which a boot device tells its width, then three kinds of headers, each ending with
// its checksum. Offsets and lengths are in words of the whole file.
//
//     0x000  width pattern         4 words
//     0x010  table of all headers 32 words
//     0x090  image header         16 words each
//     0x0d0  partition header     32 words each
//     0x150  the partition: a CDO, with zeros to a multiple of 16 bytes
constexpr std::array<uint32_t, 4> width_pattern{0xdd, 0x11223344, 0x55667788, 0x99aabbcc};
constexpr size_t table_at = 4;
constexpr size_t table_words = 32;
constexpr size_t image_header_words = 16;
constexpr size_t partition_header_words = 32;

constexpr size_t image_at = table_at + table_words;
constexpr size_t partition_at = image_at + image_header_words;
constexpr size_t data_at = partition_at + partition_header_words;

namespace table {
constexpr size_t version = 0, images = 1, image_headers = 2, partitions = 3, partition_headers = 4,
                 id_code = 6, identification = 10, header_sizes = 11, length = 12,
                 extended_id_code = 17;
} // namespace table

namespace image {
constexpr size_t first_partition = 0, partitions = 1, name = 4, id = 8;
} // namespace image

namespace partition {
constexpr size_t padded_length = 0, length = 1, total_length = 2, load_address = 6, data = 8,
                 attributes = 9, sections = 10;
} // namespace partition

constexpr uint32_t identification = 0x50504449; // "IDPP"
constexpr uint32_t type_cdo = 2;                // bits 26:24 of a partition's attributes

// The last word of a header becomes the checksum of those before it.
void seal(std::span<uint32_t> header) {
    header.back() = checksum(header.first(header.size() - 1));
}

// A header's words, if they are there and their checksum is right.
std::vector<uint32_t> checked_header(Bytes pdi, uint64_t word, size_t size, const char* what) {
    std::vector<uint32_t> header = words_of(part_of(pdi, 4 * word, 4 * size, what));
    const uint32_t sum = checksum(std::span(header).first(size - 1));
    if (header.back() != sum) {
        throw ContainerError(std::string(what) + " has the checksum " + hexadecimal(header.back()) +
                             " and should have " + hexadecimal(sum));
    }
    return header;
}

} // namespace

std::vector<uint8_t> write_pdi(Bytes cdo) {
    if (cdo.size() % 4 != 0 || cdo.size() / 4 > UINT32_MAX - 3) {
        throw ContainerError("PDI: a CDO of " + std::to_string(cdo.size()) + " bytes");
    }
    const uint32_t length = static_cast<uint32_t>(cdo.size() / 4);
    const uint32_t padded = (length + 3) / 4 * 4;

    std::array<uint32_t, data_at> words{};
    std::copy(width_pattern.begin(), width_pattern.end(), words.begin());

    const auto headers = std::span(words).subspan(table_at, table_words);
    headers[table::version] = 0x40000;
    headers[table::images] = 1;
    headers[table::image_headers] = image_at;
    headers[table::partitions] = 1;
    headers[table::partition_headers] = partition_at;
    headers[table::id_code] = 0x14ca8093;
    headers[table::identification] = identification;
    headers[table::header_sizes] =
        table_words | image_header_words << 8 | partition_header_words << 16;
    headers[table::length] = image_header_words + partition_header_words;
    headers[table::extended_id_code] = 1;
    seal(headers);

    const auto image_header = std::span(words).subspan(image_at, image_header_words);
    image_header[image::first_partition] = partition_at;
    image_header[image::partitions] = 1;
    image_header[image::name] = 0x5f656961; // "aie_image"
    image_header[image::name + 1] = 0x67616d69;
    image_header[image::name + 2] = 0x65;
    image_header[image::id] = 0x1c000000;
    seal(image_header);

    const auto header = std::span(words).subspan(partition_at, partition_header_words);
    header[partition::padded_length] = padded;
    header[partition::length] = length;
    header[partition::total_length] = padded;
    header[partition::load_address] = UINT32_MAX; // none, in both halves
    header[partition::load_address + 1] = UINT32_MAX;
    header[partition::data] = data_at;
    header[partition::attributes] = type_cdo << 24 | 6; // of the array, as its processor's owner
    header[partition::sections] = 1;
    seal(header);

    std::vector<uint8_t> pdi = bytes_of(words);
    pdi.insert(pdi.end(), cdo.begin(), cdo.end());
    pdi.resize(4 * (data_at + static_cast<size_t>(padded)));
    return pdi;
}

std::vector<Bytes> parse_pdi(Bytes pdi) {
    const std::vector<uint32_t> pattern =
        words_of(part_of(pdi, 0, 4 * width_pattern.size(), "PDI: the width pattern"));
    if (!std::equal(pattern.begin(), pattern.end(), width_pattern.begin())) {
        throw ContainerError("PDI: no PDI: it begins with " + hexadecimal(pattern[0]) + " " +
                             hexadecimal(pattern[1]));
    }
    const std::vector<uint32_t> headers =
        checked_header(pdi, table_at, table_words, "PDI: the header table");
    if (headers[table::identification] != identification) {
        throw ContainerError("PDI: the header table is called " +
                             hexadecimal(headers[table::identification]));
    }

    for (uint32_t i = 0; i < headers[table::images]; i++) {
        checked_header(
            pdi, headers[table::image_headers] + static_cast<uint64_t>(i) * image_header_words,
            image_header_words, "PDI: an image header");
    }

    std::vector<Bytes> cdos;
    size_t left = pdi.size();
    for (uint32_t i = 0; i < headers[table::partitions]; i++) {
        const std::vector<uint32_t> header = checked_header(
            pdi,
            headers[table::partition_headers] + static_cast<uint64_t>(i) * partition_header_words,
            partition_header_words, "PDI: a partition header");
        if ((header[partition::attributes] >> 24 & 7) != type_cdo) {
            continue;
        }
        if (header[partition::length] > header[partition::total_length]) {
            throw ContainerError(
                "PDI: a partition of " + std::to_string(header[partition::total_length]) +
                " words holds a CDO of " + std::to_string(header[partition::length]));
        }
        const uint64_t offset = 4 * static_cast<uint64_t>(header[partition::data]);
        part_of(pdi, offset, 4 * static_cast<uint64_t>(header[partition::total_length]),
                "PDI: a partition");
        cdos.push_back(part_of(pdi, offset, 4 * static_cast<uint64_t>(header[partition::length]),
                               "PDI: a partition"));
        // Whoever unpacks them all needs no more memory than the file has bytes.
        if (cdos.back().size() > left) {
            throw ContainerError("PDI: its partitions lie one over the other");
        }
        left -= cdos.back().size();
    }
    if (cdos.empty()) {
        throw ContainerError("PDI: none of its " + std::to_string(headers[table::partitions]) +
                             " partitions is a CDO");
    }
    return cdos;
}

} // namespace npuenc::aie2

// SPDX-License-Identifier: MIT
// AIE_PARTITION, the section of an xclbin that holds the images and says where they may run.
#include "kernels/aie2/container/partition.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace npuenc::aie2 {

namespace {

// Offsets in XRT's structures; an array is a 32-bit number of elements and the offset of the first.
namespace partition {
constexpr size_t name = 4, operations_per_cycle = 8, inference_fingerprint = 16,
                 pre_post_fingerprint = 24, columns = 32, start_columns = 40, images = 120,
                 commit = 128, size = 184;
} // namespace partition

namespace image {
constexpr size_t uuid = 0, pdi = 16, groups = 24, size = 96;
} // namespace image

namespace group {
constexpr size_t name = 0, type = 4, id = 8, kernels = 16, pre_groups = 24, size = 96;
} // namespace group

constexpr uint8_t type_primary = 1;

// What mlir-aie's overlays say; firmware and driver are known to take these.
constexpr uint32_t operations_per_cycle = 2048;
constexpr uint64_t inference_fingerprint = 23423;
constexpr uint64_t pre_post_fingerprint = 12345;
constexpr uint64_t pre_group = 0xc1;

// A section that grows at its end by parts that begin at multiples of 8.
class Section {
  public:
    uint32_t append(Bytes part) {
        const size_t offset = bytes.size();
        bytes.insert(bytes.end(), part.begin(), part.end());
        bytes.resize((bytes.size() + 7) / 8 * 8);
        // Enough for any array; so that no offset wraps.
        if (bytes.size() > INT32_MAX) {
            throw ContainerError("xclbin: the images take " + std::to_string(bytes.size()) +
                                 " bytes");
        }
        return static_cast<uint32_t>(offset);
    }

    std::vector<uint8_t> bytes;
};

void put_array(std::vector<uint8_t>& bytes, size_t at, size_t elements, uint32_t offset) {
    put_number_at(bytes, at, static_cast<uint32_t>(elements));
    put_number_at(bytes, at + 4, offset);
}

template <class T>
std::vector<uint8_t> array_of(const std::vector<T>& numbers) {
    std::vector<uint8_t> bytes;
    for (T number : numbers) {
        put_number(bytes, number);
    }
    return bytes;
}

std::vector<uint8_t> write_image(Section& section, const ArrayImage& image) {
    static constexpr uint8_t group_name[] = {'D', 'P', 'U', 0};
    std::vector<uint8_t> record(image::size), group(group::size);
    const Uuid uuid = uuid_of(image.pdi);
    std::copy(uuid.begin(), uuid.end(), record.begin() + image::uuid);
    put_array(record, image::pdi, image.pdi.size(), section.append(image.pdi));

    put_number_at(group, group::name, section.append(group_name));
    group[group::type] = type_primary;
    put_number_at(group, group::id, image.id);
    put_array(group, group::kernels, image.kernels.size(), section.append(array_of(image.kernels)));
    put_array(group, group::pre_groups, 1, section.append(array_of<uint64_t>({pre_group})));
    put_array(record, image::groups, 1, section.append(group));
    return record;
}

// The elements of an array, and how many bytes the section may still give. Arrays do not share
// bytes in any honest file, and a short file could make a long overlay if they did.
class Reader {
  public:
    explicit Reader(Bytes bytes) : section(bytes), left(bytes.size()) {}

    Bytes array(Bytes record, size_t at, size_t element, const char* what) {
        const uint64_t size = element * static_cast<uint64_t>(number_at<uint32_t>(record, at));
        const Bytes elements = part_of(section, number_at<uint32_t>(record, at + 4), size, what);
        if (elements.size() > left) {
            throw ContainerError(std::string(what) + " lies over other parts");
        }
        left -= elements.size();
        return elements;
    }

  private:
    Bytes section;
    size_t left;
};

} // namespace

std::vector<uint8_t> write_partition(const Xclbin& overlay) {
    Section section;
    section.bytes.resize(partition::size);
    const uint32_t name = section.append(std::vector<uint8_t>{0});
    const uint32_t commit = section.append(std::vector<uint8_t>{0});
    const uint32_t start_columns = section.append(array_of(overlay.start_columns));
    std::vector<uint8_t> records;
    for (const ArrayImage& image : overlay.images) {
        const std::vector<uint8_t> record = write_image(section, image);
        records.insert(records.end(), record.begin(), record.end());
    }
    const uint32_t images = section.append(records);

    put_number_at(section.bytes, partition::name, name);
    put_number_at(section.bytes, partition::operations_per_cycle, operations_per_cycle);
    put_number_at(section.bytes, partition::inference_fingerprint, inference_fingerprint);
    put_number_at(section.bytes, partition::pre_post_fingerprint, pre_post_fingerprint);
    put_number_at(section.bytes, partition::columns, overlay.columns);
    put_array(section.bytes, partition::start_columns, overlay.start_columns.size(), start_columns);
    put_array(section.bytes, partition::images, overlay.images.size(), images);
    put_number_at(section.bytes, partition::commit, commit);
    return std::move(section.bytes);
}

void parse_partition(Bytes section, Xclbin& overlay) {
    const Bytes header =
        part_of(section, 0, partition::size, "xclbin: the header of AIE_PARTITION");
    Reader reader(section);
    overlay.columns = number_at<uint16_t>(header, partition::columns);
    const Bytes start_columns =
        reader.array(header, partition::start_columns, 2, "xclbin: the list of start columns");
    for (size_t i = 0; i < start_columns.size(); i += 2) {
        overlay.start_columns.push_back(number_at<uint16_t>(start_columns, i));
    }

    const Bytes records =
        reader.array(header, partition::images, image::size, "xclbin: the list of images");
    for (size_t i = 0; i < records.size(); i += image::size) {
        const Bytes record = records.subspan(i, image::size);
        ArrayImage& read = overlay.images.emplace_back();
        std::copy_n(record.begin() + image::uuid, read.uuid.size(), read.uuid.begin());
        const Bytes pdi = reader.array(record, image::pdi, 1, "xclbin: an image");
        read.pdi.assign(pdi.begin(), pdi.end());
        const Bytes groups =
            reader.array(record, image::groups, group::size, "xclbin: an image's list of groups");
        for (size_t j = 0; j < groups.size(); j += group::size) {
            const Bytes group = groups.subspan(j, group::size);
            if (j == 0) {
                read.id = number_at<uint64_t>(group, group::id);
            }
            const Bytes kernels =
                reader.array(group, group::kernels, 8, "xclbin: a group's list of kernels");
            for (size_t k = 0; k < kernels.size(); k += 8) {
                read.kernels.push_back(number_at<uint64_t>(kernels, k));
            }
        }
    }
}

} // namespace npuenc::aie2

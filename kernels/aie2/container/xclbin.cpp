// SPDX-License-Identifier: MIT
// xclbin, the file that XRT loads: an array's images and the kernels that run on them.
#include "kernels/aie2/container/xclbin.hpp"

#include <algorithm>
#include <map>
#include <string_view>

#include "kernels/aie2/container/metadata.hpp"
#include "kernels/aie2/container/partition.hpp"

namespace npuenc::aie2 {

namespace {

// A header, a table of sections, the sections. Offsets in XRT's struct axlf.
namespace header {
constexpr std::string_view magic("xclbin2\0", 8);
constexpr size_t no_signature = 0x008, unique_id = 0x128, length = 0x130, major = 0x14a,
                 minor = 0x14b, uuid = 0x1a0, sections = 0x1c0, size = 0x1c8;
} // namespace header

namespace entry {
constexpr size_t kind = 0, name = 4, offset = 24, bytes = 32, size = 40;
} // namespace entry

enum SectionKind : uint32_t {
    embedded_metadata = 2,
    mem_topology = 6,
    connectivity = 7,
    ip_layout = 8,
    group_topology = 26,
    group_connectivity = 27,
    aie_partition = 32,
};

// A memory or an instance of a kernel (an "IP") in its list, which begins with its length.
namespace memory {
constexpr size_t first = 8, size = 40, tag = 24, tag_size = 16;
} // namespace memory

namespace ip {
constexpr size_t first = 8, size = 80, name = 16, name_size = 64;
constexpr uint32_t type_kernel = 7; // IP_PS_KERNEL
constexpr uint32_t subtype_dpu = 1;
constexpr uint32_t max_kernel = 0xfff;
constexpr uint64_t no_address = UINT64_MAX;
} // namespace ip

// Which memory an argument of an instance lives in.
namespace connection {
constexpr size_t first = 4, size = 12, argument = 0, ip = 4, memory = 8;
} // namespace connection

// The memories of every npu1 overlay; the driver puts buffers where it sees fit.
struct Memory {
    std::string_view tag;
    uint64_t kilobytes;
};
constexpr Memory memories[] = {{"HOST", 0x10000}, {"SRAM", 0xc000}};
constexpr uint8_t memory_type = 2; // MEM_DRAM
constexpr uint64_t memory_address = 0x4000000;

void put_text(std::vector<uint8_t>& bytes, std::string_view text, size_t size) {
    if (text.size() >= size) {
        throw ContainerError("xclbin: name " + quoted(text) + " is longer than " +
                             std::to_string(size - 1) + " bytes");
    }
    bytes.insert(bytes.end(), text.begin(), text.end());
    bytes.resize(bytes.size() + size - text.size());
}

std::vector<uint8_t> write_topology() {
    std::vector<uint8_t> bytes;
    put_number(bytes, static_cast<uint64_t>(std::size(memories)));
    for (const Memory& each : memories) {
        put_number(bytes, memory_type);
        put_number(bytes, static_cast<uint8_t>(1)); // in use
        bytes.resize(bytes.size() + 6);
        put_number(bytes, each.kilobytes);
        put_number(bytes, memory_address);
        put_text(bytes, each.tag, memory::tag_size);
    }
    return bytes;
}

std::vector<uint8_t> write_ip_layout(const std::vector<Kernel>& kernels) {
    std::vector<uint8_t> bytes;
    put_number(bytes, static_cast<uint64_t>(kernels.size()));
    for (const Kernel& kernel : kernels) {
        if (kernel.id > ip::max_kernel) {
            throw ContainerError("xclbin: the id " + hexadecimal(kernel.id) +
                                 " of a kernel has over 12 bits");
        }
        put_number(bytes, ip::type_kernel);
        put_number(bytes, kernel.id << 16 | ip::subtype_dpu);
        put_number(bytes, ip::no_address);
        put_text(bytes, kernel.name + ":" + kernel.instance, ip::name_size);
    }
    return bytes;
}

std::vector<uint8_t> write_connectivity(const std::vector<Kernel>& kernels, int times) {
    std::vector<uint8_t> bytes(connection::first);
    uint32_t connections = 0;
    for (int i = 0; i < times; i++) {
        for (size_t k = 0; k < kernels.size(); k++) {
            for (size_t a = 0; a < kernels[k].arguments.size(); a++) {
                const KernelArgument& argument = kernels[k].arguments[a];
                if (argument.memory.empty()) {
                    continue;
                }
                const auto found =
                    std::find_if(std::begin(memories), std::end(memories),
                                 [&](const Memory& each) { return each.tag == argument.memory; });
                if (found == std::end(memories)) {
                    throw ContainerError("xclbin: argument " + quoted(argument.name) +
                                         " is in no memory " + quoted(argument.memory));
                }
                put_number(bytes, static_cast<uint32_t>(a));
                put_number(bytes, static_cast<uint32_t>(k));
                put_number(bytes, static_cast<uint32_t>(found - std::begin(memories)));
                connections++;
            }
        }
    }
    put_number_at(bytes, 0, connections);
    return bytes;
}

// The sections of a file, each checked to lie in it.
class Sections {
  public:
    explicit Sections(Bytes file) {
        const uint32_t count = number_at<uint32_t>(file, header::sections);
        const Bytes table = part_of(file, header::size, static_cast<uint64_t>(count) * entry::size,
                                    "xclbin: the table of sections");
        for (size_t i = 0; i < table.size(); i += entry::size) {
            const Bytes section = table.subspan(i, entry::size);
            const uint32_t kind = number_at<uint32_t>(section, entry::kind);
            // The first of a kind is the one that XRT reads.
            by_kind.emplace(kind, part_of(file, number_at<uint64_t>(section, entry::offset),
                                          number_at<uint64_t>(section, entry::bytes),
                                          "xclbin: section " + std::to_string(kind)));
        }
    }

    bool has(SectionKind kind) const { return by_kind.contains(kind); }

    Bytes operator[](SectionKind kind) const {
        const auto found = by_kind.find(kind);
        if (found == by_kind.end()) {
            throw ContainerError(std::string("xclbin: no section ") + name_of(kind));
        }
        return found->second;
    }

    // The elements of a section that is a list.
    Bytes list(SectionKind kind, size_t first, size_t size) const {
        const Bytes section = (*this)[kind];
        const std::string what = std::string("xclbin: the list in ") + name_of(kind);
        const uint32_t count = number_at<uint32_t>(part_of(section, 0, first, what), 0);
        return part_of(section, first, static_cast<uint64_t>(count) * size, what);
    }

  private:
    static const char* name_of(SectionKind kind) {
        switch (kind) {
        case embedded_metadata:
            return "EMBEDDED_METADATA";
        case mem_topology:
            return "MEM_TOPOLOGY";
        case connectivity:
            return "CONNECTIVITY";
        case ip_layout:
            return "IP_LAYOUT";
        case group_topology:
            return "GROUP_TOPOLOGY";
        case group_connectivity:
            return "GROUP_CONNECTIVITY";
        case aie_partition:
            return "AIE_PARTITION";
        }
        return "?";
    }

    std::map<uint32_t, Bytes> by_kind;
};

// Text in a field of fixed size, up to its first zero.
std::string text_at(Bytes field) {
    return {field.begin(), std::find(field.begin(), field.end(), 0)};
}

// Gives every buffer argument the memory that its kernel's first instance is connected to.
void connect(const Sections& sections, std::vector<Kernel>& kernels) {
    const bool grouped = !sections.has(connectivity);
    const Bytes topology =
        sections.list(grouped ? group_topology : mem_topology, memory::first, memory::size);
    const Bytes layout = sections.list(ip_layout, ip::first, ip::size);
    const Bytes connections = sections.list(grouped ? group_connectivity : connectivity,
                                            connection::first, connection::size);

    std::map<std::string, Kernel*> by_name;
    for (Kernel& kernel : kernels) {
        by_name.emplace(kernel.name + ":" + kernel.instance, &kernel);
    }
    std::map<uint32_t, Kernel*> by_ip;
    for (size_t i = 0; i < layout.size(); i += ip::size) {
        const auto found = by_name.find(text_at(layout.subspan(i + ip::name, ip::name_size)));
        if (found != by_name.end()) {
            by_ip.emplace(static_cast<uint32_t>(i / ip::size), found->second);
        }
    }
    for (size_t i = 0; i < connections.size(); i += connection::size) {
        const Bytes each = connections.subspan(i, connection::size);
        const uint32_t argument = number_at<uint32_t>(each, connection::argument);
        const uint64_t at =
            memory::size * static_cast<uint64_t>(number_at<uint32_t>(each, connection::memory));
        const auto kernel = by_ip.find(number_at<uint32_t>(each, connection::ip));
        if (kernel == by_ip.end()) {
            continue; // of a further instance
        }
        if (argument >= kernel->second->arguments.size() || at >= topology.size()) {
            throw ContainerError("xclbin: a connection of kernel " + quoted(kernel->second->name) +
                                 " names argument " + std::to_string(argument) + " and memory " +
                                 std::to_string(at / memory::size));
        }
        std::string& tag = kernel->second->arguments[argument].memory;
        if (tag == "?") {
            tag = text_at(topology.subspan(at + memory::tag, memory::tag_size));
        }
    }
    for (const Kernel& kernel : kernels) {
        for (const KernelArgument& argument : kernel.arguments) {
            if (argument.memory == "?") {
                throw ContainerError("xclbin: argument " + quoted(argument.name) + " of kernel " +
                                     quoted(kernel.name) + " is connected to no memory");
            }
        }
    }
}

} // namespace

Kernel dpu_kernel(size_t buffers) {
    Kernel kernel{"MLIR_AIE",
                  "MLIRAIE",
                  0x901,
                  {{"opcode", "uint64_t", 8, 0x00, ""},
                   {"instr", "char *", 8, 0x08, "SRAM"},
                   {"ninstr", "uint32_t", 4, 0x10, ""}}};
    for (size_t i = 0; i < buffers; i++) {
        kernel.arguments.push_back(
            {"bo" + std::to_string(i), "void*", 8, static_cast<uint32_t>(0x14 + 8 * i), "HOST"});
    }
    return kernel;
}

std::vector<uint8_t> write_xclbin(const Xclbin& overlay) {
    const std::string xml = write_metadata(overlay.kernels);
    struct Section {
        SectionKind kind;
        std::string_view name;
        std::vector<uint8_t> bytes;
    };
    const Section sections[] = {
        {mem_topology, "mem_topology", write_topology()},
        {aie_partition, "aie_partition", write_partition(overlay)},
        {embedded_metadata, "", {xml.begin(), xml.end()}},
        {ip_layout, "", write_ip_layout(overlay.kernels)},
        {connectivity, "", write_connectivity(overlay.kernels, 1)},
        // Both memories have the same address and so are one group, which gets every connection a
        // second time.
        {group_connectivity, "", write_connectivity(overlay.kernels, 2)},
        {group_topology, "", write_topology()},
    };

    std::vector<uint8_t> file(header::size + std::size(sections) * entry::size);
    std::copy(header::magic.begin(), header::magic.end(), file.begin());
    std::fill(file.begin() + header::no_signature, file.begin() + header::unique_id, 0xff);
    file[header::major] = 2;
    file[header::minor] = 18; // of the XRT whose xclbinutil this follows
    put_number_at(file, header::sections, static_cast<uint32_t>(std::size(sections)));
    for (size_t i = 0; i < std::size(sections); i++) {
        const Section& section = sections[i];
        const size_t at = header::size + i * entry::size;
        file.resize((file.size() + 7) / 8 * 8);
        put_number_at(file, at + entry::kind, static_cast<uint32_t>(section.kind));
        std::copy(section.name.begin(), section.name.end(),
                  file.begin() + static_cast<ptrdiff_t>(at + entry::name));
        put_number_at(file, at + entry::offset, static_cast<uint64_t>(file.size()));
        put_number_at(file, at + entry::bytes, static_cast<uint64_t>(section.bytes.size()));
        file.insert(file.end(), section.bytes.begin(), section.bytes.end());
    }
    put_number_at(file, header::length, static_cast<uint64_t>(file.size()));

    const Uuid uuid = uuid_of(file);
    std::copy(uuid.begin(), uuid.end(), file.begin() + header::uuid);
    std::copy_n(uuid.begin(), 8, file.begin() + header::unique_id);
    return file;
}

Xclbin parse_xclbin(Bytes file) {
    if (file.size() < header::magic.size() ||
        !std::equal(header::magic.begin(), header::magic.end(), file.begin())) {
        throw ContainerError("xclbin: no xclbin: it does not begin with \"xclbin2\"");
    }
    part_of(file, 0, header::size, "xclbin: the header");
    if (uint64_t length = number_at<uint64_t>(file, header::length); length != file.size()) {
        throw ContainerError("xclbin: its header says " + std::to_string(length) +
                             " bytes, and there are " + std::to_string(file.size()));
    }
    const Sections sections(file);

    Xclbin overlay;
    std::copy_n(file.begin() + header::uuid, overlay.uuid.size(), overlay.uuid.begin());
    parse_partition(sections[aie_partition], overlay);
    const Bytes xml = sections[embedded_metadata];
    overlay.kernels = parse_metadata({reinterpret_cast<const char*>(xml.data()), xml.size()});
    connect(sections, overlay.kernels);
    return overlay;
}

} // namespace npuenc::aie2

// SPDX-License-Identifier: MIT
// Containers changed at random, always the same way: reading one ends with an overlay or with a
// ContainerError of one line, and takes no more memory than a multiple of the file. Built with
// sanitizers it also shows that no byte outside of the file is read.
//
// usage: container-fuzz [CASES [SEED]]
#include "kernels/aie2/container/cdo.hpp"
#include "kernels/aie2/container/pdi.hpp"
#include "kernels/aie2/container/xclbin.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <random>
#include <string>
#include <vector>

#include <malloc.h>

namespace {

size_t allocated = 0;
size_t peak = 0;

} // namespace

// Every allocation of this program, to know the most that was held at once. Inlined, gcc would see
// memory of new given to free.
[[gnu::noinline]] void* operator new(size_t bytes) {
    void* memory = std::malloc(bytes > 0 ? bytes : 1);
    if (memory == nullptr) {
        throw std::bad_alloc();
    }
    allocated += malloc_usable_size(memory);
    peak = std::max(peak, allocated);
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

using namespace npuenc::aie2;

// A command of one word in a file becomes a CdoCommand, a list element of a few words a Kernel;
// and lists grow by doubling.
constexpr size_t most_memory_per_byte = 80;
constexpr size_t some_memory = 1 << 16;

std::vector<uint8_t> example() {
    std::vector<CdoCommand> commands;
    for (uint32_t core = 0; core < 4; core++) {
        const uint32_t tile = 0x200000 + core * 0x100000;
        commands.push_back(CdoCommand::mask_write(tile + 0x32000, 1, 0));
        commands.push_back(
            CdoCommand::dma_write(tile + 0x20000, std::vector<uint32_t>(100 + 80 * core, core)));
        commands.push_back(CdoCommand::write(tile + 0x1f000, core));
    }
    Xclbin overlay;
    overlay.columns = 4;
    overlay.start_columns = {1};
    overlay.images = {{{}, 1, {0x901}, write_pdi(write_cdo(commands))},
                      {{}, 2, {0x902}, write_pdi(write_cdo({}))}};
    overlay.kernels = {dpu_kernel(3), dpu_kernel(5)};
    overlay.kernels[1].name = "OTHER";
    overlay.kernels[1].id = 0x902;
    return write_xclbin(overlay);
}

// Makes the checksums right that a change broke, so that what lies behind them is reached.
void seal(std::vector<uint8_t>& bytes, size_t first, size_t words) {
    if (first + 4 * words <= bytes.size()) {
        const std::vector<uint32_t> header = words_of(Bytes(bytes).subspan(first, 4 * words));
        put_number_at(bytes, first + 4 * (words - 1), checksum(std::span(header).first(words - 1)));
    }
}

using Random = std::mt19937; // the same everywhere; distributions would not be

// Numbers at which bounds break, and any others.
uint32_t interesting(Random& random, size_t size) {
    switch (random() % 8) {
    case 0:
        return 0;
    case 1:
        return UINT32_MAX;
    case 2:
        return UINT32_MAX - random() % 64;
    case 3:
        return 0x80000000u >> random() % 32;
    case 4:
        return static_cast<uint32_t>(size) - random() % 64;
    case 5:
        return static_cast<uint32_t>(size / 4) - random() % 16;
    case 6:
        return random() % 256;
    default:
        return random();
    }
}

void change(std::vector<uint8_t>& bytes, Random& random) {
    if (bytes.empty()) {
        return;
    }
    const size_t at = random() % bytes.size();
    switch (random() % 7) {
    case 0: // a bit
        bytes[at] ^= static_cast<uint8_t>(1 << random() % 8);
        break;
    case 1: // a byte
        bytes[at] = static_cast<uint8_t>(random());
        break;
    case 2: // a word where numbers stand
    case 3:
        if (at / 4 * 4 + 4 <= bytes.size()) {
            put_number_at(bytes, at / 4 * 4, interesting(random, bytes.size()));
        }
        break;
    case 4: // the end
        bytes.resize(at);
        break;
    case 5: { // a piece of it once more, somewhere else
        const size_t from = random() % bytes.size();
        const size_t size = std::min<size_t>(random() % 200, bytes.size() - std::max(at, from));
        std::memmove(&bytes[at], &bytes[from], size);
        break;
    }
    default: // more of it
        bytes.insert(bytes.begin() + static_cast<ptrdiff_t>(at), random() % 64,
                     static_cast<uint8_t>(random()));
        break;
    }
}

// Reads all that is in a file, as far as it goes. The first error is the end.
void read_cdo(Bytes bytes) {
    parse_cdo(bytes);
}

void read_pdi(Bytes bytes) {
    for (const Bytes cdo : parse_pdi(bytes)) {
        parse_cdo(cdo);
    }
}

void read_xclbin(Bytes bytes) {
    const Xclbin overlay = parse_xclbin(bytes);
    for (const ArrayImage& image : overlay.images) {
        read_pdi(image.pdi);
    }
}

struct Outcome {
    unsigned read = 0;
    unsigned refused = 0;
    double most_memory_per_byte = 0;
};

void read_changed(const std::vector<uint8_t>& bytes, void (*read)(Bytes), Outcome& outcome) {
    // In memory of its own, so that a sanitizer sees any byte read past the end.
    const std::vector<uint8_t> file(bytes);
    const size_t before = allocated;
    peak = before;
    try {
        read(file);
        outcome.read++;
    } catch (const ContainerError& error) {
        outcome.refused++;
        if (std::string(error.what()).find('\n') != std::string::npos) {
            std::printf("an error of several lines: %s\n", error.what());
            std::exit(1);
        }
    }
    const size_t taken = peak - before;
    outcome.most_memory_per_byte =
        std::max(outcome.most_memory_per_byte,
                 static_cast<double>(taken) / static_cast<double>(file.size() + 1));
    if (allocated != before || taken > some_memory + most_memory_per_byte * file.size()) {
        std::printf("%zu bytes of memory for a file of %zu, %zu of them not given back\n", taken,
                    file.size(), allocated - before);
        std::exit(1);
    }
}

// What makes the most of the fewest bytes.
void read_worst() {
    std::vector<uint32_t> words((1 << 18) + 6, 1); // each a command without a name
    words[0] = 4;
    words[1] = 0x004f4443;
    words[2] = 0x200;
    words[3] = static_cast<uint32_t>(words.size() - 5);
    words[4] = checksum(std::span(words).first(4));
    Outcome outcome;
    read_changed(bytes_of(words), read_cdo, outcome);

    for (const std::string element : {"<kernel name=''/>", "<a>", "<!---->", "<a b=''/>"}) {
        std::vector<uint8_t> file = example();
        const size_t section = 0x1c8 + 2 * 40; // EMBEDDED_METADATA
        put_number_at(file, section + 24, static_cast<uint64_t>(file.size()));
        for (size_t i = 0; i < (1 << 20) / element.size(); i++) {
            file.insert(file.end(), element.begin(), element.end());
        }
        put_number_at(file, section + 32, file.size() - number_at<uint64_t>(file, section + 24));
        put_number_at(file, 0x130, static_cast<uint64_t>(file.size()));
        read_changed(file, read_xclbin, outcome);
    }
    std::printf("worst  %u read, %u refused, at most %.1f bytes of memory a byte\n", outcome.read,
                outcome.refused, outcome.most_memory_per_byte);
}

} // namespace

int main(int argc, char** argv) {
    const unsigned cases = argc > 1 ? static_cast<unsigned>(std::atoi(argv[1])) : 5000;
    Random random(argc > 2 ? static_cast<uint32_t>(std::atoi(argv[2])) : 1);
    const std::vector<uint8_t> xclbin = example();
    const Xclbin overlay = parse_xclbin(xclbin);
    const std::vector<uint8_t>& pdi = overlay.images[0].pdi;
    const Bytes part = parse_pdi(pdi)[0];
    const std::vector<uint8_t> cdo(part.begin(), part.end());

    read_worst();
    Outcome of_cdo, of_pdi, of_xclbin;
    for (unsigned i = 0; i < cases; i++) {
        std::vector<uint8_t> bytes = cdo;
        for (unsigned changes = 1 + random() % 4; changes > 0; changes--) {
            change(bytes, random);
        }
        if (random() % 8 != 0) {
            if (bytes.size() >= 20) {
                put_number_at(bytes, 12, static_cast<uint32_t>(bytes.size() / 4 - 5));
                bytes.resize(bytes.size() / 4 * 4);
            }
            seal(bytes, 0, 5);
        }
        read_changed(bytes, read_cdo, of_cdo);

        bytes = pdi;
        for (unsigned changes = 1 + random() % 4; changes > 0; changes--) {
            change(bytes, random);
        }
        // Half of the changes where the headers are: the rest is mostly program.
        if (random() % 2 != 0 && bytes.size() > 0x150) {
            put_number_at(bytes, 0x10 + random() % 0x50 * 4, interesting(random, bytes.size()));
        }
        if (random() % 8 != 0) {
            seal(bytes, 0x10, 32);
            seal(bytes, 0x90, 16);
            seal(bytes, 0xd0, 32);
        }
        read_changed(bytes, read_pdi, of_pdi);

        bytes = xclbin;
        for (unsigned changes = 1 + random() % 4; changes > 0; changes--) {
            change(bytes, random);
        }
        if (random() % 2 != 0 && bytes.size() > 0x400) {
            put_number_at(bytes, 0x1c0 + random() % 0x90 * 4, interesting(random, bytes.size()));
        }
        if (random() % 8 != 0 && bytes.size() >= 0x138) {
            put_number_at(bytes, 0x130, static_cast<uint64_t>(bytes.size()));
        }
        read_changed(bytes, read_xclbin, of_xclbin);
    }
    for (const auto& [name, outcome] :
         {std::pair{"CDO", of_cdo}, {"PDI", of_pdi}, {"xclbin", of_xclbin}}) {
        std::printf("%-6s %u read, %u refused, at most %.1f bytes of memory a byte\n", name,
                    outcome.read, outcome.refused, outcome.most_memory_per_byte);
        // Neither must be rare, or nothing was tried.
        if (std::min(outcome.read, outcome.refused) < cases / 20) {
            std::printf("too few of one kind\n");
            return 1;
        }
    }
    return 0;
}

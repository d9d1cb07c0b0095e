// SPDX-License-Identifier: MIT
// The command: runs an overlay on the simulated array, or shows what is in one.
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tools/npusim/array.hpp"
#include "tools/npusim/explain.hpp"
#include "tools/npusim/report.hpp"

namespace npusim {
namespace {

constexpr const char* usage = R"(usage:
  npusim run (--xclbin FILE | --pdi FILE) --instructions FILE [option …]
  npusim explain FILE [--kernel NAME]      tiles, programs, memory, streams of an xclbin or PDI,
                                           or the operations of an instruction stream
  npusim disassemble FILE [--kernel NAME]  the cores' programs

options of run:
  --buffer N=FILE[,size=BYTES]  argument N of the run; FILE may be left out, zeros fill it up
  --output N=FILE               what is in argument N after the run
  --report FILE                 cycles, stalls, bytes as JSON ('-': standard output)
  --kernel NAME                 of an xclbin with several images
  --jitter SEED                 leaves to chance what is not architectural
  --cycles N                    stops a run that takes longer (20000000)
  --strict                      reading a register while a write to it is in flight is an error
)";

class UsageError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

constexpr uint64_t max_buffer = uint64_t{1} << 32;
constexpr size_t max_argument = 63;

struct BufferOption {
    std::string file;
    std::optional<uint64_t> size;
};

struct Options {
    std::string xclbin, pdi, instructions, report;
    std::optional<std::string> kernel;
    std::map<size_t, BufferOption> buffers;
    std::map<size_t, std::string> outputs;
    ArrayOptions array;
};

uint64_t number(std::string_view text, const std::string& of) {
    uint64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || text.empty())
        throw UsageError(of + ": '" + std::string(text) + "' is not a number");
    return value;
}

// "N=rest"
std::pair<size_t, std::string> numbered(std::string_view text, const std::string& of) {
    const size_t equals = text.find('=');
    if (equals == std::string_view::npos)
        throw UsageError(of + ": '" + std::string(text) + "' is not N=FILE");
    const uint64_t argument = number(text.substr(0, equals), of);
    if (argument > max_argument)
        throw UsageError(of + ": there are buffers 0 to " + std::to_string(max_argument));
    return {static_cast<size_t>(argument), std::string(text.substr(equals + 1))};
}

Options parse_options(const std::vector<std::string>& words) {
    Options options;
    for (size_t i = 0; i < words.size(); ++i) {
        const std::string& word = words[i];
        if (word == "--strict") {
            options.array.core_rules = CoreRules::strict;
            continue;
        }
        const auto value = [&]() -> const std::string& {
            if (i + 1 == words.size())
                throw UsageError(word + " wants a value");
            return words[++i];
        };
        if (word == "--xclbin")
            options.xclbin = value();
        else if (word == "--pdi")
            options.pdi = value();
        else if (word == "--instructions")
            options.instructions = value();
        else if (word == "--report")
            options.report = value();
        else if (word == "--kernel")
            options.kernel = value();
        else if (word == "--jitter")
            options.array.jitter = number(value(), word);
        else if (word == "--cycles")
            options.array.cycle_limit = number(value(), word);
        else if (word == "--buffer") {
            auto [argument, rest] = numbered(value(), word);
            BufferOption buffer;
            if (const size_t size = rest.rfind(",size="); size != std::string::npos) {
                buffer.size = number(std::string_view(rest).substr(size + 6), word);
                rest.resize(size);
            }
            if (rest.empty() && !buffer.size)
                throw UsageError(word + " wants a file or a size");
            if (buffer.size.value_or(0) > max_buffer)
                throw UsageError(word + ": at most 4 GiB");
            buffer.file = rest;
            options.buffers[argument] = buffer;
        } else if (word == "--output") {
            auto [argument, file] = numbered(value(), word);
            options.outputs[argument] = file;
        } else {
            throw UsageError("unknown option '" + word + "'");
        }
    }
    return options;
}

std::vector<uint8_t> read_file(const std::string& name) {
    std::ifstream file(name, std::ios::binary);
    if (!file)
        throw std::runtime_error(name + ": " + std::strerror(errno));
    std::vector<uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
    if (file.bad())
        throw std::runtime_error(name + ": cannot be read");
    return bytes;
}

void write_file(const std::string& name, std::string_view bytes) {
    if (name == "-") {
        std::cout << bytes;
        return;
    }
    std::ofstream file(name, std::ios::binary);
    if (!file.write(bytes.data(), static_cast<std::streamsize>(bytes.size())).flush())
        throw std::runtime_error(name + ": " + std::strerror(errno));
}

// mlir-aie writes streams as bytes or, in older versions, as text: a word in hexadecimal a line.
std::vector<uint8_t> read_instructions(const std::string& name) {
    std::vector<uint8_t> bytes = read_file(name);
    const auto is_text = [](uint8_t c) { return std::isxdigit(c) || std::isspace(c); };
    if (bytes.empty() || !std::all_of(bytes.begin(), bytes.end(), is_text))
        return bytes;
    std::vector<uint8_t> binary;
    const char* at = reinterpret_cast<const char*>(bytes.data());
    const char* const end = at + bytes.size();
    for (;;) {
        while (at != end && std::isspace(static_cast<unsigned char>(*at)))
            ++at;
        if (at == end)
            return binary;
        uint32_t word = 0;
        const auto [next, error] = std::from_chars(at, end, word, 16);
        if (error != std::errc())
            throw std::runtime_error(name + ": a word does not fit in 32 bits");
        at = next;
        for (int byte = 0; byte < 4; ++byte)
            binary.push_back(static_cast<uint8_t>(word >> 8 * byte));
    }
}

Overlay read_overlay(const std::string& name, const std::optional<std::string>& kernel) {
    const std::vector<uint8_t> file = read_file(name);
    constexpr std::string_view magic("xclbin2\0", 8);
    try {
        if (file.size() >= magic.size() &&
            std::memcmp(file.data(), magic.data(), magic.size()) == 0)
            return read_xclbin(file, kernel);
        return read_pdi(file);
    } catch (const std::runtime_error& error) {
        throw std::runtime_error(name + ": " + error.what());
    }
}

int run(const Options& options) {
    if (options.xclbin.empty() == options.pdi.empty())
        throw UsageError("run wants --xclbin or --pdi");
    if (options.instructions.empty())
        throw UsageError("run wants --instructions");
    const Overlay overlay =
        read_overlay(options.xclbin.empty() ? options.pdi : options.xclbin, options.kernel);
    const InstructionStream stream =
        InstructionStream::parse(read_instructions(options.instructions));

    std::map<size_t, std::vector<uint8_t>> memory;
    HostBuffers buffers;
    for (const auto& [argument, buffer] : options.buffers) {
        std::vector<uint8_t>& bytes = memory[argument];
        if (!buffer.file.empty())
            bytes = read_file(buffer.file);
        bytes.resize(buffer.size.value_or(bytes.size()));
        buffers.bind(argument, bytes);
    }
    for (const auto& [argument, file] : options.outputs)
        if (!memory.contains(argument))
            throw UsageError("--output " + std::to_string(argument) + " wants --buffer " +
                             std::to_string(argument));

    Array array(options.array);
    array.load(overlay);
    const RunReport report = array.run(stream, buffers);
    for (const auto& [argument, file] : options.outputs) {
        const std::vector<uint8_t>& bytes = memory[argument];
        write_file(file, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    }
    if (!options.report.empty())
        write_file(options.report, to_json(report));
    return 0;
}

int show(const std::vector<std::string>& words, bool programs) {
    if (words.empty())
        throw UsageError("a file is wanted");
    const Options options = parse_options({words.begin() + 1, words.end()});
    const std::vector<uint8_t> bytes = read_instructions(words[0]);
    const bool stream = bytes.size() >= 4 && bytes[3] == rows && bytes[2] == 3;
    if (stream && !programs) {
        std::cout << explain(InstructionStream::parse(bytes));
        return 0;
    }
    const Overlay overlay = read_overlay(words[0], options.kernel);
    std::cout << (programs ? disassemble(overlay) : explain(overlay));
    return 0;
}

int command(const std::vector<std::string>& words) {
    if (words.empty())
        throw UsageError("what to do?");
    const std::vector<std::string> rest(words.begin() + 1, words.end());
    if (words[0] == "run")
        return run(parse_options(rest));
    if (words[0] == "explain" || words[0] == "disassemble")
        return show(rest, words[0] == "disassemble");
    if (words[0] == "--help" || words[0] == "help") {
        std::cout << usage;
        return 0;
    }
    throw UsageError("unknown command '" + words[0] + "'");
}

} // namespace
} // namespace npusim

int main(int argc, char** argv) {
    try {
        return npusim::command({argv + 1, argv + argc});
    } catch (const npusim::UsageError& error) {
        std::cerr << "npusim: " << error.what() << "\n" << npusim::usage;
        return 2;
    } catch (const std::exception& error) {
        std::cerr << "npusim: " << error.what() << '\n';
        return 1;
    }
}

// SPDX-License-Identifier: MIT
// The npusim command as a user runs it: files in, files out, exit statuses, one line for bad input.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "rig.hpp"

#include "assembler.hpp"
#include "kernels/aie2/container/pdi.hpp"
#include "kernels/aie2/container/xclbin.hpp"

using namespace rig;
namespace aie2 = npuenc::aie2;

namespace {

std::string npusim_path;
std::filesystem::path directory;

std::string in_directory(const std::string& name) {
    return (directory / name).string();
}

void write_file(const std::string& name, std::span<const uint8_t> bytes) {
    std::ofstream(in_directory(name), std::ios::binary)
        .write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
}

std::string read_file(const std::string& name) {
    std::ifstream file(in_directory(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

struct Outcome {
    int status;
    std::string output, error;
};

Outcome npusim(const std::string& arguments) {
    const std::string line = "cd '" + directory.string() + "' && '" + npusim_path + "' " +
                             arguments + " > stdout 2> stderr";
    const int status = std::system(line.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file("stdout"), read_file("stderr")};
}

void contains(const std::string& text, const std::string& part) {
    if (text.find(part) == std::string::npos)
        fail_msg("'%s' is not in:\n%s", part.c_str(), text.c_str());
}

constexpr uint32_t words = 100;

Configuration configuration() {
    Configuration c;
    c.memory_loop(0);
    c.descriptor(0, 1, 0, {.address = 0x80000, .words = words, .release_id = 65, .release = 1});
    c.descriptor(0, 1, 1, {.address = 0x80000, .words = words, .acquire_id = 65, .acquire = -1});
    c.push(0, 1, s2mm, 0, 0);
    c.push(0, 1, mm2s, 0, 1);
    const std::vector<uint8_t> bytes = assemble("alu:DONE\nnop\nnop\nnop\nnop\nnop\nnop\n");
    c.commands.push_back(
        CdoCommand::dma_write(address(0, 2, 0x20000), aie2::words_of(aie2::Bytes(bytes))));
    c.write(0, 2, 0x32000, 1);
    return c;
}

Stream stream(bool compact) {
    Stream s(compact);
    s.transfer(0, s2mm, 0, 0, {.words = words}, 1, 1, true);
    s.transfer(0, mm2s, 0, 1, {.words = words}, 0);
    return s.sync(0, 0, s2mm, 0);
}

int set_up(void**) {
    directory = std::filesystem::temp_directory_path() / ("npusim-" + std::to_string(getpid()));
    std::filesystem::create_directory(directory);
    const std::vector<uint8_t> pdi = aie2::write_pdi(aie2::write_cdo(configuration().commands));
    write_file("a.pdi", pdi);
    aie2::Xclbin xclbin;
    xclbin.columns = 1;
    xclbin.start_columns = {1, 2, 3, 4};
    xclbin.kernels = {aie2::dpu_kernel(2)};
    xclbin.images = {{.id = 1, .kernels = {xclbin.kernels[0].id}, .pdi = pdi}};
    write_file("a.xclbin", aie2::write_xclbin(xclbin));
    write_file("v01.bin", stream(false).bytes());
    write_file("v10.bin", stream(true).bytes());
    const std::vector<uint8_t> bytes = stream(true).bytes();
    std::string text;
    for (const uint32_t word : aie2::words_of(aie2::Bytes(bytes))) {
        char line[16];
        std::snprintf(line, sizeof line, "%08X\n", word);
        text += line;
    }
    write_file("v10.txt", {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
    Words in(words, 5, 9);
    write_file("in.bin", in.bytes());
    return 0;
}

int tear_down(void**) {
    std::filesystem::remove_all(directory);
    return 0;
}

void runs_all_forms_of_files(void**) {
    for (const char* overlay : {"--xclbin a.xclbin", "--pdi a.pdi"})
        for (const char* instructions : {"v01.bin", "v10.bin", "v10.txt"})
            for (const char* more : {"", " --jitter 7", " --strict --cycles 5000"}) {
                const Outcome outcome =
                    npusim(std::string("run ") + overlay + " --instructions " + instructions +
                           " --buffer 0=in.bin --buffer 1=,size=400 --output 1=out.bin" + more);
                assert_int_equal(outcome.status, 0);
                assert_string_equal(outcome.error.c_str(), "");
                assert_true(read_file("out.bin") == read_file("in.bin"));
            }
}

void writes_a_report(void**) {
    const Outcome outcome = npusim("run --xclbin a.xclbin --instructions v01.bin --buffer 0=in.bin "
                                   "--buffer 1=,size=400 --report r.json --kernel MLIR_AIE");
    assert_int_equal(outcome.status, 0);
    const nlohmann::json report = nlohmann::json::parse(read_file("r.json"));
    assert_in_range(report["cycles"].get<uint64_t>(), 2 * words, 2000);
    assert_int_equal(report["controller"]["pushes"].get<int>(), 2);
    assert_int_equal(report["controller"]["synchronisations"].get<int>(), 1);
    assert_int_equal(report["controller"]["measured_elsewhere"]["cycles"].get<int>(), 5600);
    assert_int_equal(report["shims"]["columns"][0]["bytes_read"].get<int>(), 400);
    assert_int_equal(report["shims"]["columns"][0]["bytes_written"].get<int>(), 400);
    assert_int_equal(report["channels"].size(), 4);
    assert_int_equal(report["cores"].size(), 1);
}

void explains(void**) {
    const Outcome overlay = npusim("explain a.xclbin");
    assert_int_equal(overlay.status, 0);
    for (const char* part :
         {"overlay of 1 columns", "memory tile (0,1)", "stream DMA 0 from South 0",
          "descriptor 0: 400 bytes at 0x0, releases lock 1 (1)",
          "descriptor 1: 400 bytes at 0x0, acquires lock 1 (-1)", "S2MM 0 starts with descriptor 0",
          "core tile (0,2)", "program: 112 bytes at 0x0", "core: enabled"})
        contains(overlay.output, part);
    const Outcome operations = npusim("explain v10.txt");
    assert_int_equal(operations.status, 0);
    contains(operations.output, "version 1.0");
    contains(operations.output, "TCT        S2MM 0 of columns 0 to 0");
    const Outcome programs = npusim("disassemble a.pdi");
    assert_int_equal(programs.status, 0);
    contains(programs.output, "core tile (0,2)");
    contains(programs.output, "DONE");
    contains(npusim("--help").output, "usage:");
}

void usage_errors_are_2(void**) {
    for (const char* arguments :
         {"", "dance", "run", "run --xclbin a.xclbin", "run --instructions v01.bin",
          "run --xclbin a.xclbin --pdi a.pdi --instructions v01.bin",
          "run --xclbin a.xclbin --instructions v01.bin --buffer x", "run --buffer 0",
          "run --xclbin a.xclbin --instructions v01.bin --buffer 0=",
          "run --xclbin a.xclbin --instructions v01.bin --buffer 99=in.bin",
          "run --xclbin a.xclbin --instructions v01.bin --buffer 0=,size=99999999999",
          "run --xclbin a.xclbin --instructions v01.bin --output 1=out.bin",
          "run --xclbin a.xclbin --instructions v01.bin --jitter x", "run --frobnicate", "explain",
          "disassemble a.xclbin --kernel"}) {
        const Outcome outcome = npusim(arguments);
        if (outcome.status != 2)
            fail_msg("'%s' ends with %d", arguments, outcome.status);
        contains(outcome.error, "npusim: ");
        contains(outcome.error, "usage:");
    }
}

void bad_input_is_1_and_one_line(void**) {
    write_file("empty", {});
    const std::string half = read_file("a.xclbin");
    write_file("half.xclbin", {reinterpret_cast<const uint8_t*>(half.data()), half.size() / 2});
    const std::string pdi = read_file("a.pdi");
    write_file("half.pdi", {reinterpret_cast<const uint8_t*>(pdi.data()), pdi.size() / 2});
    const std::pair<const char*, const char*> cases[] = {
        {"run --xclbin none --instructions v01.bin", "none: No such file"},
        {"run --xclbin empty --instructions v01.bin", "empty: "},
        {"run --xclbin half.xclbin --instructions v01.bin", "half.xclbin: "},
        {"run --pdi half.pdi --instructions v01.bin", "half.pdi: "},
        {"run --xclbin a.xclbin --instructions empty", "the instruction stream has 0 bytes"},
        {"run --xclbin a.xclbin --instructions in.bin", "the instruction stream"},
        {"run --xclbin a.xclbin --instructions v01.bin --kernel X", "no kernel X"},
        {"run --xclbin a.xclbin --instructions v01.bin", "buffer 1, which was not given"},
        {"run --xclbin a.xclbin --instructions v01.bin --buffer 0=in.bin --buffer 1=,size=400 "
         "--output 1=no/such/directory",
         "No such file"},
        {"run --xclbin a.xclbin --instructions v01.bin --buffer 0=in.bin --buffer 1=,size=400 "
         "--cycles 10",
         "not over after 10 cycles"},
        {"explain empty", "empty: "},
        {"disassemble half.xclbin", "half.xclbin: "}};
    for (const auto& [arguments, part] : cases) {
        const Outcome outcome = npusim(arguments);
        if (outcome.status != 1)
            fail_msg("'%s' ends with %d", arguments, outcome.status);
        contains(outcome.error, part);
        assert_int_equal(std::count(outcome.error.begin(), outcome.error.end(), '\n'), 1);
    }
}

} // namespace

int main(int argc, char** argv) {
    if (argc != 2)
        return 2;
    npusim_path = std::filesystem::absolute(argv[1]).string();
    const CMUnitTest tests[] = {
        cmocka_unit_test(runs_all_forms_of_files),
        cmocka_unit_test(writes_a_report),
        cmocka_unit_test(explains),
        cmocka_unit_test(usage_errors_are_2),
        cmocka_unit_test(bad_input_is_1_and_one_line),
    };
    return cmocka_run_group_tests_name("npusim command", tests, set_up, tear_down);
}

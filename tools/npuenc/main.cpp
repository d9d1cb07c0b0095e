// SPDX-License-Identifier: MIT
// npuenc: the command around libnpuenc.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>

#include <npuenc/npuenc.h>

#include "commands.hpp"
#include "failure.hpp"
#include "options.hpp"

namespace npuenc {
namespace {

struct Command {
    const char* name;
    int (*run)(int argc, char** argv);
    const char* help;
};

constexpr Command commands[] = {
    {"encode", run_encode, "encoder states of a recording, to a .npy file"},
    {"mel", run_mel, "log-mel spectrogram of a recording, to a .npy file"},
    {"info", run_info, "what a model is"},
    {"devices", run_devices, "what npuenc can run on here, and why not on more"},
    {"doctor", run_doctor, "what an NPU needs to be used here, what is wrong, and the cure"},
    {"bench", run_bench, "how fast a model is here, and where the time goes"},
    {"selftest", run_selftest, "whether results are right here; what to send with a report"},
};

void print_help() {
    std::printf("usage: npuenc COMMAND [OPTION]...\n\n"
                "Runs the encoder of Whisper speech models on AMD NPUs and on CPUs.\n\n");
    for (const Command& command : commands)
        std::printf("  %-10s %s\n", command.name, command.help);
    std::printf("\n`npuenc COMMAND --help` tells more; `npuenc --version` prints the version.\n\n"
                "%s\n%s",
                models_help, exit_status_help);
}

const Command* find_command(const char* name) {
    for (const Command& command : commands)
        if (std::strcmp(name, command.name) == 0)
            return &command;
    return nullptr;
}

int refuse(const char* what, const char* name) {
    std::fprintf(stderr, "npuenc: %s%s\nTry 'npuenc --help'.\n", what, name);
    return exit_usage;
}

int report(const Command& command, const Failure& failure) {
    if (*failure.what())
        std::fprintf(stderr, "npuenc: %s: %s\n", command.name, failure.what());
    if (failure.exit_status() == exit_usage)
        std::fprintf(stderr, "Try 'npuenc %s --help'.\n", command.name);
    return failure.exit_status();
}

int run(const Command& command, int argc, char** argv) {
    try {
        return command.run(argc, argv);
    } catch (const Failure& failure) {
        return report(command, failure);
    } catch (const std::exception& error) {
        return report(command, Failure(exit_failed, error.what()));
    }
}

int run(int argc, char** argv) {
    if (argc < 2)
        return refuse("a command is missing", "");
    if (std::strcmp(argv[1], "--help") == 0) {
        print_help();
        return exit_ok;
    }
    if (std::strcmp(argv[1], "--version") == 0) {
        std::printf("npuenc %s\n", npuenc_version_string());
        return exit_ok;
    }
    const Command* command = find_command(argv[1]);
    if (!command)
        return refuse("no such command: ", argv[1]);
    return run(*command, argc - 1, argv + 1);
}

} // namespace
} // namespace npuenc

int main(int argc, char** argv) {
    const int exit_status = npuenc::run(argc, argv);
    errno = 0;
    if (std::fflush(stdout) != 0 || std::ferror(stdout)) {
        std::fprintf(stderr, "npuenc: cannot write standard output: %s\n", std::strerror(errno));
        return npuenc::exit_failed;
    }
    return exit_status;
}

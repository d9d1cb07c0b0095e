// SPDX-License-Identifier: MIT
// A sub-command's command line: one table gives its parser (getopt_long of the C library: nothing
// else is needed for six commands with long options) and its --help.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace npuenc {

struct Option {
    const char* name;     // without the dashes
    const char* argument; // what --help calls it; nullptr: the option takes none
    const char* help;     // lines divided by '\n'
    std::function<void(const char* argument)> take;
};

struct CommandLine {
    const char* command;
    const char* operands; // as in "usage: npuenc encode [OPTION]... AUDIO"
    const char* summary;
    std::vector<Option> options;
    const char* notes; // after the options
};

// The operands; none when --help was given and has been printed. argv[0] is the sub-command.
// Throws Failure(exit_usage) for a wrong command line.
std::optional<std::vector<std::string>> parse(const CommandLine& line, int argc, char** argv);

// Exactly one operand, or Failure(exit_usage) that names what is expected.
std::string only_operand(const std::vector<std::string>& operands, const char* name);

// parse() of a sub-command without operands: whether it is to be run.
bool parse_options(const CommandLine& line, int argc, char** argv);

// Options that several sub-commands have.
Option model_option(std::string& path);
Option device_option(int32_t& device_type);
Option precision_option(int32_t& precision);
Option threads_option(uint32_t& n_threads);
Option output_option(std::string& path, const char* help);
Option json_option(bool& json);

// A decimal number within bounds, or Failure(exit_usage).
uint32_t number_argument(const char* option, const char* text, uint32_t least, uint32_t most);

// The path given with --model, or Failure(exit_usage) that says where people get a model.
const std::string& required_model(const std::string& path);

extern const char* const models_help;      // what --model takes
extern const char* const exit_status_help; // what the exit statuses mean

} // namespace npuenc

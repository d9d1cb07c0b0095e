// SPDX-License-Identifier: MIT
#include "options.hpp"

#include <getopt.h>

#include <charconv>
#include <cstdio>
#include <cstring>

#include <npuenc/npuenc.h>

#include "failure.hpp"

namespace npuenc {

const char* const models_help =
    "A model is a Whisper model as people have it:\n"
    "  ggml-*.bin   a file of whisper.cpp's\n"
    "  a directory  of Hugging Face's such as openai/whisper-base, with config.json and\n"
    "               model.safetensors, or of faster-whisper's (CTranslate2), with model.bin\n"
    "In npuenc's source tree, `tools/fetch-model tiny.en` gets one and prints its path.\n";

const char* const exit_status_help =
    "Exit status: 0 done, 1 the work failed, 2 wrong usage, 3 no such file or usable device,\n"
    "4 the model is damaged or not a Whisper model, 130 interrupted (128 + the signal).\n";

namespace {

constexpr int help_value = 1; // of the options in the table: 2 and up

void print_option(const Option& option) {
    std::string left = std::string("  --") + option.name;
    if (option.argument)
        left += std::string(" ") + option.argument;
    const char* help = option.help;
    for (;;) {
        const size_t length = std::strcspn(help, "\n");
        std::printf("%-21s %.*s\n", left.c_str(), static_cast<int>(length), help);
        if (help[length] == '\0')
            return;
        help += length + 1;
        left.clear();
    }
}

void print_help(const CommandLine& line) {
    std::printf("usage: npuenc %s [OPTION]...%s%s\n\n%s\n\n", line.command,
                *line.operands ? " " : "", line.operands, line.summary);
    for (const Option& option : line.options)
        print_option(option);
    print_option({"help", nullptr, "print this and end", {}});
    if (*line.notes)
        std::printf("\n%s", line.notes);
    std::printf("\n%s", exit_status_help);
}

struct Name {
    const char* name;
    int32_t value;
};

int32_t named_argument(const char* option, const char* text, const std::vector<Name>& names) {
    std::string known;
    for (const Name& name : names) {
        if (std::strcmp(text, name.name) == 0)
            return name.value;
        known += known.empty() ? "" : ", ";
        known += name.name;
    }
    fail(exit_usage, "--%s is '%s', expected one of %s", option, text, known.c_str());
}

} // namespace

std::optional<std::vector<std::string>> parse(const CommandLine& line, int argc, char** argv) {
    std::vector<option> table;
    for (size_t i = 0; i < line.options.size(); ++i) {
        const Option& option = line.options[i];
        table.push_back({option.name, option.argument ? required_argument : no_argument, nullptr,
                         help_value + 1 + static_cast<int>(i)});
    }
    table.push_back({"help", no_argument, nullptr, help_value});
    table.push_back({nullptr, 0, nullptr, 0});

    // getopt_long prints what is wrong by itself, with argv[0] in front.
    std::string prefix = std::string("npuenc: ") + line.command;
    argv[0] = prefix.data();
    for (;;) {
        const int value = getopt_long(argc, argv, "", table.data(), nullptr);
        if (value == -1)
            return std::vector<std::string>(argv + optind, argv + argc);
        if (value == help_value) {
            print_help(line);
            return {};
        }
        if (value <= help_value || value > help_value + static_cast<int>(line.options.size()))
            throw Failure(exit_usage, "");
        line.options[static_cast<size_t>(value - help_value - 1)].take(optarg);
    }
}

std::string only_operand(const std::vector<std::string>& operands, const char* name) {
    if (operands.empty())
        fail(exit_usage, "%s is missing", name);
    if (operands.size() > 1)
        fail(exit_usage, "one %s at a time, but after '%s' there is '%s'", name,
             operands[0].c_str(), operands[1].c_str());
    if (operands[0].empty())
        fail(exit_usage, "%s is empty", name);
    return operands[0];
}

bool parse_options(const CommandLine& line, int argc, char** argv) {
    const auto operands = parse(line, argc, argv);
    if (operands && !operands->empty())
        fail(exit_usage, "'%s' is more than this command takes", operands->front().c_str());
    return operands.has_value();
}

Option model_option(std::string& path) {
    return {"model", "PATH", "the model, a file or a directory (see below)",
            [&path](const char* text) { path = text; }};
}

Option device_option(int32_t& device_type) {
    return {"device", "DEVICE",
            "auto (the default: the first NPU that is usable, else the CPU),\n"
            "cpu, or npu (an NPU or an error, never the CPU instead)",
            [&device_type](const char* text) {
                device_type = named_argument("device", text,
                                             {{"auto", NPUENC_DEVICE_AUTO},
                                              {"cpu", NPUENC_DEVICE_CPU},
                                              {"npu", NPUENC_DEVICE_NPU}});
            }};
}

Option precision_option(int32_t& precision) {
    return {"precision", "NAME",
            "what products are computed in: f32, bf16, int8, or auto (the default: bf16\n"
            "where it was measured to be faster, else f32)",
            [&precision](const char* text) {
                precision = named_argument("precision", text,
                                           {{"auto", NPUENC_PRECISION_AUTO},
                                            {"f32", NPUENC_PRECISION_F32},
                                            {"bf16", NPUENC_PRECISION_BF16},
                                            {"int8", NPUENC_PRECISION_INT8}});
            }};
}

Option threads_option(uint32_t& n_threads) {
    return {
        "threads", "N", "host threads, 1 to 1024; default: one for each physical core",
        [&n_threads](const char* text) { n_threads = number_argument("threads", text, 1, 1024); }};
}

Option output_option(std::string& path, const char* help) {
    return {"output", "FILE", help, [&path](const char* text) {
                if (!*text)
                    fail(exit_usage, "--output is empty");
                path = text;
            }};
}

Option json_option(bool& json) {
    return {"json", nullptr, "print one JSON object instead of text",
            [&json](const char*) { json = true; }};
}

uint32_t number_argument(const char* option, const char* text, uint32_t least, uint32_t most) {
    uint32_t number = 0;
    const char* end = text + std::strlen(text);
    const auto [rest, error] = std::from_chars(text, end, number);
    if (error != std::errc() || rest != end || number < least || number > most)
        fail(exit_usage, "--%s is '%s', expected a number from %u to %u", option, text, least,
             most);
    return number;
}

const std::string& required_model(const std::string& path) {
    if (path.empty())
        fail(exit_usage, "no model: name one with --model PATH\n%s", models_help);
    return path;
}

} // namespace npuenc

// SPDX-License-Identifier: MIT
#include "report.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>

namespace virtual_npu {
namespace {

struct Field {
    const char* name;
    uint64_t value;
};

std::string object(std::initializer_list<Field> fields) {
    std::string text = "{";
    for (const Field& field : fields)
        text += (text.size() > 1 ? ", \"" : "\"") + std::string(field.name) +
                "\": " + std::to_string(field.value);
    return text + "}";
}

std::string quoted(const std::string& line) {
    std::string text = "\"";
    for (const char c : line) {
        if (c == '"' || c == '\\')
            text += '\\';
        text += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
    }
    return text + "\"";
}

} // namespace

void write_report(std::string path, const virtual_npu_counters& of, const virtual_npu_alive& left,
                  const std::vector<std::string>& log) {
    if (const size_t at = path.find("%p"); at != path.npos)
        path.replace(at, 2, std::to_string(::getpid()));
    std::string text = "{\"counters\": " + object({{"submissions", of.submissions},
                                                   {"commands", of.commands},
                                                   {"syncs_to_device", of.syncs_to_device},
                                                   {"syncs_from_device", of.syncs_from_device},
                                                   {"bytes_to_device", of.bytes_to_device},
                                                   {"bytes_from_device", of.bytes_from_device},
                                                   {"buffers_created", of.buffers_created},
                                                   {"buffers_destroyed", of.buffers_destroyed},
                                                   {"contexts_created", of.contexts_created},
                                                   {"contexts_destroyed", of.contexts_destroyed},
                                                   {"waits", of.waits},
                                                   {"loads", of.loads},
                                                   {"cycles", of.cycles}});
    text += ",\n \"left\": " + object({{"files", left.files},
                                       {"contexts", left.contexts},
                                       {"buffers", left.buffers},
                                       {"buffer_bytes", left.buffer_bytes},
                                       {"mappings", left.mappings},
                                       {"syncobjs", left.syncobjs},
                                       {"jobs", left.jobs}});
    text += ",\n \"contexts_reclaimed\": " + std::to_string(left.contexts_reclaimed);
    text += ",\n \"log\": [";
    for (size_t i = 0; i < log.size(); ++i)
        text += (i ? ",\n  " : "\n  ") + quoted(log[i]);
    text += "]}\n";
    const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (file < 0 || ::write(file, text.data(), text.size()) != static_cast<ssize_t>(text.size()))
        dprintf(STDERR_FILENO, "virtual NPU: %s cannot be written\n", path.c_str());
    if (file >= 0)
        ::close(file);
}

} // namespace virtual_npu

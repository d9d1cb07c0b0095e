// SPDX-License-Identifier: MIT
#include "tools/npusim/report.hpp"

#include <nlohmann/json.hpp>

namespace npusim {

using Json = nlohmann::ordered_json;

namespace {

// Between two starts of a shim's task, measured on hardware by xdna-emu; not part of any other
// number.
constexpr uint64_t controller_cycles_per_push = 2800;
// The fastest memory sold beside this NPU, dual-channel DDR5-5600 with 89.6 GB/s, at the array's
// highest clock of 1.6 GHz. What the NPU gets of it is not known.
constexpr double known_ddr_bytes_per_cycle = 56;
constexpr uint64_t word_bytes = 4;

double per_cycle(uint64_t bytes, uint64_t cycles) {
    return cycles == 0 ? 0 : static_cast<double>(bytes) / static_cast<double>(cycles);
}

Json tile_of(uint32_t column, uint32_t row) {
    return Json::array({column, row});
}

Json core_json(const RunReport::Core& core) {
    const Core::Counters& counters = core.counters;
    Json json = {
        {"tile", tile_of(core.column, core.row)},
        {"cycles", counters.cycles},
        {"bundles", counters.bundles},
        {"vmacs", counters.vmacs},
        {"stalled",
         {{"lock", counters.lock},
          {"bank", counters.bank},
          {"stream", counters.stream},
          {"cascade", counters.cascade}}},
    };
    if (counters.vmacs != 0) {
        json["first_vmac"] = counters.first_vmac;
        json["last_vmac"] = counters.last_vmac;
        json["share_of_vmac_slots"] =
            per_cycle(counters.vmacs, counters.last_vmac - counters.first_vmac + 1);
    }
    return json;
}

Json channel_json(const RunReport::Channel& channel) {
    const DmaChannel::Counters& counters = channel.counters;
    return {
        {"tile", tile_of(channel.column, channel.row)},
        {"channel", channel_name(channel.direction, channel.index)},
        {"bytes", counters.words * word_bytes},
        {"descriptors", counters.descriptors},
        {"tasks", counters.tasks},
        {"waited",
         {{"lock", counters.lock}, {"stream", counters.stream}, {"memory", counters.memory}}},
    };
}

Json shims_json(const RunReport& report) {
    Json shims = Json::array();
    uint64_t total = 0;
    for (uint32_t column = 0; column < max_columns; ++column) {
        uint64_t bytes[2] = {};
        bool used = false;
        for (const RunReport::Channel& channel : report.channels)
            if (channel.row == 0 && channel.column == column) {
                bytes[static_cast<size_t>(channel.direction)] +=
                    channel.counters.words * word_bytes;
                used = true;
            }
        if (!used)
            continue;
        total += bytes[0] + bytes[1];
        shims.push_back({{"column", column},
                         {"bytes_read", bytes[1]},
                         {"bytes_written", bytes[0]},
                         {"bytes_per_cycle", per_cycle(bytes[0] + bytes[1], report.cycles)}});
    }
    const double rate = per_cycle(total, report.cycles);
    return {{"columns", shims},
            {"bytes_per_cycle", rate},
            {"known_ddr_bytes_per_cycle", known_ddr_bytes_per_cycle},
            {"passes_known_ddr", rate > known_ddr_bytes_per_cycle}};
}

} // namespace

std::string to_json(const RunReport& report) {
    Json json = {
        {"cycles", report.cycles},
        {"last_output_word", report.last_output},
        {"steady", report.steady()},
        {"whole", report.whole()},
        {"controller",
         {{"operations", report.operations},
          {"pushes", report.pushes},
          {"synchronisations", report.synchronisations},
          {"waited", report.waited},
          {"waited_for_full_queue", report.queue_full},
          {"tokens_left", report.tokens_left},
          {"measured_elsewhere",
           {{"cycles_per_push", controller_cycles_per_push},
            {"cycles", report.pushes * controller_cycles_per_push}}}}},
        {"shims", shims_json(report)},
    };
    json["cores"] = Json::array();
    for (const RunReport::Core& core : report.cores)
        json["cores"].push_back(core_json(core));
    json["channels"] = Json::array();
    for (const RunReport::Channel& channel : report.channels)
        json["channels"].push_back(channel_json(channel));
    return json.dump(2) + '\n';
}

} // namespace npusim

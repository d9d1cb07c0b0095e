// SPDX-License-Identifier: MIT
// npuenc doctor: what an NPU needs and has here, what is wrong, and the cure.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <vector>

#include "commands.hpp"
#include "error.hpp"
#include "json.hpp"
#include "library.hpp"
#include "npu/diagnosis.hpp"
#include "npu/module.hpp"
#include "npu/pci_npu.hpp"
#include "options.hpp"
#include "system.hpp"
#include "text.hpp"

namespace npuenc {
namespace {

// What came of opening a device, self-test included.
struct Attempt {
    bool opened = false;
    double milliseconds = 0;
    std::string failure;
};

struct NpuReport {
    npuenc_device_info device;
    std::vector<Finding> findings;
    Attempt attempt;
};

struct Report {
    npuenc_device_info cpu;
    Attempt cpu_attempt;
    std::vector<NpuReport> npus;
    std::string absence; // why there are none
    std::string module;  // path; empty when it is not loaded
    std::vector<Finding> runtime;

    bool has_usable_npu() const {
        return std::any_of(npus.begin(), npus.end(),
                           [](const NpuReport& npu) { return npu.attempt.opened; });
    }
    bool is_well() const { return npus.empty() ? cpu_attempt.opened : has_usable_npu(); }
};

Attempt try_to_open(const npuenc_device_info& device) {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    Attempt attempt;
    try {
        const Context context(device.device_type, 0, device.index);
        attempt.opened = true;
    } catch (const LibraryFailure& failure) {
        attempt.failure = failure.what();
    }
    attempt.milliseconds = std::chrono::duration<double, std::milli>(Clock::now() - start).count();
    return attempt;
}

std::string module_path() {
    try {
        const auto* function =
            reinterpret_cast<const void*>(Module::instance().functions().session_open);
        Dl_info info;
        return dladdr(function, &info) && info.dli_fname ? info.dli_fname : "";
    } catch (const Error&) { // diagnose_runtime says why
        return "";
    }
}

std::vector<Finding> findings_of(const npuenc_device_info& device) {
    for (const PciNpu& npu : find_npus())
        if (npu.bus_address == device.bus_address)
            return diagnose_npu(npu);
    return {};
}

Report examine() {
    Report report;
    for (const npuenc_device_info& device : list_devices())
        if (device.device_type == NPUENC_DEVICE_CPU)
            report.cpu = device;
        else
            report.npus.push_back({device, findings_of(device), {}});
    report.cpu_attempt = try_to_open(report.cpu);
    report.runtime = diagnose_runtime();
    report.module = module_path();
    for (NpuReport& npu : report.npus)
        npu.attempt = try_to_open(npu.device);
    if (report.npus.empty())
        report.absence = absence_of_npus();
    return report;
}

const char* severity_name(Severity severity) {
    switch (severity) {
    case Severity::note:
        return "note";
    case Severity::warning:
        return "warning";
    default:
        return "error";
    }
}

std::string finding_text(const Finding& finding) {
    std::string text =
        finding.severity == Severity::note
            ? finding.text
            : format("%s: %s", severity_name(finding.severity), finding.text.c_str());
    if (!finding.cure.empty())
        text += "\n  cure: " + finding.cure;
    return text;
}

std::string attempt_text(const Attempt& attempt, const char* success) {
    return attempt.opened ? format("%s in %.1f ms", success, attempt.milliseconds)
                          : "error: " + attempt.failure;
}

std::string verdict(const Report& report) {
    if (report.has_usable_npu())
        return "an NPU is usable";
    if (!report.npus.empty())
        return "there is an NPU, but it cannot be used yet";
    return report.absence + (report.is_well() ? "; the CPU is used" : "");
}

void print_text(const Report& report) {
    print_line(stdout, "npuenc", npuenc_version_string());
    print_line(stdout, "system", system_text());
    print_line(stdout, "cpu 0",
               device_properties(report.cpu) + '\n' + attempt_text(report.cpu_attempt, "opened"));
    for (const NpuReport& npu : report.npus) {
        std::string text = device_properties(npu.device);
        for (const Finding& finding : npu.findings)
            text += '\n' + finding_text(finding);
        text += '\n' + attempt_text(npu.attempt, "opened, and its self-test passed,");
        print_line(stdout, format("npu %u", npu.device.index).c_str(), text);
    }
    std::string runtime = report.npus.empty() ? "what an NPU would use:\n" : "";
    if (!report.module.empty())
        runtime += "module " + report.module + '\n';
    for (const Finding& finding : report.runtime)
        runtime += finding_text(finding) + '\n';
    runtime.pop_back(); // there is a line for each overlay at least
    print_line(stdout, "runtime", runtime);
    print_line(stdout, "verdict", verdict(report));
}

void append_findings(Json& json, const std::vector<Finding>& findings) {
    json.key("findings").begin_array();
    for (const Finding& finding : findings)
        json.begin_object()
            .member("severity", severity_name(finding.severity))
            .member("text", finding.text)
            .member("cure", finding.cure)
            .end_object();
    json.end_array();
}

void append_attempt(Json& json, const Attempt& attempt) {
    json.member("opened", attempt.opened)
        .member("open_ms", attempt.milliseconds)
        .member("failure", attempt.failure);
}

void print_json(const Report& report) {
    Json json;
    json.begin_object()
        .member("version", npuenc_version_string())
        .member("system", system_text())
        .member("well", report.is_well())
        .member("verdict", verdict(report))
        .key("cpu")
        .begin_object();
    append_device(json, report.cpu);
    append_attempt(json, report.cpu_attempt);
    json.end_object().key("npus").begin_array();
    for (const NpuReport& npu : report.npus) {
        json.begin_object();
        append_device(json, npu.device);
        append_findings(json, npu.findings);
        append_attempt(json, npu.attempt);
        json.end_object();
    }
    json.end_array().key("runtime").begin_object().member("module", report.module);
    append_findings(json, report.runtime);
    json.end_object().end_object().print(stdout);
}

} // namespace

int run_doctor(int argc, char** argv) {
    bool json = false;
    if (!parse_options(
            {"doctor",
             "",
             "Finds out what an NPU needs here to be used: kernel driver, permissions, limits,\n"
             "firmware, XRT and npuenc's own files; then opens it and tests it. Every problem\n"
             "comes with its cure. Fails where there is an NPU that cannot be used.",
             {json_option(json)},
             ""},
            argc, argv))
        return exit_ok;
    const Report report = examine();
    (json ? print_json : print_text)(report);
    return report.is_well() ? exit_ok : exit_failed;
}

} // namespace npuenc

// SPDX-License-Identifier: MIT
// Source of what makes up what: llvm-aie, llvm/lib/Target/AIE/aie2/AIE2GenRegisterInfo.td.
#include "kernels/aie2/checker/registers.hpp"

#include <map>
#include <vector>

namespace npuenc::aie2 {
namespace {

class UnitTable {
  public:
    UnitTable() {
        add_units();
        add_vectors();
        add_accumulators();
        add_modifiers();
        for (int i = 0; i < 8; ++i)
            join("l", i, {name("r", 16 + 2 * i), name("r", 17 + 2 * i)});
    }

    Units units(std::string_view register_name) const {
        const auto found = registers_.find(register_name);
        return found == registers_.end() ? Units{} : found->second;
    }
    std::string_view unit_name(size_t unit) const { return names_.at(unit); }

  private:
    static std::string name(const char* file, int number) { return file + std::to_string(number); }

    void add_unit(std::string unit) {
        registers_[unit].set(names_.size());
        names_.push_back(std::move(unit));
    }

    void join(const char* file, int number, const std::vector<std::string>& parts) {
        Units& whole = registers_[name(file, number)];
        for (const std::string& part : parts)
            whole |= registers_.at(part);
    }

    void add_units() {
        const struct {
            const char* file;
            int count;
        } files[] = {{"r", 32},   {"p", 8},    {"m", 8},    {"dn", 8},  {"dj", 8},
                     {"dc", 8},   {"s", 4},    {"wl", 12},  {"wh", 12}, {"amll", 9},
                     {"amlh", 9}, {"amhl", 9}, {"amhh", 9}, {"ql", 4},  {"qh", 4}};
        for (const auto& file : files)
            for (int i = 0; i < file.count; ++i)
                add_unit(name(file.file, i));
        for (const char* special :
             {"LS",        "LE",         "LC",         "lr",           "SP",         "DP",
              "CORE_ID",   "tile_cntr",  "crVaddSign", "crF2FMask",    "crF2IMask",  "crFPMask",
              "crMCDEn",   "crPackSign", "crRnd",      "crSCDEn",      "crSRSSign",  "crSat",
              "crUPSSign", "srCarry",    "srSS0",      "crUnpackSign", "srMS0",      "srSRS_of",
              "srUPS_of",  "srCompr_uf", "srFPFlags",  "srF2IFlags",   "srF2FFlags", "srSparse_of"})
            add_unit(special);
    }

    void add_vectors() {
        for (int i = 0; i < 12; ++i)
            join("x", i, {name("wl", i), name("wh", i)});
        for (int i = 2; i < 6; ++i)
            join("y", i, {name("x", 2 * i), name("x", 2 * i + 1)});
        for (int i = 0; i < 4; ++i) {
            join("q", i, {name("ql", i), name("qh", i)});
            join("qx", i, {name("x", i), name("q", i)});
            join("qwl", i, {name("ql", i), name("wl", i)});
            join("qwh", i, {name("qh", i), name("wh", i)});
        }
    }

    void add_accumulators() {
        for (int i = 0; i < 9; ++i) {
            join("bml", i, {name("amll", i), name("amlh", i)});
            join("bmh", i, {name("amhl", i), name("amhh", i)});
            join("cm", i, {name("bml", i), name("bmh", i)});
        }
    }

    void add_modifiers() {
        for (int i = 0; i < 8; ++i)
            join("d", i, {name("m", i), name("dn", i), name("dj", i), name("dc", i)});
        for (int i = 0; i < 4; ++i)
            registers_[name("d", i) + "_3d"] =
                registers_.at(name("d", i)) | registers_.at(name("d", i + 4));
    }

    std::vector<std::string> names_;
    std::map<std::string, Units, std::less<>> registers_;
};

const UnitTable& table() {
    static const UnitTable table;
    return table;
}

} // namespace

Units units_of(std::string_view register_name) {
    return table().units(register_name);
}

std::string_view unit_name(size_t unit) {
    return table().unit_name(unit);
}

std::string unit_names(const Units& units) {
    std::string text;
    for (size_t i = 0; i < units.size(); ++i)
        if (units[i])
            text += (text.empty() ? "" : ", ") + std::string(unit_name(i));
    return text;
}

NumberedRegister numbered(std::string_view register_name) {
    const size_t digits = register_name.find_first_of("0123456789");
    if (digits == register_name.npos || digits == 0 ||
        register_name.find_first_not_of("0123456789", digits) != register_name.npos)
        return {};
    return {register_name.substr(0, digits), std::stoi(std::string(register_name.substr(digits)))};
}

} // namespace npuenc::aie2

// SPDX-License-Identifier: MIT
#include "encoder/auto_precision.hpp"

#include <algorithm>
#include <iterator>

namespace npuenc {
namespace {

struct Measured {
    std::string_view isa;
    uint32_t n_state;
    npuenc_precision precision;
};

// Where a narrower precision takes less time than f32 (`npuenc bench --precision`) and the words
// stay the same (`tools/test --all`); everywhere else it is f32. Without bf16 instructions bf16
// takes as long as f32. With AVX-512 BF16 that is so on Zen 4; on an Intel CPU whose AMX is not
// used bf16 takes 1.7 times as long as f32 (measured on Sapphire Rapids), and the table does not
// know it from the other. Int8 is not in the table: it is faster still, but single frames can be
// further off than in bf16, and whoever asked for nothing has not agreed to that.
constexpr Measured table[] = {
    {"avx512bf16", 384, NPUENC_PRECISION_BF16}, // tiny
    {"avx512bf16", 512, NPUENC_PRECISION_BF16}, // base
    {"amx", 384, NPUENC_PRECISION_BF16},
    {"amx", 512, NPUENC_PRECISION_BF16},
};

} // namespace

npuenc_precision auto_precision(std::string_view isa, const HyperParameters& dims) {
    const auto* row = std::find_if(std::begin(table), std::end(table), [&](const Measured& known) {
        return known.isa == isa && known.n_state == dims.n_state;
    });
    return row == std::end(table) ? NPUENC_PRECISION_F32 : row->precision;
}

} // namespace npuenc

// SPDX-License-Identifier: MIT
// The model of the core's bf16 arithmetic against outputs that were captured on a Phoenix:
//
//     bf16_model_test DIRECTORY_OF_FACTS
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

#include <nlohmann/json.hpp>

#include "bf16_model.hpp"

namespace {

bool is_finite(uint16_t bf16) {
    return (bf16 >> 7 & 0xff) != 0xff;
}

} // namespace

int main(int argc, char** argv) {
    const char* directory = std::getenv("NPUENC_NPU_FACTS");
    if (!directory)
        directory = argc > 1 ? argv[1] : ".";
    std::ifstream file(std::string(directory) + "/vectors/silicon.json");
    if (!file) {
        std::puts("no captured vectors (vectors/silicon.json)");
        return 77;
    }
    const auto captured = nlohmann::json::parse(file)["vec_mac_bf16_ovf"];
    const auto &inputs_a = captured["input_a"], &inputs_b = captured["input_b"];
    const auto& outputs = captured["silicon"];

    size_t right = 0, wrong = 0;
    for (size_t lane = 0; lane < outputs.size(); ++lane) {
        const size_t step = lane / 16, i = lane % 16 / 4, j = lane % 4;
        uint16_t a[8], b[8];
        bool finite = true;
        for (size_t k = 0; k < 8; ++k) {
            a[k] = static_cast<uint16_t>(inputs_a[step * 32 + i * 8 + k].get<int64_t>());
            b[k] = static_cast<uint16_t>(inputs_b[step * 32 + k * 4 + j].get<int64_t>());
            finite = finite && is_finite(a[k]) && is_finite(b[k]);
        }
        if (!finite) // not modelled
            continue;
        const auto expected = static_cast<uint32_t>(outputs[lane].get<int64_t>());
        ++(npuenc::bf16_mac(0, a, b) == expected ? right : wrong);
    }
    std::printf("%zu lanes right, %zu wrong\n", right, wrong);
    return wrong == 0 && right == 224 ? 0 : 1;
}

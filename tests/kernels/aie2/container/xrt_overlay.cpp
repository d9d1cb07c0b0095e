// SPDX-License-Identifier: MIT
// What the real xrt::xclbin finds in a file, as JSON. Compiled by check_xrt.py against the headers
// that tools/xrt-prefix brings.
//
// usage: xrt-overlay FILE.xclbin
#include <xrt/experimental/xrt_xclbin.h>

#include <exception>
#include <iostream>

int main(int, char** argv) {
    try {
        const xrt::xclbin file{std::string(argv[1])};
        std::cout << "{\"uuid\": \"" << file.get_uuid().to_string() << "\", \"operations\": [";
        const char* comma = "";
        for (const auto& partition : file.get_aie_partitions()) {
            std::cout << comma << partition.get_operations_per_cycle();
            comma = ", ";
        }
        std::cout << "], \"kernels\": [";
        const char* between_kernels = "";
        for (const auto& kernel : file.get_kernels()) {
            std::cout << between_kernels << "{\"name\": \"" << kernel.get_name()
                      << "\", \"is_dpu\": "
                      << (kernel.get_type() == xrt::xclbin::kernel::kernel_type::dpu)
                      << ", \"instances\": [";
            comma = "";
            for (const auto& instance : kernel.get_cus()) {
                std::cout << comma << '"' << instance.get_name() << '"';
                comma = ", ";
            }
            std::cout << "], \"arguments\": [";
            comma = "";
            for (const auto& argument : kernel.get_args()) {
                std::cout << comma << "{\"index\": " << argument.get_index() << ", \"name\": \""
                          << argument.get_name() << "\", \"type\": \"" << argument.get_host_type()
                          << "\", \"size\": " << argument.get_size()
                          << ", \"offset\": " << argument.get_offset() << ", \"memories\": [";
                const char* between_memories = "";
                for (const auto& memory : argument.get_mems()) {
                    std::cout << between_memories << '"' << memory.get_tag() << '"';
                    between_memories = ", ";
                }
                std::cout << "]}";
                comma = ", ";
            }
            std::cout << "]}";
            between_kernels = ", ";
        }
        std::cout << "]}\n";
    } catch (const std::exception& error) {
        std::cerr << error.what() << '\n';
        return 1;
    }
    return 0;
}

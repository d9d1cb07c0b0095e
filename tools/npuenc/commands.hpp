// SPDX-License-Identifier: MIT
// The sub-commands. Each is in a file of its name, takes its own part of the command line (argv[0]
// is its name), returns an exit status and throws Failure.
#pragma once

namespace npuenc {

int run_devices(int argc, char** argv);
int run_doctor(int argc, char** argv);
int run_info(int argc, char** argv);
int run_encode(int argc, char** argv);
int run_mel(int argc, char** argv);
int run_bench(int argc, char** argv);
int run_bench_npu(int argc, char** argv);
int run_selftest(int argc, char** argv);

} // namespace npuenc

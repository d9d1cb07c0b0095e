// SPDX-License-Identifier: MIT
// Ctrl-C and its like end the work in order: nothing half done stays behind.
#pragma once

namespace npuenc {

// From here on SIGINT, SIGTERM and SIGHUP are only noted. One that is ignored stays ignored.
void catch_interruptions();

bool interrupted();

// Throws Failure(128 + signal) when one has come.
void throw_if_interrupted();

} // namespace npuenc

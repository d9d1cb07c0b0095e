// SPDX-License-Identifier: MIT
// Tells a child of fork() from the process that made a handle: its threads are not in the child.
#pragma once

#include <cstdint>

namespace npuenc {

// Counts forks from the first call on; a handle that remembers another count is the parent's.
void watch_forks(); // throws Error E_NOMEM
uint64_t fork_generation() noexcept;

} // namespace npuenc

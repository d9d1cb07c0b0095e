// SPDX-License-Identifier: MIT
// Work in a process of its own, so that its memory is counted alone.
#pragma once

#include <functional>
#include <type_traits>

namespace npuenc {

// Forks; the child works, which fills `bytes` bytes at `result`, and they come back here. A Failure
// in the child is thrown here. No npuenc handle may be open.
void run_in_child(const std::function<void()>& work, void* result, size_t bytes);

template <typename Result>
requires std::is_trivially_copyable_v<Result>
    Result in_child(const std::function<void(Result&)>& work) {
    Result result{};
    run_in_child([&] { work(result); }, &result, sizeof result);
    return result;
}

} // namespace npuenc

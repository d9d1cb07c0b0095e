// SPDX-License-Identifier: MIT
// The paths that tell of NPUs: what lies below /sys/bus/pci, the devices' own directories and
// /dev/accel. A copy of them is made in a directory, and paths are changed to lie there.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace virtual_npu {

class Driver;

class FileTree {
  public:
    explicit FileTree(Driver& driver);
    ~FileTree();
    FileTree(const FileTree&) = delete;
    FileTree& operator=(const FileTree&) = delete;

    // Whether a path is one of them; the path must not be relative.
    static bool has(const char* path);

    // Where a path of the tree really is; one that does not exist where a fault hides it.
    std::string real_path(std::string_view path) const;
    // The other way round; none when it is not in the tree.
    std::optional<std::string> shown_path(std::string_view real) const;
    // The number of the device whose node this is; also when a fault hides the node.
    std::optional<unsigned> device_of_node(std::string_view path) const;

  private:
    void build(const std::string& root) const;

    Driver& driver_;
    std::string root_;
    bool is_own_; // to be removed at the end
};

} // namespace virtual_npu

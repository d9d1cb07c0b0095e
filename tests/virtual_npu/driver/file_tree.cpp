// SPDX-License-Identifier: MIT
#include "file_tree.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "driver.hpp"
#include "model.hpp"

namespace virtual_npu {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view pci = "/sys/bus/pci";
constexpr std::string_view bus = "/sys/devices/pci0000:00";
constexpr std::string_view nodes = "/dev/accel";
constexpr std::string_view driver_directory = "/sys/bus/pci/drivers/amdxdna";

bool is_below(std::string_view path, std::string_view directory) {
    return path.substr(0, directory.size()) == directory &&
           (path.size() == directory.size() || path[directory.size()] == '/');
}

// Each NPU is behind a bridge of its own, as in a real machine.
std::string address_of(unsigned device) {
    char address[16];
    std::snprintf(address, sizeof address, "0000:%02x:00.1", 0xc5 + device);
    return address;
}

std::string directory_of(unsigned device) {
    return std::string(bus) + "/" + address_of(device);
}

void put(const fs::path& path, const std::string& text) {
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text << '\n';
}

void link(const fs::path& path, const std::string& target) {
    fs::create_directories(path.parent_path());
    fs::create_symlink(target, path);
}

} // namespace

FileTree::FileTree(Driver& driver) : driver_(driver), is_own_(driver.options.state.empty()) {
    if (is_own_) {
        std::string pattern = (fs::temp_directory_path() / "virtual-npu.XXXXXX").string();
        if (!::mkdtemp(pattern.data()))
            throw fs::filesystem_error("mkdtemp", std::error_code(errno, std::generic_category()));
        root_ = pattern;
        build(root_);
        return;
    }
    // Beside the state, for all who share it: the first one's.
    root_ = driver.options.state + ".tree";
    if (fs::exists(root_))
        return;
    const std::string draft = root_ + "." + std::to_string(::getpid());
    build(draft);
    std::error_code error;
    fs::rename(draft, root_, error);
    if (error)
        fs::remove_all(draft);
}

FileTree::~FileTree() {
    std::error_code ignored;
    if (is_own_)
        fs::remove_all(root_, ignored);
}

// amdxdna_sysfs.c, amdxdna_attrs; and what the bus has for every device.
void FileTree::build(const std::string& root) const {
    fs::create_directories(root + std::string(pci) + "/devices");
    fs::create_directories(root + std::string(driver_directory));
    fs::create_directories(root + std::string(nodes));
    for (unsigned device = 0; device < driver_.options.devices; ++device) {
        const std::string address = address_of(device);
        const std::string directory = root + directory_of(device);
        const std::string node = "accel" + std::to_string(device);
        put(directory + "/vendor", "0x1022");
        put(directory + "/device", "0x1502");
        put(directory + "/subsystem_vendor", "0x1022");
        put(directory + "/subsystem_device", "0x1502");
        put(directory + "/revision", "0x00");
        put(directory + "/class", "0x118000");
        put(directory + "/resource", "0x0000000000000000 0x0000000000000000 0x0000000000000000");
        put(directory + "/device_type", "0");
        put(directory + "/vbnv", product_name);
        put(directory + "/fw_version", firmware_version);
        put(directory + "/fw_version.old", old_firmware_version);
        put(directory + "/accel/" + node + "/dev", "261:" + std::to_string(device));
        link(directory + "/driver", "../../../bus/pci/drivers/amdxdna");
        link(root + std::string(pci) + "/devices/" + address,
             "../../../devices/pci0000:00/" + address);
        link(root + std::string(driver_directory) + "/" + address,
             "../../../../devices/pci0000:00/" + address);
        put(root + std::string(nodes) + "/" + node, "");
    }
}

bool FileTree::has(const char* path) {
    if (!path || path[0] != '/')
        return false;
    const std::string_view view(path);
    if (is_below(view, pci) || is_below(view, nodes))
        return true;
    for (unsigned device = 0; device < max_devices; ++device)
        if (is_below(view, directory_of(device)))
            return true;
    return false;
}

std::string FileTree::real_path(std::string_view path) const {
    const std::string hidden = root_ + "/hidden";
    const bool no_driver = driver_.fault_always(FaultPoint::no_driver);
    if (no_driver && is_below(path, driver_directory))
        return hidden;
    if ((no_driver || driver_.fault_always(FaultPoint::node_missing)) && is_below(path, nodes))
        return hidden;
    for (unsigned device = 0; device < driver_.options.devices; ++device) {
        const std::string link = std::string(pci) + "/devices/" + address_of(device);
        const std::string directory = directory_of(device);
        if (!is_below(path, link) && !is_below(path, directory))
            continue;
        if (driver_.shared.is_removed(device))
            return hidden;
        const std::string_view entry =
            path.substr(is_below(path, link) ? link.size() : directory.size());
        if (no_driver && (is_below(entry, "/driver") || is_below(entry, "/accel") ||
                          entry == "/vbnv" || entry == "/device_type" || entry == "/fw_version"))
            return hidden;
        if (entry == "/fw_version" && driver_.fault_always(FaultPoint::firmware_old))
            return root_ + std::string(path) + ".old";
    }
    return root_ + std::string(path);
}

std::optional<std::string> FileTree::shown_path(std::string_view real) const {
    if (!is_below(real, root_))
        return {};
    return std::string(real.substr(root_.size()));
}

std::optional<unsigned> FileTree::device_of_node(std::string_view path) const {
    for (unsigned device = 0; device < driver_.options.devices; ++device)
        if (path == std::string(nodes) + "/accel" + std::to_string(device))
            return device;
    return {};
}

} // namespace virtual_npu

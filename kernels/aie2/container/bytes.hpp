// SPDX-License-Identifier: MIT
// Little-endian numbers in files of bytes that nobody has checked yet.
#pragma once

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace npuenc::aie2 {

// A container that is not what it claims to be, or that cannot be written as asked. One line.
class ContainerError : public std::runtime_error {
  public:
    using std::runtime_error::runtime_error;
};

using Bytes = std::span<const uint8_t>;

// The part of a file at an offset that the file itself gives: offset + size may overflow.
inline Bytes part_of(Bytes file, uint64_t offset, uint64_t size, std::string_view what) {
    if (offset > file.size() || size > file.size() - offset) {
        throw ContainerError(std::string(what) + " passes the end: " + std::to_string(size) +
                             " bytes at byte " + std::to_string(offset) + " of " +
                             std::to_string(file.size()));
    }
    return file.subspan(static_cast<size_t>(offset), static_cast<size_t>(size));
}

// For bytes that are known to be there.
template <class T>
T number_at(Bytes bytes, size_t offset) {
    uint64_t number = 0;
    for (size_t i = 0; i < sizeof(T); i++) {
        number |= static_cast<uint64_t>(bytes[offset + i]) << 8 * i;
    }
    return static_cast<T>(number);
}

template <class T>
void put_number(std::vector<uint8_t>& bytes, T number) {
    for (size_t i = 0; i < sizeof(T); i++) {
        bytes.push_back(static_cast<uint8_t>(static_cast<uint64_t>(number) >> 8 * i));
    }
}

template <class T>
void put_number_at(std::vector<uint8_t>& bytes, size_t offset, T number) {
    for (size_t i = 0; i < sizeof(T); i++) {
        bytes[offset + i] = static_cast<uint8_t>(static_cast<uint64_t>(number) >> 8 * i);
    }
}

// The words of bytes whose number is a multiple of 4.
inline std::vector<uint32_t> words_of(Bytes bytes) {
    std::vector<uint32_t> words(bytes.size() / 4);
    for (size_t i = 0; i < words.size(); i++) {
        words[i] = number_at<uint32_t>(bytes, 4 * i);
    }
    return words;
}

inline std::vector<uint8_t> bytes_of(std::span<const uint32_t> words) {
    std::vector<uint8_t> bytes;
    bytes.reserve(4 * words.size());
    for (uint32_t word : words) {
        put_number(bytes, word);
    }
    return bytes;
}

// What every header of a CDO and of a PDI ends with: the one's complement of the sum before it.
inline uint32_t checksum(std::span<const uint32_t> words) {
    uint32_t sum = 0;
    for (uint32_t word : words) {
        sum += word;
    }
    return ~sum;
}

// "0x1d004"
std::string hexadecimal(uint64_t number);

// Two digits a byte: "00ff".
std::string text_of_bytes(Bytes bytes);

// For a message of one line: text out of a file between quotes, unprintable characters as '?', and
// cut where it gets long.
std::string quoted(std::string_view text);

} // namespace npuenc::aie2

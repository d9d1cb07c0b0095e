// SPDX-License-Identifier: MIT
// Names that depend on content alone.
#include "kernels/aie2/container/uuid.hpp"

#include <algorithm>

#include "kernels/aie2/container/sha256.hpp"

namespace npuenc::aie2 {

Uuid uuid_of(Bytes content) {
    const std::array<uint8_t, 32> digest = sha256(content);
    Uuid uuid;
    std::copy_n(digest.begin(), uuid.size(), uuid.begin());
    uuid[6] = static_cast<uint8_t>((uuid[6] & 0x0f) | 0x80); // the version
    uuid[8] = static_cast<uint8_t>((uuid[8] & 0x3f) | 0x80); // the variant
    return uuid;
}

std::string text_of(const Uuid& uuid) {
    std::string text = text_of_bytes(uuid);
    for (const size_t at : {20, 16, 12, 8}) {
        text.insert(at, 1, '-');
    }
    return text;
}

} // namespace npuenc::aie2

// SPDX-License-Identifier: MIT
// How many keys, from the first, a query of an attention may see.
#pragma once

#include <algorithm>
#include <cstddef>

#include "device/device.hpp"

namespace npuenc {

class VisibleKeys {
  public:
    // `shape` must live as long.
    explicit VisibleKeys(const Attention& shape) : shape_(shape) {}

    size_t of_item(size_t item) const {
        if (shape_.mask == NPUENC_MASK_KEY_LENGTHS)
            return std::min<size_t>(shape_.key_lengths[item], shape_.kv_len);
        return shape_.kv_len;
    }
    size_t of_query(size_t item, size_t query) const {
        if (shape_.mask != NPUENC_MASK_CAUSAL)
            return of_item(item);
        const size_t end = query + 1 + shape_.kv_len;
        return end > shape_.q_len ? std::min(end - shape_.q_len, shape_.kv_len) : 0;
    }

  private:
    const Attention& shape_;
};

} // namespace npuenc

// What each format's encoder looks like: one overload per Block type.
#pragma once

#include "quant/traits.hpp"

namespace hearth::quant {

// x: [kElements]; weight: [kElements] importance, or nullptr for 1 everywhere. out comes zeroed.
// Any float may come in. Plain formats keep what they can represent. In block formats NaN counts as 0 and
// magnitudes are cut at what the format can reach, so the result always decodes to finite values.
#define HEARTH_FORMAT(id, name, elements, bytes) \
    void encode_block(const float* x, const float* weight, name::Block& out);
#include <hearth/formats.def>
#undef HEARTH_FORMAT

}  // namespace hearth::quant

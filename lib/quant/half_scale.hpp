// Scales as the half-precision numbers that blocks keep.
#pragma once

#include <cstdint>

#include "base/half.hpp"

namespace hearth::quant {

inline float half_value(uint16_t bits) { return to_float(Half{bits}); }

// Always finite: the largest half is 65504.
inline uint16_t half_bits(float scale) {
    constexpr float kMost = 65504;
    return to_half(scale > kMost ? kMost : scale < -kMost ? -kMost : scale).bits;
}

}  // namespace hearth::quant

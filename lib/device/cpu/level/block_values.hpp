// Cached values in blocks of 32 elements with a scale in front, Q8_0 and Q4_0: how they are taken out of their codes.
#pragma once

#include "device/cpu/kernels.hpp"
#include "device/cpu/level/lanes.hpp"

namespace {

constexpr int kBlock = 32;
constexpr int kScaleBytes = 2;

// `values`: elements at..at+kLanes-1 of a block's codes, as whole numbers.
struct Values8 {
    static constexpr int kBytes = 32;
    static inline Floats values(const uint8_t* codes, int at) { return to_floats(load_signed_bytes(codes + at)); }
};
struct Values4 {
    static constexpr int kBytes = 16;
    static inline Floats values(const uint8_t* codes, int at) {
        const Ints c = load_bytes(codes + at % 16);
        return to_floats((at < 16 ? c & 15 : c >> 4) - 8);
    }
};

// The scales of a block of all keys; `apart` bytes from one key's block to the next one's.
HEARTH_INLINE inline void scales_of(const uint8_t* block, int64_t apart, float* scale) {
    constexpr int kCount = static_cast<int>(hearth::cpu::kPageTokens);
    uint16_t raw[kCount];
    for (int first = 0; first < kCount; first += 8, block += 8 * apart)
        unrolled<8>([&](auto key) HEARTH_INLINE { __builtin_memcpy(raw + first + key.value, block + key.value * apart, kScaleBytes); });
    for (int v = 0; v < kCount; v += kLanes) store(scale + v, AsF16::get(raw + v));
}

}  // namespace

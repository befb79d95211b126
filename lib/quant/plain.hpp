// The formats without blocks: F32, F16 and BF16.
#pragma once

#include <cstdint>

namespace hearth::quant {

// A plain format has one element per block and value<L>(b) instead of codes and scales.
struct F32 {
    static constexpr bool kPlain = true;
    static constexpr int kElements = 1;
    struct Block {
        float value;
    };
    template <class L>
    static float value(const Block& b) {
        return b.value;
    }
};

// IEEE binary16.
struct F16 {
    static constexpr bool kPlain = true;
    static constexpr int kElements = 1;
    struct Block {
        uint16_t bits;
    };
    template <class L>
    static float value(const Block& b) {
        return L::half(b.bits);
    }
};

// The upper half of an IEEE binary32.
struct BF16 {
    static constexpr bool kPlain = true;
    static constexpr int kElements = 1;
    struct Block {
        uint16_t bits;
    };
    template <class L>
    static float value(const Block& b) {
        return __builtin_bit_cast(float, static_cast<uint32_t>(b.bits) << 16);
    }
};

static_assert(sizeof(F32::Block) == 4 && sizeof(F16::Block) == 2 && sizeof(BF16::Block) == 2);

}  // namespace hearth::quant

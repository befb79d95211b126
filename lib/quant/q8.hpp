// Q8_0: 32 signed bytes under one scale.
#pragma once

#include <cstdint>

namespace hearth::quant {

// value = d * code
struct Q8_0 {
    static constexpr bool kPlain = false, kSigned = true, kHasMin = false;
    static constexpr int kElements = 32, kGroup = 32, kZero = 0;
    struct Block {
        uint16_t d;  // half
        int8_t qs[32];
    };
    template <class L>
    static typename L::Bytes codes(const Block& b, int i) {
        return L::load(reinterpret_cast<const uint8_t*>(b.qs + i));
    }
    template <class L>
    static float step(const Block& b) {
        return L::half(b.d);
    }
    template <class L>
    static int scale(const Block&, int) {
        return 1;
    }
};

static_assert(sizeof(Q8_0::Block) == 34);

}  // namespace hearth::quant

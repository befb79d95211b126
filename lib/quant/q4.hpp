// Q4_0 and Q4_1: 32 codes of 4 bits under one scale.
#pragma once

#include <cstdint>

namespace hearth::quant {

// value = d * (code - 8)
struct Q4_0 {
    static constexpr bool kPlain = false, kSigned = false, kHasMin = false;
    static constexpr int kElements = 32, kGroup = 32, kZero = 8;
    struct Block {
        uint16_t d;      // half
        uint8_t qs[16];  // byte j: element j in the low nibble, j + 16 in the high one
    };
    template <class L>
    static typename L::Bytes codes(const Block& b, int i) {
        return L::nibbles(b.qs, i);
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

// value = d * code + m
struct Q4_1 {
    static constexpr bool kPlain = false, kSigned = false, kHasMin = true;
    static constexpr int kElements = 32, kGroup = 32, kZero = 0;
    struct Block {
        uint16_t d, m;   // halves
        uint8_t qs[16];  // as in Q4_0
    };
    template <class L>
    static typename L::Bytes codes(const Block& b, int i) {
        return L::nibbles(b.qs, i);
    }
    template <class L>
    static float step(const Block& b) {
        return L::half(b.d);
    }
    template <class L>
    static int scale(const Block&, int) {
        return 1;
    }
    template <class L>
    static float min_step(const Block& b) {
        return -L::half(b.m);
    }
    template <class L>
    static int min(const Block&, int) {
        return 1;
    }
};

static_assert(sizeof(Q4_0::Block) == 18 && sizeof(Q4_1::Block) == 20);

}  // namespace hearth::quant

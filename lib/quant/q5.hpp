// Q5_0 and Q5_1: 32 codes of 5 bits under one scale; the fifth bits stand apart.
#pragma once

#include <cstdint>

namespace hearth::quant {

// value = d * (code - 16)
struct Q5_0 {
    static constexpr bool kPlain = false, kSigned = false, kHasMin = false;
    static constexpr int kElements = 32, kGroup = 32, kZero = 16;
    struct Block {
        uint16_t d;      // half
        uint8_t qh[4];   // bit i (lowest first): bit 4 of code i
        uint8_t qs[16];  // low 4 bits: element j in the low nibble of byte j, j + 16 in the high one
    };
    template <class L>
    static typename L::Bytes codes(const Block& b, int i) {
        return L::join(L::nibbles(b.qs, i), L::bits(b.qh, i), 4);
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
struct Q5_1 {
    static constexpr bool kPlain = false, kSigned = false, kHasMin = true;
    static constexpr int kElements = 32, kGroup = 32, kZero = 0;
    struct Block {
        uint16_t d, m;   // halves
        uint8_t qh[4];   // as in Q5_0
        uint8_t qs[16];  // as in Q5_0
    };
    template <class L>
    static typename L::Bytes codes(const Block& b, int i) {
        return L::join(L::nibbles(b.qs, i), L::bits(b.qh, i), 4);
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

static_assert(sizeof(Q5_0::Block) == 22 && sizeof(Q5_1::Block) == 24);

}  // namespace hearth::quant

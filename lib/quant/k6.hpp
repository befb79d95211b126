// Q6_K: 256 codes of 6 bits in 16 groups of 16, each with an 8-bit scale.
#pragma once

#include <cstdint>

namespace hearth::quant {

// value = d * scale * (code - 32)
struct Q6_K {
    static constexpr bool kPlain = false, kSigned = false, kHasMin = false;
    static constexpr int kElements = 256, kGroup = 16, kZero = 32;
    struct Block {
        uint8_t ql[128];  // low 4 bits; 128 elements in 64 bytes: byte l holds element l low and l + 64 high
        uint8_t qh[64];   // high 2 bits; 128 elements in 32 bytes: byte l holds l, l + 32, l + 64, l + 96
        int8_t scales[16];  // of group g
        uint16_t d;         // half
    };
    template <class L>
    static typename L::Bytes codes(const Block& b, int i) {
        const int n = i / 128, r = i % 128 / 32;
        const auto low = L::field(L::load(b.ql + n * 64 + i % 64), r / 2 * 4, 15);
        return L::join(low, L::field(L::load(b.qh + n * 32 + i % 32), r * 2, 3), 4);
    }
    template <class L>
    static float step(const Block& b) {
        return L::half(b.d);
    }
    template <class L>
    static int scale(const Block& b, int g) {
        return b.scales[g];
    }
};

static_assert(sizeof(Q6_K::Block) == 210);

}  // namespace hearth::quant

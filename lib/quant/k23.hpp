// Q2_K and Q3_K: 256 codes of 2 or 3 bits in 16 groups of 16.
#pragma once

#include <cstdint>

namespace hearth::quant {

// value = d * scale * code - dmin * min
struct Q2_K {
    static constexpr bool kPlain = false, kSigned = false, kHasMin = true;
    static constexpr int kElements = 256, kGroup = 16, kZero = 0;
    struct Block {
        uint8_t scales[16];  // of group g: low nibble scale, high nibble min
        uint8_t qs[64];  // 128 elements in 32 bytes: byte l holds elements l, l + 32, l + 64, l + 96, lowest
                         // first
        uint16_t d, dmin;  // halves
    };
    template <class L>
    static typename L::Bytes codes(const Block& b, int i) {
        return L::field(L::load(b.qs + i / 128 * 32 + i % 32), i % 128 / 32 * 2, 3);
    }
    template <class L>
    static float step(const Block& b) {
        return L::half(b.d);
    }
    template <class L>
    static int scale(const Block& b, int g) {
        return b.scales[g] & 15;
    }
    template <class L>
    static float min_step(const Block& b) {
        return L::half(b.dmin);
    }
    template <class L>
    static int min(const Block& b, int g) {
        return b.scales[g] >> 4;
    }
};

// value = d * scale * (code - 4), scale in -32..31
struct Q3_K {
    static constexpr bool kPlain = false, kSigned = false, kHasMin = false;
    static constexpr int kElements = 256, kGroup = 16, kZero = 4;
    struct Block {
        uint8_t hmask[32];   // bit 2 of the codes: byte l, bit i / 32 for element i with i % 32 == l
        uint8_t qs[64];      // bits 0 and 1, placed as in Q2_K
        uint8_t scales[12];  // 6 bits each, plus 32: low 4 bits of g in byte g % 8 (low nibble: g < 8),
                             // high 2 bits in byte 8 + g % 4 at bit 2 * (g / 4)
        uint16_t d;          // half
    };
    template <class L>
    static typename L::Bytes codes(const Block& b, int i) {
        const auto low = L::field(L::load(b.qs + i / 128 * 32 + i % 32), i % 128 / 32 * 2, 3);
        return L::join(low, L::field(L::load(b.hmask + i % 32), i / 32, 1), 2);
    }
    template <class L>
    static float step(const Block& b) {
        return L::half(b.d);
    }
    template <class L>
    static int scale(const Block& b, int g) {
        const int low = b.scales[g % 8] >> (g / 8 * 4) & 15, high = b.scales[8 + g % 4] >> (g / 4 * 2) & 3;
        return (low | high << 4) - 32;
    }
};

static_assert(sizeof(Q2_K::Block) == 84 && sizeof(Q3_K::Block) == 110);

}  // namespace hearth::quant

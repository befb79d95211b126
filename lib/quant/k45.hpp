// Q4_K and Q5_K: 256 codes of 4 or 5 bits in 8 groups of 32, each with a 6-bit scale and a 6-bit minimum.
#pragma once

#include <cstdint>

namespace hearth::quant {

// The 12 bytes that both formats keep their scales and minima in. For g < 4 the scale is the low 6 bits of
// byte g and the min those of byte g + 4; for g >= 4 byte g + 4 has the low 4 bits of the scale (low nibble)
// and of the min (high nibble), and the top 2 bits of bytes g - 4 (scale) and g (min) are their high 2 bits.
struct Scales6 {
    uint8_t bytes[12];
    template <class L>
    static int scale(const Scales6& s, int g) {
        return g < 4 ? s.bytes[g] & 63 : (s.bytes[g + 4] & 15) | (s.bytes[g - 4] >> 6) << 4;
    }
    template <class L>
    static int min(const Scales6& s, int g) {
        return g < 4 ? s.bytes[g + 4] & 63 : s.bytes[g + 4] >> 4 | (s.bytes[g] >> 6) << 4;
    }
};

// value = d * scale * code - dmin * min
struct Q4_K {
    static constexpr bool kPlain = false, kSigned = false, kHasMin = true;
    static constexpr int kElements = 256, kGroup = 32, kZero = 0;
    struct Block {
        uint16_t d, dmin;  // halves
        Scales6 scales;
        uint8_t qs[128];  // 64 elements in 32 bytes: byte l holds element l low and l + 32 high
    };
    template <class L>
    static typename L::Bytes codes(const Block& b, int i) {
        return L::field(L::load(b.qs + i / 64 * 32 + i % 32), i % 64 / 32 * 4, 15);
    }
    template <class L>
    static float step(const Block& b) {
        return L::half(b.d);
    }
    template <class L>
    static int scale(const Block& b, int g) {
        return Scales6::scale<L>(b.scales, g);
    }
    template <class L>
    static float min_step(const Block& b) {
        return L::half(b.dmin);
    }
    template <class L>
    static int min(const Block& b, int g) {
        return Scales6::min<L>(b.scales, g);
    }
};

// value = d * scale * code - dmin * min
struct Q5_K {
    static constexpr bool kPlain = false, kSigned = false, kHasMin = true;
    static constexpr int kElements = 256, kGroup = 32, kZero = 0;
    struct Block {
        uint16_t d, dmin;  // halves
        Scales6 scales;
        uint8_t qh[32];   // bit 4 of the codes: byte l, bit i / 32 for element i with i % 32 == l
        uint8_t qs[128];  // low 4 bits, placed as in Q4_K
    };
    template <class L>
    static typename L::Bytes codes(const Block& b, int i) {
        const auto low = L::field(L::load(b.qs + i / 64 * 32 + i % 32), i % 64 / 32 * 4, 15);
        return L::join(low, L::field(L::load(b.qh + i % 32), i / 32, 1), 4);
    }
    template <class L>
    static float step(const Block& b) {
        return L::half(b.d);
    }
    template <class L>
    static int scale(const Block& b, int g) {
        return Scales6::scale<L>(b.scales, g);
    }
    template <class L>
    static float min_step(const Block& b) {
        return L::half(b.dmin);
    }
    template <class L>
    static int min(const Block& b, int g) {
        return Scales6::min<L>(b.scales, g);
    }
};

static_assert(sizeof(Q4_K::Block) == 144 && sizeof(Q5_K::Block) == 176);

}  // namespace hearth::quant

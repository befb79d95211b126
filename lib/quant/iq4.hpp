// IQ4_NL and IQ4_XS: 4-bit indices into a table of 16 values that lie denser around zero.
#pragma once

#include <cstdint>

namespace hearth::quant {

// The 16 values. The array is a member of a template over Lanes so that each CPU level's object has its own.
template <class L>
struct Iq4Table {
    static constexpr int8_t kValues[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                           1,    13,   25,  38,  53,  69,  89,  113};
};

// value = d * table[index]; codes are the table's values
struct IQ4_NL {
    static constexpr bool kPlain = false, kSigned = true, kHasMin = false;
    static constexpr int kElements = 32, kGroup = 32, kZero = 0;
    struct Block {
        uint16_t d;      // half
        uint8_t qs[16];  // indices: element j in the low nibble of byte j, j + 16 in the high one
    };
    template <class L>
    static typename L::Bytes codes(const Block& b, int i) {
        return L::lookup(Iq4Table<L>::kValues, L::nibbles(b.qs, i));
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

// value = d * scale * table[index], scale in -32..31; codes are the table's values
struct IQ4_XS {
    static constexpr bool kPlain = false, kSigned = true, kHasMin = false;
    static constexpr int kElements = 256, kGroup = 32, kZero = 0;
    struct Block {
        uint16_t d;         // half
        uint16_t scales_h;  // high 2 bits of scale + 32, of group g at bit 2 * g
        uint8_t
            scales_l[4];  // low 4 bits: of group 2 * k in the low nibble of byte k, 2 * k + 1 in the high one
        uint8_t qs[128];  // per group of 32: 16 bytes as in IQ4_NL
    };
    template <class L>
    static typename L::Bytes codes(const Block& b, int i) {
        return L::lookup(Iq4Table<L>::kValues, L::nibbles(b.qs + i / 32 * 16, i % 32));
    }
    template <class L>
    static float step(const Block& b) {
        return L::half(b.d);
    }
    template <class L>
    static int scale(const Block& b, int g) {
        return ((b.scales_l[g / 2] >> (g % 2 * 4) & 15) | (b.scales_h >> (2 * g) & 3) << 4) - 32;
    }
};

static_assert(sizeof(IQ4_NL::Block) == 18 && sizeof(IQ4_XS::Block) == 136);

}  // namespace hearth::quant

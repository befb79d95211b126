// MXFP4: 32 floats of 4 bits (1 sign, 2 exponent, 1 mantissa) under one power of two.
#pragma once

#include <cstdint>

namespace hearth::quant {

// The 16 values, doubled to be integers, sign in bit 3 of the index (see Iq4Table for why this is a
// template).
template <class L>
struct Fp4Table {
    static constexpr int8_t kValues[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
};

// value = 2^(e - 128) * table[index]; codes are the table's doubled values, hence 128 where the specification
// has 127. The specification's NaN (e = 255) reads as 2^127 here, as in ggml.
struct MXFP4 {
    static constexpr bool kPlain = false, kSigned = true, kHasMin = false;
    static constexpr int kElements = 32, kGroup = 32, kZero = 0;
    struct Block {
        uint8_t e;       // exponent, biased
        uint8_t qs[16];  // indices: element j in the low nibble of byte j, j + 16 in the high one
    };
    template <class L>
    static typename L::Bytes codes(const Block& b, int i) {
        return L::lookup(Fp4Table<L>::kValues, L::nibbles(b.qs, i));
    }
    template <class L>
    static float step(const Block& b) {  // 2^-128 and 2^-127 are subnormal
        const uint32_t e = b.e;
        return __builtin_bit_cast(float, e < 2 ? uint32_t{0x00200000} << e : (e - 1) << 23);
    }
    template <class L>
    static int scale(const Block&, int) {
        return 1;
    }
};

static_assert(sizeof(MXFP4::Block) == 17);

}  // namespace hearth::quant

// Puts codes, one per byte, into the bit positions that blocks keep them in.
#pragma once

#include <cstdint>

#include "quant/iq4.hpp"

namespace hearth::quant {

// out: [16]; low nibbles of codes 0..15 low, of 16..31 high. codes: [32]
inline void pack_nibbles(const int8_t* codes, uint8_t* out) {
    for (int j = 0; j < 16; ++j) out[j] = static_cast<uint8_t>((codes[j] & 15) | (codes[j + 16] & 15) << 4);
}

// out: [4], zeroed; bit `bit` of each code, lowest first. codes: [32]
inline void pack_bits(const int8_t* codes, int bit, uint8_t* out) {
    for (int i = 0; i < 32; ++i)
        out[i / 8] = static_cast<uint8_t>(out[i / 8] | (codes[i] >> bit & 1) << (i % 8));
}

// Adds n_bit bits of 256 codes, from bit `from` up, to fields of n_bit bits: `span` consecutive elements lie
// in as many consecutive bytes, the next `span` in the next field of the same bytes, until the bytes are
// full. out zeroed.
inline void pack_fields(const int8_t* codes, int from, int n_bit, int span, uint8_t* out) {
    const int n_field = 8 / n_bit;
    for (int i = 0; i < 256; ++i) {
        uint8_t& byte = out[i / (span * n_field) * span + i % span];
        const int field = codes[i] >> from & ((1 << n_bit) - 1);
        byte = static_cast<uint8_t>(byte | field << (i / span % n_field * n_bit));
    }
}

// The index of one of the 16 values of IQ4_NL.
inline int8_t iq4_index(int8_t value) {
    int index = 0;
    while (index < 15 && Iq4Table<void>::kValues[index] != value) ++index;
    return static_cast<int8_t>(index);
}

}  // namespace hearth::quant

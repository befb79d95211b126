// GPT-2's byte alphabet: each byte has one printable character, so that byte-level vocabularies are plain
// text.
#pragma once

#include <cstdint>

namespace hearth {

// Bytes that print in Latin-1 stand for themselves, the other 68 for U+0100 and up, in order.
constexpr bool byte_prints(uint32_t byte) {
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

struct ByteAlphabet {
    uint16_t code[256] = {};   // byte -> code point
    int16_t byte[0x144] = {};  // code point -> byte, -1 where none

    constexpr ByteAlphabet() {
        for (int16_t& b : byte) b = -1;
        uint16_t next = 0x100;
        for (uint32_t b = 0; b < 256; ++b) {
            code[b] = byte_prints(b) ? static_cast<uint16_t>(b) : next++;
            byte[code[b]] = static_cast<int16_t>(b);
        }
    }
};

inline constexpr ByteAlphabet kByteAlphabet;

}  // namespace hearth

// 16-bit float types as plain structs over uint16_t (compilers disagree on native ones), converted in software.
#pragma once

#include <bit>
#include <cstdint>

namespace hearth {

struct Half {
    uint16_t bits;
};
struct Bf16 {
    uint16_t bits;
};

inline float to_float(Bf16 h) { return std::bit_cast<float>(uint32_t{h.bits} << 16); }

inline float to_float(Half h) {
    const uint32_t sign = uint32_t{h.bits & 0x8000u} << 16, exponent = (h.bits >> 10) & 31, mantissa = h.bits & 1023;
    if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
    if (exponent != 0) return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
    const float magnitude = static_cast<float>(mantissa) * 0x1p-24f;  // zero and subnormals
    return sign ? -magnitude : magnitude;
}

// Round to nearest even; NaN stays NaN (quiet).
inline Bf16 to_bf16(float f) {
    const uint32_t u = std::bit_cast<uint32_t>(f);
    if ((u & 0x7fffffffu) > 0x7f800000u) return {static_cast<uint16_t>((u >> 16) | 64)};
    return {static_cast<uint16_t>((u + 0x7fffu + ((u >> 16) & 1)) >> 16)};
}

inline Half to_half(float f) {
    const uint32_t u = std::bit_cast<uint32_t>(f), sign = (u >> 16) & 0x8000u, magnitude = u & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return {static_cast<uint16_t>(sign | 0x7e00u)};
    if (magnitude >= 0x477ff000u) return {static_cast<uint16_t>(sign | 0x7c00u)};  // rounds past 65504
    if (magnitude < 0x38800000u) {  // below 2^-14: adding 0.5 shifts the bits to where a half subnormal has them
        const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
        return {static_cast<uint16_t>(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000u))};
    }
    const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1);
    return {static_cast<uint16_t>(sign | ((rounded >> 13) - (112u << 10)))};
}

}  // namespace hearth

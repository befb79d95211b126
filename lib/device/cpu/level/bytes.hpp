// Codes side by side as bytes: the Lanes policy (quant/lanes.hpp) of this level, and dot products of codes with int8.
#pragma once

#include "device/cpu/level/lanes.hpp"
#include "quant/lanes.hpp"

namespace {

struct Simd {
#if defined(__AVX2__)
    static constexpr int kWidth = 32;
#else
    static constexpr int kWidth = 16;
#endif
    typedef uint8_t Bytes __attribute__((vector_size(kWidth)));
    typedef uint16_t Wide __attribute__((vector_size(kWidth)));

    static inline Bytes load(const uint8_t* p) { return ::load<Bytes>(p); }
    static inline Bytes field(Bytes b, int shift, int mask) {  // 16 bits at a time: the mask drops the neighbour's bits
        const Wide shifted = reinterpret_cast<Wide>(b) >> shift;
        return reinterpret_cast<Bytes>(shifted) & static_cast<uint8_t>(mask);
    }
    static inline Bytes join(Bytes low, Bytes high, int shift) {  // codes have at most 8 bits: nothing spills
        const Wide shifted = reinterpret_cast<Wide>(high) << shift;
        return low | reinterpret_cast<Bytes>(shifted);
    }
    static inline float half(uint16_t bits) { return get_one<AsF16>(&bits); }

#if defined(__AVX2__)
    static inline Bytes nibbles(const uint8_t* p, int) {
        const __m128i b = ::load<__m128i>(p);
        const __m256i both = _mm256_set_m128i(_mm_srli_epi16(b, 4), b);
        return reinterpret_cast<Bytes>(_mm256_and_si256(both, _mm256_set1_epi8(15)));
    }
    static inline Bytes bits(const uint8_t* p, int) {
        const __m256i spread = _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
        const __m256i select = _mm256_set1_epi64x(static_cast<int64_t>(0x8040201008040201u));
        const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(::load<int32_t>(p)), spread);
        const __m256i hit = _mm256_cmpeq_epi8(_mm256_and_si256(bytes, select), select);
        return reinterpret_cast<Bytes>(_mm256_and_si256(hit, _mm256_set1_epi8(1)));
    }
    static inline Bytes lookup(const int8_t* table, Bytes b) {
        const __m256i t = _mm256_broadcastsi128_si256(::load<__m128i>(table));
        return reinterpret_cast<Bytes>(_mm256_shuffle_epi8(t, reinterpret_cast<__m256i>(b)));
    }
#else
    static inline Bytes nibbles(const uint8_t* p, int i) { return field(load(p), i / 16 * 4, 15); }
    static inline Bytes bits(const uint8_t* p, int i) {
        Bytes out;
        for (int k = 0; k < kWidth; ++k) out[k] = p[(i + k) / 8] >> ((i + k) % 8) & 1;
        return out;
    }
    static inline Bytes lookup(const int8_t* table, Bytes b) {
#if defined(__SSSE3__)
        return reinterpret_cast<Bytes>(_mm_shuffle_epi8(::load<__m128i>(table), reinterpret_cast<__m128i>(b)));
#else
        Bytes out;
        for (int k = 0; k < kWidth; ++k) out[k] = static_cast<uint8_t>(table[b[k]]);
        return out;
#endif
    }
#endif
};
static_assert(hearth::quant::Lanes<Simd>);

typedef int32_t Sums __attribute__((vector_size(Simd::kWidth)));    // each: 4 products
typedef int16_t Factors __attribute__((vector_size(Simd::kWidth)));  // scale of 2 neighbouring products each

// Sums of 4 neighbouring code * q * factor. Unsigned codes are below 64, signed ones in -127..127: pairs fit 16 bits.
template <bool is_signed>
inline Sums dot(Simd::Bytes codes, const int8_t* q, Factors factor) {
#if defined(__AVX2__)
    __m256i a = reinterpret_cast<__m256i>(codes), b = load<__m256i>(q);
    if (is_signed) {
        b = _mm256_sign_epi8(b, a);
        a = _mm256_abs_epi8(a);
    }
    return reinterpret_cast<Sums>(_mm256_madd_epi16(_mm256_maddubs_epi16(a, b), reinterpret_cast<__m256i>(factor)));
#elif defined(__SSSE3__)
    __m128i a = reinterpret_cast<__m128i>(codes), b = load<__m128i>(q);
    if (is_signed) {
        b = _mm_sign_epi8(b, a);
        a = _mm_abs_epi8(a);
    }
    return reinterpret_cast<Sums>(_mm_madd_epi16(_mm_maddubs_epi16(a, b), reinterpret_cast<__m128i>(factor)));
#else
    Sums out{};
    for (int i = 0; i < Simd::kWidth; ++i) {
        const int code = is_signed ? static_cast<int8_t>(codes[i]) : codes[i];
        out[i / 4] += code * q[i] * factor[i / 2];
    }
    return out;
#endif
}

}  // namespace

// Integer dot products of a panel: each 32-bit lane belongs to one row and holds 4 neighbouring codes of it.
#pragma once

#include "device/cpu/kernels.hpp"
#include "device/cpu/level/lanes.hpp"

namespace {

constexpr int kVectors = static_cast<int>(hearth::cpu::kPanelRows) / kLanes;  // registers per panel

inline Ints loadi(const void* p) { return load<Ints>(static_cast<const uint8_t*>(p)); }
inline Ints splat4(const void* p) { return Ints{} + load<int32_t>(static_cast<const uint8_t*>(p)); }  // 4 bytes to every lane
inline Ints bits(Ints codes, int shift, int mask) {  // (byte >> shift) & mask in every byte
    return (reinterpret_cast<Ints>(reinterpret_cast<Words>(codes) >> shift)) & (mask * 0x01010101);
}
inline Ints raise(Ints codes, int shift) { return codes << shift; }  // bytes must have room above
// Bit k of every lane, for k = 0..3, as bit `to` of byte k.
inline Ints spread_bits(Ints nibble, int to) {
    const Ints spread = nibble | (nibble << 7) | (nibble << 14) | (nibble << 21);
    return (spread & 0x01010101) << to;
}
// kLanes halves as floats.
inline Floats halves(const uint8_t* p) {
    uint16_t h[kLanes];
    __builtin_memcpy(h, p, sizeof h);
    return AsF16::get(h);
}
inline Ints pair(Ints a, Ints b) { return (a & 0xffff) | (b << 16); }  // two 16-bit factors in a lane

// a[0] * b[0] + a[1] * b[1] of the 16-bit halves of every lane.
inline Ints pair_dot(Ints a, Ints b) {
#if defined(__AVX512BW__)
    return reinterpret_cast<Ints>(_mm512_madd_epi16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif defined(__AVX2__)
    return reinterpret_cast<Ints>(_mm256_madd_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#elif defined(__SSSE3__)
    return reinterpret_cast<Ints>(_mm_madd_epi16(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#else
    return ((a << 16) >> 16) * ((b << 16) >> 16) + (a >> 16) * (b >> 16);
#endif
}

// Sums of code * q over the 4 bytes of a lane, still unfinished: 32-bit lanes where the level has such an instruction,
// otherwise two 16-bit halves that must stay within +-32767 (8 steps of 4-bit codes, 4 of 5, 2 of 6).
inline Ints dot_step(Ints partial, Ints codes, Ints q) {
#if defined(__AVX512VNNI__)
    return reinterpret_cast<Ints>(_mm512_dpbusd_epi32(reinterpret_cast<__m512i>(partial), reinterpret_cast<__m512i>(codes),
                                                      reinterpret_cast<__m512i>(q)));
#elif defined(__AVX2__)
    const __m256i product = _mm256_maddubs_epi16(reinterpret_cast<__m256i>(codes), reinterpret_cast<__m256i>(q));
    return reinterpret_cast<Ints>(_mm256_add_epi16(reinterpret_cast<__m256i>(partial), product));
#elif defined(__SSSE3__)
    const __m128i product = _mm_maddubs_epi16(reinterpret_cast<__m128i>(codes), reinterpret_cast<__m128i>(q));
    return reinterpret_cast<Ints>(_mm_add_epi16(reinterpret_cast<__m128i>(partial), product));
#else
    for (int byte = 0; byte < 4; ++byte) {
        const Ints c = (codes >> (8 * byte)) & 255, x = (q << (24 - 8 * byte)) >> 24;
        partial += c * x;
    }
    return partial;
#endif
}

// The finished sums times a factor per lane; `factor` comes from spread().
#if defined(__AVX512VNNI__) || !defined(__SSSE3__)
inline Ints spread(Ints factor) { return factor; }
inline Ints finish(Ints partial, Ints factor) { return partial * factor; }
inline Ints finish(Ints partial) { return partial; }
#else
inline Ints spread(Ints factor) { return pair(factor, factor); }
inline Ints finish(Ints partial, Ints factor) { return pair_dot(partial, factor); }
inline Ints finish(Ints partial) { return pair_dot(partial, Ints{} + 0x00010001); }
#endif

// Adds factor times the sums of signed code * q; kSignedOffset * factor times the sum of q is in it and must come off.
#if defined(__AVX512VNNI__)
constexpr int kSignedOffset = 128;
inline Ints dot_signed(Ints total, Ints codes, Ints q, Ints factor) {
    return total + finish(dot_step(Ints{}, codes ^ static_cast<int32_t>(0x80808080), q), factor);
}
#elif defined(__AVX2__)
constexpr int kSignedOffset = 0;
inline Ints dot_signed(Ints total, Ints codes, Ints q, Ints factor) {
    const __m256i w = reinterpret_cast<__m256i>(codes), x = _mm256_sign_epi8(reinterpret_cast<__m256i>(q), w);
    return total + finish(reinterpret_cast<Ints>(_mm256_maddubs_epi16(_mm256_abs_epi8(w), x)), factor);
}
#elif defined(__SSSE3__)
constexpr int kSignedOffset = 0;
inline Ints dot_signed(Ints total, Ints codes, Ints q, Ints factor) {
    const __m128i w = reinterpret_cast<__m128i>(codes), x = _mm_sign_epi8(reinterpret_cast<__m128i>(q), w);
    return total + finish(reinterpret_cast<Ints>(_mm_maddubs_epi16(_mm_abs_epi8(w), x)), factor);
}
#else
constexpr int kSignedOffset = 0;
inline Ints dot_signed(Ints total, Ints codes, Ints q, Ints factor) {
    Ints sums{};
    for (int byte = 0; byte < 4; ++byte) sums += ((codes << (24 - 8 * byte)) >> 24) * ((q << (24 - 8 * byte)) >> 24);
    return total + sums * factor;
}
#endif

// table[index] for every byte; table: [16], indices below 16.
inline Ints lookup(const int8_t* table, Ints index) {
#if defined(__AVX512BW__)
    const __m512i t = _mm512_broadcast_i32x4(load<__m128i>(table));
    return reinterpret_cast<Ints>(_mm512_shuffle_epi8(t, reinterpret_cast<__m512i>(index)));
#elif defined(__AVX2__)
    const __m256i t = _mm256_broadcastsi128_si256(load<__m128i>(table));
    return reinterpret_cast<Ints>(_mm256_shuffle_epi8(t, reinterpret_cast<__m256i>(index)));
#elif defined(__SSSE3__)
    return reinterpret_cast<Ints>(_mm_shuffle_epi8(load<__m128i>(table), reinterpret_cast<__m128i>(index)));
#else
    uint8_t bytes[4 * kLanes];
    store(bytes, index);
    for (uint8_t& b : bytes) b = static_cast<uint8_t>(table[b]);
    return loadi(bytes);
#endif
}

}  // namespace

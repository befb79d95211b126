// Integer dot products of a panel: each 32-bit lane belongs to one row and holds 4 neighbouring codes of it.
#pragma once

#include "device/cpu/kernels.hpp"
#include "device/cpu/level/lanes.hpp"

namespace {

typedef int8_t Bytes __attribute__((vector_size(4 * kLanes)));
typedef uint8_t Octets __attribute__((vector_size(4 * kLanes)));
typedef int16_t Shorts __attribute__((vector_size(4 * kLanes)));

constexpr int kVectors = static_cast<int>(hearth::cpu::kPanelRows) / kLanes;  // registers per panel

HEARTH_INLINE inline Ints loadi(const void* p) { return load<Ints>(static_cast<const uint8_t*>(p)); }
// 4 bytes to every lane.
HEARTH_INLINE inline Ints splat4(const void* p) { return Ints{} + load<int32_t>(static_cast<const uint8_t*>(p)); }
HEARTH_INLINE inline Ints bits(Ints codes, int shift, int mask) {  // (byte >> shift, or << -shift) & mask in every byte
#if defined(HEARTH_NEON)  // shifts bytes alone, after which the upper bits need no mask
    const Octets shifted = reinterpret_cast<Octets>(codes) >> static_cast<uint8_t>(shift);
    return reinterpret_cast<Ints>(mask == 255 >> shift ? shifted : shifted & static_cast<uint8_t>(mask));
#else
    const Words words = reinterpret_cast<Words>(codes);
    const auto of_all = static_cast<int32_t>(static_cast<uint32_t>(mask) * 0x01010101u);
    return reinterpret_cast<Ints>(shift < 0 ? words << -shift : words >> shift) & of_all;
#endif
}
HEARTH_INLINE inline Ints raise(Ints codes, int shift) { return codes << shift; }  // bytes must have room above
// kLanes halves as floats.
HEARTH_INLINE inline Floats halves(const uint8_t* p) {
    uint16_t h[kLanes];
    __builtin_memcpy(h, p, sizeof h);
    return AsF16::get(h);
}
// The low half of a and the high one of b in every lane.
HEARTH_INLINE inline Ints pair(Ints a, Ints b) {
#if defined(__AVX2__) && !defined(__AVX512BW__)
    return reinterpret_cast<Ints>(_mm256_blend_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b), 0xaa));
#else
    return (a & 0xffff) | (b & static_cast<int32_t>(0xffff0000));
#endif
}

// kLanes bytes each of a and b as the low and the high halves of lanes.
template <bool is_signed>
HEARTH_INLINE inline Ints byte_pairs(const uint8_t* a, const uint8_t* b) {
#if defined(__AVX512BW__)
    const __m128i x = load<__m128i>(a), y = load<__m128i>(b);
    const __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_unpacklo_epi8(x, y)), _mm_unpackhi_epi8(x, y), 1);
    return reinterpret_cast<Ints>(is_signed ? _mm512_cvtepi8_epi16(both) : _mm512_cvtepu8_epi16(both));
#elif defined(__AVX2__)
    const __m128i both = _mm_unpacklo_epi8(_mm_cvtsi64_si128(load<int64_t>(a)), _mm_cvtsi64_si128(load<int64_t>(b)));
    return reinterpret_cast<Ints>(is_signed ? _mm256_cvtepi8_epi16(both) : _mm256_cvtepu8_epi16(both));
#else
    return is_signed ? pair(load_signed_bytes(a), load_signed_bytes(b) << 16) : load_bytes(a) | load_bytes(b) << 16;
#endif
}

// a[0] * b[0] + a[1] * b[1] of the 16-bit halves of every lane.
HEARTH_INLINE inline Ints pair_dot(Ints a, Ints b) {
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

// Sums of pair_dot(). Nothing is cleared by itself: GCC 12 would clear arrays of them in memory.
struct PairSums {
#if defined(HEARTH_NEON)  // of two lanes each until total()
    Ints low, high;
    HEARTH_INLINE void clear() { low = high = Ints{}; }
    HEARTH_INLINE void add(Ints a, Ints b) {
        const auto x = reinterpret_cast<int16x8_t>(a), y = reinterpret_cast<int16x8_t>(b);
        low = reinterpret_cast<Ints>(vmlal_s16(reinterpret_cast<int32x4_t>(low), vget_low_s16(x), vget_low_s16(y)));
        high = reinterpret_cast<Ints>(vmlal_high_s16(reinterpret_cast<int32x4_t>(high), x, y));
    }
    HEARTH_INLINE Ints total() const {
        return reinterpret_cast<Ints>(vpaddq_s32(reinterpret_cast<int32x4_t>(low), reinterpret_cast<int32x4_t>(high)));
    }
#else
    Ints sum;
    HEARTH_INLINE void clear() { sum = Ints{}; }
    HEARTH_INLINE void add(Ints a, Ints b) {
#if defined(__AVX512VNNI__)
        sum = reinterpret_cast<Ints>(
            _mm512_dpwssd_epi32(reinterpret_cast<__m512i>(sum), reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif defined(HEARTH_VNNI)
        sum = reinterpret_cast<Ints>(
            _mm256_dpwssd_avx_epi32(reinterpret_cast<__m256i>(sum), reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#else
        sum += pair_dot(a, b);
#endif
    }
    HEARTH_INLINE Ints total() const { return sum; }
#endif
};

// Whether dot_step() sums in 32 bits and takes signed codes too, as offset_codes() makes them.
#if defined(HEARTH_VNNI) || defined(HEARTH_NEON)
constexpr bool kWideSteps = true, kSignedSteps = true;
#else
constexpr bool kWideSteps = false, kSignedSteps = false;
#endif

// Whether products of bytes take many operations.
#if defined(__SSSE3__) || defined(HEARTH_NEON)
constexpr bool kSlowBytes = false;
#else
constexpr bool kSlowBytes = true;
#endif

// codes[2i] * q[2i] + codes[2i + 1] * q[2i + 1] of the bytes, in 16 bits, where the level has no instruction for it; q is signed and
// the lower 8 bits of a word, or its upper ones, are a code.
HEARTH_INLINE inline Shorts byte_dot(Shorts lower_codes, Shorts upper_codes, Ints q) {
    const Shorts x = reinterpret_cast<Shorts>(q);
    return lower_codes * ((x << 8) >> 8) + upper_codes * (x >> 8);
}

// Sums of code * q over the 4 bytes of a lane, still unfinished: 32-bit lanes where the level has such an instruction,
// otherwise two 16-bit halves that must stay within +-32767 (8 steps of 4-bit codes, 4 of 5, 2 of 6).
HEARTH_INLINE inline Ints dot_step(Ints partial, Ints codes, Ints q) {
#if defined(__AVX512VNNI__)
    return reinterpret_cast<Ints>(_mm512_dpbusd_epi32(reinterpret_cast<__m512i>(partial), reinterpret_cast<__m512i>(codes),
                                                      reinterpret_cast<__m512i>(q)));
#elif defined(HEARTH_VNNI)
    return reinterpret_cast<Ints>(_mm256_dpbusd_avx_epi32(reinterpret_cast<__m256i>(partial), reinterpret_cast<__m256i>(codes),
                                                          reinterpret_cast<__m256i>(q)));
#elif defined(__AVX2__)
    const __m256i product = _mm256_maddubs_epi16(reinterpret_cast<__m256i>(codes), reinterpret_cast<__m256i>(q));
    Ints sum = reinterpret_cast<Ints>(_mm256_add_epi16(reinterpret_cast<__m256i>(partial), product));
    __asm__("" : "+x"(sum));  // GCC 12 would multiply for all steps first and run out of registers
    return sum;
#elif defined(__SSSE3__)
    const __m128i product = _mm_maddubs_epi16(reinterpret_cast<__m128i>(codes), reinterpret_cast<__m128i>(q));
    return reinterpret_cast<Ints>(_mm_add_epi16(reinterpret_cast<__m128i>(partial), product));
#elif defined(HEARTH_NEON)  // both are signed; no code without a sign is above 127
    return reinterpret_cast<Ints>(vdotq_s32(reinterpret_cast<int32x4_t>(partial), reinterpret_cast<int8x16_t>(codes),
                                            reinterpret_cast<int8x16_t>(q)));
#else
    const Shorts c = reinterpret_cast<Shorts>(codes);
    return reinterpret_cast<Ints>(reinterpret_cast<Shorts>(partial) + byte_dot(c & 255, (c >> 8) & 255, q));
#endif
}

// Activations 4at..4at+3 of the 16 at q, for a step of all lanes.
#if defined(HEARTH_NEON)  // a product names the 4 bytes that it takes of a register
template <int at>
struct Quad {
    Ints all;
};
template <int at>
HEARTH_INLINE inline Quad<at> quad(const int8_t* q) { return {loadi(q)}; }
template <int at>
HEARTH_INLINE inline Ints dot_step(Ints partial, Ints codes, Quad<at> q) {
    return reinterpret_cast<Ints>(vdotq_laneq_s32(reinterpret_cast<int32x4_t>(partial), reinterpret_cast<int8x16_t>(codes),
                                                  reinterpret_cast<int8x16_t>(q.all), at));
}
#else
template <int at>
HEARTH_INLINE inline Ints quad(const int8_t* q) { return splat4(q + 4 * at); }
#endif

// Two steps as one, for many tokens: codes of 2 rows by activations of 2 tokens, 8 bytes each, give the sums of
// (row, token), (row, token + 1), (row + 1, token), (row + 1, token + 1).
#if defined(__ARM_FEATURE_MATMUL_INT8)
#define HEARTH_SQUARES 1
HEARTH_INLINE inline Ints square_step(Ints partial, Ints codes, Ints q) {
    return reinterpret_cast<Ints>(vmmlaq_s32(reinterpret_cast<int32x4_t>(partial), reinterpret_cast<int8x16_t>(codes),
                                             reinterpret_cast<int8x16_t>(q)));
}
HEARTH_INLINE inline Ints two_tokens(const int8_t* a, const int8_t* b) {
    return reinterpret_cast<Ints>(vcombine_s8(vld1_s8(a), vld1_s8(b)));
}
// The codes of a register's rows in two neighbouring steps become those of its first two rows and of its last two.
HEARTH_INLINE inline void join_steps(Ints& a, Ints& b) {
    const Ints first = __builtin_shufflevector(a, b, 0, 4, 1, 5), last = __builtin_shufflevector(a, b, 2, 6, 3, 7);
    a = first, b = last;
}
// The sums of two rows and of two more become those of a token and of the next.
HEARTH_INLINE inline void part_tokens(Ints& a, Ints& b) {
    const Ints even = __builtin_shufflevector(a, b, 0, 2, 4, 6), odd = __builtin_shufflevector(a, b, 1, 3, 5, 7);
    a = even, b = odd;
}
#else
HEARTH_INLINE inline void join_steps(Ints&, Ints&) {}
#endif

// The finished sums times a factor per lane; `factor` comes from factor_of().
HEARTH_INLINE inline Ints finish(Ints partial, Ints factor) { return kWideSteps ? partial * factor : pair_dot(partial, factor); }
HEARTH_INLINE inline Ints finish(Ints partial) {
#if defined(__SSSE3__)
    return kWideSteps ? partial : pair_dot(partial, Ints{} + 0x00010001);
#else
    return kWideSteps ? partial : ((partial << 16) >> 16) + (partial >> 16);
#endif
}

constexpr int kIsSigned = 0;  // in place of the steps that fit 16 bits

// Adds the sums of signed code * q, times factor where `scaled`. kSignedOffset times the sum of q is in it and must come off.
#if defined(HEARTH_VNNI)
constexpr int kSignedOffset = 128;
HEARTH_INLINE inline Ints offset_codes(Ints codes) { return codes ^ static_cast<int32_t>(0x80808080); }
#else
constexpr int kSignedOffset = 0;
HEARTH_INLINE inline Ints offset_codes(Ints codes) { return codes; }
#endif
#if defined(HEARTH_SQUARES)
constexpr bool kCodesStay = false;
#else
constexpr bool kCodesStay = kSignedOffset == 0;  // neither offset_codes() nor join_steps() changes any
#endif
#if defined(HEARTH_VNNI) || defined(HEARTH_NEON)
template <bool scaled>
HEARTH_INLINE inline Ints dot_signed(Ints total, Ints codes, Ints q, Ints) {
    static_assert(!scaled, "several dot_step() of offset_codes() share one product with the factor");
    return dot_step(total, offset_codes(codes), q);
}
#else
template <bool scaled>
HEARTH_INLINE inline Ints dot_signed(Ints total, Ints codes, Ints q, Ints factor) {
#if defined(__AVX2__)
    const __m256i w = reinterpret_cast<__m256i>(codes), x = _mm256_sign_epi8(reinterpret_cast<__m256i>(q), w);
    const Ints products = reinterpret_cast<Ints>(_mm256_maddubs_epi16(_mm256_abs_epi8(w), x));
    Ints sum = total + (scaled ? finish(products, factor) : finish(products));
    __asm__("" : "+x"(sum));  // as above
    return sum;
#elif defined(__SSSE3__)
    const __m128i w = reinterpret_cast<__m128i>(codes), x = _mm_sign_epi8(reinterpret_cast<__m128i>(q), w);
    const Ints products = reinterpret_cast<Ints>(_mm_maddubs_epi16(_mm_abs_epi8(w), x));
    return total + (scaled ? finish(products, factor) : finish(products));
#else
    const Shorts c = reinterpret_cast<Shorts>(codes);
    const Ints products = reinterpret_cast<Ints>(byte_dot((c << 8) >> 8, c >> 8, q));
    return total + (scaled ? finish(products, factor) : finish(products));
#endif
}
#endif

// table[index] for every byte; table: [16], indices below 16.
template <class Byte>
HEARTH_INLINE inline Ints lookup(const Byte* table, Ints index) {
#if defined(__AVX512BW__)
    const __m512i t = _mm512_broadcast_i32x4(load<__m128i>(table));
    return reinterpret_cast<Ints>(_mm512_shuffle_epi8(t, reinterpret_cast<__m512i>(index)));
#elif defined(__AVX2__)
    const __m256i t = _mm256_broadcastsi128_si256(load<__m128i>(table));
    return reinterpret_cast<Ints>(_mm256_shuffle_epi8(t, reinterpret_cast<__m256i>(index)));
#elif defined(__SSSE3__)
    return reinterpret_cast<Ints>(_mm_shuffle_epi8(load<__m128i>(table), reinterpret_cast<__m128i>(index)));
#elif defined(HEARTH_NEON)
    return reinterpret_cast<Ints>(vqtbl1q_s8(load<int8x16_t>(table), reinterpret_cast<uint8x16_t>(index)));
#else
    uint8_t bytes[4 * kLanes];
    store(bytes, index);
    for (uint8_t& b : bytes) b = static_cast<uint8_t>(table[b]);
    return loadi(bytes);
#endif
}

// One byte of each of the 16 rows, to be spread to lanes by words_of(): every 128 bits hold all of them.
HEARTH_INLINE inline Ints rows16(const uint8_t* p) {
#if defined(__AVX512BW__)
    return reinterpret_cast<Ints>(_mm512_broadcast_i32x4(load<__m128i>(p)));
#elif defined(__AVX2__)
    return reinterpret_cast<Ints>(_mm256_broadcastsi128_si256(load<__m128i>(p)));
#else
    return loadi(p);
#endif
}
// Where in 16 bytes the rows of register v are: twice in each lane, in bytes `at` and at + 2; 128 = a zero.
template <int v, int at>
struct RowShuffle {
    alignas(64) int8_t index[4 * kLanes];
    constexpr RowShuffle() : index{} {
        for (int i = 0; i < 4 * kLanes; ++i) index[i] = static_cast<int8_t>(i % 2 == at ? v * kLanes + i / 4 : -128);
    }
};
template <int v, int at>
HEARTH_INLINE inline Ints shuffle_rows(Ints rows) {
    static constexpr RowShuffle<v, at> kShuffle;
#if defined(__AVX512BW__)
    return reinterpret_cast<Ints>(_mm512_shuffle_epi8(reinterpret_cast<__m512i>(rows), load<__m512i>(kShuffle.index)));
#elif defined(__AVX2__)
    return reinterpret_cast<Ints>(_mm256_shuffle_epi8(reinterpret_cast<__m256i>(rows), load<__m256i>(kShuffle.index)));
#elif defined(__SSSE3__)
    return reinterpret_cast<Ints>(_mm_shuffle_epi8(reinterpret_cast<__m128i>(rows), load<__m128i>(kShuffle.index)));
#elif defined(HEARTH_NEON)
    return reinterpret_cast<Ints>(vqtbl1q_u8(reinterpret_cast<uint8x16_t>(rows), load<uint8x16_t>(kShuffle.index)));
#else
    uint8_t from[16], to[16];
    store(from, rows);
    for (int i = 0; i < 16; ++i) to[i] = kShuffle.index[i] < 0 ? uint8_t{0} : from[kShuffle.index[i]];
    return loadi(to);
#endif
}
// The bytes of the rows of register v as both 16-bit halves of their lanes.
template <int v>
HEARTH_INLINE inline Ints words_of(Ints rows) { return shuffle_rows<v, 0>(rows); }
template <int v>
HEARTH_INLINE inline Ints signed_words_of(Ints rows) {
    return reinterpret_cast<Ints>(reinterpret_cast<Shorts>(shuffle_rows<v, 1>(rows)) >> 8);
}
HEARTH_INLINE inline Ints minus32(Ints rows) { return reinterpret_cast<Ints>(reinterpret_cast<Bytes>(rows) - static_cast<int8_t>(32)); }
// For finish(), from words_of() or signed_words_of(), whose halves are equal.
HEARTH_INLINE inline Ints factor_of(Ints words) { return kWideSteps ? words >> 16 : words; }
HEARTH_INLINE inline Ints number_of(Ints factor) { return kWideSteps ? factor : factor >> 16; }  // the other way round

// The values of IQ4_NL and IQ4_XS for 4-bit codes.
HEARTH_INLINE inline Ints iq4_values(Ints codes) {
    static constexpr int8_t kTable[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
    return lookup(kTable, codes);
}

}  // namespace

// Vectors of one CPU level: as many floats as a register of that level holds, with the few operations that kernels need.
// Arithmetic and comparisons are the compiler's own on vector types; only what it lacks is spelled in intrinsics.
#pragma once

#include <cstddef>
#include <cstdint>
#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__) && defined(__ARM_FEATURE_DOTPROD)  // the level generic has no intrinsics on any processor
#include <arm_neon.h>
#define HEARTH_NEON 1
#endif

#define HEARTH_LEVEL_CAT2(a, b) a##_##b
#define HEARTH_LEVEL_CAT(a, b) HEARTH_LEVEL_CAT2(a, b)
#define HEARTH_LEVEL_NAME(base) HEARTH_LEVEL_CAT(base, HEARTH_CPU_LEVEL)

#define HEARTH_INLINE __attribute__((always_inline))

namespace {  // NOLINT: every level has its own copy of everything here

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

// Sums of 4 byte products in 32-bit lanes. Where the level has them on x86-64, sums go to the float32 sums of outputs by kSumBase
// (panel_wide.hpp).
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
#define HEARTH_VNNI 1
#endif
#if defined(HEARTH_VNNI)
constexpr bool kSumsAreFloats = true;
#else
constexpr bool kSumsAreFloats = false;
#endif

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kRegisters = 32;
#else
constexpr int kRegisters = 16;
#endif

typedef float Floats __attribute__((vector_size(4 * kLanes)));
typedef int32_t Ints __attribute__((vector_size(4 * kLanes)));
typedef uint32_t Words __attribute__((vector_size(4 * kLanes)));
typedef uint16_t Halves __attribute__((vector_size(2 * kLanes)));

// Calls f(Constant<0>{}) ... f(Constant<n-1>{}): a loop whose index is a constant in every turn.
template <int i>
struct Constant {
    static constexpr int value = i;
};
template <int n, int i = 0, class F>
HEARTH_INLINE inline void unrolled(F f) {
    if constexpr (i < n) {
        f(Constant<i>{});
        unrolled<n, i + 1>(f);
    }
}

template <class V, class T>
HEARTH_INLINE inline V load(const T* p) {
    V v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}
template <class V, class T>
HEARTH_INLINE inline void store(T* p, V v) {
    __builtin_memcpy(p, &v, sizeof v);
}
inline Floats loadf(const float* p) { return load<Floats>(p); }
inline Floats splat(float x) {
#if defined(__AVX512F__)
    return _mm512_set1_ps(x);
#elif defined(__AVX2__)
    return _mm256_set1_ps(x);
#elif defined(__SSE2__)
    return _mm_set1_ps(x);
#elif defined(HEARTH_NEON)
    return vdupq_n_f32(x);
#else
    return Floats{} + x;
#endif
}

inline Floats fma(Floats a, Floats b, Floats c) {
#if defined(__AVX512F__)
    return _mm512_fmadd_ps(a, b, c);
#elif defined(__AVX2__)
    return _mm256_fmadd_ps(a, b, c);
#elif defined(HEARTH_NEON)
    return vfmaq_f32(c, a, b);
#else
    return a * b + c;
#endif
}

inline Floats max(Floats a, Floats b) { return a > b ? a : b; }
inline Floats min(Floats a, Floats b) { return a < b ? a : b; }
inline Floats bits_to_floats(Ints i) { return reinterpret_cast<Floats>(i); }
inline Ints floats_to_bits(Floats f) { return reinterpret_cast<Ints>(f); }
inline Floats abs(Floats a) { return bits_to_floats(floats_to_bits(a) & 0x7fffffff); }
inline Floats to_floats(Ints i) { return __builtin_convertvector(i, Floats); }

// kLanes bytes or 16-bit words as lanes (spelled out because GCC 12 converts such vectors element by element).
inline Ints load_bytes(const uint8_t* p) {
#if defined(__AVX512F__)
    return reinterpret_cast<Ints>(_mm512_cvtepu8_epi32(load<__m128i>(p)));
#elif defined(__AVX2__)
    return reinterpret_cast<Ints>(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(load<int64_t>(p))));
#elif defined(__SSE4_1__)
    return reinterpret_cast<Ints>(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(load<int32_t>(p))));
#elif defined(HEARTH_NEON)
    const uint8x8_t bytes = vreinterpret_u8_u32(vdup_n_u32(load<uint32_t>(p)));
    return reinterpret_cast<Ints>(vmovl_u16(vget_low_u16(vmovl_u8(bytes))));
#else
    Ints out{};
    for (int i = 0; i < kLanes; ++i) out[i] = p[i];
    return out;
#endif
}
inline Ints load_signed_bytes(const uint8_t* p) {
#if defined(__AVX512F__)
    return reinterpret_cast<Ints>(_mm512_cvtepi8_epi32(load<__m128i>(p)));
#elif defined(__AVX2__)
    return reinterpret_cast<Ints>(_mm256_cvtepi8_epi32(_mm_cvtsi64_si128(load<int64_t>(p))));
#elif defined(HEARTH_NEON)
    const int8x8_t bytes = vreinterpret_s8_u32(vdup_n_u32(load<uint32_t>(p)));
    return reinterpret_cast<Ints>(vmovl_s16(vget_low_s16(vmovl_s8(bytes))));
#else
    return (load_bytes(p) << 24) >> 24;
#endif
}
inline Ints load_words(const void* words) {
    const auto* p = static_cast<const uint8_t*>(words);
#if defined(__AVX512F__)
    return reinterpret_cast<Ints>(_mm512_cvtepu16_epi32(load<__m256i>(p)));
#elif defined(__AVX2__)
    return reinterpret_cast<Ints>(_mm256_cvtepu16_epi32(load<__m128i>(p)));
#elif defined(__SSE4_1__)
    return reinterpret_cast<Ints>(_mm_cvtepu16_epi32(_mm_cvtsi64_si128(load<int64_t>(p))));
#elif defined(HEARTH_NEON)
    return reinterpret_cast<Ints>(vmovl_u16(load<uint16x4_t>(p)));
#else
    Ints out{};
    for (int i = 0; i < kLanes; ++i) out[i] = load<uint16_t>(p + 2 * i);
    return out;
#endif
}

// Nearest integer, ties to even (values below 2^31).
inline Ints round_to_ints(Floats f) {
#if defined(__AVX512F__)
    return reinterpret_cast<Ints>(_mm512_cvtps_epi32(f));
#elif defined(__AVX2__)
    return reinterpret_cast<Ints>(_mm256_cvtps_epi32(f));
#elif defined(__SSE2__)
    return reinterpret_cast<Ints>(_mm_cvtps_epi32(f));
#elif defined(HEARTH_NEON)
    return reinterpret_cast<Ints>(vcvtnq_s32_f32(f));
#else
    const Floats magic = splat(12582912.0f);  // 1.5 * 2^23: adding it leaves the rounded integer in the low bits
    return floats_to_bits(f + magic) - floats_to_bits(magic);
#endif
}

// Lane i gets lane i ^ step.
template <int step>
inline Floats exchange(Floats v) {
#if defined(__AVX512F__)
    return __builtin_shufflevector(v, v, 0 ^ step, 1 ^ step, 2 ^ step, 3 ^ step, 4 ^ step, 5 ^ step, 6 ^ step, 7 ^ step, 8 ^ step,
                                   9 ^ step, 10 ^ step, 11 ^ step, 12 ^ step, 13 ^ step, 14 ^ step, 15 ^ step);
#elif defined(__AVX2__)
    return __builtin_shufflevector(v, v, 0 ^ step, 1 ^ step, 2 ^ step, 3 ^ step, 4 ^ step, 5 ^ step, 6 ^ step, 7 ^ step);
#else
    return __builtin_shufflevector(v, v, 0 ^ step, 1 ^ step, 2 ^ step, 3 ^ step);
#endif
}
// b where lane & bit, else a.
template <int bit>
HEARTH_INLINE inline Floats pick(Floats a, Floats b) {
    Ints of_b;
    for (int i = 0; i < kLanes; ++i) of_b[i] = (i & bit) != 0 ? -1 : 0;
    return of_b ? b : a;
}
// All lanes of a register joined by f (max, +), for n registers at once: lane i is that of rows[i], for n <= kLanes. Which lanes meet in
// what order does not depend on n.
template <int n, int bit = 1, class F>
HEARTH_INLINE inline Floats across(Floats* rows, F f) {
    if constexpr (bit == kLanes) {
        return rows[0];
    } else {
        for (int i = 0; i < n / 2; ++i) {
            const Floats a = rows[2 * i], b = rows[2 * i + 1];
            rows[i] = f(pick<bit>(a, b), exchange<bit>(pick<bit>(b, a)));
        }
        if constexpr (n % 2 == 1) rows[n / 2] = f(rows[n - 1], exchange<bit>(rows[n - 1]));
        return across<(n + 1) / 2, 2 * bit>(rows, f);
    }
}
template <int step = kLanes / 2>
inline float sum(Floats v) {
    if constexpr (step == 0)
        return v[0];
    else
        return sum<step / 2>(v + exchange<step>(v));
}
template <int step = kLanes / 2>
inline float max_of(Floats v) {
    if constexpr (step == 0)
        return v[0];
    else
        return max_of<step / 2>(max(v, exchange<step>(v)));
}

// Stored element types: how kLanes of them become floats and back.
struct AsF32 {
    using Stored = float;
    static inline Floats get(const Stored* p) { return loadf(p); }
    static inline void put(Stored* p, Floats v) { store(p, v); }
};
struct AsBf16 {
    using Stored = uint16_t;
    static inline Floats get(const Stored* p) {
        return bits_to_floats(load_words(p) << 16);
    }
    static inline void put(Stored* p, Floats v) {  // nearest even
        const Ints u = floats_to_bits(v);
        const Words w = reinterpret_cast<Words>(v);  // of a NaN the sum is not for a sign
        const Ints rounded = reinterpret_cast<Ints>(w + 0x7fff + ((w >> 16) & 1));
        const Ints kept = v == v ? rounded : u | 0x400000;  // a NaN may not round to infinity or, past all ones, to 0
        store(p, __builtin_convertvector((kept >> 16) & 0xffff, Halves));
    }
};
struct AsF16 {
    using Stored = uint16_t;
    static inline Floats get(const Stored* p) {
#if defined(__AVX512F__)
        return _mm512_cvtph_ps(load<__m256i>(p));
#elif defined(__F16C__)
        return _mm256_cvtph_ps(load<__m128i>(p));
#elif defined(HEARTH_NEON)
        return vcvt_f32_f16(load<float16x4_t>(p));
#else
        const Ints h = load_words(p);
        const Ints sign = (h & 0x8000) << 16, magnitude = h & 0x7fff;
        const Floats scaled = bits_to_floats(magnitude << 13) * 0x1p112f;  // exact, subnormals included
        const Ints special = magnitude > 0x7bff;                          // infinity and NaN
        const Ints bits = special ? ((magnitude << 13) | 0x7f800000) : floats_to_bits(scaled);
        return bits_to_floats(bits | sign);
#endif
    }
    static inline void put(Stored* p, Floats v) {
#if defined(__AVX512F__)
        store(p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
#elif defined(__F16C__)
        store(p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
#elif defined(HEARTH_NEON)
        store(p, vcvt_f16_f32(v));
#else
        const Ints u = floats_to_bits(v), sign = (u >> 16) & 0x8000, magnitude = u & 0x7fffffff;
        const Ints small = floats_to_bits(bits_to_floats(magnitude) + 0.5f) - 0x3f000000;  // below 2^-14
        const Words w = reinterpret_cast<Words>(magnitude);  // likewise
        const Ints normal = reinterpret_cast<Ints>((w + 0xfff + ((w >> 13) & 1)) >> 13) - (112 << 10);
        const Ints nan = (magnitude > 0x7f800000) ? Ints{} + 0x7e00 : Ints{} + 0x7c00;
        const Ints finite = (magnitude < 0x38800000) ? small : normal;
        const Ints bits = (magnitude >= 0x477ff000) ? nan : finite;
        store(p, __builtin_convertvector(bits | sign, Halves));
#endif
    }
};

// One element, through a vector of them (tails and scalar loops).
template <class E>
inline float get_one(const typename E::Stored* p) {
    typename E::Stored block[kLanes] = {};
    block[0] = *p;
    return E::get(block)[0];
}
template <class E>
inline void put_one(typename E::Stored* p, float x) {
    typename E::Stored block[kLanes];
    E::put(block, splat(x));
    *p = block[0];
}

}  // namespace

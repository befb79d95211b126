// Matmul with interleaved panels of the formats in blocks of 32.
#include <hearth/backend.h>

#include "device/cpu/level/panel_tile.hpp"

namespace {

using namespace hearth::cpu;

// A format F gives, for the kLanes rows of register v: codes(w, g, v) of elements 4g..4g+3, step(w, v), and min_step(w, v)
// where it has one (value = step * (code - kZero) + min_step). kFlush steps of codes fit 16 bits; 0 = signed bytes.
template <class F>
struct Block {
    using Act = Q8Block;
    static constexpr int kElements = 32, kBytes = F::kBytes;

    template <int n_token>
    static inline void block(const uint8_t* w, const Act* const* act, int64_t b, Floats (*acc)[kVectors]) {
        Ints total[n_token][kVectors] = {};
        if constexpr (F::kFlush == 0)
            add_signed<n_token>(w, act, b, total);
        else
            add_unsigned<n_token>(w, act, b, total);
        for (int v = 0; v < kVectors; ++v) {
            const Floats d = F::step(w, v);
            Floats m{};
            if constexpr (F::kHasMin) m = F::min_step(w, v);
            for (int t = 0; t < n_token; ++t) {
                const Act& x = act[t][b];
                const int zero = (F::kFlush == 0 ? kSignedOffset : F::kZero) * x.sum;
                acc[t][v] = fma(to_floats(total[t][v] - zero), d * x.d, acc[t][v]);
                if (F::kHasMin) acc[t][v] = fma(m, splat(x.d * static_cast<float>(x.sum)), acc[t][v]);
            }
        }
    }

    // The order (codes, tokens, registers) keeps codes and partial sums in registers and shares each broadcast.
    template <int n_token>
    static inline void add_unsigned(const uint8_t* w, const Act* const* act, int64_t b, Ints (*total)[kVectors]) {
        for (int first = 0; first < 8; first += F::kFlush) {
            Ints partial[n_token][kVectors] = {};
            for (int g = first; g < first + F::kFlush; ++g) {
                Ints c[kVectors];
                for (int v = 0; v < kVectors; ++v) c[v] = F::codes(w, g, v);
                for (int t = 0; t < n_token; ++t) {
                    const Ints q = splat4(act[t][b].q + 4 * g);
                    for (int v = 0; v < kVectors; ++v) partial[t][v] = dot_step(partial[t][v], c[v], q);
                }
            }
            for (int t = 0; t < n_token; ++t)
                for (int v = 0; v < kVectors; ++v) total[t][v] += finish(partial[t][v]);
        }
    }

    template <int n_token>
    static inline void add_signed(const uint8_t* w, const Act* const* act, int64_t b, Ints (*total)[kVectors]) {
        const Ints one = spread(Ints{} + 1);
        for (int g = 0; g < 8; ++g) {
            Ints c[kVectors];
            for (int v = 0; v < kVectors; ++v) c[v] = F::codes(w, g, v);
            for (int t = 0; t < n_token; ++t) {
                const Ints q = splat4(act[t][b].q + 4 * g);
                for (int v = 0; v < kVectors; ++v) total[t][v] = dot_signed(total[t][v], c[v], q, one);
            }
        }
    }
};

inline Ints nibbles(const uint8_t* codes, int g, int v) {  // low nibbles: g = 0..3, high ones: g = 4..7
    return bits(loadi(codes + g % 4 * kStep + v * kVector), g / 4 * 4, 15);
}
inline Ints fifth_bits(const uint8_t* words, int g, int v) {  // words: [16] of 32 bits, bit i of element i
    const Words all = reinterpret_cast<Words>(loadi(words + v * kVector));
    return spread_bits(reinterpret_cast<Ints>(all >> (4 * g)) & 15, 4);
}
inline Floats half_at(const uint8_t* w, int offset, int v) { return halves(w + offset * kRows + 2 * v * kLanes); }

struct Q4_0 {
    static constexpr int kBytes = 18, kZero = 8, kFlush = 8;
    static constexpr bool kHasMin = false;
    static inline Ints codes(const uint8_t* w, int g, int v) { return nibbles(w + 2 * kRows, g, v); }
    static inline Floats step(const uint8_t* w, int v) { return half_at(w, 0, v); }
};
struct Q4_1 {
    static constexpr int kBytes = 20, kZero = 0, kFlush = 8;
    static constexpr bool kHasMin = true;
    static inline Ints codes(const uint8_t* w, int g, int v) { return nibbles(w + 4 * kRows, g, v); }
    static inline Floats step(const uint8_t* w, int v) { return half_at(w, 0, v); }
    static inline Floats min_step(const uint8_t* w, int v) { return half_at(w, 2, v); }
};
struct Q5_0 {
    static constexpr int kBytes = 22, kZero = 16, kFlush = 4;
    static constexpr bool kHasMin = false;
    static inline Ints codes(const uint8_t* w, int g, int v) {
        return nibbles(w + 6 * kRows, g, v) | fifth_bits(w + 2 * kRows, g, v);
    }
    static inline Floats step(const uint8_t* w, int v) { return half_at(w, 0, v); }
};
struct Q5_1 {
    static constexpr int kBytes = 24, kZero = 0, kFlush = 4;
    static constexpr bool kHasMin = true;
    static inline Ints codes(const uint8_t* w, int g, int v) {
        return nibbles(w + 8 * kRows, g, v) | fifth_bits(w + 4 * kRows, g, v);
    }
    static inline Floats step(const uint8_t* w, int v) { return half_at(w, 0, v); }
    static inline Floats min_step(const uint8_t* w, int v) { return half_at(w, 2, v); }
};
struct Q8_0 {
    static constexpr int kBytes = 34, kZero = 0, kFlush = 0;
    static constexpr bool kHasMin = false;
    static inline Ints codes(const uint8_t* w, int g, int v) { return loadi(w + 2 * kRows + g * kStep + v * kVector); }
    static inline Floats step(const uint8_t* w, int v) { return half_at(w, 0, v); }
};
struct IQ4_NL {
    static constexpr int kBytes = 18, kZero = 0, kFlush = 0;
    static constexpr bool kHasMin = false;
    static inline Ints codes(const uint8_t* w, int g, int v) {
        static constexpr int8_t kTable[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
        return lookup(kTable, nibbles(w + 2 * kRows, g, v));
    }
    static inline Floats step(const uint8_t* w, int v) { return half_at(w, 0, v); }
};
struct MXFP4 {
    static constexpr int kBytes = 17, kZero = 12, kFlush = 4;
    static constexpr bool kHasMin = false;
    static inline Ints codes(const uint8_t* w, int g, int v) {  // the doubled values plus 12
        static constexpr int8_t kTable[16] = {12, 13, 14, 15, 16, 18, 20, 24, 12, 11, 10, 9, 8, 6, 4, 0};
        return lookup(kTable, nibbles(w + kRows, g, v));
    }
    static inline Floats step(const uint8_t* w, int v) {  // 2^(e - 128); the two smallest are subnormal
        const Ints e = load_bytes(w + v * kLanes);
        return bits_to_floats(e < 2 ? (Ints{} + 0x00200000) << e : (e - 1) << 23);
    }
};

constexpr MatmulKernels kernels() {
    MatmulKernels table{};
    table.format[HEARTH_FORMAT_Q4_0] = {matmul<Block<Q4_0>>, Act::q8x32};
    table.format[HEARTH_FORMAT_Q4_1] = {matmul<Block<Q4_1>>, Act::q8x32};
    table.format[HEARTH_FORMAT_Q5_0] = {matmul<Block<Q5_0>>, Act::q8x32};
    table.format[HEARTH_FORMAT_Q5_1] = {matmul<Block<Q5_1>>, Act::q8x32};
    table.format[HEARTH_FORMAT_Q8_0] = {matmul<Block<Q8_0>>, Act::q8x32};
    table.format[HEARTH_FORMAT_IQ4_NL] = {matmul<Block<IQ4_NL>>, Act::q8x32};
    table.format[HEARTH_FORMAT_MXFP4] = {matmul<Block<MXFP4>>, Act::q8x32};
    return table;
}

}  // namespace

extern "C" {
extern const MatmulKernels HEARTH_LEVEL_NAME(hearth_cpu_panels32);
constexpr MatmulKernels HEARTH_LEVEL_NAME(hearth_cpu_panels32) = kernels();
}

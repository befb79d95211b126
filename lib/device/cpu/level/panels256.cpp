// Matmul with interleaved panels of the formats in blocks of 256.
#include <hearth/backend.h>

#include "device/cpu/level/panel_tile.hpp"

namespace {

using namespace hearth::cpu;

// Integer scales and minima of the two groups of 16 in 32 elements (equal where groups have 32).
struct Scales {
    Ints scale[2], min[2];
};

// A format F gives, for the kLanes rows of register v and the 32 elements j: scales(w, j, v), codes(w, j, g, v) of elements
// 32j+4g..32j+4g+3, step(w, v), and min_step(w, v) where it has one:
// value = step * scale * (code - kZero) - min_step * min. kFlush steps of codes fit 16 bits; 0 = signed bytes.
template <class F>
struct SuperBlock {
    using Act = Q8SuperBlock;
    static constexpr int kElements = 256, kBytes = F::kBytes;
    static constexpr int kOffset = F::kFlush == 0 ? kSignedOffset : F::kZero;

    template <int n_token>
    static HEARTH_INLINE inline void block(const uint8_t* w, const Act* const* act, int64_t b, Floats (*acc)[kVectors]) {
        Ints total[n_token][kVectors] = {}, minimum[n_token][kVectors] = {};
        unrolled<8>([&](auto j) HEARTH_INLINE { group<n_token, decltype(j)::value>(w, act, b, total, minimum); });
        for (int v = 0; v < kVectors; ++v) {
            const Floats d = F::step(w, v);
            Floats m{};
            if constexpr (F::kHasMin) m = F::min_step(w, v);
            for (int t = 0; t < n_token; ++t) {
                acc[t][v] = fma(to_floats(total[t][v]), d * act[t][b].d, acc[t][v]);
                if (F::kHasMin) acc[t][v] = fma(to_floats(minimum[t][v]), m * -act[t][b].d, acc[t][v]);
            }
        }
    }

    // Elements 32j..32j+31; j is a constant, so that shifts are immediate. Not inlined: eight of them in one function make
    // the compiler spill. The order (codes, tokens, registers) keeps partial sums in registers and shares each broadcast.
    template <int n_token, int j>
    static __attribute__((noinline)) void group(const uint8_t* w, const Act* const* act, int64_t b, Ints (*total)[kVectors],
                                                Ints (*minimum)[kVectors]) {
        constexpr int kRun = F::kFlush == 0 ? 4 : F::kFlush;
        Scales s[kVectors];
        for (int v = 0; v < kVectors; ++v) s[v] = F::scales(w, j, v);
        for (int first = 0; first < 8; first += kRun) {
            Ints partial[n_token][kVectors] = {}, factor[kVectors];
            for (int v = 0; v < kVectors; ++v) factor[v] = spread(s[v].scale[first / 4]);
            for (int g = first; g < first + kRun; ++g) {
                Ints c[kVectors];
                for (int v = 0; v < kVectors; ++v) c[v] = F::codes(w, j, g, v);
                for (int t = 0; t < n_token; ++t) {
                    const Ints q = splat4(act[t][b].q + 32 * j + 4 * g);
                    for (int v = 0; v < kVectors; ++v) {
                        if constexpr (F::kFlush == 0)
                            partial[t][v] = dot_signed(partial[t][v], c[v], q, factor[v]);
                        else
                            partial[t][v] = dot_step(partial[t][v], c[v], q);
                    }
                }
            }
            for (int t = 0; t < n_token; ++t)
                for (int v = 0; v < kVectors; ++v)
                    total[t][v] += F::kFlush == 0 ? partial[t][v] : finish(partial[t][v], factor[v]);
        }
        if constexpr (kOffset == 0 && !F::kHasMin) return;
        for (int v = 0; v < kVectors; ++v) {
            const Ints zero = pair(s[v].scale[0], s[v].scale[1]), min = pair(s[v].min[0], s[v].min[1]);
            for (int t = 0; t < n_token; ++t) {
                const Ints sums = splat4(act[t][b].sum + 2 * j);
                if (kOffset != 0) total[t][v] -= kOffset * pair_dot(zero, sums);
                if (F::kHasMin) minimum[t][v] += pair_dot(min, sums);
            }
        }
    }
};

HEARTH_INLINE inline Floats half_at(const uint8_t* w, int offset, int v) { return halves(w + offset * kRows + 2 * v * kLanes); }
HEARTH_INLINE inline Ints codes_at(const uint8_t* w, int offset, int g, int v) { return loadi(w + offset * kRows + g * kStep + v * kVector); }
HEARTH_INLINE inline Ints byte_at(const uint8_t* w, int offset, int v) { return load_bytes(w + offset * kRows + v * kLanes); }

// The 8 scales and minima of 6 bits that Q4_K and Q5_K keep in 12 bytes a row, from byte 4 on.
HEARTH_INLINE inline Scales scales6(const uint8_t* w, int j, int v) {
    if (j < 4) {
        const Ints s = byte_at(w, 4 + j, v) & 63, m = byte_at(w, 8 + j, v) & 63;
        return {{s, s}, {m, m}};
    }
    const Ints both = byte_at(w, 8 + j, v);
    const Ints s = (both & 15) | ((byte_at(w, j, v) >> 6) << 4), m = (both >> 4) | ((byte_at(w, 4 + j, v) >> 6) << 4);
    return {{s, s}, {m, m}};
}

struct Q4_K {
    static constexpr int kBytes = 144, kZero = 0, kFlush = 8;
    static constexpr bool kHasMin = true;
    static HEARTH_INLINE inline Scales scales(const uint8_t* w, int j, int v) { return scales6(w, j, v); }
    static HEARTH_INLINE inline Ints codes(const uint8_t* w, int j, int g, int v) {
        return bits(codes_at(w, 16, j / 2 * 8 + g, v), j % 2 * 4, 15);
    }
    static HEARTH_INLINE inline Floats step(const uint8_t* w, int v) { return half_at(w, 0, v); }
    static HEARTH_INLINE inline Floats min_step(const uint8_t* w, int v) { return half_at(w, 2, v); }
};
struct Q5_K {
    static constexpr int kBytes = 176, kZero = 0, kFlush = 4;
    static constexpr bool kHasMin = true;
    static HEARTH_INLINE inline Scales scales(const uint8_t* w, int j, int v) { return scales6(w, j, v); }
    static HEARTH_INLINE inline Ints codes(const uint8_t* w, int j, int g, int v) {
        return bits(codes_at(w, 48, j / 2 * 8 + g, v), j % 2 * 4, 15) | raise(bits(codes_at(w, 16, g, v), j, 1), 4);
    }
    static HEARTH_INLINE inline Floats step(const uint8_t* w, int v) { return half_at(w, 0, v); }
    static HEARTH_INLINE inline Floats min_step(const uint8_t* w, int v) { return half_at(w, 2, v); }
};
struct Q6_K {
    static constexpr int kBytes = 210, kZero = 32, kFlush = 2;
    static constexpr bool kHasMin = false;
    static HEARTH_INLINE inline Scales scales(const uint8_t* w, int j, int v) {
        const uint8_t* at = w + (192 + 2 * j) * kRows + v * kLanes;
        return {{load_signed_bytes(at), load_signed_bytes(at + kRows)}, {}};
    }
    static HEARTH_INLINE inline Ints codes(const uint8_t* w, int j, int g, int v) {
        const Ints low = bits(codes_at(w, 0, j / 4 * 16 + j % 2 * 8 + g, v), j / 2 % 2 * 4, 15);
        return low | raise(bits(codes_at(w, 128, j / 4 * 8 + g, v), j % 4 * 2, 3), 4);
    }
    static HEARTH_INLINE inline Floats step(const uint8_t* w, int v) { return half_at(w, 208, v); }
};
struct Q2_K {
    static constexpr int kBytes = 84, kZero = 0, kFlush = 4;
    static constexpr bool kHasMin = true;
    static HEARTH_INLINE inline Scales scales(const uint8_t* w, int j, int v) {
        const Ints a = byte_at(w, 2 * j, v), b = byte_at(w, 2 * j + 1, v);
        return {{a & 15, b & 15}, {a >> 4, b >> 4}};
    }
    static HEARTH_INLINE inline Ints codes(const uint8_t* w, int j, int g, int v) {
        return bits(codes_at(w, 16, j / 4 * 8 + g, v), j % 4 * 2, 3);
    }
    static HEARTH_INLINE inline Floats step(const uint8_t* w, int v) { return half_at(w, 80, v); }
    static HEARTH_INLINE inline Floats min_step(const uint8_t* w, int v) { return half_at(w, 82, v); }
};
struct Q3_K {
    static constexpr int kBytes = 110, kZero = 4, kFlush = 4;
    static constexpr bool kHasMin = false;
    static HEARTH_INLINE inline Ints scale(const uint8_t* w, int g, int v) {
        const Ints low = (byte_at(w, 96 + g % 8, v) >> (g / 8 * 4)) & 15, high = (byte_at(w, 104 + g % 4, v) >> (g / 4 * 2)) & 3;
        return (low | (high << 4)) - 32;
    }
    static HEARTH_INLINE inline Scales scales(const uint8_t* w, int j, int v) { return {{scale(w, 2 * j, v), scale(w, 2 * j + 1, v)}, {}}; }
    static HEARTH_INLINE inline Ints codes(const uint8_t* w, int j, int g, int v) {
        return bits(codes_at(w, 32, j / 4 * 8 + g, v), j % 4 * 2, 3) | raise(bits(codes_at(w, 0, g, v), j, 1), 2);
    }
    static HEARTH_INLINE inline Floats step(const uint8_t* w, int v) { return half_at(w, 108, v); }
};
struct IQ4_XS {
    static constexpr int kBytes = 136, kZero = 0, kFlush = 0;
    static constexpr bool kHasMin = false;
    static HEARTH_INLINE inline Scales scales(const uint8_t* w, int j, int v) {
        const Ints high = load_words(w + 2 * kRows + 2 * v * kLanes) >> (2 * j), low = byte_at(w, 4 + j / 2, v) >> (j % 2 * 4);
        const Ints s = ((low & 15) | ((high & 3) << 4)) - 32;
        return {{s, s}, {}};
    }
    static HEARTH_INLINE inline Ints codes(const uint8_t* w, int j, int g, int v) {
        static constexpr int8_t kTable[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
        return lookup(kTable, bits(codes_at(w, 8, j * 4 + g % 4, v), g / 4 * 4, 15));
    }
    static HEARTH_INLINE inline Floats step(const uint8_t* w, int v) { return half_at(w, 0, v); }
};

constexpr MatmulKernels kernels() {
    MatmulKernels table{};
    table.format[HEARTH_FORMAT_Q2_K] = {matmul<SuperBlock<Q2_K>>, Act::q8x256};
    table.format[HEARTH_FORMAT_Q3_K] = {matmul<SuperBlock<Q3_K>>, Act::q8x256};
    table.format[HEARTH_FORMAT_Q4_K] = {matmul<SuperBlock<Q4_K>>, Act::q8x256};
    table.format[HEARTH_FORMAT_Q5_K] = {matmul<SuperBlock<Q5_K>>, Act::q8x256};
    table.format[HEARTH_FORMAT_Q6_K] = {matmul<SuperBlock<Q6_K>>, Act::q8x256};
    table.format[HEARTH_FORMAT_IQ4_XS] = {matmul<SuperBlock<IQ4_XS>>, Act::q8x256};
    return table;
}

}  // namespace

extern "C" {
extern const MatmulKernels HEARTH_LEVEL_NAME(hearth_cpu_panels256);
constexpr MatmulKernels HEARTH_LEVEL_NAME(hearth_cpu_panels256) = kernels();
}

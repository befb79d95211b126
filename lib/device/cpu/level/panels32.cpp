// Matmul with interleaved panels of the formats in blocks of 32.
#include <hearth/backend.h>

#include "device/cpu/level/panels.hpp"

namespace {

using namespace hearth::cpu;

// What the formats share: no integer scales; value = step * (code - kZero) + min_step. A format gives step(w, v), and
// min_step(w, v) where it has one.
template <class F, int zero, int flush, bool has_min = false>
struct Block {
    using Act = Q8Block;
    static constexpr hearth::cpu::Act kAct = hearth::cpu::Act::q8x32;
    static constexpr int kElements = 32, kGroup = 32, kFlush = flush == kIsSigned ? 8 : flush, kPeriod = 1, kPeriodFile = 0;
    static constexpr bool kScaled = false, kSigned = flush == kIsSigned, kHasMin = has_min, kWide = false;
    static constexpr int kZero = zero, kWholeBytesAt = -1;

    static HEARTH_INLINE inline void fill(const uint8_t* w, Scales<F>& s) {
        for (int v = 0; v < kVectors; ++v) {
            s.d[v] = F::step(w, v);
            if constexpr (has_min) s.m[v] = F::min_step(w, v);
        }
    }
    template <int n_token>
    static HEARTH_INLINE inline void finish(const Scales<F>& s, const Act* const* act, const Ints (*total)[kVectors],
                                            Floats (*acc)[kVectors]) {
        for (int t = 0; t < n_token; ++t) {
            const Act& x = *act[t];
            for (int v = 0; v < kVectors; ++v) {
                acc[t][v] = fma(to_floats(total[t][v] - zero * x.sum), s.d[v] * x.d, acc[t][v]);
                if (has_min) acc[t][v] = fma(s.m[v], splat(x.d * static_cast<float>(x.sum)), acc[t][v]);
            }
        }
    }
};

HEARTH_INLINE inline Ints nibbles(const uint8_t* codes, int g, int v, int to = 0) {  // low nibbles: g = 0..3, high ones: g = 4..7
    return bits(loadi(codes + g % 4 * kStep + v * kVector), g / 4 * 4 - to, 15 << to);
}
HEARTH_INLINE inline Ints fifth_bits(const uint8_t* words, int g, int v, int to) {  // words: [16], bit g of byte k of element 4g+k
    return bits(loadi(words + v * kVector), g - 4 - to, 16 << to);
}

struct Q4_0 : Block<Q4_0, 8, 8> {
    static constexpr int kBytes = 18, kUp = up(4);
    template <class J>
    static HEARTH_INLINE inline Ints codes(const uint8_t* w, J, int g, int v) { return nibbles(w + 2 * kRows, g, v, kUp); }
    static HEARTH_INLINE inline Floats step(const uint8_t* w, int v) { return half_at(w, 0, v); }
};
struct Q4_1 : Block<Q4_1, 0, 8, true> {
    static constexpr int kBytes = 20, kUp = up(4);
    template <class J>
    static HEARTH_INLINE inline Ints codes(const uint8_t* w, J, int g, int v) { return nibbles(w + 4 * kRows, g, v, kUp); }
    static HEARTH_INLINE inline Floats step(const uint8_t* w, int v) { return half_at(w, 0, v); }
    static HEARTH_INLINE inline Floats min_step(const uint8_t* w, int v) { return half_at(w, 2, v); }
};
struct Q5_0 : Block<Q5_0, 16, 4> {
    static constexpr int kBytes = 22, kUp = up(3);
    template <class J>
    static HEARTH_INLINE inline Ints codes(const uint8_t* w, J, int g, int v) {
        return nibbles(w + 6 * kRows, g, v, kUp) | fifth_bits(w + 2 * kRows, g, v, kUp);
    }
    static HEARTH_INLINE inline Floats step(const uint8_t* w, int v) { return half_at(w, 0, v); }
};
struct Q5_1 : Block<Q5_1, 0, 4, true> {
    static constexpr int kBytes = 24, kUp = up(3);
    template <class J>
    static HEARTH_INLINE inline Ints codes(const uint8_t* w, J, int g, int v) {
        return nibbles(w + 8 * kRows, g, v, kUp) | fifth_bits(w + 4 * kRows, g, v, kUp);
    }
    static HEARTH_INLINE inline Floats step(const uint8_t* w, int v) { return half_at(w, 0, v); }
    static HEARTH_INLINE inline Floats min_step(const uint8_t* w, int v) { return half_at(w, 2, v); }
};
struct Q8_0 : Block<Q8_0, kSignedOffset, kIsSigned> {
    static constexpr int kBytes = 34;
    [[maybe_unused]] static constexpr int kWholeBytesAt = 2, kUp = 0;
    template <class J>
    static HEARTH_INLINE inline Ints codes(const uint8_t* w, J, int g, int v) { return codes_at(w, 2, g, v); }
    static HEARTH_INLINE inline Floats step(const uint8_t* w, int v) { return half_at(w, 0, v); }
};
struct IQ4_NL : Block<IQ4_NL, kSignedOffset, kIsSigned> {
    static constexpr int kBytes = 18;
    [[maybe_unused]] static constexpr int kUp = 0;
    template <class J>
    static HEARTH_INLINE inline Ints codes(const uint8_t* w, J, int g, int v) {
        return iq4_values(nibbles(w + 2 * kRows, g, v));
    }
    static HEARTH_INLINE inline Floats step(const uint8_t* w, int v) { return half_at(w, 0, v); }
};
struct MXFP4 : Block<MXFP4, 16, 4> {
    static constexpr int kBytes = 17, kUp = up(3);
    [[maybe_unused]] static constexpr bool kWide = true;  // steps reach 2^127, where those of formats in halves end at 65504
    template <class J>
    static HEARTH_INLINE inline Ints codes(const uint8_t* w, J, int g, int v) {  // the doubled values plus 16
        static constexpr uint8_t kTable[16] = {16 << kUp, 17 << kUp, 18 << kUp, 19 << kUp, 20 << kUp, 22 << kUp, 24 << kUp, 28 << kUp,
                                               16 << kUp, 15 << kUp, 14 << kUp, 13 << kUp, 12 << kUp, 10 << kUp, 8 << kUp,  4 << kUp};
        return lookup(kTable, nibbles(w + kRows, g, v));
    }
    static HEARTH_INLINE inline Floats step(const uint8_t* w, int v) {  // 2^(e - 128); the two smallest are subnormal
        const Ints e = load_bytes(w + v * kLanes);
        return bits_to_floats(e < 2 ? (Ints{} + 0x00200000) << e : (e - 1) << 23);
    }
};

constexpr MatmulKernels kernels() {
    MatmulKernels table{};
    table.format[HEARTH_FORMAT_Q4_0] = kernel<Q4_0>();
    table.format[HEARTH_FORMAT_Q4_1] = kernel<Q4_1>();
    table.format[HEARTH_FORMAT_Q5_0] = kernel<Q5_0>();
    table.format[HEARTH_FORMAT_Q5_1] = kernel<Q5_1>();
    table.format[HEARTH_FORMAT_Q8_0] = kernel<Q8_0>();
    table.format[HEARTH_FORMAT_IQ4_NL] = kernel<IQ4_NL>();
    table.format[HEARTH_FORMAT_MXFP4] = kernel<MXFP4>();
    return table;
}

}  // namespace

extern "C" {
extern const MatmulKernels HEARTH_LEVEL_NAME(hearth_cpu_panels32);
constexpr MatmulKernels HEARTH_LEVEL_NAME(hearth_cpu_panels32) = kernels();
}

// Matmul with interleaved panels of the formats in blocks of 256.
#include <hearth/backend.h>

#include "device/cpu/level/panels.hpp"

namespace {

using namespace hearth::cpu;

// What the formats share: value = step * scale * (code - zero) - min_step * min. A format gives step(w, v), min_step(w, v) where
// it has one, and rows(w, j): integer scales and minima of groups 2j and 2j+1, as rows16() has them.
struct Rows {
    Ints scale[2], min[2];
};

template <class F, int group, int zero, int flush, bool has_min, int period, int period_file>
struct SuperBlock {
    using Act = Q8SuperBlock;
    static constexpr hearth::cpu::Act kAct = hearth::cpu::Act::q8x256;
    static constexpr int kElements = 256, kGroup = group, kFlush = flush == kIsSigned ? 8 : flush, kPeriod = period,
                         kPeriodFile = period_file;
    static constexpr bool kScaled = true, kSigned = flush == kIsSigned, kHasMin = has_min, kWide = false;
    static constexpr int kZero = zero, kWholeBytesAt = -1;

    static HEARTH_INLINE inline void fill(const uint8_t* w, Scales<F>& s) {
        for (int v = 0; v < kVectors; ++v) {
            s.d[v] = F::step(w, v);
            if constexpr (has_min) s.m[v] = F::min_step(w, v);
        }
        unrolled<128 / group>([&](auto j) HEARTH_INLINE {
            constexpr int kJ = decltype(j)::value;
            const Rows r = F::rows(w, kJ);
            unrolled<kVectors>([&](auto v) HEARTH_INLINE {
                constexpr int kV = decltype(v)::value;
                const Ints first = words<kV>(r.scale[0]), second = words<kV>(r.scale[1]);
                s.factor[2 * kJ][kV] = factor_of(first);
                s.factor[2 * kJ + 1][kV] = factor_of(second);
                s.pair[kJ][kV] = has_min ? pair(words_of<kV>(r.min[0]), words_of<kV>(r.min[1])) : pair(first, second);
            });
        });
    }
    template <int v>
    static HEARTH_INLINE inline Ints words(Ints rows) { return has_min ? words_of<v>(rows) : signed_words_of<v>(rows); }

    template <int n_token>
    static HEARTH_INLINE inline void finish(const Scales<F>& s, const Act* const* act, const Ints (*total)[kVectors],
                                            Floats (*acc)[kVectors]) {
        for (int t = 0; t < n_token; ++t) {
            const Act& x = *act[t];
            PairSums sums[kVectors];
            for (PairSums& sum : sums) sum.clear();
            for (int j = 0; j < 128 / group; ++j)
                for (int v = 0; v < kVectors; ++v) sums[v].add(s.pair[j][v], splat4((group == 16 ? x.sum : x.sum32) + 2 * j));
            for (int v = 0; v < kVectors; ++v) {
                acc[t][v] = fma(to_floats(has_min ? total[t][v] : total[t][v] - zero * sums[v].total()), s.d[v] * x.d, acc[t][v]);
                if (has_min) acc[t][v] = fma(to_floats(sums[v].total()), s.m[v] * -x.d, acc[t][v]);
            }
        }
    }
};

// The 8 scales and minima of 6 bits that Q4_K and Q5_K keep in 12 bytes a row, from byte 4 on.
HEARTH_INLINE inline Ints scale6(const uint8_t* w, int g) {
    return g < 4 ? bits(bytes_at(w, 4 + g), 0, 63) : bits(bytes_at(w, 8 + g), 0, 15) | bits(bytes_at(w, g), 2, 0x30);
}
HEARTH_INLINE inline Ints min6(const uint8_t* w, int g) {
    return g < 4 ? bits(bytes_at(w, 8 + g), 0, 63) : bits(bytes_at(w, 8 + g), 4, 15) | bits(bytes_at(w, 4 + g), 2, 0x30);
}
HEARTH_INLINE inline Rows rows6(const uint8_t* w, int j) {
    return {{scale6(w, 2 * j), scale6(w, 2 * j + 1)}, {min6(w, 2 * j), min6(w, 2 * j + 1)}};
}

// The same for four groups at a time, where registers have 64 bytes, or half of these.
HEARTH_INLINE inline Ints bytes_of4(const uint8_t* w, int offset, int part) { return loadi(w + offset * kRows + part * kVector); }
HEARTH_INLINE inline void scale_bytes6(const uint8_t* w, ScaleBytes<8>& to) {
    for (int p = 0; p < kVectors; ++p) {
        const Ints a = bytes_of4(w, 4, p), b = bytes_of4(w, 8, p), c = bytes_of4(w, 12, p);
        store(to.scale + p * kVector, bits(a, 0, 63));
        store(to.scale + kStep + p * kVector, bits(c, 0, 15) | bits(a, 2, 0x30));
        store(to.min + p * kVector, bits(b, 0, 63));
        store(to.min + kStep + p * kVector, bits(c, 4, 15) | bits(b, 2, 0x30));
    }
}

struct Q4_K : SuperBlock<Q4_K, 32, 0, 8, true, 2, 32> {
    static constexpr int kBytes = 144, kUp = up(4);
    static HEARTH_INLINE inline void scale_bytes(const uint8_t* w, ScaleBytes<8>& to) { scale_bytes6(w, to); }
    static HEARTH_INLINE inline Rows rows(const uint8_t* w, int j) { return rows6(w, j); }
    template <class J>
    static HEARTH_INLINE inline Ints codes(const uint8_t* w, J, int g, int v) {
        return bits(codes_at(w, 16, g, v), J::value * 4 - kUp, 15 << kUp);
    }
    static HEARTH_INLINE inline Floats step(const uint8_t* w, int v) { return half_at(w, 0, v); }
    static HEARTH_INLINE inline Floats min_step(const uint8_t* w, int v) { return half_at(w, 2, v); }
};
// Five planes of 32 bytes: bits 0-4 of byte p are group p, the rest is pieces of groups 5 to 7 (see layout.cpp).
struct Q5_K : SuperBlock<Q5_K, 32, 0, 4, true, 8, 0> {
    static constexpr int kBytes = 176, kUp = up(3);
    static HEARTH_INLINE inline void scale_bytes(const uint8_t* w, ScaleBytes<8>& to) { scale_bytes6(w, to); }
    static HEARTH_INLINE inline Rows rows(const uint8_t* w, int j) { return rows6(w, j); }
    template <class J>
    static HEARTH_INLINE inline Ints codes(const uint8_t* w, J, int g, int v) {
        constexpr int j = J::value;
        const auto plane = [=](int p) HEARTH_INLINE { return codes_at(w, 16, p * 8 + g, v); };
        if constexpr (j < 5) return bits(plane(j), -kUp, 31 << kUp);
        if constexpr (j < 7) return bits(plane(j - 5), 5 - kUp, 7 << kUp) | bits(plane(j - 2), 2 - kUp, 24 << kUp);
        return bits(plane(2), 5 - kUp, 7 << kUp) | bits(plane(3), 4 - kUp, 8 << kUp) | bits(plane(4), 3 - kUp, 16 << kUp);
    }
    static HEARTH_INLINE inline Floats step(const uint8_t* w, int v) { return half_at(w, 0, v); }
    static HEARTH_INLINE inline Floats min_step(const uint8_t* w, int v) { return half_at(w, 2, v); }
};
// Twice three planes of 32 bytes: bits 0-5 of byte p are group p, bits 6-7 a third of group 3.
struct Q6_K : SuperBlock<Q6_K, 16, 32, 2, false, 4, 96> {
    static constexpr int kBytes = 210, kUp = up(2);
    static HEARTH_INLINE inline void scale_bytes(const uint8_t* w, ScaleBytes<16>& to) {
        for (int p = 0; p < 4 * kVectors; ++p) store(to.scale + p * kVector, bytes_of4(w, 2, p));
    }
    static HEARTH_INLINE inline Rows rows(const uint8_t* w, int j) { return {{bytes_at(w, 2 + 2 * j), bytes_at(w, 3 + 2 * j)}, {}}; }
    template <class J>
    static HEARTH_INLINE inline Ints codes(const uint8_t* w, J, int g, int v) {
        const auto plane = [=](int p) HEARTH_INLINE { return codes_at(w, 18, p * 8 + g, v); };
        if constexpr (J::value < 3) return bits(plane(J::value), -kUp, 63 << kUp);
        return bits(plane(0), 6 - kUp, 3 << kUp) | bits(plane(1), 4 - kUp, 12 << kUp) | bits(plane(2), 2 - kUp, 48 << kUp);
    }
    static HEARTH_INLINE inline Floats step(const uint8_t* w, int v) { return half_at(w, 0, v); }
};
// The upper codes of a nibble stay where they are, four times as large; so are the scales of the lower ones, and the step is a quarter.
// (Wide panels have all codes as high as they can be.)
struct Q2_K : SuperBlock<Q2_K, 16, 0, 4, true, 4, 32> {
    static constexpr int kBytes = 84, kUp = up(6);
    static HEARTH_INLINE inline void scale_bytes(const uint8_t* w, ScaleBytes<16>& to) {
        for (int p = 0; p < 4 * kVectors; ++p) {
            const Ints both = bytes_of4(w, 4, p);
            store(to.scale + p * kVector, bits(both, 0, 15));
            store(to.min + p * kVector, bits(both, 4, 15));
        }
    }
    static HEARTH_INLINE inline Rows rows(const uint8_t* w, int j) {
        const Ints a = bytes_at(w, 4 + 2 * j), b = bytes_at(w, 5 + 2 * j);
        return {{scale(a, j), scale(b, j)}, {bits(a, 4, 15), bits(b, 4, 15)}};
    }
    static HEARTH_INLINE inline Ints scale(Ints bytes, int j) { return j % 2 == 0 ? raise(bits(bytes, 0, 15), 2) : bits(bytes, 0, 15); }
    template <class J>
    static HEARTH_INLINE inline Ints codes(const uint8_t* w, J, int g, int v) {
        if constexpr (kWidePanels) return bits(codes_at(w, 20, g, v), J::value * 2 - kUp, 3 << kUp);
        return bits(codes_at(w, 20, g, v), J::value / 2 * 4, J::value % 2 == 0 ? 3 : 12);
    }
    static HEARTH_INLINE inline Floats step(const uint8_t* w, int v) { return half_at(w, 0, v) * (kWidePanels ? 1 : 0.25f); }
    static HEARTH_INLINE inline Floats min_step(const uint8_t* w, int v) { return half_at(w, 2, v); }
};
// Three planes of 32 bytes: bits 0-2 and 3-5 of byte p are groups 2p and 2p+1, bits 6-7 pieces of groups 6 and 7.
struct Q3_K : SuperBlock<Q3_K, 16, 4, 4, false, 8, 0> {
    static constexpr int kBytes = 110, kUp = up(5);
    static HEARTH_INLINE inline void scale_bytes(const uint8_t* w, ScaleBytes<16>& to) {
        unrolled<4 * kVectors>([&](auto part) HEARTH_INLINE {
            constexpr int quarter = decltype(part)::value / kVectors, p = decltype(part)::value % kVectors;
            const Ints low = bits(bytes_of4(w, 2 + quarter % 2 * 4, p), quarter / 2 * 4, 15), high = bytes_of4(w, 10, p);
            store(to.scale + quarter * kStep + p * kVector, minus32(low | bits(high, 2 * quarter - 4, 0x30)));
        });
    }
    static HEARTH_INLINE inline Ints scale(const uint8_t* w, int g) {
        return minus32(bits(bytes_at(w, 2 + g % 8), g / 8 * 4, 15) | (bits(bytes_at(w, 10 + g % 4), g / 4 * 2, 3) << 4));
    }
    static HEARTH_INLINE inline Rows rows(const uint8_t* w, int j) { return {{scale(w, 2 * j), scale(w, 2 * j + 1)}, {}}; }
    template <class J>
    static HEARTH_INLINE inline Ints codes(const uint8_t* w, J, int g, int v) {
        constexpr int j = J::value;
        const auto plane = [=](int p) HEARTH_INLINE { return codes_at(w, 14, p * 8 + g, v); };
        if constexpr (j < 6) return bits(plane(j / 2), j % 2 * 3 - kUp, 7 << kUp);
        if constexpr (j == 6) return bits(plane(0), 6 - kUp, 3 << kUp) | bits(plane(1), 4 - kUp, 4 << kUp);
        return bits(plane(1), 7 - kUp, 1 << kUp) | bits(plane(2), 5 - kUp, 6 << kUp);
    }
    static HEARTH_INLINE inline Floats step(const uint8_t* w, int v) { return half_at(w, 0, v); }
};
struct IQ4_XS : SuperBlock<IQ4_XS, 32, kSignedOffset, kIsSigned, false, 1, 16> {
    static constexpr int kBytes = 136;
    [[maybe_unused]] static constexpr int kUp = 0;
    static HEARTH_INLINE inline Ints scale(const uint8_t* w, int g) {
        const Ints high = bits(bytes_at(w, 2 + g / 4), g % 4 * 2, 3), low = bits(bytes_at(w, 4 + g / 2), g % 2 * 4, 15);
        return minus32(low | (high << 4));
    }
    static HEARTH_INLINE inline void scale_bytes(const uint8_t* w, ScaleBytes<8>& to) {
        for (int g = 0; g < 8; ++g) {
            const Ints all = scale(w, g);  // four times
            __builtin_memcpy(to.scale + g * kRows, &all, kRows);
        }
    }
    static HEARTH_INLINE inline Rows rows(const uint8_t* w, int j) { return {{scale(w, 2 * j), scale(w, 2 * j + 1)}, {}}; }
    template <class J>
    static HEARTH_INLINE inline Ints codes(const uint8_t* w, J, int g, int v) {
        return iq4_values(bits(codes_at(w, 8, g % 4, v), g / 4 * 4, 15));
    }
    static HEARTH_INLINE inline Floats step(const uint8_t* w, int v) { return half_at(w, 0, v); }
};

constexpr MatmulKernels kernels() {
    MatmulKernels table{};
    table.format[HEARTH_FORMAT_Q2_K] = kernel<Q2_K>();
    table.format[HEARTH_FORMAT_Q3_K] = kernel<Q3_K>();
    table.format[HEARTH_FORMAT_Q4_K] = kernel<Q4_K>();
    table.format[HEARTH_FORMAT_Q5_K] = kernel<Q5_K>();
    table.format[HEARTH_FORMAT_Q6_K] = kernel<Q6_K>();
    table.format[HEARTH_FORMAT_IQ4_XS] = kernel<IQ4_XS>();
    return table;
}

}  // namespace

extern "C" {
extern const MatmulKernels HEARTH_LEVEL_NAME(hearth_cpu_panels256);
constexpr MatmulKernels HEARTH_LEVEL_NAME(hearth_cpu_panels256) = kernels();
}

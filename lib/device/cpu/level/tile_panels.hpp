// From the codes of a panel to tiles of bf16 weights, for all formats with interleaved panels.
#pragma once

#include "device/cpu/level/panel_tile.hpp"
#include "device/cpu/level/tile_matmul.hpp"

namespace {

// 256 + byte `at` of every lane: the byte becomes the upper bits of a mantissa, with one shift, one mask and one constant.
template <int at>
HEARTH_INLINE inline Floats plus256(Ints bytes) {
    constexpr int kShift = 15 - 8 * at;
    Words w = reinterpret_cast<Words>(bytes);
    if constexpr (kShift > 0)
        w <<= kShift;
    else
        w >>= -kShift;
    return reinterpret_cast<Floats>((w & 0x007f8000) | 0x43800000);
}

// value = step * (256 + code) + offset. The products in offset are exact in float32 for formats without a minimum, so that a
// code that stands for 0 gives 0.
template <class F>
struct PanelWeights {
    Scales<F> scales;

    void piece(const uint8_t* panel, int64_t, int64_t i, uint8_t* to) {
        constexpr int kPerBlock = F::kElements / 32;
        const int j = static_cast<int>(i % kPerBlock);
        const uint8_t* w = panel + i / kPerBlock * Panel<F>::kBlockBytes;
        if (j == 0) {
            constexpr int kAhead = Panel<F>::kBlockBytes * (8 / kPerBlock);  // when this panel is read again: the next slab
            for (int line = 0; line < Panel<F>::kBlockBytes; line += 64) __builtin_prefetch(w + kAhead + line, 0, 2);
            F::fill(w, scales);
        }
        unrolled<F::kPeriod>([&](auto p) HEARTH_INLINE {
            if (j % F::kPeriod == decltype(p)::value) decode(w + j / F::kPeriod * Panel<F>::kPeriodBytes, p, j, to);
        });
    }

  private:
    template <class J>
    HEARTH_INLINE void decode(const uint8_t* w, J p, int j, uint8_t* to) const {
        constexpr int kPerGroup = F::kGroup / 4 < 8 ? F::kGroup / 4 : 8;  // steps of 4 inputs
        for (int v = 0; v < kVectors; ++v)
            unrolled<8 / kPerGroup>([&](auto group) HEARTH_INLINE {
                constexpr int kGroup = decltype(group)::value;
                const Floats step = step_of(j, kGroup, v), offset = offset_of(step, j, kGroup, v);
                const bool past = F::kWide && max_of(step) >= 0x1p119f;
                unrolled<kPerGroup>([&](auto s) HEARTH_INLINE {
                    constexpr int g = kGroup * kPerGroup + decltype(s)::value;
                    Ints c = F::codes(w, p, g, v);
                    if constexpr (F::kSigned) c ^= static_cast<int32_t>(0x80808080);
                    uint8_t* pair = to + 2 * g * kStep + v * kVector;
                    if (past) {
                        store(pair, bf16_pair(plain<0>(c) * step, plain<1>(c) * step));
                        store(pair + kStep, bf16_pair(plain<2>(c) * step, plain<3>(c) * step));
                        return;
                    }
                    store(pair, bf16_pair(fma(plus256<0>(c), step, offset), fma(plus256<1>(c), step, offset)));
                    store(pair + kStep, bf16_pair(fma(plus256<2>(c), step, offset), fma(plus256<3>(c), step, offset)));
                });
            });
    }
    // The value of byte `at` of every lane in steps, for steps so large that 256 of them are no float (kWide).
    template <int at>
    static HEARTH_INLINE Floats plain(Ints bytes) {
        return to_floats(((bytes >> 8 * at) & 255) - F::kZero);
    }
    HEARTH_INLINE Floats step_of(int j, int group, int v) const {
        if constexpr (!F::kScaled) return scales.d[v];
        return scales.d[v] * to_floats(number_of(scales.factor[32 / F::kGroup * j + group][v]));
    }
    HEARTH_INLINE Floats offset_of(Floats step, int j, int group, int v) const {
        const Floats offset = step * -static_cast<float>(256 + (F::kSigned ? 128 : F::kZero));
        if constexpr (!F::kHasMin) return offset;
        if constexpr (!F::kScaled) return offset + scales.m[v];
        const int of_block = 32 / F::kGroup * j + group;
        const Ints both = scales.pair[of_block / 2][v];
        return offset - scales.m[v] * to_floats(of_block % 2 == 0 ? (both << 16) >> 16 : both >> 16);
    }
};

template <class F>
void matmul(const hearth::cpu::MatmulTask& task) {
    tile_matmul<PanelWeights<F>>(task);
}
template <class F>
constexpr hearth::cpu::MatmulKernel kernel() {
    return {matmul<F>, hearth::cpu::Act::bf16};
}

}  // namespace

// What the loops over panels of either kind share: where a panel keeps what, and what it keeps beside its codes.
#pragma once

#include "device/cpu/kernels.hpp"
#include "device/cpu/level/epilogue.hpp"
#include "device/cpu/level/int8.hpp"
#include "device/cpu/level/lanes.hpp"

namespace {

constexpr int kRows = static_cast<int>(hearth::cpu::kPanelRows);
constexpr int kStep = 4 * kRows;      // bytes of 4 neighbouring codes of every row
constexpr int kVector = 4 * kLanes;   // bytes of a register

// Whether panel_wide.hpp has the loops. Its codes stand as high in their bytes as they can, for the sake of what floats keep
// of their sums.
#if defined(HEARTH_CPU_TILES)
constexpr bool kWidePanels = false;
#else
constexpr bool kWidePanels = kSumsAreFloats;
#endif
constexpr int up(int bits) { return kWidePanels ? bits : 0; }

HEARTH_INLINE inline Floats half_at(const uint8_t* w, int offset, int v) { return halves(w + offset * kRows + 2 * v * kLanes); }
HEARTH_INLINE inline Ints codes_at(const uint8_t* w, int offset, int g, int v) {
    return loadi(w + offset * kRows + g * kStep + v * kVector);
}
HEARTH_INLINE inline Ints bytes_at(const uint8_t* w, int offset) { return rows16(w + offset * kRows); }

// What a panel keeps beside its codes, one block of it, ready for products. Formats without integer scales use d and m alone.
template <class F>
struct Scales {
    Ints factor[F::kElements / F::kGroup][kVectors];  // from factor_of()
    Ints pair[(F::kElements / F::kGroup + 1) / 2][kVectors];  // per two groups: what both sums of their activations are multiplied with
    Floats d[kVectors], m[kVectors];
};

// The integer scales and minima of a block as bytes, group by group: those of 4 groups of all rows are 64 bytes, made at once.
// Scales are signed.
template <int n_group>
struct ScaleBytes {
    alignas(64) uint8_t scale[n_group * kRows], min[n_group * kRows];
};

// A format F gives Act, kElements, kBytes of a file block, kGroup elements under one integer scale, fill(w, scales), and for
// the kLanes rows of register v codes(w, j, g, v), elements 32j+4g..32j+4g+3 as bytes: signed ones where kSigned,
// otherwise kFlush steps of them fit 16 bits. j is a constant, so that shifts are immediate: it counts to kPeriod, after
// which w is kPeriodFile bytes of a file block further on. w points at the fields of a block of a panel, each 16 times its
// offset in the fields' order (layout.cpp); kWholeBytesAt is where codes of 8 bits begin, -1 = codes are smaller. F::finish() adds a
// block's sums. Codes are kUp bits higher than their values. Where panel_wide.hpp has the loops, scale_bytes(w, bytes) makes
// a block's ScaleBytes.
template <class F>
struct PanelShape {
    static constexpr int kGroups = F::kElements / 32, kBlockBytes = kRows * F::kBytes, kPeriodBytes = kRows * F::kPeriodFile;
    // Panels read in turn, and how far ahead their lines are asked for: large blocks do with fewer streams.
    static constexpr int kStreams = kBlockBytes < 1024 ? 4 : 2, kAheadBytes = kBlockBytes < 1024 ? 1024 : 8192;
};

// Rows of n_token tokens from `token` on; past the last one it stands for the others.
template <class F, int n_token>
inline void find_rows(const hearth::cpu::MatmulTask& task, int64_t token, const typename F::Act** act) {
    for (int t = 0; t < n_token; ++t) {
        const int64_t i = token + t < task.n_token ? token + t : task.n_token - 1;
        act[t] = reinterpret_cast<const typename F::Act*>(act_row(task, i));
    }
}

inline void finish_token(const hearth::cpu::MatmulTask& task, int64_t row, int64_t token, const Floats* acc) {
    float total[kRows];
    for (int v = 0; v < kVectors; ++v) store(total + v * kLanes, acc[v]);
    finish_panel(task, row, token, total);
}

constexpr int kBlockTokens = 128;  // whose sums for a panel, or two, stay in the L1 cache

template <class F, class J>
HEARTH_INLINE inline Ints codes_of(const uint8_t* w, J j, int g, int v) {
    const Ints codes = F::codes(w, j, g, v);
    return F::kSigned ? offset_codes(codes) : codes;
}

// How this level computes with a panel: panel_tile.hpp and panel_wide.hpp have one each. block<n_token>(w, act, acc) adds a block.
template <class F>
struct Panel;

// Some panels that lie `apart` rows from each other, block by block in turn: as many streams from memory.
template <class F, int n_token>
void tile(const hearth::cpu::MatmulTask& task, int64_t row, int64_t apart, int n_stream) {
    const typename F::Act* act[n_token];
    find_rows<F, n_token>(task, 0, act);
    Floats acc[Panel<F>::kStreams][n_token][kVectors] = {};
    const uint8_t* w = task.weight + row * task.row_bytes;
    for (int64_t b = 0; b < task.n_in / F::kElements; ++b, w += Panel<F>::kBlockBytes) {
        for (int s = 0; s < n_stream; ++s) Panel<F>::template block<n_token>(w + s * apart * task.row_bytes, act, acc[s]);
        for (int t = 0; t < n_token; ++t) ++act[t];
    }
    for (int s = 0; s < n_stream; ++s)
        for (int t = 0; t < n_token && t < task.n_token; ++t) finish_token(task, row + s * apart, t, acc[s][t]);
}

template <class F, int n_token>
void few_tokens(const hearth::cpu::MatmulTask& task) {
    const int64_t n_panel = (task.row_end - task.row_begin + kRows - 1) / kRows, n_stream = Panel<F>::kStreams;
    const int64_t per = (n_panel + n_stream - 1) / n_stream;
    for (int64_t i = 0; i < per; ++i)
        tile<F, n_token>(task, task.row_begin + i * kRows, per * kRows, static_cast<int>((n_panel - i + per - 1) / per));
}

}  // namespace

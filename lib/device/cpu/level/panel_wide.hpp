// The loops over blocks of interleaved panels for processors that multiply bytes straight into 32-bit lanes (levels v4 and v3-vnni): a
// register is the 16 rows of a panel or half of them. Sums of codes by activations start at the bits of a float (kSumBase), so that they
// are floats as they stand and one multiply-add takes them to the output's sum; what the bases add, up and down in turn, comes off once a
// block. Every output is one chain over the blocks of its row, whatever the number of tokens: batching changes nothing.
#pragma once

#include "device/cpu/level/panel_codes.hpp"

namespace {

constexpr int kShared = 2;                     // registers of rows that share the activations of many tokens
constexpr int kPanels = kShared / kVectors;    // the panels that these are
constexpr int kMostTokens = kRegisters / 4;    // that share codes: sums fill half the registers
static_assert(kPanels * kVectors == kShared);

// What a panel keeps beside the codes of one block, as floats, for the rows of one register.
template <class F>
struct FloatScales {
    static constexpr int kGroups = F::kElements / F::kGroup;
    Floats step[kGroups], m;
    Floats start;  // what the base of the groups' sums must come off
    Ints pair[(kGroups + 1) / 2];

    HEARTH_INLINE void fill_groups(const ScaleBytes<kGroups>& bytes, Floats d, int v) {
        Ints total{};
        for (int g = 0; g < kGroups; ++g) {
            const Ints factor = load_signed_bytes(bytes.scale + g * kRows + v * kLanes);
            step[g] = d * to_floats(factor);
            total = g * F::kGroup / 32 % 2 == 0 ? total + factor : total - factor;
        }
        start = d * to_floats(total) * -hearth::cpu::kSumBaseValue;
        if constexpr (F::kHasMin)
            for (int g = 0; g < kGroups; g += 2)
                pair[g / 2] = byte_pairs<false>(bytes.min + g * kRows + v * kLanes, bytes.min + (g + 1) * kRows + v * kLanes);
    }
};
// Those of all registers of a panel.
template <class F>
HEARTH_INLINE inline void fill_scales(const uint8_t* w, FloatScales<F>* to) {
    ScaleBytes<FloatScales<F>::kGroups> bytes;
    if constexpr (F::kScaled) F::scale_bytes(w, bytes);
    for (int v = 0; v < kVectors; ++v) {
        const Floats d = F::step(w, v) * (1.0f / (1 << F::kUp));
        if constexpr (F::kHasMin) to[v].m = F::kScaled ? -F::min_step(w, v) : F::min_step(w, v);
        if constexpr (F::kScaled)
            to[v].fill_groups(bytes, d, v);
        else
            to[v].step[0] = d;
    }
}

// Where the sums of group g of a block begin.
template <class F>
HEARTH_INLINE inline Ints first_sum(const typename F::Act& x, int g) {
    static_assert(F::kHasMin || F::kSigned || F::kZero << F::kUp == 128, "start takes 128 off every code");
    static constexpr int32_t kBases[2] = {hearth::cpu::kSumBase, hearth::cpu::kMinusSumBase};
    if constexpr (!F::kScaled)
        return splat4(F::kHasMin ? kBases : &x.start);
    else
        return splat4(F::kHasMin ? kBases + g * F::kGroup / 32 % 2 : (F::kGroup == 16 ? x.start : x.start32) + g);
}

// n_token tokens by n_register registers of rows: those of a panel one after the other.
template <class F, int n_register, int n_token>
struct Wide {
    using Act = typename F::Act;
    using Sums = Floats (*)[n_register];  // [n_token]

    // Adds elements 32j..32j+31 of a block; codes(g, r) are those of register r.
    template <class Codes>
    static HEARTH_INLINE inline void add(Codes codes, const Act* const* act, int j, const FloatScales<F>* s, Sums to) {
        constexpr int kSteps = F::kGroup / 4;
        unrolled<8 / kSteps>([&](auto part) HEARTH_INLINE {
            constexpr int kFirst = decltype(part)::value * kSteps;
            const int group = (8 * j + kFirst) / kSteps;
            Ints sum[n_token][n_register];
            for (int t = 0; t < n_token; ++t)
                for (int r = 0; r < n_register; ++r) sum[t][r] = first_sum<F>(*act[t], group);
            unrolled<kSteps>([&](auto step) HEARTH_INLINE {
                constexpr int g = kFirst + decltype(step)::value;
                Ints c[n_register];
                for (int r = 0; r < n_register; ++r) c[r] = codes(g, r);
                for (int t = 0; t < n_token; ++t) {
                    const Ints q = splat4(act[t]->q + 32 * j + 4 * g);
                    for (int r = 0; r < n_register; ++r) sum[t][r] = dot_step(sum[t][r], c[r], q);
                }
            });
            for (int t = 0; t < n_token; ++t)
                for (int r = 0; r < n_register; ++r) {
                    const Floats value = bits_to_floats(sum[t][r]);
                    if constexpr (F::kScaled)
                        to[t][r] = fma(value, s[r].step[group], to[t][r]);
                    else
                        to[t][r] = fma(fma(value, splat(act[t]->d), splat(act[t]->minus)), s[r].step[0], to[t][r]);
                }
        });
    }

    static HEARTH_INLINE inline void begin(const FloatScales<F>* s, Sums part) {
        for (int t = 0; t < n_token; ++t)
            for (int r = 0; r < n_register; ++r) part[t][r] = s[r].start;
    }
    // Adds the minima, and a block's sums to those of the row.
    static HEARTH_INLINE inline void finish(const Act* const* act, const FloatScales<F>* s, Sums part, Sums acc) {
        for (int t = 0; t < n_token; ++t) {
            const Act& x = *act[t];
            if constexpr (!F::kScaled) {
                if constexpr (F::kHasMin)
                    for (int r = 0; r < n_register; ++r)
                        acc[t][r] = fma(s[r].m, splat(x.d * static_cast<float>(x.sum)), acc[t][r]);
            } else {
                if constexpr (F::kHasMin) {
                    PairSums sums[n_register];
                    for (PairSums& sum : sums) sum.clear();
                    for (int j = 0; j < 128 / F::kGroup; ++j) {
                        const Ints both = splat4((F::kGroup == 16 ? x.sum : x.sum32) + 2 * j);
                        for (int r = 0; r < n_register; ++r) sums[r].add(s[r].pair[j], both);
                    }
                    for (int r = 0; r < n_register; ++r)
                        part[t][r] = fma(to_floats(sums[r].total()), s[r].m, part[t][r]);
                }
                for (int r = 0; r < n_register; ++r) acc[t][r] = fma(part[t][r], splat(x.d), acc[t][r]);
            }
        }
    }
};

template <class F>
struct Panel : PanelShape<F> {
    using Shape = PanelShape<F>;
    // One block straight from the panel; asks for the lines kAheadBytes further on.
    template <int n_token>
    static HEARTH_INLINE inline void block(const uint8_t* w, const typename F::Act* const* act, Floats (*acc)[kVectors]) {
        using Tile = Wide<F, kVectors, n_token>;
        constexpr int kLines = (Shape::kBlockBytes / Shape::kGroups + 63) / 64;
        FloatScales<F> s[kVectors];
        fill_scales<F>(w, s);
        Floats part[n_token][kVectors];
        if constexpr (F::kScaled) Tile::begin(s, part);
        const uint8_t* at = w;
        for (int first = 0; first < Shape::kGroups; first += F::kPeriod, at += Shape::kPeriodBytes)
            unrolled<F::kPeriod>([&](auto j) HEARTH_INLINE {
                const int now = first + decltype(j)::value;
                for (int line = 0; line < kLines; ++line)
                    __builtin_prefetch(w + Shape::kAheadBytes + now * (Shape::kBlockBytes / Shape::kGroups) + 64 * line);
                const auto codes = [=](int g, int v) HEARTH_INLINE { return codes_of<F>(at, j, g, v); };
                Tile::add(codes, act, now, s, F::kScaled ? part : acc);
                __asm__ volatile("" ::: "memory");  // or GCC keeps what it has loaded for the next group, on the stack
            });
        Tile::finish(act, s, part, acc);
    }
};

// 256 inputs of kPanels panels, unpacked into the L1 cache.
template <class F>
struct Slab {
    static constexpr int kBlocks = 256 / F::kElements;
    alignas(64) uint8_t codes[kPanels][256 * kRows];
    FloatScales<F> scales[kBlocks][kShared];

    // w: a panel's next n_block blocks.
    void unpack(int p, const uint8_t* w, int n_block) {
        using Shape = PanelShape<F>;
        uint8_t* to = codes[p];
        for (int b = 0; b < n_block; ++b, w += Shape::kBlockBytes) {
            fill_scales<F>(w, scales[b] + p * kVectors);
            const uint8_t* at = w;
            for (int first = 0; first < Shape::kGroups; first += F::kPeriod, at += Shape::kPeriodBytes)
                unrolled<F::kPeriod>([&](auto j) HEARTH_INLINE {
                    unrolled<8>([&](auto g) HEARTH_INLINE {
                        for (int v = 0; v < kVectors; ++v, to += kVector) store(to, codes_of<F>(at, j, g.value, v));
                    });
                });
        }
    }
};

// The lines of the next slab, asked for from memory a few at a time while this one is computed with.
struct LinesToFetch {
    const uint8_t* at[kPanels];
    int n, per_turn;  // of each panel

    HEARTH_INLINE void turn() {
        for (int i = 0; i < per_turn; ++i)
            for (int p = 0; p < kPanels; ++p) __builtin_prefetch(at[p] + 64 * i);
        n -= per_turn;
        const int step = n > 0 ? 64 * per_turn : 0;
        for (int p = 0; p < kPanels; ++p) at[p] += step;
    }
};

template <class F, int n_token>
void slab_tile(const hearth::cpu::MatmulTask& task, const Slab<F>& slab, int64_t token, int64_t first, int n_block, LinesToFetch& lines,
               Floats (*acc)[kShared]) {
    using Tile = Wide<F, kShared, n_token>;
    const typename F::Act* act[n_token];
    find_rows<F, n_token>(task, token, act);
    for (int t = 0; t < n_token; ++t) act[t] += first;
    Floats part[n_token][kShared];
    const auto from = [&](int j) HEARTH_INLINE {
        return [=, &slab](int g, int r) HEARTH_INLINE {
            return loadi(slab.codes[r / kVectors] + (8 * j + g) * kStep + r % kVectors * kVector);
        };
    };
    if constexpr (F::kScaled) {
        Tile::begin(slab.scales[0], part);
        for (int j = 0; j < 8; ++j) {
            lines.turn();
            Tile::add(from(j), act, j, slab.scales[0], part);
        }
        Tile::finish(act, slab.scales[0], part, acc);
    } else {
        for (int t = 0; t < n_token; ++t)
            for (int r = 0; r < kShared; ++r) part[t][r] = acc[t][r];
        for (int b = 0; b < n_block; ++b) {
            lines.turn();
            Tile::add(from(b), act, 0, slab.scales[b], part);
            Tile::finish(act, slab.scales[b], nullptr, part);
            for (int t = 0; t < n_token; ++t) ++act[t];
        }
        for (int t = 0; t < n_token; ++t)
            for (int r = 0; r < kShared; ++r) acc[t][r] = part[t][r];
    }
}

// kPanels panels, or the first where the last has no other, for up to kBlockTokens tokens.
template <class F>
void many_tokens(const hearth::cpu::MatmulTask& task, int64_t row, int64_t token, int64_t n) {
    Slab<F> slab;
    Floats acc[kBlockTokens + kMostTokens][kShared];
    for (int64_t t = 0; t < n + kMostTokens; ++t) acc[t][0] = acc[t][1] = Floats{};
    const int n_panel = row + kRows < task.row_end ? kPanels : 1;
    const uint8_t* w[kPanels];
    for (int p = 0; p < kPanels; ++p) w[p] = task.weight + (p < n_panel ? row + p * kRows : row) * task.row_bytes;
    const int64_t n_block = task.n_in / F::kElements;
    constexpr int kSlabBytes = Slab<F>::kBlocks * PanelShape<F>::kBlockBytes, kLines = (kSlabBytes + 63) / 64;
    const int n_turn = static_cast<int>((n + kMostTokens - 1) / kMostTokens) * 8;
    for (int64_t first = 0; first < n_block; first += Slab<F>::kBlocks) {
        const int now = static_cast<int>(n_block - first < Slab<F>::kBlocks ? n_block - first : Slab<F>::kBlocks);
        for (int p = 0; p < kPanels; ++p) slab.unpack(p, w[p] + first * PanelShape<F>::kBlockBytes, now);
        const bool is_last = first + Slab<F>::kBlocks >= n_block;  // the next slab is then the first of the next panels
        const int64_t next = is_last ? kPanels * kRows * task.row_bytes : (first + Slab<F>::kBlocks) * PanelShape<F>::kBlockBytes;
        LinesToFetch lines{{}, kLines, (kLines + n_turn - 1) / n_turn};
        for (int p = 0; p < kPanels; ++p) lines.at[p] = w[p] + next;
        for (int64_t t = 0; t < n;) {
            if (n - t > kMostTokens / 2) {
                slab_tile<F, kMostTokens>(task, slab, token + t, first, now, lines, acc + t);
                t += kMostTokens;
            } else {
                slab_tile<F, kMostTokens / 2>(task, slab, token + t, first, now, lines, acc + t);
                t += kMostTokens / 2;
            }
        }
    }
    for (int64_t t = 0; t < n; ++t)
        for (int p = 0; p < n_panel; ++p) finish_token(task, row + p * kRows, token + t, acc[t] + p * kVectors);
}

template <class F>
void matmul(const hearth::cpu::MatmulTask& task) {
    if (task.n_token == 1) return few_tokens<F, 1>(task);
    if (task.n_token == 2) return few_tokens<F, 2>(task);
    if constexpr (F::kPeriod < 4)  // or its loop is more code than a processor keeps decoded
        if (task.n_token <= 4) return few_tokens<F, 4>(task);
    for (int64_t row = task.row_begin; row < task.row_end; row += kPanels * kRows)
        for (int64_t t = 0; t < task.n_token; t += kBlockTokens)
            many_tokens<F>(task, row, t, task.n_token - t < kBlockTokens ? task.n_token - t : kBlockTokens);
}
template <class F>
constexpr hearth::cpu::MatmulKernel kernel() {
    return {matmul<F>, F::kAct};
}

}  // namespace

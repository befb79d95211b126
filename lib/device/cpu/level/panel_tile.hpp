// The loops over blocks that all formats with interleaved panels share: lane = row, so nothing is summed across lanes.
// Every output is one chain over the blocks of its row, whatever the number of tokens: batching changes nothing.
#pragma once

#include "device/cpu/level/panel_codes.hpp"

namespace {

constexpr int kTokens = kSlowBytes ? 1 : 4;  // that share the codes of a step: their partial sums fill half the registers

template <class F>
struct Panel : PanelShape<F> {
    using Act = typename F::Act;
    using PanelShape<F>::kGroups, PanelShape<F>::kBlockBytes, PanelShape<F>::kPeriodBytes, PanelShape<F>::kStreams,
        PanelShape<F>::kAheadBytes;
    // Where signed codes become unsigned ones, by an offset that F::finish() takes off, or steps take both, they are
    // multiplied as unsigned ones are.
    static constexpr bool kDotSigned = F::kSigned && !kSignedSteps;
    static constexpr int kRun = kSignedSteps || F::kFlush > F::kGroup / 4 ? F::kGroup / 4 : F::kFlush;  // steps with one factor
    static_assert(F::kGroup <= 32);

    // Steps first..first+kRun-1 of 32 elements, to the sums that finish() finishes or straight to the total. The order
    // (codes, tokens, registers) keeps codes and partial sums in registers and shares each broadcast.
    template <int first, int n_token, class Codes>
    static HEARTH_INLINE inline void steps(Codes codes, const Act* const* act, int j, const Ints* factor, Ints (*partial)[kVectors],
                                           Ints (*total)[kVectors]) {
        unrolled<kRun>([&](auto step) HEARTH_INLINE {
            constexpr int g = first + decltype(step)::value;
            Ints c[kVectors];
            for (int v = 0; v < kVectors; ++v) c[v] = codes(g, v);
            for (int t = 0; t < n_token; ++t) {
                const auto q = quad<g % 4>(act[t]->q + 32 * j + g / 4 * 16);
                for (int v = 0; v < kVectors; ++v) {
                    if constexpr (kDotSigned)
                        total[t][v] = dot_signed<F::kScaled>(total[t][v], c[v], q, F::kScaled ? factor[v] : Ints{});
                    else
                        partial[t][v] = dot_step(partial[t][v], c[v], q);
                }
            }
        });
    }

    // Codes as unpack() leaves them.
    struct Unpacked {
        const uint8_t* at;
        HEARTH_INLINE Ints operator()(int g, int v) const { return loadi(at + g * kStep + v * kVector); }
    };
#if defined(HEARTH_SQUARES)
    template <int first, int n_token>
    static HEARTH_INLINE inline void steps(Unpacked codes, const Act* const* act, int j, const Ints*, Ints (*partial)[kVectors],
                                           Ints (*)[kVectors]) {
        unrolled<kRun / 2>([&](auto pair) HEARTH_INLINE {
            constexpr int g = first + 2 * decltype(pair)::value;
            Ints c[2][kVectors];
            for (int v = 0; v < kVectors; ++v) c[0][v] = codes(g, v), c[1][v] = codes(g + 1, v);
            for (int t = 0; t < n_token; t += 2) {
                const Ints q = two_tokens(act[t]->q + 32 * j + 4 * g, act[t + 1]->q + 32 * j + 4 * g);
                for (int v = 0; v < kVectors; ++v)
                    for (int i = 0; i < 2; ++i) partial[t + i][v] = square_step(partial[t + i][v], c[i][v], q);
            }
        });
        for (int t = 0; t < n_token; t += 2)
            for (int v = 0; v < kVectors; ++v) part_tokens(partial[t][v], partial[t + 1][v]);
    }
#endif

    // Adds elements 32j..32j+31; codes(g, v) are those of codes_of(), or Unpacked.
    template <int n_token, class Codes>
    static HEARTH_INLINE inline void group(Codes codes, const Act* const* act, int j, const Scales<F>& s, Ints (*total)[kVectors]) {
        unrolled<8 / kRun>([&](auto r) HEARTH_INLINE {
            constexpr int kFirst = decltype(r)::value * kRun;
            const Ints* factor = s.factor[(8 * j + kFirst) * 4 / F::kGroup];
            Ints partial[n_token][kVectors] = {};
            steps<kFirst, n_token>(codes, act, j, factor, partial, total);
            if constexpr (!kDotSigned)
                for (int t = 0; t < n_token; ++t)
                    for (int v = 0; v < kVectors; ++v) total[t][v] += F::kScaled ? finish(partial[t][v], factor[v]) : finish(partial[t][v]);
        });
    }

    // One block straight from the panel; asks for the lines kAheadBytes further on.
    template <int n_token>
    static HEARTH_INLINE inline void block(const uint8_t* w, const Act* const* act, Floats (*acc)[kVectors]) {
        constexpr int kLines = (kBlockBytes / kGroups + 63) / 64;
        Scales<F> s;
        F::fill(w, s);
        Ints total[n_token][kVectors] = {};
        const uint8_t* at = w;
        for (int first = 0; first < kGroups; first += F::kPeriod, at += kPeriodBytes)
            unrolled<F::kPeriod>([&](auto j) HEARTH_INLINE {
                const int now = first + decltype(j)::value;
                for (int line = 0; line < kLines; ++line) __builtin_prefetch(w + kAheadBytes + now * (kBlockBytes / kGroups) + 64 * line);
                const auto codes = [=](int g, int v) HEARTH_INLINE { return codes_of<F>(at, j, g, v); };
                group<n_token>(codes, act, now, s, total);
                __asm__ volatile("" ::: "memory");  // or GCC keeps what it has loaded for the next group, on the stack
            });
        F::template finish<n_token>(s, act, total, acc);
    }

    // The same in two steps, for many tokens: codes: [kGroups, 8 steps, 16 rows, 4], or as join_steps() joins two steps.
    static constexpr bool kInPlace = F::kWholeBytesAt >= 0 && kCodesStay;  // the panel's own are such codes
    static constexpr int kCodeBytes = kInPlace ? kBlockBytes : kGroups * 8 * kStep;
    static HEARTH_INLINE inline void unpack(const uint8_t* w, uint8_t* to) {
        for (int first = 0; first < kGroups; first += F::kPeriod, w += kPeriodBytes)
            unrolled<F::kPeriod>([&](auto j) HEARTH_INLINE {
                unrolled<4>([&](auto pair) HEARTH_INLINE {
                    constexpr int g = 2 * decltype(pair)::value;
                    for (int v = 0; v < kVectors; ++v, to += kVector) {
                        Ints a = codes_of<F>(w, j, g, v), b = codes_of<F>(w, j, g + 1, v);
                        join_steps(a, b);
                        store(to, a);
                        store(to + kStep, b);
                    }
                    to += kStep;
                });
            });
    }
    template <int n_token>
    static HEARTH_INLINE inline void unpacked_block(const uint8_t* from, const Scales<F>& s, const Act* const* act,
                                                    Floats (*acc)[kVectors]) {
        Ints total[n_token][kVectors] = {};
        for (int j = 0; j < kGroups; ++j) group<n_token>(Unpacked{from + j * 8 * kStep}, act, j, s, total);
        F::template finish<n_token>(s, act, total, acc);
    }
};

// With four registers a token more would lie on the stack, and take the compiler minutes. Where multiplying takes longest codes may as
// well be unpacked first: half the code, and the compiler's time.
constexpr int kFewTokens = kSlowBytes ? 0 : kLanes > 4 ? 4 : kRegisters == 32 && kSignedSteps ? 2 : 1;

// One panel for up to kBlockTokens tokens: 256 elements are unpacked at a time, into the L1 cache.
template <class F>
void unpacked_tile(const hearth::cpu::MatmulTask& task, int64_t token, int64_t first, int n_block, const uint8_t* codes,
                   const Scales<F>* scales, Floats (*acc)[kVectors]) {
    const typename F::Act* act[kTokens];
    find_rows<F, kTokens>(task, token, act);
    for (int t = 0; t < kTokens; ++t) act[t] += first;
    for (int b = 0; b < n_block; ++b) {
        Panel<F>::template unpacked_block<kTokens>(codes + b * Panel<F>::kCodeBytes, scales[b], act, acc);
        for (int t = 0; t < kTokens; ++t) ++act[t];
    }
}

template <class F>
void many_tokens(const hearth::cpu::MatmulTask& task, int64_t row, int64_t token, int64_t n) {
    constexpr int kBlocks = 256 / F::kElements;
    alignas(64) uint8_t unpacked[Panel<F>::kInPlace ? 1 : kBlocks * Panel<F>::kCodeBytes];
    Scales<F> scales[kBlocks];
    Floats acc[kBlockTokens][kVectors];
    for (int64_t t = 0; t < kBlockTokens && t < n + kTokens; ++t)
        for (int v = 0; v < kVectors; ++v) acc[t][v] = Floats{};
    const uint8_t* w = task.weight + row * task.row_bytes;
    const int64_t n_block = task.n_in / F::kElements;
    for (int64_t first = 0; first < n_block; first += kBlocks) {
        const int now = static_cast<int>(n_block - first < kBlocks ? n_block - first : kBlocks);
        const uint8_t* const codes = Panel<F>::kInPlace ? w + F::kWholeBytesAt * kRows : unpacked;
        for (int b = 0; b < now; ++b, w += Panel<F>::kBlockBytes) {
            for (int line = 0; line < Panel<F>::kBlockBytes; line += 64) __builtin_prefetch(w + Panel<F>::kAheadBytes + line);
            F::fill(w, scales[b]);
            if constexpr (!Panel<F>::kInPlace) Panel<F>::unpack(w, unpacked + b * Panel<F>::kCodeBytes);
        }
        for (int64_t t = 0; t < n; t += kTokens) unpacked_tile<F>(task, token + t, first, now, codes, scales, acc + t);
    }
    for (int64_t t = 0; t < n; ++t) finish_token(task, row, token + t, acc[t]);
}

#if !defined(HEARTH_CPU_TILES)  // tile_panels.hpp has theirs
template <class F>
void matmul(const hearth::cpu::MatmulTask& task) {
    if constexpr (kFewTokens >= 1)
        if (task.n_token == 1) return few_tokens<F, 1>(task);
    if constexpr (kFewTokens >= 2)
        if (task.n_token == 2) return few_tokens<F, 2>(task);
    if constexpr (kFewTokens >= 4 && F::kPeriod < 4)  // or its loop is more code than a processor keeps decoded
        if (task.n_token <= 4) return few_tokens<F, 4>(task);
    for (int64_t row = task.row_begin; row < task.row_end; row += kRows)
        for (int64_t t = 0; t < task.n_token; t += kBlockTokens)
            many_tokens<F>(task, row, t, task.n_token - t < kBlockTokens ? task.n_token - t : kBlockTokens);
}
template <class F>
constexpr hearth::cpu::MatmulKernel kernel() {
    return {matmul<F>, F::kAct};
}
#endif

}  // namespace

// Matmul with block formats whose 16 rows are interleaved: lane = row, so nothing is summed across lanes.
// Every output is one chain over the blocks of its row, whatever the number of tokens: batching changes nothing.
#include <hearth/backend.h>

#include "device/cpu/kernels.hpp"
#include "device/cpu/level/epilogue.hpp"
#include "device/cpu/level/int8.hpp"
#include "device/cpu/level/lanes.hpp"

namespace {

using namespace hearth::cpu;

constexpr int kRows = static_cast<int>(kPanelRows);
constexpr int kStep = 4 * kRows;  // bytes of 4 neighbouring codes of every row

inline Floats halves(const uint8_t* p) {
    uint16_t h[kLanes];
    __builtin_memcpy(h, p, sizeof h);
    return AsF16::get(h);
}

// A format says how one block of a panel adds to acc[n_token][kVectors]; `w` points at its fields, each 16 times its
// offset in the file's block.
struct Q4_0 {
    using Act = Q8Block;
    static constexpr int kElements = 32, kBytes = 18;
    template <int n_token>
    static inline void block(const uint8_t* w, const Act* const* act, int64_t b, Floats (*acc)[kVectors]) {
        const uint8_t* codes = w + 2 * kRows;
        Ints partial[n_token][kVectors] = {};
        for (int g = 0; g < 4; ++g) {
            Ints low[kVectors], high[kVectors];
            for (int v = 0; v < kVectors; ++v) {
                const Ints both = loadi(codes + g * kStep + v * 4 * kLanes);
                low[v] = bits(both, 0, 15), high[v] = bits(both, 4, 15);
            }
            for (int t = 0; t < n_token; ++t) {
                const Ints x = splat4(act[t][b].q + 4 * g), y = splat4(act[t][b].q + 16 + 4 * g);
                for (int v = 0; v < kVectors; ++v) partial[t][v] = dot_step(dot_step(partial[t][v], low[v], x), high[v], y);
            }
        }
        for (int v = 0; v < kVectors; ++v) {
            const Floats d = halves(w + 2 * v * kLanes);
            for (int t = 0; t < n_token; ++t)
                acc[t][v] = fma(to_floats(finish(partial[t][v]) - 8 * act[t][b].sum), d * act[t][b].d, acc[t][v]);
        }
    }
};

struct Q8_0 {
    using Act = Q8Block;
    static constexpr int kElements = 32, kBytes = 34;
    template <int n_token>
    static inline void block(const uint8_t* w, const Act* const* act, int64_t b, Floats (*acc)[kVectors]) {
        const uint8_t* codes = w + 2 * kRows;
        Ints total[n_token][kVectors] = {};
        for (int g = 0; g < 8; ++g)
            for (int v = 0; v < kVectors; ++v) {
                const Ints c = loadi(codes + g * kStep + v * 4 * kLanes);
                for (int t = 0; t < n_token; ++t) total[t][v] = dot_signed(total[t][v], c, splat4(act[t][b].q + 4 * g));
            }
        for (int v = 0; v < kVectors; ++v) {
            const Floats d = halves(w + 2 * v * kLanes);
            for (int t = 0; t < n_token; ++t)
                acc[t][v] = fma(to_floats(total[t][v] - kSignedOffset * act[t][b].sum), d * act[t][b].d, acc[t][v]);
        }
    }
};

// The 8 scales and minima of 6 bits that Q4_K and Q5_K keep in 12 bytes a row; bytes: [12][16].
struct Scales6 {
    Ints scale[8][kVectors], min[8][kVectors];  // spread and paired for finish() and pair_dot()
    explicit Scales6(const uint8_t* bytes) {
        for (int v = 0; v < kVectors; ++v) {
            Ints s[12];
            for (int i = 0; i < 12; ++i) s[i] = load_bytes(bytes + i * kRows + v * kLanes);
            for (int j = 0; j < 4; ++j) {
                scale[j][v] = spread(s[j] & 63);
                scale[j + 4][v] = spread((s[j + 8] & 15) | ((s[j] >> 6) << 4));
                const Ints m = s[j + 4] & 63, n = (s[j + 8] >> 4) | ((s[j + 4] >> 6) << 4);
                min[j][v] = pair(m, m), min[j + 4][v] = pair(n, n);
            }
        }
    }
};

// Q4_K and Q5_K: with five_bits the fifth ones follow the scales.
template <bool five_bits>
struct K45 {
    using Act = Q8SuperBlock;
    static constexpr int kElements = 256, kBytes = five_bits ? 176 : 144;
    static constexpr int kSteps = five_bits ? 4 : 8;  // that fit 16 bits
    template <int n_token>
    static inline void block(const uint8_t* w, const Act* const* act, int64_t b, Floats (*acc)[kVectors]) {
        const Scales6 scales(w + 4 * kRows);
        const uint8_t *fifth = w + 16 * kRows, *codes = w + (five_bits ? 48 : 16) * kRows;
        Ints total[n_token][kVectors] = {}, minimum[n_token][kVectors] = {};
        for (int j = 0; j < 8; ++j) {
            for (int first = 0; first < 8; first += kSteps) {
                Ints partial[n_token][kVectors] = {};
                for (int g = first; g < first + kSteps; ++g)
                    for (int v = 0; v < kVectors; ++v) {
                        Ints c = bits(loadi(codes + (j / 2 * 8 + g) * kStep + v * 4 * kLanes), j % 2 * 4, 15);
                        if (five_bits) c |= raise(bits(loadi(fifth + g * kStep + v * 4 * kLanes), j, 1), 4);
                        for (int t = 0; t < n_token; ++t)
                            partial[t][v] = dot_step(partial[t][v], c, splat4(act[t][b].q + 32 * j + 4 * g));
                    }
                for (int t = 0; t < n_token; ++t)
                    for (int v = 0; v < kVectors; ++v) total[t][v] += finish(partial[t][v], scales.scale[j][v]);
            }
            for (int t = 0; t < n_token; ++t)
                for (int v = 0; v < kVectors; ++v)
                    minimum[t][v] += pair_dot(scales.min[j][v], splat4(act[t][b].sum + 2 * j));
        }
        for (int v = 0; v < kVectors; ++v) {
            const Floats d = halves(w + 2 * v * kLanes), m = halves(w + 2 * kRows + 2 * v * kLanes);
            for (int t = 0; t < n_token; ++t) {
                acc[t][v] = fma(to_floats(total[t][v]), d * act[t][b].d, acc[t][v]);
                acc[t][v] = fma(to_floats(minimum[t][v]), m * -act[t][b].d, acc[t][v]);
            }
        }
    }
};

struct Q6_K {
    using Act = Q8SuperBlock;
    static constexpr int kElements = 256, kBytes = 210;
    template <int n_token>
    static inline void block(const uint8_t* w, const Act* const* act, int64_t b, Floats (*acc)[kVectors]) {
        const uint8_t *low = w, *high = w + 128 * kRows, *scales = w + 192 * kRows;
        Ints total[n_token][kVectors] = {}, zero[n_token][kVectors] = {};
        for (int j = 0; j < 8; ++j)  // 32 elements: two groups of 16, four steps each
            for (int v = 0; v < kVectors; ++v) {
                const Ints s0 = load_signed_bytes(scales + 2 * j * kRows + v * kLanes);
                const Ints s1 = load_signed_bytes(scales + (2 * j + 1) * kRows + v * kLanes);
                const Ints both = pair(s0, s1), factor[2] = {spread(s0), spread(s1)};
                for (int g = 0; g < 8; g += 2) {
                    Ints c[2];
                    for (int i = 0; i < 2; ++i) {
                        const Ints l = loadi(low + (j / 4 * 16 + j % 2 * 8 + g + i) * kStep + v * 4 * kLanes);
                        const Ints h = loadi(high + (j / 4 * 8 + g + i) * kStep + v * 4 * kLanes);
                        c[i] = bits(l, j / 2 % 2 * 4, 15) | raise(bits(h, j % 4 * 2, 3), 4);
                    }
                    for (int t = 0; t < n_token; ++t) {
                        const int8_t* q = act[t][b].q + 32 * j + 4 * g;
                        const Ints partial = dot_step(dot_step(Ints{}, c[0], splat4(q)), c[1], splat4(q + 4));
                        total[t][v] += finish(partial, factor[g / 4]);
                    }
                }
                for (int t = 0; t < n_token; ++t) zero[t][v] += pair_dot(both, splat4(act[t][b].sum + 2 * j));
            }
        for (int v = 0; v < kVectors; ++v) {
            const Floats d = halves(w + 208 * kRows + 2 * v * kLanes);
            for (int t = 0; t < n_token; ++t)
                acc[t][v] = fma(to_floats(total[t][v] - 32 * zero[t][v]), d * act[t][b].d, acc[t][v]);
        }
    }
};

template <class F, int n_panel, int n_token>
void tile(const MatmulTask& task, int64_t row, int64_t token) {
    const uint8_t* w[n_panel];
    const typename F::Act* act[n_token];
    for (int p = 0; p < n_panel; ++p) w[p] = task.weight + (row + p * kRows) * task.row_bytes;
    for (int t = 0; t < n_token; ++t) act[t] = reinterpret_cast<const typename F::Act*>(act_row(task, token + t));
    Floats acc[n_panel][n_token][kVectors] = {};
    const int64_t n_block = task.n_in / F::kElements;
    for (int64_t b = 0; b < n_block; ++b)
        for (int p = 0; p < n_panel; ++p) {
            const uint8_t* at = w[p] + b * (kRows * F::kBytes);
            if (n_token == 1)  // decoding streams: ask for the block after next
                for (int line = 0; line < kRows * F::kBytes; line += 64) __builtin_prefetch(at + 2 * kRows * F::kBytes + line);
            F::template block<n_token>(at, act, b, acc[p]);
        }
    for (int p = 0; p < n_panel; ++p)
        for (int t = 0; t < n_token; ++t) {
            float total[kRows];
            for (int v = 0; v < kVectors; ++v) store(total + v * kLanes, acc[p][t][v]);
            finish_panel(task, row + p * kRows, token + t, total);
        }
}

template <class F>
void matmul(const MatmulTask& task) {
    constexpr int kTokens = kVectors == 1 ? 8 : kVectors == 2 ? 4 : 2;
    int64_t row = task.row_begin;
    if (task.n_token == 1)
        for (; row + 2 * kRows <= task.row_end; row += 2 * kRows) tile<F, 2, 1>(task, row, 0);
    for (; row < task.row_end; row += kRows) {
        int64_t t = 0;
        for (; t + kTokens <= task.n_token; t += kTokens) tile<F, 1, kTokens>(task, row, t);
        for (; t < task.n_token; ++t) tile<F, 1, 1>(task, row, t);
    }
}

constexpr MatmulKernels kernels() {
    MatmulKernels table{};
    table.format[HEARTH_FORMAT_Q4_0] = {matmul<Q4_0>, Act::q8x32, true};
    table.format[HEARTH_FORMAT_Q8_0] = {matmul<Q8_0>, Act::q8x32, true};
    table.format[HEARTH_FORMAT_Q4_K] = {matmul<K45<false>>, Act::q8x256, true};
    table.format[HEARTH_FORMAT_Q5_K] = {matmul<K45<true>>, Act::q8x256, true};
    table.format[HEARTH_FORMAT_Q6_K] = {matmul<Q6_K>, Act::q8x256, true};
    return table;
}

}  // namespace

extern "C" {
extern const MatmulKernels HEARTH_LEVEL_NAME(hearth_cpu_panels);
constexpr MatmulKernels HEARTH_LEVEL_NAME(hearth_cpu_panels) = kernels();
}

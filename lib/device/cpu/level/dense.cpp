// Matmul with F32, F16 and BF16 weights: weights become floats in registers, activations and sums stay float32.
// Every output is one chain of fused multiply-adds per 256 inputs, whatever the number of tokens: batching changes nothing.
#include <hearth/backend.h>

#include "device/cpu/kernels.hpp"
#include "device/cpu/level/epilogue.hpp"
#include "device/cpu/level/lanes.hpp"
#if defined(HEARTH_CPU_TILES)
#include "device/cpu/level/tile_matmul.hpp"
#endif

namespace {

using namespace hearth::cpu;

constexpr int kVectors = static_cast<int>(kPanelRows) / kLanes;

#if defined(HEARTH_CPU_TILES)

// Inputs past the last are zeros, as those of the activations are.
template <class E>
struct DenseWeights {
    void piece(const uint8_t* panel, int64_t n_in, int64_t i, uint8_t* to) const {
        const auto* w = reinterpret_cast<const typename E::Stored*>(panel);
        for (int64_t k = 32 * i; k < 32 * i + 32; k += 2)
            for (int v = 0; v < kVectors; ++v, to += 4 * kLanes) {
                const auto* at = w + k * kPanelRows + v * kLanes;
                __builtin_prefetch(at + kSlabInputs * kPanelRows, 0, 2);  // when this panel is read again
                store(to, pair(at, k < n_in, k + 1 < n_in));
            }
    }

  private:
    static HEARTH_INLINE Ints pair(const typename E::Stored* at, bool first, bool second);
};
template <>
HEARTH_INLINE inline Ints DenseWeights<AsBf16>::pair(const uint16_t* at, bool first, bool second) {
    return (first ? load_words(at) : Ints{}) | (second ? load_words(at + kPanelRows) << 16 : Ints{});
}
template <>
HEARTH_INLINE inline Ints DenseWeights<AsF16>::pair(const uint16_t* at, bool first, bool second) {
    return bf16_pair(first ? AsF16::get(at) : Floats{}, second ? AsF16::get(at + kPanelRows) : Floats{});
}

// Float32 weights have no tiles: they would lose what makes them float32.
constexpr MatmulKernels kernels() {
    MatmulKernels table{};
    table.format[HEARTH_FORMAT_F16] = {tile_matmul<DenseWeights<AsF16>>, Act::bf16};
    table.format[HEARTH_FORMAT_BF16] = {tile_matmul<DenseWeights<AsBf16>>, Act::bf16};
    return table;
}

#else

constexpr int64_t kChunk = 256;  // inputs summed in one chain

constexpr int64_t kBlockTokens = 128;  // their sums for one panel stay in the L1 cache

// Adds inputs [begin, end) of n_panel panels x n_token tokens to total[n_panel][n_token][16].
template <class E, int n_panel, int n_token>
void tile(const MatmulTask& task, int64_t row, int64_t token, int64_t begin, int64_t end, float* total) {
    const typename E::Stored* w[n_panel];
    const float* x[n_token];
    for (int p = 0; p < n_panel; ++p)
        w[p] = reinterpret_cast<const typename E::Stored*>(task.weight + (row + p * kPanelRows) * task.row_bytes);
    for (int t = 0; t < n_token; ++t) x[t] = reinterpret_cast<const float*>(act_row(task, token + t));
    Floats acc[n_panel][n_token][kVectors] = {};
    for (int64_t k = begin; k < end; ++k)
        for (int p = 0; p < n_panel; ++p) {
            Floats weight[kVectors];
            for (int v = 0; v < kVectors; ++v) weight[v] = E::get(w[p] + k * kPanelRows + v * kLanes);
            for (int t = 0; t < n_token; ++t) {
                const Floats one = splat(x[t][k]);
                for (int v = 0; v < kVectors; ++v) acc[p][t][v] = fma(weight[v], one, acc[p][t][v]);
            }
        }
    for (int p = 0; p < n_panel; ++p)
        for (int t = 0; t < n_token; ++t)
            for (int v = 0; v < kVectors; ++v) {
                float* sum = total + (p * n_token + t) * kPanelRows + v * kLanes;
                store(sum, loadf(sum) + acc[p][t][v]);
            }
}

// One panel for tokens [token, token + n): a piece of the panel stays in the L1 cache while all tokens pass.
template <class E>
void panel(const MatmulTask& task, int64_t row, int64_t token, int64_t n) {
    constexpr int kTokens = kVectors == 1 ? 12 : kRegisters == 32 || kVectors == 2 ? 6 : 2;
    alignas(64) float total[kBlockTokens * kPanelRows];
    for (int64_t i = 0; i < n * kPanelRows; ++i) total[i] = 0;
    for (int64_t begin = 0; begin < task.n_in; begin += kChunk) {
        const int64_t end = begin + kChunk < task.n_in ? begin + kChunk : task.n_in;
        int64_t t = 0;
        for (; t + kTokens <= n; t += kTokens) tile<E, 1, kTokens>(task, row, token + t, begin, end, total + t * kPanelRows);
        for (; t + 2 <= n; t += 2) tile<E, 1, 2>(task, row, token + t, begin, end, total + t * kPanelRows);
        if (t < n) tile<E, 1, 1>(task, row, token + t, begin, end, total + t * kPanelRows);
    }
    for (int64_t t = 0; t < n; ++t) finish_panel(task, row, token + t, total + t * kPanelRows);
}

template <class E>
void matmul(const MatmulTask& task) {
    int64_t row = task.row_begin;
    if (task.n_token == 1)
        for (; row + 4 * kPanelRows <= task.row_end; row += 4 * kPanelRows) {
            alignas(64) float total[4 * kPanelRows] = {};
            for (int64_t begin = 0; begin < task.n_in; begin += kChunk)
                tile<E, 4, 1>(task, row, 0, begin, begin + kChunk < task.n_in ? begin + kChunk : task.n_in, total);
            for (int p = 0; p < 4; ++p) finish_panel(task, row + p * kPanelRows, 0, total + p * kPanelRows);
        }
    for (; row < task.row_end; row += kPanelRows)
        for (int64_t t = 0; t < task.n_token; t += kBlockTokens)
            panel<E>(task, row, t, task.n_token - t < kBlockTokens ? task.n_token - t : kBlockTokens);
}

constexpr MatmulKernels kernels() {
    MatmulKernels table{};
    table.format[HEARTH_FORMAT_F32] = {matmul<AsF32>, Act::f32};
    table.format[HEARTH_FORMAT_F16] = {matmul<AsF16>, Act::f32};
    table.format[HEARTH_FORMAT_BF16] = {matmul<AsBf16>, Act::f32};
    return table;
}

#endif

}  // namespace

extern "C" {
extern const MatmulKernels HEARTH_LEVEL_NAME(hearth_cpu_dense);
constexpr MatmulKernels HEARTH_LEVEL_NAME(hearth_cpu_dense) = kernels();
}

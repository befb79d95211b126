// Matmul with F32, F16 and BF16 weights: weights become floats in registers, activations and sums stay float32.
// Every output is one chain of fused multiply-adds per 256 inputs, whatever the number of tokens: batching changes nothing.
#include <hearth/backend.h>

#include "device/cpu/kernels.hpp"
#include "device/cpu/level/epilogue.hpp"
#include "device/cpu/level/lanes.hpp"

namespace {

using namespace hearth::cpu;

constexpr int kVectors = static_cast<int>(kPanelRows) / kLanes;
constexpr int64_t kChunk = 256;  // inputs summed in one chain

// n_panel panels x n_token tokens.
template <class E, int n_panel, int n_token>
void tile(const MatmulTask& task, int64_t row, int64_t token) {
    const typename E::Stored* w[n_panel];
    const float* x[n_token];
    for (int p = 0; p < n_panel; ++p)
        w[p] = reinterpret_cast<const typename E::Stored*>(task.weight + (row + p * kPanelRows) * task.row_bytes);
    for (int t = 0; t < n_token; ++t) x[t] = reinterpret_cast<const float*>(act_row(task, token + t));
    float total[n_panel][n_token][kPanelRows] = {};
    for (int64_t begin = 0; begin < task.n_in; begin += kChunk) {
        const int64_t end = begin + kChunk < task.n_in ? begin + kChunk : task.n_in;
        Floats acc[n_panel][n_token][kVectors] = {};
        for (int64_t k = begin; k < end; ++k)
            for (int p = 0; p < n_panel; ++p)
                for (int v = 0; v < kVectors; ++v) {
                    const Floats weight = E::get(w[p] + k * kPanelRows + v * kLanes);
                    for (int t = 0; t < n_token; ++t) acc[p][t][v] = fma(weight, splat(x[t][k]), acc[p][t][v]);
                }
        for (int p = 0; p < n_panel; ++p)
            for (int t = 0; t < n_token; ++t)
                for (int v = 0; v < kVectors; ++v) {
                    float* sum = total[p][t] + v * kLanes;
                    store(sum, loadf(sum) + acc[p][t][v]);
                }
    }
    for (int p = 0; p < n_panel; ++p)
        for (int t = 0; t < n_token; ++t) finish_panel(task, row + p * kPanelRows, token + t, total[p][t]);
}

template <class E>
void matmul(const MatmulTask& task) {
    constexpr int kTokens = kVectors == 1 ? 12 : kVectors == 2 ? 6 : 2;
    const int64_t n_token = task.n_token;
    int64_t row = task.row_begin;
    if (n_token == 1)
        for (; row + 4 * kPanelRows <= task.row_end; row += 4 * kPanelRows) tile<E, 4, 1>(task, row, 0);
    for (; row < task.row_end; row += kPanelRows) {
        int64_t t = 0;
        for (; t + kTokens <= n_token; t += kTokens) tile<E, 1, kTokens>(task, row, t);
        for (; t + 2 <= n_token; t += 2) tile<E, 1, 2>(task, row, t);
        if (t < n_token) tile<E, 1, 1>(task, row, t);
    }
}

constexpr MatmulKernels kernels() {
    MatmulKernels table{};
    table.format[HEARTH_FORMAT_F32] = {matmul<AsF32>, Act::f32};
    table.format[HEARTH_FORMAT_F16] = {matmul<AsF16>, Act::f32};
    table.format[HEARTH_FORMAT_BF16] = {matmul<AsBf16>, Act::f32};
    return table;
}

}  // namespace

extern "C" {
extern const MatmulKernels HEARTH_LEVEL_NAME(hearth_cpu_dense);
constexpr MatmulKernels HEARTH_LEVEL_NAME(hearth_cpu_dense) = kernels();
}

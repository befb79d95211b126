// Matmul with block formats in file order: codes from the format's trait, integer dot products with int8 activations.
// Every output is one chain over the blocks of its row, whatever the number of tokens: batching changes nothing.
#include <hearth/backend.h>

#include "device/cpu/kernels.hpp"
#include "device/cpu/level/bytes.hpp"
#include "device/cpu/level/epilogue.hpp"
#include "quant/traits.hpp"

namespace {

using namespace hearth::cpu;

constexpr int kTokens = 4;                      // tokens that share one decoding of the codes
constexpr int kSumLanes = Simd::kWidth / 4;
typedef float SumFloats __attribute__((vector_size(Simd::kWidth)));

inline int group_sum(const Q8SuperBlock& b, int first, int n) { return n == 1 ? b.sum[first] : b.sum[first] + b.sum[first + 1]; }

// The integer scales of one block, spread for dot().
template <class T>
struct BlockScales {
    static constexpr int kGroups = T::kElements / T::kGroup, kSteps = T::kElements / Simd::kWidth;
    Factors factor[kSteps];
    int scale[kGroups];

    explicit BlockScales(const typename T::Block& block) {
        for (int g = 0; g < kGroups; ++g) scale[g] = T::template scale<Simd>(block, g);
        for (int s = 0; s < kSteps; ++s)
            for (int i = 0; i < Simd::kWidth / 2; ++i)
                factor[s][i] = static_cast<int16_t>(scale[(s * Simd::kWidth + 2 * i) / T::kGroup]);
    }
};

// What is subtracted from the dot product of a block: the codes' zero and the minimum, in units of the two steps.
template <class T, class A>
inline float correction(const typename T::Block& block, const BlockScales<T>& scales, const A& act, float step) {
    if constexpr (T::kZero == 0 && !T::kHasMin) return 0;
    int zero = 0, min = 0;
    for (int g = 0; g < BlockScales<T>::kGroups; ++g) {
        int total;
        if constexpr (T::kElements == 32)
            total = act.sum;
        else
            total = group_sum(act, g * T::kGroup / 16, T::kGroup / 16);
        zero += scales.scale[g] * total;
        if constexpr (T::kHasMin) min += T::template min<Simd>(block, g) * total;
    }
    float value = step * static_cast<float>(zero * T::kZero);
    if constexpr (T::kHasMin) value += T::template min_step<Simd>(block) * static_cast<float>(min);
    return value;
}

// out[t] = one row of W times n_token activation rows.
template <class T, class A, int n_token>
void row_dot(const typename T::Block* w, const A* const* act, int64_t n_block, float* out) {
    SumFloats acc[n_token] = {};
    float offset[n_token] = {};
    for (int64_t b = 0; b < n_block; ++b) {
        const BlockScales<T> scales(w[b]);
        const float step = T::template step<Simd>(w[b]);
        Sums sums[n_token] = {};
        for (int s = 0; s < BlockScales<T>::kSteps; ++s) {
            const Simd::Bytes codes = T::template codes<Simd>(w[b], s * Simd::kWidth);
            for (int t = 0; t < n_token; ++t)
                sums[t] += dot<T::kSigned>(codes, act[t][b].q + s * Simd::kWidth, scales.factor[s]);
        }
        for (int t = 0; t < n_token; ++t) {
            const float d = act[t][b].d;
            acc[t] += (step * d) * __builtin_convertvector(sums[t], SumFloats);
            offset[t] += d * correction<T>(w[b], scales, act[t][b], step);
        }
    }
    for (int t = 0; t < n_token; ++t) {
        float total = 0;
        for (int i = 0; i < kSumLanes; ++i) total += acc[t][i];
        out[t] = total - offset[t];
    }
}

// One panel of up to 16 rows and n_token tokens.
template <class T, class A, int n_token>
void tile(const MatmulTask& task, int64_t row, int64_t token) {
    const A* act[n_token];
    for (int t = 0; t < n_token; ++t) act[t] = reinterpret_cast<const A*>(act_row(task, token + t));
    float total[n_token][kPanelRows];
    const int64_t n_row = row + kPanelRows < task.row_end ? kPanelRows : task.row_end - row;
    for (int64_t r = 0; r < n_row; ++r) {
        float out[n_token];
        const auto* w = reinterpret_cast<const typename T::Block*>(task.weight + (row + r) * task.row_bytes);
        row_dot<T, A, n_token>(w, act, task.n_in / T::kElements, out);
        for (int t = 0; t < n_token; ++t) total[t][r] = out[t];
    }
    for (int t = 0; t < n_token; ++t) finish_panel(task, row, token + t, total[t]);
}

template <class T, class A>
void matmul(const MatmulTask& task) {
    for (int64_t row = task.row_begin; row < task.row_end; row += kPanelRows) {
        int64_t t = 0;
        for (; t + kTokens <= task.n_token; t += kTokens) tile<T, A, kTokens>(task, row, t);
        for (; t < task.n_token; ++t) tile<T, A, 1>(task, row, t);
    }
}

template <class T>
constexpr MatmulKernel kernel() {
    if constexpr (T::kPlain)
        return {};
    else if constexpr (T::kElements == 32)
        return {matmul<T, Q8Block>, Act::q8x32, false};
    else
        return {matmul<T, Q8SuperBlock>, Act::q8x256, false};
}

constexpr MatmulKernels kernels() {
    MatmulKernels table{};
#define HEARTH_FORMAT(id, name, elements, bytes) table.format[id] = kernel<hearth::quant::name>();
#include <hearth/formats.def>
#undef HEARTH_FORMAT
    return table;
}

}  // namespace

extern "C" {
extern const MatmulKernels HEARTH_LEVEL_NAME(hearth_cpu_blocks);
constexpr MatmulKernels HEARTH_LEVEL_NAME(hearth_cpu_blocks) = kernels();
}

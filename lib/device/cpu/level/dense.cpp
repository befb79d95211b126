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

constexpr int64_t kChunk = kLanes == 16 ? 128 : 256;  // inputs summed in one chain

constexpr int64_t kBlockTokens = 128;  // their sums for the panels below stay in the L1 cache

// Panels and tokens that share what they load: where a register is a panel's rows, two panels, for which rows of activations are
// copied next to each other (there are fewer registers for addresses than rows).
constexpr int kManyPanels = kVectors == 1 ? 2 : 1;
constexpr int64_t kUnpackFrom = 32;  // tokens: above it weights are made floats once for all
constexpr int kManyTokens = kVectors == 1 ? 12 : kRegisters == 32 || kVectors == 2 ? 6 : 2;

template <int n_token>
struct RowsInPlace {
    const float* row[n_token];
    HEARTH_INLINE float at(int t, int64_t k) const { return row[t][k]; }
};
struct CopiedRows {
    const float* first;
    HEARTH_INLINE float at(int t, int64_t k) const { return first[t * kChunk + k]; }
};

template <class E>
const typename E::Stored* weights_of(const MatmulTask& task, int64_t row) {
    return reinterpret_cast<const typename E::Stored*>(task.weight + row * task.row_bytes);
}

template <class E>
int64_t panels_apart(const MatmulTask& task) {  // in elements
    return kPanelRows * task.row_bytes / static_cast<int64_t>(sizeof(typename E::Stored));
}

// Adds n inputs of n_panel panels, `apart` elements from each other, to sums of n_token tokens: total[n_token][n_panel][16].
// is_far: the panels come from memory.
template <class E, int n_panel, int n_token, bool is_far, class X>
HEARTH_INLINE inline void tile(const typename E::Stored* w, int64_t apart, X x, int64_t n, float* total) {
    constexpr int64_t kAhead = 1024 / sizeof(typename E::Stored);
    Floats acc[n_panel][n_token][kVectors] = {};
    for (int64_t k = 0; k < n; ++k) {
        Floats weight[n_panel][kVectors];
        for (int p = 0; p < n_panel; ++p) {
            const auto* at = w + p * apart + k * kPanelRows;
            if (is_far) __builtin_prefetch(at + kAhead);
            for (int v = 0; v < kVectors; ++v) weight[p][v] = E::get(at + v * kLanes);
        }
        for (int t = 0; t < n_token; ++t) {
            const Floats one = splat(x.at(t, k));
            for (int p = 0; p < n_panel; ++p)
                for (int v = 0; v < kVectors; ++v) acc[p][t][v] = fma(weight[p][v], one, acc[p][t][v]);
        }
    }
    for (int t = 0; t < n_token; ++t)
        for (int p = 0; p < n_panel; ++p)
            for (int v = 0; v < kVectors; ++v) {
                float* sum = total + (t * n_panel + p) * kPanelRows + v * kLanes;
                store(sum, loadf(sum) + acc[p][t][v]);
            }
}

// One token: four panels, as many streams from memory.
template <class E>
void one_token(const MatmulTask& task, int64_t row) {
    constexpr int kPanels = 4;
    alignas(64) float total[kPanels * kPanelRows] = {};
    const auto* x = reinterpret_cast<const float*>(act_row(task, 0));
    for (int64_t begin = 0; begin < task.n_in; begin += kChunk) {
        const int64_t n = begin + kChunk < task.n_in ? kChunk : task.n_in - begin;
        const auto* w = weights_of<E>(task, row) + begin * kPanelRows;
        tile<E, kPanels, 1, kVectors == 1>(w, panels_apart<E>(task), RowsInPlace<1>{{x + begin}}, n, total);
    }
    for (int p = 0; p < kPanels; ++p) finish_panel(task, row + p * kPanelRows, 0, total + p * kPanelRows);
}

// Panels for tokens [token, token + n): a piece of them stays in the L1 cache while all tokens pass.
template <class E>
struct Panels {
    const MatmulTask& task;
    int64_t row, token, n;
    const typename E::Stored* w;
    int64_t apart;  // 0 = there is no second panel: the first stands for it
    alignas(64) float total[(kBlockTokens + kManyTokens) * kManyPanels * kPanelRows];
    alignas(64) float x[kVectors == 1 ? kManyTokens * kChunk : 1];
    alignas(64) float floats[kVectors == 1 ? kManyPanels * kChunk * kPanelRows : 1];

    Panels(const MatmulTask& t, int64_t first_row, int64_t first_token)
        : task(t), row(first_row), token(first_token), n(t.n_token - token < kBlockTokens ? t.n_token - token : kBlockTokens),
          w(weights_of<E>(t, row)), apart(0) {
        if (kManyPanels > 1 && row + kPanelRows < t.row_end) apart = panels_apart<E>(t);
        for (int64_t i = 0; i < (n + kManyTokens) * kManyPanels * kPanelRows; ++i) total[i] = 0;
    }

    // Inputs [begin, begin + n_in), whose weights are W's at `at`, for n_token tokens from t on; tokens past the last are the last.
    template <class W, int n_token>
    void tokens(const typename W::Stored* at, int64_t from_panel_to_panel, int64_t begin, int64_t n_in, int64_t t) {
        RowsInPlace<n_token> rows;
        for (int i = 0; i < n_token; ++i)
            rows.row[i] = reinterpret_cast<const float*>(act_row(task, token + (t + i < n ? t + i : n - 1))) + begin;
        float* sums = total + t * kManyPanels * kPanelRows;
        constexpr bool kFar = kVectors == 1 && sizeof(typename W::Stored) == sizeof(typename E::Stored);  // not unpacked
        if constexpr (kVectors == 1) {
            for (int i = 0; i < n_token; ++i) {
                int64_t k = 0;
                for (; k + kLanes <= n_in; k += kLanes) store(x + i * kChunk + k, loadf(rows.row[i] + k));
                for (; k < n_in; ++k) x[i * kChunk + k] = rows.row[i][k];
            }
            tile<W, kManyPanels, n_token, kFar>(at, from_panel_to_panel, CopiedRows{x}, n_in, sums);
        } else {
            tile<W, kManyPanels, n_token, kFar>(at, from_panel_to_panel, rows, n_in, sums);
        }
    }

    template <class W>
    void chunk(const typename W::Stored* at, int64_t from_panel_to_panel, int64_t begin, int64_t n_in) {
        int64_t t = 0;
        for (; t + kManyTokens <= n; t += kManyTokens) tokens<W, kManyTokens>(at, from_panel_to_panel, begin, n_in, t);
        if constexpr (kManyTokens > 8) {
            for (; n - t > 4; t += 8) tokens<W, 8>(at, from_panel_to_panel, begin, n_in, t);
            for (; n - t > 2; t += 4) tokens<W, 4>(at, from_panel_to_panel, begin, n_in, t);
        }
        for (; t + 2 <= n; t += 2) tokens<W, 2>(at, from_panel_to_panel, begin, n_in, t);
        if (t < n) tokens<W, 1>(at, from_panel_to_panel, begin, n_in, t);
    }

    // Where many tokens share them, weights are made floats once.
    void unpacked_chunk(int64_t begin, int64_t n_in) {
        constexpr int64_t kAhead = kChunk * kPanelRows;  // elements: the next chunk
        for (int p = 0; p < kManyPanels; ++p)
            for (int64_t k = 0; k < n_in * kPanelRows; k += kLanes) {
                const auto* at = w + p * apart + begin * kPanelRows + k;
                __builtin_prefetch(at + kAhead, 0, 2);
                store(floats + p * kChunk * kPanelRows + k, E::get(at));
            }
        chunk<AsF32>(floats, kChunk * kPanelRows, begin, n_in);
    }

    void run() {
        for (int64_t begin = 0; begin < task.n_in; begin += kChunk) {
            const int64_t n_in = begin + kChunk < task.n_in ? kChunk : task.n_in - begin;
            if (kVectors == 1 && sizeof(typename E::Stored) < sizeof(float) && n > kUnpackFrom)
                unpacked_chunk(begin, n_in);
            else
                chunk<E>(w + begin * kPanelRows, apart, begin, n_in);
        }
        for (int64_t t = 0; t < n; ++t)
            for (int p = 0; p < (apart ? kManyPanels : 1); ++p)
                finish_panel(task, row + p * kPanelRows, token + t, total + (t * kManyPanels + p) * kPanelRows);
    }
};

template <class E>
void matmul(const MatmulTask& task) {
    int64_t row = task.row_begin;
    if (task.n_token == 1)
        for (; row + 4 * kPanelRows <= task.row_end; row += 4 * kPanelRows) one_token<E>(task, row);
    for (; row < task.row_end; row += kManyPanels * kPanelRows)
        for (int64_t t = 0; t < task.n_token; t += kBlockTokens) {
            Panels<E> panels(task, row, t);
            panels.run();
        }
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

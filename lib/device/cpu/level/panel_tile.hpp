// The loop over blocks that all formats with interleaved panels share: lane = row, so nothing is summed across lanes.
// Every output is one chain over the blocks of its row, whatever the number of tokens: batching changes nothing.
#pragma once

#include "device/cpu/kernels.hpp"
#include "device/cpu/level/epilogue.hpp"
#include "device/cpu/level/int8.hpp"
#include "device/cpu/level/lanes.hpp"

namespace {

constexpr int kRows = static_cast<int>(hearth::cpu::kPanelRows);
constexpr int kStep = 4 * kRows;      // bytes of 4 neighbouring codes of every row
constexpr int kVector = 4 * kLanes;   // bytes of a register

// F: Act, kElements, kBytes of a file block, and block<n_token>(w, act, b, acc[n_token][kVectors]), which adds one block of a
// panel; w points at its fields, each 16 times its offset in the file's block.
template <class F, int n_panel, int n_token>
void tile(const hearth::cpu::MatmulTask& task, int64_t row, int64_t token) {
    const uint8_t* w[n_panel];
    const typename F::Act* act[n_token];
    for (int p = 0; p < n_panel; ++p) w[p] = task.weight + (row + p * kRows) * task.row_bytes;
    for (int t = 0; t < n_token; ++t) act[t] = reinterpret_cast<const typename F::Act*>(act_row(task, token + t));
    Floats acc[n_panel][n_token][kVectors] = {};
    const int64_t n_block = task.n_in / F::kElements;
    constexpr int kBlockBytes = kRows * F::kBytes, kAhead = kBlockBytes > 2048 ? 1 : 4;  // blocks to ask for early
    for (int64_t b = 0; b < n_block; ++b)
        for (int p = 0; p < n_panel; ++p) {
            const uint8_t* at = w[p] + b * kBlockBytes;
            if (n_token == 1)
                for (int line = 0; line < kBlockBytes; line += 64) __builtin_prefetch(at + kAhead * kBlockBytes + line);
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
void matmul(const hearth::cpu::MatmulTask& task) {
    constexpr int kTokens = kLanes == 16 ? 8 : 4;
    int64_t row = task.row_begin;
    if (task.n_token == 1)
        for (; row + 2 * kRows <= task.row_end; row += 2 * kRows) tile<F, 2, 1>(task, row, 0);
    for (; row < task.row_end; row += kRows) {
        int64_t t = 0;
        for (; t + kTokens <= task.n_token; t += kTokens) tile<F, 1, kTokens>(task, row, t);
        for (; t < task.n_token; ++t) tile<F, 1, 1>(task, row, t);
    }
}

}  // namespace

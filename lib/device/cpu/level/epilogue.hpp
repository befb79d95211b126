// What every matmul kernel shares: finding an activation row, and writing a finished panel of 16 outputs.
#pragma once

#include "device/cpu/kernels.hpp"
#include "device/cpu/level/lanes.hpp"

namespace {

inline const uint8_t* act_row(const hearth::cpu::MatmulTask& task, int64_t token) {
    return task.act + (task.in_row ? task.in_row[token] : token) * task.act_stride;
}

// total: [16] sums of rows row..row+15 for one token; rows past row_end are padding.
inline void finish_panel(const hearth::cpu::MatmulTask& task, int64_t row, int64_t token, const float* total) {
    const int64_t out_row = task.out_row ? task.out_row[token] : token;
    float* out = task.out + out_row * task.out_stride + row;
    const float* residual = task.residual ? task.residual + out_row * task.residual_stride + row : nullptr;
    const float* bias = task.bias ? task.bias + row : nullptr;
    const int64_t n = task.row_end - row;
    if (n >= hearth::cpu::kPanelRows) {
        for (int v = 0; v < hearth::cpu::kPanelRows; v += kLanes) {
            Floats y = loadf(total + v);
            if (bias) y += loadf(bias + v);
            y = residual ? fma(splat(task.scale), y, loadf(residual + v)) : y * task.scale;
            store(out + v, y);
        }
        return;
    }
    for (int64_t r = 0; r < n; ++r) {
        const float y = bias ? total[r] + bias[r] : total[r];
        out[r] = (residual ? fma(splat(task.scale), splat(y), splat(residual[r])) : splat(y) * task.scale)[0];
    }
}

}  // namespace

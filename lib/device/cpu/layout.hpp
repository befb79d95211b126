// How the CPU backend keeps weights in memory, and how file rows get there.
//
// vector   float32 [n], whatever the file has
// rows     as in the file; a matmul interleaves panels of them while it runs (ops_matmul.cpp)
// panels   16 rows interleaved, see panel.hpp; where the last panel of a matrix has fewer rows, its last row fills it up
#pragma once

#include <hearth/backend.h>

#include "base/result.hpp"
#include "device/cpu/kernels.hpp"
#include "quant/format.hpp"

namespace hearth::cpu {

enum class Layout : int32_t { vector, rows, panels };

struct Matrix {  // a weight seen as n_matrix matrices [n_out, n_in]
    int64_t n_matrix, n_out, n_in;
    int64_t row_bytes;
    int64_t matrix_bytes;  // from one matrix to the next in this layout
};

const MatmulKernel* matmul_kernel(const Kernels& kernels, int32_t format);  // nullptr = none
const MatmulKernel* tile_kernel(const Kernels& kernels, int32_t format);    // likewise
const KeyKernel* key_kernel(const Kernels& kernels, int32_t type);          // of cached keys, likewise
const ValueKernel* value_kernel(const Kernels& kernels, int32_t type);
Result<hearth_layout> weight_layout(const Kernels& kernels, const hearth_weight& weight);
// The layout of a weight that stays in memory of others; of 0 bytes where it cannot.
Result<hearth_layout> borrowed_layout(const Kernels& kernels, const hearth_weight& weight);
Matrix matrix_of(const hearth_weight& weight, Layout layout);
Status upload_rows(const hearth_weight& weight, Layout layout, uint8_t* to, int64_t row_begin, int64_t n_row, const void* rows);
// Elements of one row of the first matrix (embeddings).
void decode_row(const hearth_weight& weight, Layout layout, const uint8_t* from, int64_t row, float* out);

}  // namespace hearth::cpu

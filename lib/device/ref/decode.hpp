// The reference backend's own decoding of stored rows: written from the layouts, shared with nobody.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hearth::ref {

// Decodes the n elements of one row of a HEARTH_FORMAT_*. The format is known (see knows_format).
void decode_row(int32_t format, const void* row, std::size_t n, double* out);
bool knows_format(int32_t format);
int64_t format_row_bytes(int32_t format, int64_t n);
// Element `i` of a row of plain numbers (F32, F16 or BF16), and its store.
double load_element(int32_t format, const void* row, int64_t i);
void store_element(int32_t format, void* row, int64_t i, float value);
// A row of cached keys or values: F32, F16, BF16, or whole blocks of Q8_0 or Q4_0 (codes rounded to even; see docs/numerics.md).
void encode_row(int32_t format, const float* values, std::size_t n, void* row);
bool storable(int32_t format);
bool plain(int32_t format);  // F32, F16 or BF16

}  // namespace hearth::ref

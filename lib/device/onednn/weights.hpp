// How this backend keeps weights: vectors and matrices as plain float32 rows, bf16 matrices as they are where that pays.
#pragma once

#include <hearth/backend.h>

#include <cstddef>
#include <cstdint>

namespace hearth::onednn {

enum class Layout : int32_t { f32, bf16 };

const char* op_name(int32_t op);          // of ops.def, or "unknown"
const char* format_name(int32_t format);  // of formats.def, or "unknown"

bool serves_format(int32_t format);  // F32, F16 and BF16
int64_t n_element(const hearth_weight& weight);

// has_bf16: the processor multiplies bf16.
Layout layout_of(const hearth_weight& weight, bool has_bf16);
constexpr int64_t element_bytes(Layout layout) { return layout == Layout::bf16 ? 2 : 4; }

// Converts n elements of a served format.
void convert(int32_t format, Layout layout, const void* from, std::byte* to, int64_t n);

}  // namespace hearth::onednn

// The names of operators and formats for sentences, and the conversion of file rows to float32 or bf16.
#include "device/onednn/weights.hpp"

#include <cstring>

#include "base/half.hpp"

namespace hearth::onednn {

namespace {

// File bytes need not be aligned.
template <class Stored>
void widen(const std::byte* from, std::byte* to, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
        Stored stored;
        std::memcpy(&stored, from + i * static_cast<int64_t>(sizeof stored), sizeof stored);
        const float value = to_float(stored);
        std::memcpy(to + 4 * i, &value, sizeof value);
    }
}

}  // namespace

const char* op_name(int32_t op) {
    switch (op) {
#define HEARTH_OP(id, name, params) \
    case id: return #name;
#include <hearth/ops.def>
#undef HEARTH_OP
        default: return "unknown";
    }
}

const char* format_name(int32_t format) {
    switch (format) {
#define HEARTH_FORMAT(id, name, elements, bytes) \
    case id: return #name;
#include <hearth/formats.def>
#undef HEARTH_FORMAT
        default: return "unknown";
    }
}

bool serves_format(int32_t format) {
    return format == HEARTH_FORMAT_F32 || format == HEARTH_FORMAT_F16 || format == HEARTH_FORMAT_BF16;
}

int64_t n_element(const hearth_weight& weight) {
    int64_t n = 1;
    for (int32_t i = 0; i < weight.n_dim; ++i) n *= weight.shape[i];
    return n;
}

Layout layout_of(const hearth_weight& weight, bool has_bf16) {
    const bool matrix = weight.uses == HEARTH_USE_MATMUL;
    return has_bf16 && matrix && weight.format == HEARTH_FORMAT_BF16 ? Layout::bf16 : Layout::f32;
}

void convert(int32_t format, Layout layout, const void* from, std::byte* to, int64_t n) {
    const auto* bytes = static_cast<const std::byte*>(from);
    if (layout == Layout::bf16 || format == HEARTH_FORMAT_F32)
        std::memcpy(to, bytes, static_cast<std::size_t>(n * element_bytes(layout)));
    else if (format == HEARTH_FORMAT_F16)
        widen<Half>(bytes, to, n);
    else
        widen<Bf16>(bytes, to, n);
}

}  // namespace hearth::onednn

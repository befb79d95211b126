// Weight layouts of the CPU backend: sizes, conversion at upload, decoding of single rows.
#include "device/cpu/layout.hpp"

#include <algorithm>
#include <cstring>

#include "base/checked.hpp"
#include "device/cpu/panel.hpp"

namespace hearth::cpu {

namespace {

int64_t padded(int64_t n_row) { return (n_row + kPanelRows - 1) / kPanelRows * kPanelRows; }

// Chunks begin at whole panels, and only the last one of a matrix may end within one.
void upload_panels(const hearth_weight& weight, const Matrix& m, uint8_t* to, int64_t row_begin, int64_t n_row, const uint8_t* rows) {
    uint8_t* panel = to + row_begin / m.n_out * m.matrix_bytes + row_begin % m.n_out / kPanelRows * kPanelRows * m.row_bytes;
    for (int64_t row = 0; row < n_row; row += kPanelRows, panel += kPanelRows * m.row_bytes)
        make_panel(weight.format, rows + row * m.row_bytes, std::min(kPanelRows, n_row - row), m.row_bytes, panel);
}

}  // namespace

static const MatmulKernel* find_kernel(const MatmulKernels* const (&tables)[3], int32_t format) {
    if (format < 0 || format >= kFormatSlots) return nullptr;
    for (const MatmulKernels* table : tables)
        if (table && table->format[format].run) return &table->format[format];
    return nullptr;
}
const MatmulKernel* matmul_kernel(const Kernels& kernels, int32_t format) { return find_kernel(kernels.matmul, format); }
const MatmulKernel* tile_kernel(const Kernels& kernels, int32_t format) { return find_kernel(kernels.tile, format); }
const KeyKernel* key_kernel(const Kernels& kernels, int32_t type) {
    for (const CachedKernels* table : kernels.cached)
        if (type >= 0 && type < kFormatSlots && table->key[type].scores) return &table->key[type];
    return nullptr;
}
const ValueKernel* value_kernel(const Kernels& kernels, int32_t type) {
    for (const CachedKernels* table : kernels.cached)
        if (type >= 0 && type < kFormatSlots && table->value[type].add) return &table->value[type];
    return nullptr;
}

Matrix matrix_of(const hearth_weight& weight, Layout layout) {
    Matrix m{1, 1, weight.shape[weight.n_dim - 1], 0, 0};
    if (weight.n_dim >= 2) m.n_out = weight.shape[weight.n_dim - 2];
    if (weight.n_dim == 3) m.n_matrix = weight.shape[0];
    m.row_bytes = static_cast<int64_t>(row_bytes(*find_format(weight.format), static_cast<uint64_t>(m.n_in)));
    m.matrix_bytes = m.row_bytes * (layout == Layout::panels ? padded(m.n_out) : m.n_out);
    if (layout == Layout::vector) m.matrix_bytes = m.n_out * m.n_in * 4;
    return m;
}

Result<hearth_layout> weight_layout(const Kernels& kernels, const hearth_weight& weight) {
    const FormatInfo* info = find_format(weight.format);
    if (!info) return fail(Code::unsupported_type, "cpu: tensor format {} is not known", weight.format);
    if (weight.n_dim < 1 || weight.n_dim > 3) return fail(Code::invalid_argument, "cpu: a weight of {} dimensions", weight.n_dim);
    uint64_t n = 4;
    for (int32_t i = 0; i < weight.n_dim; ++i)
        if (weight.shape[i] < 1 || weight.shape[i] > INT64_C(1) << 40 ||
            !checked_mul(n, static_cast<uint64_t>(weight.shape[i]) + 15, &n) || n > UINT64_C(1) << 60)
            return fail(Code::invalid_argument, "cpu: a weight of shape {} in dimension {}", weight.shape[i], i);
    if (weight.shape[weight.n_dim - 1] % info->block_elements != 0)
        return fail(Code::unsupported_type, "cpu: rows of {} elements are not whole blocks of {}",
                    weight.shape[weight.n_dim - 1], info->name);
    Layout layout = Layout::rows;
    if (weight.uses & (HEARTH_USE_MATMUL | HEARTH_USE_EXPERTS | HEARTH_USE_HEADS)) {
        const MatmulKernel* kernel = matmul_kernel(kernels, weight.format);
        if (!kernel) return fail(Code::unsupported_type, "cpu: no matmul kernel for {}", info->name);
        if (weight.uses & HEARTH_USE_VECTOR)
            return fail(Code::unsupported_type, "cpu: a weight cannot be both a vector and a matrix");
        layout = Layout::panels;
    } else if (weight.uses & HEARTH_USE_VECTOR) {
        layout = Layout::vector;
    }
    const Matrix m = matrix_of(weight, layout);
    return hearth_layout{static_cast<int32_t>(layout), static_cast<uint64_t>(m.n_matrix * m.matrix_bytes), 64};
}

Result<hearth_layout> borrowed_layout(const Kernels& kernels, const hearth_weight& weight) {
    HEARTH_TRY(const hearth_layout copied, weight_layout(kernels, weight));
    if (copied.id == static_cast<int32_t>(Layout::vector)) return hearth_layout{};
    const Matrix m = matrix_of(weight, Layout::rows);
    return hearth_layout{static_cast<int32_t>(Layout::rows), static_cast<uint64_t>(m.n_matrix * m.matrix_bytes), 1};
}

Status upload_rows(const hearth_weight& weight, Layout layout, uint8_t* to, int64_t row_begin, int64_t n_row,
                   const void* rows) {
    const Matrix m = matrix_of(weight, layout);
    const auto* from = static_cast<const uint8_t*>(rows);
    if (row_begin < 0 || n_row < 0 || row_begin + n_row > m.n_matrix * m.n_out)
        return fail(Code::invalid_argument, "cpu: rows {} to {} of a weight with {}", row_begin, row_begin + n_row,
                    m.n_matrix * m.n_out);
    switch (layout) {
        case Layout::vector:
            for (int64_t r = 0; r < n_row; ++r)
                decode(static_cast<Format>(weight.format), from + r * m.row_bytes,
                       reinterpret_cast<float*>(to) + (row_begin + r) * m.n_in, static_cast<std::size_t>(m.n_in));
            break;
        case Layout::rows:
            std::memcpy(to + row_begin * m.row_bytes, from, static_cast<std::size_t>(n_row * m.row_bytes));
            break;
        case Layout::panels:
            if (n_row > 0) upload_panels(weight, m, to, row_begin, n_row, from);
            break;
    }
    return {};
}

void decode_row(const hearth_weight& weight, Layout layout, const uint8_t* from, int64_t row, float* out) {
    const Matrix m = matrix_of(weight, layout);
    const auto format = static_cast<Format>(weight.format);
    if (layout == Layout::rows) return decode(format, from + row * m.row_bytes, out, static_cast<std::size_t>(m.n_in));
    const FormatInfo& info = *find_format(weight.format);
    const uint8_t* panel = from + row / kPanelRows * kPanelRows * m.row_bytes;
    constexpr int64_t kAtOnce = 256;  // elements decoded at a time; the largest block
    uint8_t plain[kAtOnce * 4];
    for (int64_t i = 0; i < m.n_in; i += kAtOnce) {
        const int64_t n = std::min(kAtOnce, m.n_in - i);
        for (int64_t b = 0; b < n / info.block_elements; ++b)
            read_block(weight.format, panel, i / info.block_elements + b, row % kPanelRows, plain + b * info.block_bytes);
        decode(format, plain, out + i, static_cast<std::size_t>(n));
    }
}

}  // namespace hearth::cpu

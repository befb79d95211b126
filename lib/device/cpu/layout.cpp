// Weight layouts of the CPU backend: sizes, conversion at upload, decoding of single rows.
#include "device/cpu/layout.hpp"

#include <algorithm>
#include <cstring>

#include "base/checked.hpp"

namespace hearth::cpu {

namespace {

struct Field {
    int16_t offset, bytes, unit;
};
struct Fields {
    Format format;
    int32_t n_field;
    Field field[5];
};

// How the blocks of each format are cut.
constexpr Fields kFields[] = {
    {Format::F32, 1, {{0, 4, 4}}},
    {Format::F16, 1, {{0, 2, 2}}},
    {Format::BF16, 1, {{0, 2, 2}}},
    {Format::Q4_0, 2, {{0, 2, 2}, {2, 16, 4}}},
    {Format::Q4_1, 3, {{0, 2, 2}, {2, 2, 2}, {4, 16, 4}}},
    {Format::Q5_0, 3, {{0, 2, 2}, {2, 4, 4}, {6, 16, 4}}},
    {Format::Q5_1, 4, {{0, 2, 2}, {2, 2, 2}, {4, 4, 4}, {8, 16, 4}}},
    {Format::Q8_0, 2, {{0, 2, 2}, {2, 32, 4}}},
    {Format::Q2_K, 4, {{0, 16, 1}, {16, 64, 4}, {80, 2, 2}, {82, 2, 2}}},
    {Format::Q3_K, 4, {{0, 32, 4}, {32, 64, 4}, {96, 12, 1}, {108, 2, 2}}},
    {Format::Q4_K, 4, {{0, 2, 2}, {2, 2, 2}, {4, 12, 1}, {16, 128, 4}}},
    {Format::Q5_K, 5, {{0, 2, 2}, {2, 2, 2}, {4, 12, 1}, {16, 32, 4}, {48, 128, 4}}},
    {Format::Q6_K, 4, {{0, 128, 4}, {128, 64, 4}, {192, 16, 1}, {208, 2, 2}}},
    {Format::IQ4_NL, 2, {{0, 2, 2}, {2, 16, 4}}},
    {Format::IQ4_XS, 4, {{0, 2, 2}, {2, 2, 2}, {4, 4, 1}, {8, 128, 4}}},
    {Format::MXFP4, 2, {{0, 1, 1}, {1, 16, 4}}},
};

constexpr bool covers(const Fields& f) {  // the fields tile the block
    int32_t end = 0;
    for (int32_t i = 0; i < f.n_field; ++i) {
        if (f.field[i].offset != end) return false;
        end += f.field[i].bytes;
    }
    for (const FormatInfo& info : kFormats)
        if (info.format == f.format) return end == info.block_bytes;
    return false;
}
constexpr bool all_covered() {
    for (const Fields& f : kFields)
        if (!covers(f)) return false;
    return sizeof kFields / sizeof kFields[0] == sizeof kFormats / sizeof kFormats[0];
}
static_assert(all_covered());

const Fields* fields_of(int32_t format) {
    for (const Fields& f : kFields)
        if (static_cast<int32_t>(f.format) == format) return &f;
    return nullptr;
}

// Copies one block of one row between a panel and plain bytes: to_panel says which way.
template <bool to_panel, class Panel, class Plain>
void move_block(const Fields& fields, Panel* panel, Plain* plain, int64_t row_in_panel) {
    for (int32_t f = 0; f < fields.n_field; ++f) {
        const Field& field = fields.field[f];
        for (int32_t i = 0; i < field.bytes; i += field.unit) {
            auto* a = panel + field.offset * kPanelRows + i * kPanelRows + row_in_panel * field.unit;
            auto* b = plain + field.offset + i;
            if constexpr (to_panel)
                std::memcpy(a, b, static_cast<std::size_t>(field.unit));
            else
                std::memcpy(b, a, static_cast<std::size_t>(field.unit));
        }
    }
}

int64_t padded(int64_t n_row) { return (n_row + kPanelRows - 1) / kPanelRows * kPanelRows; }

void upload_panels(const hearth_weight& weight, const Matrix& m, uint8_t* to, int64_t row_begin, int64_t n_row,
                   const uint8_t* rows) {
    const Fields& fields = *fields_of(weight.format);
    const int64_t block_bytes = find_format(weight.format)->block_bytes, n_block = m.row_bytes / block_bytes;
    uint8_t* matrix = to + row_begin / m.n_out * m.matrix_bytes;
    const int64_t first = row_begin % m.n_out, last = first + n_row;
    const int64_t end = last == m.n_out ? padded(last) : last;  // the last chunk also clears the padding
    for (int64_t row = first; row < end; ++row) {
        uint8_t* panel = matrix + row / kPanelRows * kPanelRows * m.row_bytes;
        constexpr uint8_t kZeros[256] = {};
        for (int64_t b = 0; b < n_block; ++b) {
            const uint8_t* plain = row < last ? rows + (row - first) * m.row_bytes + b * block_bytes : kZeros;
            move_block<true>(fields, panel + b * kPanelRows * block_bytes, plain, row % kPanelRows);
        }
    }
}

}  // namespace

const MatmulKernel* matmul_kernel(const Kernels& kernels, int32_t format) {
    if (format < 0 || format >= kFormatSlots) return nullptr;
    for (const MatmulKernels* table : kernels.matmul)
        if (table->format[format].run) return &table->format[format];
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
    const Fields& fields = *fields_of(weight.format);
    const uint8_t* panel = from + row / kPanelRows * kPanelRows * m.row_bytes;
    constexpr int64_t kAtOnce = 256;  // elements decoded at a time; the largest block
    uint8_t plain[kAtOnce * 4];
    for (int64_t i = 0; i < m.n_in; i += kAtOnce) {
        const int64_t n = std::min(kAtOnce, m.n_in - i);
        for (int64_t b = 0; b < n / info.block_elements; ++b)
            move_block<false>(fields, panel + (i / info.block_elements + b) * kPanelRows * info.block_bytes,
                              plain + b * info.block_bytes, row % kPanelRows);
        decode(format, plain, out + i, static_cast<std::size_t>(n));
    }
}

}  // namespace hearth::cpu

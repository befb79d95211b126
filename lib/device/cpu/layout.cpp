// Weight layouts of the CPU backend: sizes, conversion at upload, decoding of single rows.
#include "device/cpu/layout.hpp"

#include <algorithm>
#include <cstring>

#include "base/checked.hpp"

namespace hearth::cpu {

namespace {

struct Field {
    int16_t offset, bytes, unit;  // offset: in the file's block
};
struct Fields {
    Format format;
    int32_t n_field;
    Field field[5];
};

// How the blocks of each format are cut, after arrange(), in the order of a panel: what a kernel reads first comes first, so that
// it reads memory in one direction.
constexpr Fields kFields[] = {
    {Format::F32, 1, {{0, 4, 4}}},
    {Format::F16, 1, {{0, 2, 2}}},
    {Format::BF16, 1, {{0, 2, 2}}},
    {Format::Q4_0, 2, {{0, 2, 2}, {2, 16, 4}}},
    {Format::Q4_1, 3, {{0, 2, 2}, {2, 2, 2}, {4, 16, 4}}},
    {Format::Q5_0, 3, {{0, 2, 2}, {2, 4, 4}, {6, 16, 4}}},
    {Format::Q5_1, 4, {{0, 2, 2}, {2, 2, 2}, {4, 4, 4}, {8, 16, 4}}},
    {Format::Q8_0, 2, {{0, 2, 2}, {2, 32, 4}}},
    {Format::Q2_K, 4, {{80, 2, 2}, {82, 2, 2}, {0, 16, 1}, {16, 64, 4}}},
    {Format::Q3_K, 3, {{108, 2, 2}, {96, 12, 1}, {0, 96, 4}}},
    {Format::Q4_K, 4, {{0, 2, 2}, {2, 2, 2}, {4, 12, 1}, {16, 128, 4}}},
    {Format::Q5_K, 4, {{0, 2, 2}, {2, 2, 2}, {4, 12, 1}, {16, 160, 4}}},
    {Format::Q6_K, 3, {{208, 2, 2}, {192, 16, 1}, {0, 192, 4}}},
    {Format::IQ4_NL, 2, {{0, 2, 2}, {2, 16, 4}}},
    {Format::IQ4_XS, 4, {{0, 2, 2}, {2, 2, 1}, {4, 4, 1}, {8, 128, 4}}},
    {Format::MXFP4, 2, {{0, 1, 1}, {1, 16, 4}}},
};

constexpr int64_t kMaxBlockBytes = 210;

constexpr bool covers(const Fields& f) {  // the fields tile the block
    bool taken[kMaxBlockBytes] = {};
    int32_t n_byte = 0;
    for (int32_t i = 0; i < f.n_field; ++i)
        for (int32_t at = f.field[i].offset; at < f.field[i].offset + f.field[i].bytes; ++at, ++n_byte) {
            if (at >= kMaxBlockBytes || taken[at]) return false;
            taken[at] = true;
        }
    for (const FormatInfo& info : kFormats)
        if (info.format == f.format) return n_byte == static_cast<int32_t>(info.block_bytes);
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

// Bits that lie elsewhere in a panel than in the file, so that most codes come out with one shift and one mask. Codes are in
// planes of 32 bytes, byte l of which belongs to elements with i % 32 == l; a piece is the same bits of all 32 bytes.
struct Piece {
    int8_t plane, shift, bits;           // in the file
    int8_t to_plane, to_shift;           // in a panel
};
struct Pieces {
    Format format;
    int32_t offset, n_plane, n_piece;
    Piece piece[20];
};
constexpr Pieces kPieces[] = {
    // file: plane 0 bit j = bit 2 of group j; planes 1 and 2 the low bits of groups 0-3 and 4-7
    {Format::Q3_K, 0, 3, 18,
     {{1, 0, 2, 0, 0}, {0, 0, 1, 0, 2}, {1, 2, 2, 0, 3}, {0, 1, 1, 0, 5}, {1, 4, 2, 1, 0}, {0, 2, 1, 1, 2},
      {1, 6, 2, 1, 3}, {0, 3, 1, 1, 5}, {2, 0, 2, 2, 0}, {0, 4, 1, 2, 2}, {2, 2, 2, 2, 3}, {0, 5, 1, 2, 5},
      {2, 4, 2, 0, 6}, {0, 6, 1, 1, 6}, {2, 6, 1, 1, 7}, {2, 7, 1, 2, 6}, {0, 7, 1, 2, 7}, {}}},
    // file: plane 0 bit j = bit 4 of group j; planes 1-4 the low bits of two groups each
    {Format::Q5_K, 16, 5, 20,
     {{1, 0, 4, 0, 0}, {0, 0, 1, 0, 4}, {1, 4, 4, 1, 0}, {0, 1, 1, 1, 4}, {2, 0, 4, 2, 0}, {0, 2, 1, 2, 4}, {2, 4, 4, 3, 0},
      {0, 3, 1, 3, 4}, {3, 0, 4, 4, 0}, {0, 4, 1, 4, 4}, {3, 4, 3, 0, 5}, {3, 7, 1, 3, 5}, {0, 5, 1, 3, 6}, {4, 0, 3, 1, 5},
      {4, 3, 1, 4, 5}, {0, 6, 1, 4, 6}, {4, 4, 3, 2, 5}, {4, 7, 1, 3, 7}, {0, 7, 1, 4, 7}, {}}},
    // file: planes 0-3 the low 4 bits (0 and 1 of groups 0-3, groups 2 and 3 in their high nibbles), 4 and 5 the high 2 bits
    {Format::Q6_K, 0, 6, 20,
     {{0, 0, 4, 0, 0}, {4, 0, 2, 0, 4}, {1, 0, 4, 1, 0}, {4, 2, 2, 1, 4}, {0, 4, 4, 2, 0}, {4, 4, 2, 2, 4}, {1, 4, 2, 0, 6},
      {1, 6, 2, 1, 6}, {4, 6, 2, 2, 6}, {2, 0, 4, 3, 0}, {5, 0, 2, 3, 4}, {3, 0, 4, 4, 0}, {5, 2, 2, 4, 4}, {2, 4, 4, 5, 0},
      {5, 4, 2, 5, 4}, {3, 4, 2, 3, 6}, {3, 6, 2, 4, 6}, {5, 6, 2, 5, 6}, {}, {}}},
};

constexpr bool pieces_move_every_bit() {
    for (const Pieces& p : kPieces) {
        uint32_t from[8] = {}, to[8] = {};
        for (const Piece& piece : p.piece) {
            const uint32_t mask = (1u << piece.bits) - 1;
            if ((from[piece.plane] & mask << piece.shift) || (to[piece.to_plane] & mask << piece.to_shift)) return false;
            from[piece.plane] |= mask << piece.shift;
            to[piece.to_plane] |= mask << piece.to_shift;
        }
        for (int32_t i = 0; i < p.n_plane; ++i)
            if (from[i] != 255 || to[i] != 255) return false;
    }
    return true;
}
static_assert(pieces_move_every_bit());

constexpr int64_t kPlaneBytes = 32;

// Moves the pieces of one block from `from` to `to`, which may not overlap; to_panel says which way.
void move_pieces(const Pieces& pieces, const uint8_t* from, uint8_t* to, bool to_panel) {
    std::memset(to, 0, static_cast<std::size_t>(pieces.n_plane * kPlaneBytes));
    for (const Piece& p : pieces.piece) {
        const uint8_t mask = static_cast<uint8_t>((1 << p.bits) - 1);
        const int32_t in = to_panel ? p.shift : p.to_shift, out = to_panel ? p.to_shift : p.shift;
        const uint8_t* a = from + (to_panel ? p.plane : p.to_plane) * kPlaneBytes;
        uint8_t* b = to + (to_panel ? p.to_plane : p.plane) * kPlaneBytes;
        for (int64_t l = 0; l < kPlaneBytes; ++l) b[l] = static_cast<uint8_t>(b[l] | ((a[l] >> in & mask) << out));
    }
}

// The 32 fifth bits of Q5_0 and Q5_1: in the file bit i is element i, in a panel bit g of byte k is element 4g + k.
uint32_t spread_fifths(uint32_t file) {
    uint32_t panel = 0;
    for (int g = 0; g < 8; ++g) panel |= ((file >> (4 * g) & 15) * 0x00204081u & 0x01010101u) << g;
    return panel;
}
uint32_t gather_fifths(uint32_t panel) {
    uint32_t file = 0;
    for (int g = 0; g < 8; ++g) file |= ((panel >> g & 0x01010101u) * 0x10204080u >> 28) << (4 * g);
    return file;
}

// The bytes of one block as panels have them (to_panel), or back as in the file; most formats stay as they are.
void arrange(int32_t format, uint8_t* block, bool to_panel) {
    for (const Pieces& p : kPieces)
        if (static_cast<int32_t>(p.format) == format) {
            uint8_t moved[6 * kPlaneBytes];
            move_pieces(p, block + p.offset, moved, to_panel);
            std::memcpy(block + p.offset, moved, static_cast<std::size_t>(p.n_plane * kPlaneBytes));
        }
    if (format != HEARTH_FORMAT_Q5_0 && format != HEARTH_FORMAT_Q5_1) return;
    uint8_t* at = block + (format == HEARTH_FORMAT_Q5_0 ? 2 : 4);
    uint32_t word;
    std::memcpy(&word, at, 4);
    word = to_panel ? spread_fifths(word) : gather_fifths(word);
    std::memcpy(at, &word, 4);
}

// Copies one block of one row between a panel and plain bytes: to_panel says which way.
template <bool to_panel, class Panel, class Plain>
void move_block(const Fields& fields, Panel* panel, Plain* plain, int64_t row_in_panel) {
    for (int32_t f = 0; f < fields.n_field; ++f) {
        const Field& field = fields.field[f];
        for (int32_t i = 0; i < field.bytes; i += field.unit) {
            auto* a = panel + i * kPanelRows + row_in_panel * field.unit;
            auto* b = plain + field.offset + i;
            if constexpr (to_panel)
                std::memcpy(a, b, static_cast<std::size_t>(field.unit));
            else
                std::memcpy(b, a, static_cast<std::size_t>(field.unit));
        }
        panel += field.bytes * kPanelRows;
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
        for (int64_t b = 0; b < n_block; ++b) {
            uint8_t block[kMaxBlockBytes] = {};
            if (row < last) {
                std::memcpy(block, rows + (row - first) * m.row_bytes + b * block_bytes, static_cast<std::size_t>(block_bytes));
                arrange(weight.format, block, true);
            }
            move_block<true>(fields, panel + b * kPanelRows * block_bytes, block, row % kPanelRows);
        }
    }
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
        for (int64_t b = 0; b < n / info.block_elements; ++b) {
            move_block<false>(fields, panel + (i / info.block_elements + b) * kPanelRows * info.block_bytes,
                              plain + b * info.block_bytes, row % kPanelRows);
            arrange(weight.format, plain + b * info.block_bytes, false);
        }
        decode(format, plain, out + i, static_cast<std::size_t>(n));
    }
}

}  // namespace hearth::cpu

// Interleaves rows into panels, on vectors of 16 bytes that every processor has, and takes single blocks out again.
#include "device/cpu/panel.hpp"

#include <hearth/backend.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "device/cpu/kernels.hpp"
#include "quant/format.hpp"

namespace hearth::cpu {

namespace {

struct Field {
    int16_t offset, bytes, unit;  // offset: in the file's block
};
struct Fields {
    Format format;
    std::size_t n_field;
    Field field[5];

    constexpr int64_t block_bytes() const { return at(n_field) / kPanelRows; }
    constexpr int64_t at(std::size_t i) const {  // where a field of a block of a panel begins
        int64_t bytes = 0;
        for (std::size_t f = 0; f < i; ++f) bytes += field[f].bytes * kPanelRows;
        return bytes;
    }
};

// How the blocks of each format are cut, their bits already where panels have them, in the order of a panel: what a kernel reads
// first comes first, so that it reads memory in one direction.
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

constexpr bool covers(const Fields& f) {  // the fields tile the block
    bool taken[kMaxBlockBytes] = {};
    int32_t n_byte = 0;
    for (std::size_t i = 0; i < f.n_field; ++i)
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

// Bits that lie elsewhere in a panel than in the file, so that most codes come out with one shift and one mask. Codes are in
// planes of 32 bytes, byte l of which belongs to elements with i % 32 == l; a piece is the same bits of all 32 bytes.
struct Piece {
    int8_t plane, shift, bits;           // in the file
    int8_t to_plane, to_shift;           // in a panel
};
struct Pieces {
    Format format;
    int32_t offset, n_plane;
    Piece piece[20];
};
constexpr Pieces kPieces[] = {
    // file: plane 0 bit j = bit 2 of group j; planes 1 and 2 the low bits of groups 0-3 and 4-7
    {Format::Q3_K, 0, 3,
     {{1, 0, 2, 0, 0}, {0, 0, 1, 0, 2}, {1, 2, 2, 0, 3}, {0, 1, 1, 0, 5}, {1, 4, 2, 1, 0}, {0, 2, 1, 1, 2},
      {1, 6, 2, 1, 3}, {0, 3, 1, 1, 5}, {2, 0, 2, 2, 0}, {0, 4, 1, 2, 2}, {2, 2, 2, 2, 3}, {0, 5, 1, 2, 5},
      {2, 4, 2, 0, 6}, {0, 6, 1, 1, 6}, {2, 6, 1, 1, 7}, {2, 7, 1, 2, 6}, {0, 7, 1, 2, 7}, {}}},
    // file: plane 0 bit j = bit 4 of group j; planes 1-4 the low bits of two groups each
    {Format::Q5_K, 16, 5,
     {{1, 0, 4, 0, 0}, {0, 0, 1, 0, 4}, {1, 4, 4, 1, 0}, {0, 1, 1, 1, 4}, {2, 0, 4, 2, 0}, {0, 2, 1, 2, 4}, {2, 4, 4, 3, 0},
      {0, 3, 1, 3, 4}, {3, 0, 4, 4, 0}, {0, 4, 1, 4, 4}, {3, 4, 3, 0, 5}, {3, 7, 1, 3, 5}, {0, 5, 1, 3, 6}, {4, 0, 3, 1, 5},
      {4, 3, 1, 4, 5}, {0, 6, 1, 4, 6}, {4, 4, 3, 2, 5}, {4, 7, 1, 3, 7}, {0, 7, 1, 4, 7}, {}}},
    // file: planes 0-3 the low 4 bits (0 and 1 of groups 0-3, groups 2 and 3 in their high nibbles), 4 and 5 the high 2 bits
    {Format::Q6_K, 0, 6,
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

constexpr int kPlaneBytes = 32;

// ---- from the file to a panel ----
typedef uint8_t Bytes __attribute__((vector_size(16)));
typedef uint16_t Halves __attribute__((vector_size(16)));
typedef uint32_t Words __attribute__((vector_size(16)));
typedef uint64_t Longs __attribute__((vector_size(16)));
constexpr int kRows = static_cast<int>(kPanelRows), kQuarters = kRows / 4, kVectorBytes = 16;

template <class T>
T load(const uint8_t* p) {
    T v;
    std::memcpy(&v, p, sizeof v);
    return v;
}
template <class T>
void store(uint8_t* p, T v) { std::memcpy(p, &v, sizeof v); }
// The first n bytes of a vector, in whole registers: in memory they would have to wait for each other.
template <std::size_t n>
Words load_first(const uint8_t* p) {
    if constexpr (n == kVectorBytes) return load<Words>(p);
    uint64_t low = 0, high = 0;
    std::memcpy(&low, p, std::min<std::size_t>(n, 8));
    if constexpr (n > 8) std::memcpy(&high, p + 8, n - 8);
    return reinterpret_cast<Words>(Longs{low, high});
}

// Rows of a panel; those past the last stand for it.
struct Rows {
    const uint8_t* at[kRows];
};

// 4 words of each of 4 rows become column[i] = word i of the rows.
void transpose(const Words (&row)[4], Words (&column)[4]) {
    const Words a = __builtin_shufflevector(row[0], row[1], 0, 4, 1, 5), b = __builtin_shufflevector(row[2], row[3], 0, 4, 1, 5);
    const Words c = __builtin_shufflevector(row[0], row[1], 2, 6, 3, 7), d = __builtin_shufflevector(row[2], row[3], 2, 6, 3, 7);
    column[0] = __builtin_shufflevector(a, b, 0, 1, 4, 5);
    column[1] = __builtin_shufflevector(a, b, 2, 3, 6, 7);
    column[2] = __builtin_shufflevector(c, d, 0, 1, 4, 5);
    column[3] = __builtin_shufflevector(c, d, 2, 3, 6, 7);
}

// n bytes (at most a vector) of each row, by words: [n / 4][16 rows][4].
template <int n>
void some_words(const Rows& rows, int64_t offset, uint8_t* to) {
    for (int quarter = 0; quarter < kQuarters; ++quarter) {
        Words row[4], column[4];
        for (int r = 0; r < 4; ++r) row[r] = load_first<n>(rows.at[4 * quarter + r] + offset);
        transpose(row, column);
        for (int c = 0; c < n / 4; ++c) store(to + c * 4 * kRows + quarter * kVectorBytes, column[c]);
    }
}
template <int n>
void words_of_rows(const Rows& rows, int64_t offset, uint8_t* to) {
    constexpr int kWhole = n / kVectorBytes * kVectorBytes;
    for (int i = 0; i < kWhole; i += kVectorBytes) some_words<kVectorBytes>(rows, offset + i, to + i * kRows);
    if constexpr (kWhole < n) some_words<n - kWhole>(rows, offset + kWhole, to + kWhole * kRows);
}

// 8 halves of every row: [8][16 rows]. The halves of 8 vectors are shuffled into each other, which three times is a transposition.
void halves_of_rows(const Rows& rows, int64_t offset, uint8_t* to) {
    for (int first = 0; first < kRows; first += 8) {
        Halves v[8];
        for (int r = 0; r < 8; ++r) v[r] = load<Halves>(rows.at[first + r] + offset);
        for (int step = 0; step < 3; ++step) {
            Halves old[8];
            for (int i = 0; i < 8; ++i) old[i] = v[i];
            for (int i = 0; i < 4; ++i) {
                v[2 * i] = __builtin_shufflevector(old[i], old[i + 4], 0, 8, 1, 9, 2, 10, 3, 11);
                v[2 * i + 1] = __builtin_shufflevector(old[i], old[i + 4], 4, 12, 5, 13, 6, 14, 7, 15);
            }
        }
        for (int i = 0; i < 8; ++i) store(to + i * 2 * kRows + 2 * first, v[i]);
    }
}

// [16 rows][4] bytes become [4][16 rows]: four times, the halves of the 64 bytes are shuffled into each other.
void split_bytes(const uint8_t* from, uint8_t* to) {
    Bytes v[4];
    for (int i = 0; i < 4; ++i) v[i] = load<Bytes>(from + i * kVectorBytes);
    for (int step = 0; step < 4; ++step) {
        const Bytes low[2] = {v[0], v[1]}, high[2] = {v[2], v[3]};
        for (int i = 0; i < 2; ++i) {
            v[2 * i] = __builtin_shufflevector(low[i], high[i], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            v[2 * i + 1] = __builtin_shufflevector(low[i], high[i], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        }
    }
    for (int i = 0; i < 4; ++i) store(to + i * kVectorBytes, v[i]);
}

template <int n, int unit>
void units_of_rows(const Rows& rows, int64_t offset, uint8_t* to) {
    for (int i = 0; i < n; i += unit)
        for (int r = 0; r < kRows; ++r) std::memcpy(to + i * kRows + r * unit, rows.at[r] + offset + i, unit);
}

template <Field field>
void field_of_rows(const Rows& rows, int64_t offset, uint8_t* to) {
    if constexpr (field.unit == 4) {
        words_of_rows<field.bytes>(rows, offset, to);
    } else if constexpr (field.unit == 1 && field.bytes % 4 == 0) {
        uint8_t words[field.bytes * kRows];
        words_of_rows<field.bytes>(rows, offset, words);
        for (int i = 0; i < field.bytes * kRows; i += 4 * kVectorBytes) split_bytes(words + i, to + i);
    } else {
        units_of_rows<field.bytes, field.unit>(rows, offset, to);
    }
}

constexpr uint32_t places_with(int bit) {  // of 32, those whose number has it
    uint32_t places = 0;
    for (int i = 0; i < 32; ++i) places |= static_cast<uint32_t>(i >> bit & 1) << i;
    return places;
}
// Every bit of a word goes to the place whose number is that of its own with bits `low` and `high` exchanged.
template <int low, int high>
Words exchange(Words x) {
    constexpr int kApart = (1 << high) - (1 << low);
    constexpr uint32_t kMask = places_with(low) & ~places_with(high);
    const Words t = (x >> kApart ^ x) & kMask;
    return x ^ t ^ t << kApart;
}

// The 32 fifth bits of Q5_0 and Q5_1: in the file bit 4g + k is element 4g + k, in a panel bit 8k + g is.
void spread_fifths(uint8_t* words) {
    for (int i = 0; i < kQuarters; ++i) {
        uint8_t* at = words + i * kVectorBytes;
        store(at, exchange<0, 1>(exchange<1, 2>(exchange<1, 4>(exchange<0, 3>(load<Words>(at))))));
    }
}

// One piece of half a plane, 16 elements at a time.
template <Piece piece>
void move_piece(const Longs* from, Longs* to) {
    if constexpr (piece.bits > 0) {
        constexpr uint64_t kMask = ((uint64_t{1} << piece.bits) - 1) << piece.to_shift, kBytes = kMask * 0x0101010101010101u;
        constexpr int kDown = piece.shift - piece.to_shift;
        if constexpr (kDown >= 0)
            to[piece.to_plane] |= from[piece.plane] >> kDown & kBytes;
        else
            to[piece.to_plane] |= from[piece.plane] << -kDown & kBytes;
    }
}
template <std::size_t format, std::size_t... i>
void move_pieces(const uint8_t* from, uint8_t* to, std::index_sequence<i...>) {
    constexpr const Pieces& kP = kPieces[format];
    for (int half = 0; half < kPlaneBytes; half += kVectorBytes) {
        Longs in[kP.n_plane], out[kP.n_plane] = {};
        for (int p = 0; p < kP.n_plane; ++p) in[p] = load<Longs>(from + p * kPlaneBytes + half);
        (move_piece<kP.piece[i]>(in, out), ...);
        for (int p = 0; p < kP.n_plane; ++p) store(to + p * kPlaneBytes + half, out[p]);
    }
}

constexpr std::size_t kNoPieces = sizeof kPieces / sizeof kPieces[0];
constexpr std::size_t pieces_of(Format format) {
    for (std::size_t i = 0; i < kNoPieces; ++i)
        if (kPieces[i].format == format) return i;
    return kNoPieces;
}

// Fields that are moved as they are: all, or all but the codes that are arranged first.
constexpr std::size_t n_plain_field(const Fields& f) { return f.n_field - (pieces_of(f.format) < kNoPieces); }

// One block of all rows, `block` bytes into them.
template <std::size_t format, std::size_t... field>
void make_block(const Rows& rows, int64_t block, uint8_t* to, std::index_sequence<field...>) {
    constexpr const Fields& kF = kFields[format];
    constexpr std::size_t kArranged = pieces_of(kF.format);
    if constexpr (kArranged < kNoPieces) {
        constexpr const Pieces& kP = kPieces[kArranged];
        constexpr Field kCodes = kF.field[kF.n_field - 1];
        static_assert(kCodes.offset == kP.offset && kCodes.bytes == kP.n_plane * kPlaneBytes);
        uint8_t codes[kRows][kCodes.bytes];
        Rows arranged;
        for (int r = 0; r < kRows; ++r) {
            move_pieces<kArranged>(rows.at[r] + block + kP.offset, codes[r], std::make_index_sequence<std::size(kP.piece)>());
            arranged.at[r] = codes[r];
        }
        field_of_rows<kCodes>(arranged, 0, to + kF.at(kF.n_field - 1));
        (field_of_rows<kF.field[field]>(rows, block + kF.field[field].offset, to + kF.at(field)), ...);  // the others
    } else {
        (field_of_rows<kF.field[field]>(rows, block + kF.field[field].offset, to + kF.at(field)), ...);
    }
    if constexpr (kF.format == Format::Q5_0 || kF.format == Format::Q5_1) spread_fifths(to + kF.at(kF.n_field - 2));
}

// Asks for what the panel behind this one will read in its place: rows lie one after the other, and processors do not foresee 16 streams.
template <int64_t n>
void fetch_ahead(const Rows& rows, int64_t row_bytes, int64_t at) {
    const uint8_t* next = rows.at[0] + kPanelRows * (row_bytes + at);
    for (int64_t line = 0; line < n * kPanelRows; line += 64) __builtin_prefetch(next + line);
}

template <std::size_t format>
void make_blocks(const Rows& rows, int64_t row_bytes, uint8_t* panel) {
    constexpr const Fields& kF = kFields[format];
    constexpr int64_t kBlockBytes = kF.block_bytes();
    for (int64_t block = 0; block < row_bytes; block += kBlockBytes) {
        fetch_ahead<kBlockBytes>(rows, row_bytes, block);
        make_block<format>(rows, block, panel + block * kRows, std::make_index_sequence<n_plain_field(kF)>());
    }
}

// Formats of one element per block: whole vectors of each row are turned at a time, then what is left.
void make_floats(const Rows& rows, int64_t row_bytes, uint8_t* panel) {
    int64_t at = 0;
    for (; at + kVectorBytes <= row_bytes; at += kVectorBytes) {
        fetch_ahead<kVectorBytes>(rows, row_bytes, at);
        words_of_rows<kVectorBytes>(rows, at, panel + at * kRows);
    }
    for (; at < row_bytes; at += 4) units_of_rows<4, 4>(rows, at, panel + at * kRows);
}

void make_halves(const Rows& rows, int64_t row_bytes, uint8_t* panel) {
    int64_t at = 0;
    for (; at + kVectorBytes <= row_bytes; at += kVectorBytes) {
        fetch_ahead<kVectorBytes>(rows, row_bytes, at);
        halves_of_rows(rows, at, panel + at * kRows);
    }
    for (; at < row_bytes; at += 2) units_of_rows<2, 2>(rows, at, panel + at * kRows);
}

using MakeFn = void (*)(const Rows& rows, int64_t row_bytes, uint8_t* panel);
constexpr std::size_t kFormatCount = std::size(kFields);
template <std::size_t... i>
constexpr void fill(MakeFn (&make)[kFormatCount], std::index_sequence<i...>) {
    ((make[i] = kFields[i].block_bytes() == 4 ? make_floats : kFields[i].block_bytes() == 2 ? make_halves : make_blocks<i>), ...);
}
struct MakeFns {
    MakeFn make[kFormatCount] = {};
    constexpr MakeFns() { fill(make, std::make_index_sequence<kFormatCount>()); }
};
constexpr MakeFns kMake;

std::size_t index_of(int32_t format) {
    std::size_t i = 0;
    while (static_cast<int32_t>(kFields[i].format) != format) ++i;
    return i;
}

// ---- and back, one block at a time ----
void restore_pieces(const Pieces& pieces, const uint8_t* from, uint8_t* to) {
    std::memset(to, 0, static_cast<std::size_t>(pieces.n_plane * kPlaneBytes));
    for (const Piece& p : pieces.piece) {
        const uint8_t* a = from + p.to_plane * kPlaneBytes;
        uint8_t* b = to + p.plane * kPlaneBytes;
        const int mask = (1 << p.bits) - 1;
        for (int l = 0; l < kPlaneBytes; ++l) b[l] = static_cast<uint8_t>(b[l] | (a[l] >> p.to_shift & mask) << p.shift);
    }
}

uint32_t gather_fifths(uint32_t panel) {
    uint32_t file = 0;
    for (int g = 0; g < 8; ++g) file |= ((panel >> g & 0x01010101u) * 0x10204080u >> 28) << (4 * g);
    return file;
}

// The bits of a block's codes go back to where the file has them; most formats stay as they are.
void restore_bits(int32_t format, uint8_t* block) {
    for (const Pieces& p : kPieces)
        if (static_cast<int32_t>(p.format) == format) {
            uint8_t moved[6 * kPlaneBytes];
            restore_pieces(p, block + p.offset, moved);
            std::memcpy(block + p.offset, moved, static_cast<std::size_t>(p.n_plane * kPlaneBytes));
        }
    if (format != HEARTH_FORMAT_Q5_0 && format != HEARTH_FORMAT_Q5_1) return;
    uint8_t* at = block + (format == HEARTH_FORMAT_Q5_0 ? 2 : 4);
    uint32_t word;
    std::memcpy(&word, at, 4);
    word = gather_fifths(word);
    std::memcpy(at, &word, 4);
}

}  // namespace

void make_panel(int32_t format, const uint8_t* rows, int64_t n_row, int64_t row_bytes, uint8_t* panel) {
    Rows all;
    for (int64_t r = 0; r < kPanelRows; ++r) all.at[r] = rows + std::min(r, n_row - 1) * row_bytes;
    kMake.make[index_of(format)](all, row_bytes, panel);
}

void read_block(int32_t format, const uint8_t* panel, int64_t block, int64_t row_in_panel, uint8_t* to) {
    const Fields& fields = kFields[index_of(format)];
    panel += block * kPanelRows * fields.block_bytes();
    for (std::size_t f = 0; f < fields.n_field; ++f) {
        const Field& field = fields.field[f];
        const uint8_t* from = panel + fields.at(f) + row_in_panel * field.unit;
        for (int32_t i = 0; i < field.bytes; i += field.unit)
            std::memcpy(to + field.offset + i, from + i * kPanelRows, static_cast<std::size_t>(field.unit));
    }
    restore_bits(format, to);
}

}  // namespace hearth::cpu

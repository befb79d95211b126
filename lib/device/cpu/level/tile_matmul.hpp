// Matmul by bf16 tiles, for levels that have them: weights become bf16 in the L1 cache, a panel pair and 256 inputs at a time, and
// all tokens of the task pass. Every output is one chain of sums over the inputs of its row, whatever the number of tokens.
#pragma once

#include "device/cpu/kernels.hpp"
#include "device/cpu/level/epilogue.hpp"
#include "device/cpu/level/tiles.hpp"

namespace {

constexpr int kPieces = static_cast<int>(hearth::cpu::kSlabInputs) / 32;  // a piece is the 32 inputs that a tile has
constexpr int kSlabBytes = kPieces * kTileBytes;                          // of one panel, and of 16 tokens
static_assert(hearth::cpu::kTileWorkBytes >= 4 * kSlabBytes);

// What the tiles of 16 tokens want of a slab: [tokens / 16][8 pieces][16 tokens][32]. Rows that are not neighbours are gathered first.
inline const uint8_t* slab_rows(const hearth::cpu::MatmulTask& task, int64_t slab, uint8_t* gathered) {
    const uint8_t* from = task.act + slab * task.act_stride;
    if (!task.in_row) return from;
    for (int64_t t = 0; t < task.n_token; ++t) {
        const int64_t row = task.in_row[t];
        const uint8_t* a = from + row / 16 * kSlabBytes + row % 16 * 64;
        uint8_t* b = gathered + t / 16 * kSlabBytes + t % 16 * 64;
        for (int i = 0; i < kPieces; ++i) __builtin_memcpy(b + i * kTileBytes, a + i * kTileBytes, 64);
    }
    return gathered;
}

// Makes the tiles of two panels and a slab, [panel][pieces][16 pairs of inputs][16 rows][2], a few at a time: between tile
// instructions, which leave the vector units idle. W::piece(panel, n_in, i, to) makes that of inputs 32i..32i+31.
template <class W>
struct Ahead {
    W weights;
    const uint8_t* panel;
    uint8_t* to;
    int64_t first;  // piece of the matrix
    int n_panel, n_piece, n, done;

    void start(const hearth::cpu::MatmulTask& task, int64_t slab, int64_t row, uint8_t* where) {
        const int64_t left = (task.n_in + 31) / 32 - slab * kPieces;
        panel = task.weight + row * task.row_bytes;
        to = where;
        first = slab * kPieces;
        n_panel = row + hearth::cpu::kPanelRows < task.row_end ? 2 : 1;
        n_piece = static_cast<int>(left < kPieces ? left : kPieces);
        n = n_panel * n_piece;
        done = 0;
    }
    void go_on(const hearth::cpu::MatmulTask& task, int64_t until) {
        for (; done < until; ++done) {
            const int p = done / n_piece, i = done % n_piece;
            weights.piece(panel + p * hearth::cpu::kPanelRows * task.row_bytes, task.n_in, first + i, to + p * kSlabBytes + i * kTileBytes);
        }
    }
};

// Adds a slab to the sums of n_tile x 16 tokens and n_panel x 16 rows; sums: [panel, apart][tile][16 tokens][16 rows].
template <int n_tile, int n_panel>
inline void add_slab(Tiles& tiles, const uint8_t* act, const uint8_t* weights, int n_piece, float* sums, int64_t apart, bool begin) {
    const auto each = [&](auto f) HEARTH_INLINE {
        unrolled<n_tile>([&](auto t) HEARTH_INLINE { unrolled<n_panel>([&](auto p) HEARTH_INLINE { f(t, p); }); });
    };
    each([&](auto t, auto p) HEARTH_INLINE {
        constexpr int kTile = 2 * decltype(t)::value + decltype(p)::value;
        if (begin)
            tiles.template zero<kTile>();
        else
            tiles.template load<kTile>(sums + p.value * apart + t.value * 256);
    });
    for (int i = 0; i < n_piece; ++i, act += kTileBytes, weights += kTileBytes) {
        unrolled<n_tile>([&](auto t) HEARTH_INLINE { tiles.template load<4 + decltype(t)::value>(act + t.value * kSlabBytes); });
        unrolled<n_panel>([&](auto p) HEARTH_INLINE { tiles.template load<6 + decltype(p)::value>(weights + p.value * kSlabBytes); });
        each([&](auto t, auto p) HEARTH_INLINE {
            constexpr int kT = decltype(t)::value, kP = decltype(p)::value;
            tiles.template dot<2 * kT + kP, 4 + kT, 6 + kP>();
        });
    }
    each([&](auto t, auto p) HEARTH_INLINE {
        tiles.template store<2 * decltype(t)::value + decltype(p)::value>(sums + p.value * apart + t.value * 256);
    });
}

inline void finish_tiles(const hearth::cpu::MatmulTask& task, int64_t row, int64_t tile, int n_tile, int n_panel, const float* sums,
                         int64_t apart) {
    const int64_t end = (tile + n_tile) * 16 < task.n_token ? (tile + n_tile) * 16 : task.n_token;
    for (int64_t t = tile * 16; t < end; ++t)
        for (int p = 0; p < n_panel; ++p)
            finish_panel(task, row + p * hearth::cpu::kPanelRows, t, sums + p * apart + (t - tile * 16) * 16);
}

template <class W>
void tile_matmul(const hearth::cpu::MatmulTask& task) {
    uint8_t *const pairs = task.work, *const gathered = pairs + 4 * kSlabBytes;
    const int64_t n_tile = (task.n_token + 15) / 16, apart = n_tile * 256;
    auto* const sums = reinterpret_cast<float*>(gathered + n_tile * kSlabBytes);
    const int64_t n_pair = (task.row_end - task.row_begin + 31) / 32,
                  n_slab = (task.n_in + hearth::cpu::kSlabInputs - 1) / hearth::cpu::kSlabInputs;
    const uint8_t* act = nullptr;
    Tiles tiles;
    Ahead<W> ahead;
    ahead.start(task, 0, task.row_begin, pairs);
    ahead.go_on(task, ahead.n);
    for (int64_t i = 0; i < n_slab * n_pair; ++i) {  // slab by slab, and in each pair by pair
        const int64_t slab = i / n_pair, row = task.row_begin + i % n_pair * 32, next = i + 1;
        const uint8_t* const weights = pairs + i % 2 * 2 * kSlabBytes;
        const int n_piece = ahead.n_piece, n_panel = ahead.n_panel;
        float* const here = sums + i % n_pair * 2 * apart;
        if (i % n_pair == 0) act = slab_rows(task, slab, gathered);
        ahead.n = 0;
        if (next < n_slab * n_pair)
            ahead.start(task, next / n_pair, task.row_begin + next % n_pair * 32, pairs + next % 2 * 2 * kSlabBytes);
        for (int64_t t = 0; t < n_tile; t += 2) {
            const int n_now = t + 1 < n_tile ? 2 : 1;
            const auto add = n_now == 2 ? n_panel == 2 ? add_slab<2, 2> : add_slab<2, 1> : n_panel == 2 ? add_slab<1, 2> : add_slab<1, 1>;
            add(tiles, act + t * kSlabBytes, weights, n_piece, here + t * 256, apart, slab == 0);
            if (slab == n_slab - 1) finish_tiles(task, row, t, n_now, n_panel, here + t * 256, apart);
            ahead.go_on(task, ahead.n * (t + n_now) / n_tile);
        }
    }
}

}  // namespace

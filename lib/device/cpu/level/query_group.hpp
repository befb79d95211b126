// Groups of queries that share what they load of pages: their count as a constant, registers for them, and asking for the next pages.
#pragma once

#include "device/cpu/kernels.hpp"
#include "device/cpu/level/lanes.hpp"

namespace {

constexpr int kKeys = static_cast<int>(hearth::cpu::kPageTokens), kKeyVectors = kKeys / kLanes;  // of a page
constexpr int kMostKeys = static_cast<int>(hearth::cpu::kKeysAtOnce);
constexpr int kGroup = 6;  // queries that share what they load, at most: with two registers of sums for each

// Queries of the next group, with `left` to come: groups of less than 3 have little to share.
inline int32_t next_group(int32_t left) { return left <= kGroup ? left : left <= kGroup + 2 ? (left + 1) / 2 : kGroup; }

// Registers of sums for each of n queries: as many as leave room for what else is in use, and what is left over goes by smaller tiles.
template <int n>
constexpr int tile_for(int most) {
    const int room = kRegisters * 3 / 4 / n, count = room >= 8 ? 8 : room >= 4 ? 4 : room;
    return count < most ? count : most;
}
constexpr int smaller_tile(int tile) { return tile == 3 ? 2 : tile / 2; }

// acc[i][j] += weight(i) * value(j); what there are fewer of stays in registers meanwhile.
template <int n, int tile, class W, class V>
HEARTH_INLINE inline void add_products(Floats (&acc)[n][tile], W weight, V value) {
    if constexpr (n < tile) {
        Floats w[n];
        for (int i = 0; i < n; ++i) w[i] = weight(i);
        unrolled<tile>([&](auto j) HEARTH_INLINE {
            const Floats x = value(j.value);
            for (int i = 0; i < n; ++i) acc[i][j.value] = fma(w[i], x, acc[i][j.value]);
        });
    } else {
        Floats x[tile];
        for (int j = 0; j < tile; ++j) x[j] = value(j);
        unrolled<n>([&](auto i) HEARTH_INLINE {
            const Floats w = weight(i.value);
            for (int j = 0; j < tile; ++j) acc[i.value][j] = fma(w, x[j], acc[i.value][j]);
        });
    }
}

// f(Constant<count>{}), for 1 <= count <= n.
template <int n = kGroup, class F>
HEARTH_INLINE inline void by_count(int count, F f) {
    if constexpr (n > 1)
        if (count < n) return by_count<n - 1>(count, f);
    f(Constant<n>{});
}

// Asks for all lines of pages in n_turn turns, of all pages in each: several streams at once come faster than one after another. A turn is
// for kRun steps of an inner loop.
constexpr int kRun = 8;
struct Ahead {
    const hearth::cpu::PagesToFetch pages;
    int64_t per_turn;
    HEARTH_INLINE Ahead(const hearth::cpu::PagesToFetch& what, int64_t n_turn)
        : pages(what), per_turn((what.bytes / n_turn + 63) / 64 * 64) {}
    HEARTH_INLINE void ask(int64_t turn) const {
        const int64_t first = turn * per_turn, end = first + per_turn < pages.bytes ? first + per_turn : pages.bytes;
        for (int64_t page = 0; page < pages.n; ++page)
            for (int64_t i = first; i < end; i += 64) __builtin_prefetch(pages.at[page] + i);
    }
};

constexpr int64_t n_run(int64_t steps) { return (steps + kRun - 1) / kRun; }

// f(page, key, end) of the keys that are seen, in runs of kRun or of a page.
template <class F>
HEARTH_INLINE inline void each_run(const hearth::cpu::QueryGroup& g, int run, F f) {
    static_assert(kKeys % kRun == 0);
    for (int key = g.low, end; key < g.high; key = end) {
        end = key - key % run + run < g.high ? key - key % run + run : g.high;
        f(key / kKeys, key, end);
    }
}

}  // namespace

// Groups of queries that share what they load of pages: their count as a constant, and asking for the next pages.
#pragma once

#include "device/cpu/kernels.hpp"
#include "device/cpu/level/lanes.hpp"

namespace {

constexpr int kKeys = static_cast<int>(hearth::cpu::kPageTokens), kKeyVectors = kKeys / kLanes;  // of a page
constexpr int kMostKeys = static_cast<int>(hearth::cpu::kKeysAtOnce);
constexpr int kGroup = 6;  // queries that share what they load, at most: with two registers of sums for each

// Queries of the next group, with `left` to come: groups of less than 3 have little to share.
inline int32_t next_group(int32_t left) { return left <= kGroup ? left : left <= kGroup + 2 ? (left + 1) / 2 : kGroup; }

// f(Constant<count>{}), for 1 <= count <= n.
template <int n = kGroup, class F>
HEARTH_INLINE inline void by_count(int count, F f) {
    if constexpr (n > 1)
        if (count < n) return by_count<n - 1>(count, f);
    f(Constant<n>{});
}

// Asks for all lines of pages in n_turn turns, of all pages in each: several streams at once come faster than one after another.
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

}  // namespace

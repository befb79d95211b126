// The count of a group of queries as a constant, for loops over registers.
#pragma once

#include "device/cpu/kernels.hpp"
#include "device/cpu/level/lanes.hpp"

namespace {

constexpr int kKeys = static_cast<int>(hearth::cpu::kPageTokens);
constexpr int kKeyVectors = kKeys / kLanes;
constexpr int kGroup = 6;  // queries that share what they load, at most

// Asks for the lines of piece i of what lies at p (if not nullptr), in pieces of `bytes`: small ones share a line.
template <int bytes>
HEARTH_INLINE inline void ask(const uint8_t* p, int64_t i) {
    if (!p || (bytes <= 32 && i % (64 / bytes) != 0)) return;
    for (int line = 0; line < bytes || line == 0; line += 64) __builtin_prefetch(p + i * bytes + line);
}

template <class F>
HEARTH_INLINE inline void by_count(const hearth::cpu::QueryGroup& g, F f) {
    if (g.n == kGroup) return f(Constant<kGroup>{});
    if (g.n == 4) return f(Constant<4>{});
    if (g.n == 2) return f(Constant<2>{});
    f(Constant<1>{});
}

}  // namespace

// The count of a group of queries as a constant, for loops over registers.
#pragma once

#include "device/cpu/kernels.hpp"
#include "device/cpu/level/lanes.hpp"

namespace {

constexpr int kKeys = static_cast<int>(hearth::cpu::kPageTokens);
constexpr int kKeyVectors = kKeys / kLanes;

template <class F>
HEARTH_INLINE inline void by_count(const hearth::cpu::QueryGroup& g, F f) {
    if (g.n == 4) return f(Constant<4>{});
    if (g.n == 2) return f(Constant<2>{});
    f(Constant<1>{});
}

}  // namespace

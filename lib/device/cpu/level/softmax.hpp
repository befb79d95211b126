// What attention by vectors and by tiles share of the online softmax: its state is (maximum, sum) per query, in units of ln 2.
#pragma once

#include "device/cpu/kernels.hpp"
#include "device/cpu/level/math.hpp"

namespace {

constexpr float kNever = -3.0e38f;  // the running maximum before any key
constexpr float kLog2e = 1.44269504088896341f;

// Scores of the keys at `place` and after it, a key a lane, less alibi; `never` for those that the query does not see.
HEARTH_INLINE inline Floats seen_scores(const hearth::cpu::AttentionTask& task, int32_t query, int32_t place, Floats x, float never) {
    Ints places;
    for (int i = 0; i < kLanes; ++i) places[i] = place + i;
    if (task.slope) x -= task.slope[query] * kLog2e * abs(to_floats(places - task.place[query]));
    const Ints seen = (places >= task.begin[query]) & (places < task.end[query]);
    return seen ? x : splat(never);
}

// What a query's sums over all keys are to be multiplied with: 0 where no key has any weight; a sink takes its share and adds nothing.
inline float share_of(const hearth::cpu::AttentionTask& task, int32_t query) {
    float total = task.scratch[2 * query + 1], factor = 1;
    if (task.sink) {
        const float highest = task.scratch[2 * query], sink = task.sink[query] * kLog2e, top = sink > highest ? sink : highest;
        factor = exp2_of_negative(splat(highest - top))[0];
        total = total * factor + exp2_of_negative(splat(sink - top))[0];
    }
    return total == 0 ? 0 : factor / total;  // NaN stays NaN
}

}  // namespace

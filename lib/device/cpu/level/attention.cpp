// Attention of a block of queries over the pages of one sequence and one key/value head, with an online softmax.
#include <hearth/backend.h>

#include "device/cpu/kernels.hpp"
#include "device/cpu/level/lanes.hpp"
#include "device/cpu/level/math.hpp"

namespace {

using namespace hearth::cpu;

constexpr int kKeys = static_cast<int>(kPageTokens);
constexpr int kKeyVectors = kKeys / kLanes;
constexpr float kNever = -3.0e38f;  // the running maximum before any key

// Scale, softcap, alibi and mask; keys of the page are places first..first+31.
inline void mask_scores(const AttentionTask& task, int32_t query, int32_t first, float* s) {
    const int32_t begin = task.begin[query], end = task.end[query];
    for (int v = 0; v < kKeyVectors; ++v) {
        Floats x = loadf(s + v * kLanes) * task.scale;
        if (task.softcap != 0) x = task.softcap * tanh(x / task.softcap);
        store(s + v * kLanes, x);
    }
    if (task.slope)
        for (int i = 0; i < kKeys; ++i) {
            const int32_t distance = first + i - task.place[query];
            s[i] -= task.slope[query] * static_cast<float>(distance < 0 ? -distance : distance);
        }
    if (first >= begin && first + kKeys <= end) return;
    for (int i = 0; i < kKeys; ++i)
        if (first + i < begin || first + i >= end) s[i] = kNever;
}

// Folds 32 scores into the running (maximum, sum) and turns them into weights; returns the factor for what is summed so far.
inline float online_softmax(float* s, float& highest, float& total) {
    Floats tops = splat(highest);
    for (int v = 0; v < kKeyVectors; ++v) tops = max(tops, loadf(s + v * kLanes));
    const float top = max_of(tops), factor = top == highest ? 1.0f : exp(splat(highest - top))[0];
    Floats part{};
    for (int v = 0; v < kKeyVectors; ++v) {
        const Floats x = loadf(s + v * kLanes);
        const Floats weight = x > 0.5f * kNever ? exp(x - top) : Floats{};
        part += weight;
        store(s + v * kLanes, weight);
    }
    highest = top;
    total = total * factor + sum(part);
    return factor;
}

// Some queries over one page, whose first key is place `first`.
void attend_page(const QueryGroup& queries, const KeyKernel& key, const ValueKernel& value, int32_t first, const uint8_t* page) {
    const AttentionTask& task = *queries.task;
    int low = kKeys, high = 0;  // keys that any of the queries sees
    for (int i = queries.first; i < queries.first + queries.n; ++i) {
        low = task.begin[i] - first < low ? task.begin[i] - first : low;
        high = task.end[i] - first > high ? task.end[i] - first : high;
    }
    low = low < 0 ? 0 : low;
    high = high > kKeys ? kKeys : high;
    if (low >= high) return;
    alignas(64) float s[4][kKeys];
    float factor[4];
    key.scores(queries, page + task.k_offset, s);
    for (int i = 0; i < queries.n; ++i) {
        float* state = task.scratch + 2 * (queries.first + i);
        mask_scores(task, queries.first + i, first, s[i]);
        factor[i] = online_softmax(s[i], state[0], state[1]);
    }
    if (task.latent)
        key.add_latent(queries, page + task.k_offset, s, factor);
    else
        value.add(queries, page + task.v_offset, s, factor, low, high);
}

void attention(const AttentionTask& task, const KeyKernel& key, const ValueKernel& value) {
    int32_t low = INT32_MAX, high = 0;
    for (int32_t i = 0; i < task.n_query; ++i) {
        task.scratch[2 * i] = kNever;
        task.scratch[2 * i + 1] = 0;
        for (int32_t d = 0; d < task.v_width; ++d) task.out[i][d] = 0;
        low = task.begin[i] < low ? task.begin[i] : low;
        high = task.end[i] > high ? task.end[i] : high;
    }
    for (int32_t place = low / kKeys * kKeys; place < high; place += kKeys) {
        const int32_t page = task.page[place / kKeys];
        if (page < 0) continue;
        const uint8_t* at = task.pool + page * task.page_bytes;
        int32_t i = 0;
        for (; i + 4 <= task.n_query; i += 4) attend_page({&task, i, 4}, key, value, place, at);
        for (; i + 2 <= task.n_query; i += 2) attend_page({&task, i, 2}, key, value, place, at);
        if (i < task.n_query) attend_page({&task, i, 1}, key, value, place, at);
    }
    for (int32_t i = 0; i < task.n_query; ++i) {
        float total = task.scratch[2 * i + 1], factor = 1;
        if (task.sink) {
            const float highest = task.scratch[2 * i], top = task.sink[i] > highest ? task.sink[i] : highest;
            factor = exp(splat(highest - top))[0];
            total = total * factor + exp(splat(task.sink[i] - top))[0];
        }
        const float inverse = total > 0 ? factor / total : 0;
        for (int32_t d = 0; d < task.v_width; ++d) task.out[i][d] *= inverse;
    }
}

}  // namespace

extern "C" {
extern const AttentionKernels HEARTH_LEVEL_NAME(hearth_cpu_attention);
constexpr AttentionKernels HEARTH_LEVEL_NAME(hearth_cpu_attention) = {attention};
}

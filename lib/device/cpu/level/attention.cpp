// Attention of a block of queries over the pages of one sequence and one key/value head, with an online softmax.
#include <hearth/backend.h>

#include "device/cpu/kernels.hpp"
#include "device/cpu/level/lanes.hpp"
#include "device/cpu/level/math.hpp"
#include "device/cpu/level/query_group.hpp"
#include "device/cpu/level/softmax.hpp"

extern "C" {
extern const hearth::cpu::CachedKernels HEARTH_LEVEL_NAME(hearth_cpu_cached_plain);
}

namespace {

using namespace hearth::cpu;

// Scale, softcap, alibi and mask where a page needs more than a factor; its keys are places first..first+31.
void shape_scores(const AttentionTask& task, int32_t query, int32_t first, float* s) {
    for (int v = 0; v < kKeyVectors; ++v) {
        Floats x = loadf(s + v * kLanes) * task.scale;
        if (task.softcap != 0) x = task.softcap * tanh(x / task.softcap);
        store(s + v * kLanes, seen_scores(task, query, first + v * kLanes, x * kLog2e));
    }
}

// Folds 32 scores times `unit` into the running (maximum, sum) and turns them into weights; returns the factor for what is
// summed so far.
HEARTH_INLINE inline float online_softmax(float* s, float unit, float& highest, float& total) {
    Floats x[kKeyVectors], tops = splat(highest), part{};
    for (int v = 0; v < kKeyVectors; ++v) {
        x[v] = loadf(s + v * kLanes) * unit;
        tops = max(x[v], tops);
    }
    const float top = max_of(tops), factor = top == highest ? 1.0f : exp2_of_negative(splat(highest - top))[0];
    const float base = top > kNever ? top : 0;  // no key seen yet: every weight is 0
    for (int v = 0; v < kKeyVectors; ++v) {
        const Floats weight = exp2_of_negative(x[v] - base);
        part += weight;
        store(s + v * kLanes, weight);
    }
    highest = top;
    total = total * factor + sum(part);
    return factor;
}

// One page of a head and the kernels for how it lies there.
struct Page {
    const uint8_t *k, *v;
    const KeyKernel* key;
    const ValueKernel* value;
    int32_t first;  // place of its first key
};

void attend_page(const QueryGroup& queries, const Page& page) {
    const AttentionTask& task = *queries.task;
    int low = kKeys, high = 0;  // keys that any of the queries sees
    for (int i = queries.first; i < queries.first + queries.n; ++i) {
        low = task.begin[i] - page.first < low ? task.begin[i] - page.first : low;
        high = task.end[i] - page.first > high ? task.end[i] - page.first : high;
    }
    low = low < 0 ? 0 : low;
    high = high > kKeys ? kKeys : high;
    if (low >= high) return;
    alignas(64) float s[kGroup][kKeys];
    float factor[kGroup];
    page.key->scores(queries, page.k, s);
    for (int i = 0; i < queries.n; ++i) {
        const int32_t query = queries.first + i;
        float* state = task.scratch + 2 * query;
        const bool whole = page.first >= task.begin[query] && page.first + kKeys <= task.end[query];
        const bool plain = whole && task.softcap == 0 && !task.slope;
        if (!plain) shape_scores(task, query, page.first, s[i]);
        factor[i] = online_softmax(s[i], plain ? task.scale * kLog2e : 1.0f, state[0], state[1]);
    }
    if (task.latent)
        page.key->add_latent(queries, page.k, s, factor, low, high);
    else
        page.value->add(queries, page.v, s, factor, low, high);
}

// Many queries read a page as floats, which it becomes once.
Page unpacked(const AttentionTask& task, Page page) {
    if (page.key->unpack) {
        page.key->unpack(page.k, task.k_width, task.unpacked);
        page.k = reinterpret_cast<const uint8_t*>(task.unpacked);
        page.key = &HEARTH_LEVEL_NAME(hearth_cpu_cached_plain).key[HEARTH_FORMAT_F32];
    }
    if (task.latent || !page.value->unpack) return page;
    float* to = task.unpacked + kKeys * task.k_width;
    page.value->unpack(page.v, task.v_width, to);
    page.v = reinterpret_cast<const uint8_t*>(to);
    page.value = &HEARTH_LEVEL_NAME(hearth_cpu_cached_plain).value[HEARTH_FORMAT_F32];
    return page;
}

// Adds what a stretch of keys gave a query to what those before it did.
void fold(float* state, float* sums, const float* more, const float* more_sums, int32_t width) {
    if (more[0] == kNever && more[1] == 0) return;  // none of its keys was seen
    const float top = more[0] > state[0] ? more[0] : state[0];
    const auto factor = [&](float highest) { return highest == top ? 1.0f : exp2_of_negative(splat(highest - top))[0]; };
    const float a = factor(state[0]), b = factor(more[0]);
    const auto both = [&](Floats x, Floats y) HEARTH_INLINE { return fma(x, splat(a), y * splat(b)); };
    state[0] = top;
    state[1] = both(splat(state[1]), splat(more[1]))[0];
    int32_t d = 0;
    for (; d + kLanes <= width; d += kLanes) store(sums + d, both(loadf(sums + d), loadf(more_sums + d)));
    for (; d < width; ++d) sums[d] = both(splat(sums[d]), splat(more_sums[d]))[0];
}

void clear(float* state, float* sums, int32_t width) {
    state[0] = kNever;
    state[1] = 0;
    for (int32_t d = 0; d < width; ++d) sums[d] = 0;
}

// Where a query's stretch ends at this place the next one begins: with sums of its own, and these are folded.
void turn(const AttentionTask& task, int32_t place) {
    for (int32_t i = 0; i < task.n_query; ++i) {
        if (place % task.stretch[i] != 0) continue;
        float *state = task.scratch + 2 * i, *sums = task.before + 2 * task.n_query + i * task.v_width;
        fold(task.before + 2 * i, sums, state, task.out[i], task.v_width);
        clear(state, task.out[i], task.v_width);
    }
}
// What is in `before` and the last stretch, where its place is without stretches.
void turn_back(const AttentionTask& task) {
    for (int32_t i = 0; i < task.n_query; ++i) {
        float *state = task.before + 2 * i, *sums = task.before + 2 * task.n_query + i * task.v_width;
        fold(state, sums, task.scratch + 2 * i, task.out[i], task.v_width);
        task.scratch[2 * i] = state[0];
        task.scratch[2 * i + 1] = state[1];
        for (int32_t d = 0; d < task.v_width; ++d) task.out[i][d] = sums[d];
    }
}

// The sums over all pages become averages.
void finish(const AttentionTask& task, int32_t query) {
    const float share = share_of(task, query);
    for (int32_t d = 0; d < task.v_width; ++d) task.out[query][d] *= share;
}

void attention(const AttentionTask& task, const KeyKernel& key, const ValueKernel& value) {
    int32_t low = INT32_MAX, high = 0;
    for (int32_t i = 0; i < task.n_query; ++i) {
        clear(task.scratch + 2 * i, task.out[i], task.v_width);
        if (task.before) clear(task.before + 2 * i, task.before + 2 * task.n_query + i * task.v_width, task.v_width);
        low = task.begin[i] < low ? task.begin[i] : low;
        high = task.end[i] > high ? task.end[i] : high;
    }
    const auto page_at = [&](int32_t place) { return task.pool + task.page[place / kKeys] * task.page_bytes; };
    for (int32_t place = low / kKeys * kKeys; place < high; place += kKeys) {
        if (task.before && place % kLeastStretch == 0) turn(task, place);
        if (task.page[place / kKeys] < 0) continue;
        const bool more = place + kKeys < high && task.page[place / kKeys + 1] >= 0;
        const uint8_t *at = page_at(place), *ahead = more ? page_at(place + kKeys) : at;
        Page page{at + task.k_offset, at + task.v_offset, &key, &value, place};
        if (task.unpacked) page = unpacked(task, page);
        QueryGroup group{&task, 0, kGroup, nullptr, nullptr};
        if (!task.unpacked) group.ahead_k = ahead + task.k_offset, group.ahead_v = ahead + task.v_offset;
        const auto attend = [&](int32_t n) {
            for (group.n = n; group.first + n <= task.n_query; group.first += n) attend_page(group, page);
        };
        if (task.unpacked) attend(kGroup);
        attend(4), attend(2), attend(1);
    }
    if (task.before) turn_back(task);
    for (int32_t i = 0; i < task.n_query && !task.partial; ++i) finish(task, i);
}

void merge(const AttentionTask& task, const float* stretches, int32_t n_stretch) {
    for (int32_t i = 0; i < task.n_query; ++i) {
        clear(task.scratch + 2 * i, task.out[i], task.v_width);
        for (int32_t s = 0; s < n_stretch; ++s) {
            const float* from = stretches + int64_t{s} * task.n_query * (2 + task.v_width);
            fold(task.scratch + 2 * i, task.out[i], from + 2 * i, from + 2 * task.n_query + i * task.v_width, task.v_width);
        }
        finish(task, i);
    }
}

}  // namespace

extern "C" {
extern const AttentionKernels HEARTH_LEVEL_NAME(hearth_cpu_attention);
constexpr AttentionKernels HEARTH_LEVEL_NAME(hearth_cpu_attention) = {attention, merge};
}

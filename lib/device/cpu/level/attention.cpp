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

// Softcap, alibi and mask. Returns what scores are still to be multiplied with. Whether a query sees all keys depends on the pages that
// come together, so a mask alone may not change how the others' scores are rounded.
float shape_scores(const AttentionTask& task, int32_t query, const HeadPages& pages, float* s) {
    const bool plain = task.softcap == 0 && !task.slope && task.scale > 0;
    const bool whole = pages.first >= task.begin[query] && pages.first + pages.n * kKeys <= task.end[query];
    const float unit = plain ? task.scale * kLog2e : 1;
    if (plain && whole) return unit;
    for (int v = 0; v < pages.n * kKeyVectors; ++v) {
        Floats x = loadf(s + v * kLanes);
        if (!plain) x *= task.scale;
        if (task.softcap != 0) x = task.softcap * tanh(x / task.softcap);
        if (!plain) x *= kLog2e;
        store(s + v * kLanes, seen_scores(task, query, pages.first + v * kLanes, x, plain ? -__builtin_inff() : kNever));
    }
    return unit;
}

// Folds `count` registers of scores of each of n queries, times `unit`, into their running (maximum, sum) and turns them into weights;
// `factor` is then that for what is summed so far. What is one number per query is a lane per query.
template <int n>
HEARTH_INLINE inline void online_softmax(float (*s)[kMostKeys], int count, const float* unit, float* state, float* factor) {
    Floats rows[n], highest{}, total{};
    for (int i = 0; i < n; ++i) {
        Floats most = splat(kNever);
        for (int v = 0; v < count; ++v) most = max(loadf(s[i] + v * kLanes) * unit[i], most);
        rows[i] = most;
        highest[i] = state[2 * i], total[i] = state[2 * i + 1];
    }
    const Floats top = max(across<n>(rows, max), highest);
    const Floats factors = top == highest ? splat(1) : exp2_of_negative(highest - top);
    const Floats base = top > kNever ? top : splat(0);  // no key seen yet: every weight is 0
    for (int i = 0; i < n; ++i) {
        Floats all{};
        for (int v = 0; v < count; ++v) {
            const Floats weight = exp2_of_negative(loadf(s[i] + v * kLanes) * unit[i] - base[i]);  // 0 for the largest: no fma
            all += weight;
            store(s[i] + v * kLanes, weight);
        }
        rows[i] = all;
    }
    total = total * factors + across<n>(rows, [](Floats a, Floats b) HEARTH_INLINE { return a + b; });
    for (int i = 0; i < n; ++i) state[2 * i] = top[i], state[2 * i + 1] = total[i], factor[i] = factors[i];
}

// Sets which keys any of the queries sees; false = none.
bool find_seen(QueryGroup& queries) {
    const AttentionTask& task = *queries.task;
    const int first = queries.pages->first, n_key = queries.pages->n * kKeys;
    int low = n_key, high = 0;
    for (int i = queries.first; i < queries.first + queries.n; ++i) {
        low = task.begin[i] - first < low ? task.begin[i] - first : low;
        high = task.end[i] - first > high ? task.end[i] - first : high;
    }
    queries.low = low < 0 ? 0 : low;
    queries.high = high > n_key ? n_key : high;
    return queries.low < queries.high;
}

// A group of queries and the kernels for how its pages lie.
void attend_pages(QueryGroup& queries, const KeyKernel& key, const ValueKernel& value) {
    const AttentionTask& task = *queries.task;
    const HeadPages& pages = *queries.pages;
    if (!find_seen(queries)) return;
    alignas(64) float s[kGroup][kMostKeys];
    float factor[kGroup], unit[kGroup];
    key.scores(queries, s);
    for (int i = 0; i < queries.n; ++i) unit[i] = shape_scores(task, queries.first + i, pages, s[i]);
    constexpr int kAtOnce = kLanes < kGroup ? kLanes : kGroup;
    for (int i = 0; i < queries.n; i += kAtOnce)
        by_count<kAtOnce>(queries.n - i, [&](auto n) HEARTH_INLINE {
            online_softmax<n.value>(s + i, pages.n * kKeyVectors, unit + i, task.scratch + 2 * (queries.first + i), factor + i);
        });
    const KeyWeights weights{s, factor};
    if (task.latent)
        key.add_latent(queries, weights);
    else
        value.add(queries, weights);
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

// Those of the pages from a place on that there are and somebody sees.
HeadPages pages_at(const AttentionTask& task, int32_t place, int32_t low, int32_t high) {
    HeadPages pages{};
    for (int32_t end = place + kMostKeys; place < end && place < high; place += kKeys) {
        if (place + kKeys <= low || task.page[place / kKeys] < 0) continue;
        const uint8_t* at = task.pool + task.page[place / kKeys] * task.page_bytes;
        if (pages.n == 0) pages.first = place;
        pages.k[pages.n] = at + task.k_offset;
        pages.v[pages.n++] = at + task.v_offset;
    }
    return pages;
}

// Many queries read keys as floats, which they become once.
void unpack_keys(const AttentionTask& task, HeadPages& pages, const KeyKernel*& key) {
    for (int i = 0; i < pages.n; ++i) {
        float* to = task.unpacked + i * kKeys * task.k_width;
        key->unpack(pages.k[i], task.k_width, to);
        pages.k[i] = reinterpret_cast<const uint8_t*>(to);
    }
    key = &HEARTH_LEVEL_NAME(hearth_cpu_cached_plain).key[HEARTH_FORMAT_F32];
}

void attend_all(const AttentionTask& task, HeadPages pages, const HeadPages& ahead, const KeyKernel& k, const ValueKernel& v) {
    const KeyKernel* key = &k;
    const ValueKernel* value = &v;
    const PagesToFetch none{};
    QueryGroup group{&task, &pages, none, none, 0, task.n_query, 0, 0};
    if (!find_seen(group)) return;
    const bool many = task.n_query > kFewQueries, unpacks = !task.latent && value->unpack && task.n_query >= value->unpack_from;
    if (many && key->unpack) unpack_keys(task, pages, key);
    if (unpacks) {
        value->unpack(group, task.unpacked + kMostKeys * task.k_width, pages.v);
        value = value->unpacked;
    }
    if (!many) group.in_scores = {ahead.k, ahead.n, task.k_bytes}, group.in_values = {ahead.v, ahead.n, task.v_bytes};
    for (; group.first < task.n_query; group.first += group.n) {
        group.n = next_group(task.n_query - group.first);
        attend_pages(group, *key, *value);
        group.in_scores = group.in_values = none;
    }
}

void attention(const AttentionTask& task, const KeyKernel& key, const ValueKernel& value) {
    int32_t low = INT32_MAX, high = 0;
    for (int32_t i = 0; i < task.n_query; ++i) {
        clear(task.scratch + 2 * i, task.out[i], task.v_width);
        if (task.before) clear(task.before + 2 * i, task.before + 2 * task.n_query + i * task.v_width, task.v_width);
        low = task.begin[i] < low ? task.begin[i] : low;
        high = task.end[i] > high ? task.end[i] : high;
    }
    HeadPages pages = pages_at(task, low / kMostKeys * kMostKeys, low, high);
    for (int32_t place = low / kMostKeys * kMostKeys; place < high; place += kMostKeys) {
        if (task.before && place % kLeastStretch == 0) turn(task, place);
        const HeadPages ahead = pages_at(task, place + kMostKeys, low, high);
        if (pages.n > 0) attend_all(task, pages, ahead, key, value);
        pages = ahead;
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

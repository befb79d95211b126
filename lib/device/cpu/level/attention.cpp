// Attention of a block of queries over the pages of one sequence and one key/value head, with an online softmax.
// A page holds K as [k_width, 32] (lane = key) and V as [32, v_width] (lane = element), so nothing is summed across lanes.
#include <hearth/backend.h>

#include "device/cpu/kernels.hpp"
#include "device/cpu/level/lanes.hpp"
#include "device/cpu/level/math.hpp"

namespace {

using namespace hearth::cpu;

constexpr int kKeys = static_cast<int>(kPageTokens);
constexpr int kKeyVectors = kKeys / kLanes;
constexpr float kNever = -3.0e38f;  // the running maximum before any key

constexpr int kTile = kKeyVectors < 2 ? kKeyVectors : 2;  // registers of keys or elements per query at a time

// out[query][32] = q . K for n queries that share the loads of K; k: [width, 32].
template <class E, int n>
inline void scores_of(const float* const* q, const typename E::Stored* k, int64_t width, float (*out)[kKeys]) {
    for (int v = 0; v < kKeyVectors; v += kTile) {
        Floats acc[n][kTile] = {};
        for (int64_t d = 0; d < width; ++d) {
            Floats key[kTile];
            for (int j = 0; j < kTile; ++j) key[j] = E::get(k + d * kKeys + (v + j) * kLanes);
            for (int i = 0; i < n; ++i)
                for (int j = 0; j < kTile; ++j) acc[i][j] = fma(splat(q[i][d]), key[j], acc[i][j]);
        }
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < kTile; ++j) store(out[i] + (v + j) * kLanes, acc[i][j]);
    }
}

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

// out[query] = factor * out + sum of p[query][i] * V[i] over keys low..high-1, for n queries that share the loads of V.
template <class E, int n>
inline void add_values(const float (*p)[kKeys], const float* factor, const typename E::Stored* v, int64_t width, int low,
                       int high, float* const* out) {
    int64_t d = 0;
    for (; d + kTile * kLanes <= width; d += kTile * kLanes) {
        Floats acc[n][kTile];
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < kTile; ++j) acc[i][j] = loadf(out[i] + d + j * kLanes) * factor[i];
        for (int key = low; key < high; ++key) {
            Floats value[kTile];
            for (int j = 0; j < kTile; ++j) value[j] = E::get(v + key * width + d + j * kLanes);
            for (int i = 0; i < n; ++i)
                for (int j = 0; j < kTile; ++j) acc[i][j] = fma(splat(p[i][key]), value[j], acc[i][j]);
        }
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < kTile; ++j) store(out[i] + d + j * kLanes, acc[i][j]);
    }
    for (; d < width; ++d)
        for (int i = 0; i < n; ++i) {
            float total = out[i][d] * factor[i];
            for (int key = low; key < high; ++key) total = fma(splat(p[i][key]), splat(get_one<E>(v + key * width + d)), splat(total))[0];
            out[i][d] = total;
        }
}

// The same where V is the transposed K: v: [width, 32]; masked keys have p = 0 and finite values.
template <class E, int n>
inline void add_latent_values(const float (*p)[kKeys], const float* factor, const typename E::Stored* v, int64_t width,
                              float* const* out) {
    for (int64_t d = 0; d < width; ++d) {
        Floats acc[n] = {};
        for (int j = 0; j < kKeyVectors; ++j) {
            const Floats value = E::get(v + d * kKeys + j * kLanes);
            for (int i = 0; i < n; ++i) acc[i] = fma(loadf(p[i] + j * kLanes), value, acc[i]);
        }
        for (int i = 0; i < n; ++i) out[i][d] = out[i][d] * factor[i] + sum(acc[i]);
    }
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

// n queries from `query` on over one page, whose first key is place `first`.
template <class E, int n>
void attend_page(const AttentionTask& task, int32_t query, int32_t first, const uint8_t* page) {
    using Stored = typename E::Stored;
    int low = kKeys, high = 0;  // keys that any of the queries sees
    for (int i = query; i < query + n; ++i) {
        low = task.begin[i] - first < low ? task.begin[i] - first : low;
        high = task.end[i] - first > high ? task.end[i] - first : high;
    }
    low = low < 0 ? 0 : low;
    high = high > kKeys ? kKeys : high;
    if (low >= high) return;
    const Stored* k = reinterpret_cast<const Stored*>(page + task.k_offset);
    alignas(64) float s[n][kKeys];
    float factor[n];
    scores_of<E, n>(task.q + query, k, task.k_width, s);
    for (int i = 0; i < n; ++i) {
        float* state = task.scratch + 2 * (query + i);
        mask_scores(task, query + i, first, s[i]);
        factor[i] = online_softmax(s[i], state[0], state[1]);
    }
    if (task.latent)
        add_latent_values<E, n>(s, factor, k, task.v_width, task.out + query);
    else
        add_values<E, n>(s, factor, reinterpret_cast<const Stored*>(page + task.v_offset), task.v_width, low, high, task.out + query);
}

template <class E>
void attention(const AttentionTask& task) {
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
        for (; i + 4 <= task.n_query; i += 4) attend_page<E, 4>(task, i, place, at);
        for (; i + 2 <= task.n_query; i += 2) attend_page<E, 2>(task, i, place, at);
        if (i < task.n_query) attend_page<E, 1>(task, i, place, at);
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

template <class E>
void store_k(uint8_t* page, const float* k, int64_t width, int64_t slot) {
    auto* to = reinterpret_cast<typename E::Stored*>(page) + slot;
    for (int64_t d = 0; d < width; ++d) put_one<E>(to + d * kKeys, k[d]);
}

template <class E>
void store_v(uint8_t* page, const float* v, int64_t width, int64_t slot) {
    auto* to = reinterpret_cast<typename E::Stored*>(page) + slot * width;
    for (int64_t d = 0; d < width; ++d) put_one<E>(to + d, v[d]);
}

template <class E>
constexpr AttentionKernel kernel() {
    return {attention<E>, store_k<E>, store_v<E>};
}

constexpr AttentionKernels kernels() {
    AttentionKernels table{};
    table.format[HEARTH_FORMAT_F32] = kernel<AsF32>();
    table.format[HEARTH_FORMAT_F16] = kernel<AsF16>();
    table.format[HEARTH_FORMAT_BF16] = kernel<AsBf16>();
    return table;
}

}  // namespace

extern "C" {
extern const AttentionKernels HEARTH_LEVEL_NAME(hearth_cpu_attention);
constexpr AttentionKernels HEARTH_LEVEL_NAME(hearth_cpu_attention) = kernels();
}

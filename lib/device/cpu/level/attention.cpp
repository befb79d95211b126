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

// scores[32] = q . K for one query; k: [width, 32].
template <class E>
inline void scores_of(const float* q, const typename E::Stored* k, int64_t width, float* out) {
    Floats acc[kKeyVectors] = {};
    for (int64_t d = 0; d < width; ++d) {
        const Floats x = splat(q[d]);
        for (int v = 0; v < kKeyVectors; ++v) acc[v] = fma(x, E::get(k + d * kKeys + v * kLanes), acc[v]);
    }
    for (int v = 0; v < kKeyVectors; ++v) store(out + v * kLanes, acc[v]);
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

// out[0..width) += sum of p[i] * V[i] over keys low..high-1.
template <class E>
inline void add_values(const float* p, const typename E::Stored* v, int64_t width, int low, int high, float* out) {
    int64_t d = 0;
    for (; d + 4 * kLanes <= width; d += 4 * kLanes) {
        Floats acc[4];
        for (int j = 0; j < 4; ++j) acc[j] = loadf(out + d + j * kLanes);
        for (int i = low; i < high; ++i)
            for (int j = 0; j < 4; ++j) acc[j] = fma(splat(p[i]), E::get(v + i * width + d + j * kLanes), acc[j]);
        for (int j = 0; j < 4; ++j) store(out + d + j * kLanes, acc[j]);
    }
    for (; d + kLanes <= width; d += kLanes) {
        Floats acc = loadf(out + d);
        for (int i = low; i < high; ++i) acc = fma(splat(p[i]), E::get(v + i * width + d), acc);
        store(out + d, acc);
    }
    for (; d < width; ++d)
        for (int i = low; i < high; ++i) out[d] += p[i] * get_one<E>(v + i * width + d);
}

// The same where V is the transposed K: v: [width, 32]; masked keys have p = 0 and finite values.
template <class E>
inline void add_latent_values(const float* p, const typename E::Stored* v, int64_t width, float* out) {
    for (int64_t d = 0; d < width; ++d) {
        Floats acc{};
        for (int j = 0; j < kKeyVectors; ++j) acc = fma(loadf(p + j * kLanes), E::get(v + d * kKeys + j * kLanes), acc);
        out[d] += sum(acc);
    }
}

// Folds 32 scores into the running (maximum, sum) and turns them into weights; returns the factor for what is summed so far.
inline float online_softmax(float* s, float& highest, float& total) {
    float top = highest;
    for (int v = 0; v < kKeyVectors; ++v) {
        const float m = max_of(loadf(s + v * kLanes));
        top = m > top ? m : top;
    }
    const float factor = exp(splat(highest - top))[0];
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

template <class E>
void attend_page(const AttentionTask& task, int32_t query, int32_t first, const uint8_t* page, float* state) {
    using Stored = typename E::Stored;
    const int32_t begin = task.begin[query], end = task.end[query];
    if (first + kKeys <= begin || first >= end) return;
    float* out = task.out[query];
    const Stored* k = reinterpret_cast<const Stored*>(page + task.k_offset);
    alignas(64) float s[kKeys];
    scores_of<E>(task.q[query], k, task.k_width, s);
    mask_scores(task, query, first, s);
    const float factor = online_softmax(s, state[0], state[1]);
    if (factor != 1.0f)
        for (int32_t d = 0; d < task.v_width; ++d) out[d] *= factor;
    const int low = begin > first ? begin - first : 0, high = end < first + kKeys ? end - first : kKeys;
    if (task.latent)
        add_latent_values<E>(s, k, task.v_width, out);
    else
        add_values<E>(s, reinterpret_cast<const Stored*>(page + task.v_offset), task.v_width, low, high, out);
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
        for (int32_t i = 0; i < task.n_query; ++i) attend_page<E>(task, i, place, at, task.scratch + 2 * i);
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

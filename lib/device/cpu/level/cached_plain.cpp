// Cached keys and values as plain numbers: float32, half, bfloat16.
// A page holds K as [k_width, 32] (lane = key) and V as [32, v_width] (lane = element), so nothing is summed across lanes.
#include <hearth/backend.h>

#include "device/cpu/kernels.hpp"
#include "device/cpu/level/lanes.hpp"
#include "device/cpu/level/math.hpp"
#include "device/cpu/level/query_group.hpp"

namespace {

using namespace hearth::cpu;

constexpr int kTile = kKeyVectors < 2 ? kKeyVectors : 2;  // registers of keys or elements per query at a time

// out[query][32] = q . K for n queries that share the loads of K; k: [width, 32].
template <class E, int n>
inline void scores_of(const QueryGroup& g, const typename E::Stored* k, float (*out)[kKeys]) {
    const float* const* q = g.task->q + g.first;
    for (int v = 0; v < kKeyVectors; v += kTile) {
        Floats acc[n][kTile] = {};
        for (int64_t d = 0; d < g.task->k_width; ++d) {
            if (v == 0) ask<kKeys * sizeof(*k)>(g.ahead_k, d);
            Floats key[kTile];
            for (int j = 0; j < kTile; ++j) key[j] = E::get(k + d * kKeys + (v + j) * kLanes);
            for (int i = 0; i < n; ++i)
                for (int j = 0; j < kTile; ++j) acc[i][j] = fma(splat(q[i][d]), key[j], acc[i][j]);
        }
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < kTile; ++j) store(out[i] + (v + j) * kLanes, acc[i][j]);
    }
}

// out[query] = factor * out + sum of p[query][i] * V[i] over keys low..high-1, for n queries that share the loads of V.
template <class E, int n>
inline void add_values(const QueryGroup& g, const float (*p)[kKeys], const float* factor, const typename E::Stored* v, int low, int high) {
    const int64_t width = g.task->v_width;
    float* const* out = g.task->out + g.first;
    int64_t d = 0;
    for (; d + kTile * kLanes <= width; d += kTile * kLanes) {
        Floats acc[n][kTile];
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < kTile; ++j) acc[i][j] = loadf(out[i] + d + j * kLanes) * factor[i];
        for (int key = low; key < high; ++key) {
            Floats value[kTile];
            ask<kTile * kLanes * sizeof(*v)>(g.ahead_v, key + d / (kTile * kLanes) * kKeys);
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

// The same where V is the transposed K: v: [width, 32]. Keys outside [low, high) count as 0: their slots may hold a NaN of
// whoever had the page before, which no weight of 0 takes away.
template <class E, int n, bool whole>
inline void add_latent_values(const QueryGroup& g, const float (*p)[kKeys], const float* factor, const typename E::Stored* v, int low,
                              int high) {
    Ints seen[kKeyVectors];
    for (int key = 0; key < kKeys; ++key) seen[key / kLanes][key % kLanes] = key >= low && key < high ? -1 : 0;
    float* const* out = g.task->out + g.first;
    for (int64_t d = 0; d < g.task->v_width; ++d) {
        Floats acc[n] = {};
        for (int j = 0; j < kKeyVectors; ++j) {
            Floats value = E::get(v + d * kKeys + j * kLanes);
            if constexpr (!whole) value = bits_to_floats(floats_to_bits(value) & seen[j]);
            for (int i = 0; i < n; ++i) acc[i] = fma(loadf(p[i] + j * kLanes), value, acc[i]);
        }
        for (int i = 0; i < n; ++i) out[i][d] = out[i][d] * factor[i] + sum(acc[i]);
    }
}

template <class E>
void scores(const QueryGroup& g, const uint8_t* k, float (*out)[kKeys]) {
    by_count(g, [&](auto n) { scores_of<E, n.value>(g, reinterpret_cast<const typename E::Stored*>(k), out); });
}

template <class E>
void add(const QueryGroup& g, const uint8_t* v, const float (*p)[kKeys], const float* factor, int low, int high) {
    by_count(g, [&](auto n) { add_values<E, n.value>(g, p, factor, reinterpret_cast<const typename E::Stored*>(v), low, high); });
}

template <class E>
void add_latent(const QueryGroup& g, const uint8_t* k, const float (*p)[kKeys], const float* factor, int low, int high) {
    const auto* v = reinterpret_cast<const typename E::Stored*>(k);
    by_count(g, [&](auto n) {
        if (high - low == kKeys)
            add_latent_values<E, n.value, true>(g, p, factor, v, low, high);
        else
            add_latent_values<E, n.value, false>(g, p, factor, v, low, high);
    });
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

// K and V alike: 32 * width numbers.
template <class E>
void unpack(const uint8_t* from, int64_t width, float* to) {
    const auto* p = reinterpret_cast<const typename E::Stored*>(from);
    for (int64_t i = 0; i < kKeys * width; i += kLanes) store(to + i, E::get(p + i));
}

template <class E>
constexpr void serve(CachedKernels& table, int format) {
    const auto to_floats = sizeof(typename E::Stored) < 4 ? unpack<E> : nullptr;
    table.key[format] = {scores<E>, add_latent<E>, store_k<E>, to_floats, 0};
    table.value[format] = {add<E>, store_v<E>, to_floats};
}

constexpr CachedKernels kernels() {
    CachedKernels table{};
    serve<AsF32>(table, HEARTH_FORMAT_F32);
    serve<AsF16>(table, HEARTH_FORMAT_F16);
    serve<AsBf16>(table, HEARTH_FORMAT_BF16);
    return table;
}

}  // namespace

extern "C" {
extern const CachedKernels HEARTH_LEVEL_NAME(hearth_cpu_cached_plain);
constexpr CachedKernels HEARTH_LEVEL_NAME(hearth_cpu_cached_plain) = kernels();
}

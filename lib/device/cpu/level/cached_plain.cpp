// Cached keys and values as plain numbers: float32, half, bfloat16.
// A page holds K as [k_width, 32] (lane = key) and V as [32, v_width] (lane = element), so nothing is summed across lanes.
#include <hearth/backend.h>

#include "device/cpu/kernels.hpp"
#include "device/cpu/level/lanes.hpp"
#include "device/cpu/level/math.hpp"
#include "device/cpu/level/query_group.hpp"

extern "C" {
extern const hearth::cpu::CachedKernels HEARTH_LEVEL_NAME(hearth_cpu_cached_plain);
}

namespace {

using namespace hearth::cpu;

constexpr int kMostTile = kLanes == 4 && kRegisters == 16 ? 4 : 8;  // of registers; such levels need more of them to convert

// Registers of sums for each of n queries: as many as leave room for what else is in use, and what is left over goes by smaller tiles.
template <int n>
constexpr int tile_for() {
    const int room = kRegisters * 3 / 4 / n, count = room >= 8 ? 8 : room >= 4 ? 4 : room;
    return count < kMostTile ? count : kMostTile;
}
constexpr int smaller_tile(int tile) { return tile == 3 ? 2 : tile / 2; }

// acc[i][j] += weight(i) * value(j); what there are fewer of stays in registers meanwhile.
template <int n, int tile, class W, class V>
HEARTH_INLINE inline void add_products(Floats (&acc)[n][tile], W weight, V value) {
    if constexpr (n < tile) {
        Floats w[n];
        for (int i = 0; i < n; ++i) w[i] = weight(i);
        unrolled<tile>([&](auto j) HEARTH_INLINE {
            const Floats x = value(j.value);
            for (int i = 0; i < n; ++i) acc[i][j.value] = fma(w[i], x, acc[i][j.value]);
        });
    } else {
        Floats x[tile];
        for (int j = 0; j < tile; ++j) x[j] = value(j);
        unrolled<n>([&](auto i) HEARTH_INLINE {
            const Floats w = weight(i.value);
            for (int j = 0; j < tile; ++j) acc[i.value][j] = fma(w, x[j], acc[i.value][j]);
        });
    }
}

// Steps of an inner loop that share a turn of Ahead.
constexpr int kRun = 8;
constexpr int64_t n_run(int64_t steps) { return (steps + kRun - 1) / kRun; }

// f(page, key, end) of the keys that are seen, in runs of kRun or of a page.
template <class F>
HEARTH_INLINE inline void each_run(const hearth::cpu::QueryGroup& g, int run, F f) {
    static_assert(kKeys % kRun == 0);
    for (int key = g.low, end; key < g.high; key = end) {
        end = key - key % run + run < g.high ? key - key % run + run : g.high;
        f(key / kKeys, key, end);
    }
}

// out[query][key] = q . K for n queries that share the loads of K, registers [v, ...) of keys; a page: [width, 32].
template <class E, int n, int tile>
HEARTH_INLINE inline void scores_of(const QueryGroup& g, const Ahead& ahead, float (*out)[kMostKeys], int v = 0) {
    using Stored = typename E::Stored;
    const float* const* q = g.task->q + g.first;
    const int64_t width = g.task->k_width, run = ahead.pages.n > 0 ? kRun : width;
    for (; v + tile <= g.pages->n * kKeyVectors; v += tile) {
        const Stored* k[tile];
        for (int j = 0; j < tile; ++j)
            k[j] = reinterpret_cast<const Stored*>(g.pages->k[(v + j) / kKeyVectors % kPagesAtOnce]) + (v + j) % kKeyVectors * kLanes;
        Floats acc[n][tile] = {};
        for (int64_t d = 0; d < width;) {
            ahead.ask(v / tile * n_run(width) + d / kRun);
            for (const int64_t end = d + run < width ? d + run : width; d < end; ++d)
                add_products<n, tile>(
                    acc, [&](int i) HEARTH_INLINE { return splat(q[i][d]); },
                    [&](int j) HEARTH_INLINE { return E::get(k[j] + d * kKeys); });
        }
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < tile; ++j) store(out[i] + (v + j) * kLanes, acc[i][j]);
    }
    if constexpr (tile > 1) scores_of<E, n, smaller_tile(tile)>(g, ahead, out, v);
}

// out[query] = factor * out + sum of p[query][i] * V[i] over keys low..high-1, for n queries that share the loads of V; elements [d, ...).
template <class E, int n, int tile>
HEARTH_INLINE inline void add_values(const QueryGroup& g, const Ahead& ahead, const KeyWeights& weights, int64_t d = 0) {
    using Stored = typename E::Stored;
    const int64_t width = g.task->v_width;
    float* const* out = g.task->out + g.first;
    for (; d + tile * kLanes <= width; d += tile * kLanes) {
        Floats acc[n][tile];
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < tile; ++j) acc[i][j] = loadf(out[i] + d + j * kLanes) * weights.factor[i];
        each_run(g, ahead.pages.n > 0 ? kRun : kKeys, [&](int page, int key, int end) HEARTH_INLINE {
            ahead.ask(d / (tile * kLanes) * n_run(kMostKeys) + key / kRun);
            const auto* v = reinterpret_cast<const Stored*>(g.pages->v[page]) + key % kKeys * width + d;
            for (; key < end; ++key, v += width)
                add_products<n, tile>(
                    acc, [&](int i) HEARTH_INLINE { return splat(weights.p[i][key]); },
                    [&](int j) HEARTH_INLINE { return E::get(v + j * kLanes); });
        });
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < tile; ++j) store(out[i] + d + j * kLanes, acc[i][j]);
    }
    if constexpr (tile > 1) return add_values<E, n, smaller_tile(tile)>(g, ahead, weights, d);
    for (; d < width; ++d)
        for (int i = 0; i < n; ++i) {
            float total = out[i][d] * weights.factor[i];
            for (int key = g.low; key < g.high; ++key) {
                const auto* v = reinterpret_cast<const Stored*>(g.pages->v[key / kKeys]) + key % kKeys * width + d;
                total = fma(splat(weights.p[i][key]), splat(get_one<E>(v)), splat(total))[0];
            }
            out[i][d] = total;
        }
}

// The same where V is the transposed K: pages of [width, 32]. Keys outside [low, high) count as 0: their slots may hold a NaN of
// whoever had the page before, which no weight of 0 takes away.
template <class E, int n, bool whole>
inline void add_latent_values(const QueryGroup& g, const KeyWeights& weights) {
    Ints seen[kMostKeys / kLanes];
    for (int key = 0; key < kMostKeys; ++key) seen[key / kLanes][key % kLanes] = key >= g.low && key < g.high ? -1 : 0;
    float* const* out = g.task->out + g.first;
    for (int64_t d = 0; d < g.task->v_width; ++d) {
        Floats acc[n] = {};
        for (int j = 0; j < g.pages->n * kKeyVectors; ++j) {
            const auto* v = reinterpret_cast<const typename E::Stored*>(g.pages->k[j / kKeyVectors]) + j % kKeyVectors * kLanes;
            Floats value = E::get(v + d * kKeys);
            if constexpr (!whole) value = bits_to_floats(floats_to_bits(value) & seen[j]);
            for (int i = 0; i < n; ++i) acc[i] = fma(loadf(weights.p[i] + j * kLanes), value, acc[i]);
        }
        for (int i = 0; i < n; ++i) out[i][d] = out[i][d] * weights.factor[i] + sum(acc[i]);
    }
}

template <class E>
void scores(const QueryGroup& g, float (*out)[kMostKeys]) {
    by_count(g.n, [&](auto n) {
        constexpr int tile = tile_for<n.value>();
        const Ahead ahead(g.in_scores, (g.pages->n * kKeyVectors + tile - 1) / tile * n_run(g.task->k_width));
        scores_of<E, n.value, tile>(g, ahead, out);
    });
}

template <class E>
void add(const QueryGroup& g, const KeyWeights& weights) {
    by_count(g.n, [&](auto n) {
        constexpr int tile = tile_for<n.value>(), elements = tile * kLanes;
        const Ahead ahead(g.in_values, (g.task->v_width + elements - 1) / elements * n_run(kMostKeys));
        add_values<E, n.value, tile>(g, ahead, weights);
    });
}

template <class E>
void add_latent(const QueryGroup& g, const KeyWeights& weights) {
    by_count(g.n, [&](auto n) {
        if (g.high - g.low == g.pages->n * kKeys)
            add_latent_values<E, n.value, true>(g, weights);
        else
            add_latent_values<E, n.value, false>(g, weights);
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
void unpack_v(const QueryGroup& g, float* to, const uint8_t** v) {
    for (int page = 0; page < g.pages->n; ++page, to += kKeys * g.task->v_width) {
        unpack<E>(g.pages->v[page], g.task->v_width, to);
        v[page] = reinterpret_cast<const uint8_t*>(to);
    }
}

template <class E>
constexpr void serve(CachedKernels& table, int format) {
    constexpr bool packed = sizeof(typename E::Stored) < 4;
    table.key[format] = {scores<E>, add_latent<E>, store_k<E>, packed ? unpack<E> : nullptr, 0};
    table.value[format] = {add<E>, store_v<E>, packed ? unpack_v<E> : nullptr,
                           &HEARTH_LEVEL_NAME(hearth_cpu_cached_plain).value[HEARTH_FORMAT_F32], kFewQueries + 1};
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
constexpr CachedKernels HEARTH_LEVEL_NAME(hearth_cpu_cached_plain) = kernels();
}

// Attention of many queries by bf16 tiles, for levels that have them: scores, softmax and sums are float32, what tiles multiply is
// bf16. Every query is one chain over chunks of keys that begin at fixed places, whatever the number of queries.
#include <hearth/backend.h>

#include "device/cpu/kernels.hpp"
#include "device/cpu/level/block_values.hpp"
#include "device/cpu/level/int8.hpp"
#include "device/cpu/level/softmax.hpp"
#include "device/cpu/level/tiles.hpp"

namespace {

using namespace hearth::cpu;

constexpr int kKeys = static_cast<int>(kPageTokens);
constexpr int kQueries = static_cast<int>(kTileQueries);
constexpr int kPages = static_cast<int>(kTilePages);
constexpr int kPerRow = 16 / kLanes;                         // registers of a tile's row of floats
constexpr int kTileFloats = kTileBytes / 4;
constexpr int kScoreFloats = kPages * 2 * kTileFloats;       // of a chunk and 16 queries

int32_t n_step(int32_t k_width) { return (k_width + 31) / 32; }
int32_t n_slice(int32_t v_width) { return (v_width + 15) / 16; }

// ---- pages to tiles (see TilePack) ----

// [width, 32] plain numbers.
template <class E>
void pack_keys(const uint8_t* page, int64_t width, int, int, uint8_t* to) {
    const auto* k = reinterpret_cast<const typename E::Stored*>(page);
    for (int half = 0; half < 2; ++half)
        for (int64_t d = 0; d < (width + 31) / 32 * 32; d += 2)
            for (int j = 0; j < kPerRow; ++j, to += 4 * kLanes) {
                const auto* at = k + d * kKeys + half * 16 + j * kLanes;
                store(to, bf16_pair(d < width ? E::get(at) : Floats{}, d + 1 < width ? E::get(at + kKeys) : Floats{}));
            }
}

// Blocks of 32 elements: 32 scales, then codes of 4 elements for each key; of Q4_0 the upper halves are elements 16 further.
struct Keys8 {
    static constexpr int kUnits = 8;
    template <int at>
    static HEARTH_INLINE Floats value(Ints codes) {
        return to_floats((codes << (24 - 8 * at)) >> 24);
    }
};
struct Keys4 {
    static constexpr int kUnits = 4;
    template <int at>
    static HEARTH_INLINE Floats value(Ints codes) {
        return to_floats(((codes >> 8 * at) & 15) - 8);
    }
};

template <class C>
void pack_code_keys(const uint8_t* page, int64_t width, int, int, uint8_t* to) {
    const int64_t block_bytes = kKeys * (kScaleBytes + 4 * C::kUnits), half_bytes = width / kBlock * kTileBytes;
    for (int64_t b = 0; b < width / kBlock; ++b, page += block_bytes, to += kTileBytes)
        for (int v = 0; v < kKeys / kLanes; ++v) {
            const Floats scale = halves(page + v * kLanes * kScaleBytes);
            uint8_t* tile = to + v / kPerRow * half_bytes + v % kPerRow * 4 * kLanes;
            for (int unit = 0; unit < C::kUnits; ++unit) {
                const Ints codes = loadi(page + kKeys * kScaleBytes + (unit * kKeys + v * kLanes) * 4);
                const auto put = [&](Ints c, int pair) HEARTH_INLINE {
                    store(tile + pair * 64, bf16_pair(C::template value<0>(c) * scale, C::template value<1>(c) * scale));
                    store(tile + (pair + 1) * 64, bf16_pair(C::template value<2>(c) * scale, C::template value<3>(c) * scale));
                };
                put(codes, 2 * unit);
                if (C::kUnits == 4) put(codes >> 4, 8 + 2 * unit);
            }
        }
}

// Elements e..e+kLanes-1 of a key's values; begin(e) comes before, at every 16.
template <class E>
struct PlainValues {
    const uint8_t* page;
    int64_t width;
    void begin(int64_t) {}
    HEARTH_INLINE Floats get(int key, int64_t e) const {
        const auto* at = reinterpret_cast<const typename E::Stored*>(page) + key * width + e;
        if (e + kLanes <= width) return E::get(at);
        typename E::Stored some[kLanes] = {};
        for (int64_t i = 0; i < width - e; ++i) some[i] = at[i];
        return E::get(some);
    }
};
template <class C>
struct CodeValues {
    const uint8_t* page;
    int64_t width;
    float scale[kKeys];
    void begin(int64_t e) {
        if (e % kBlock == 0) scales_of(block(0, e), block(1, e) - block(0, e), scale);
    }
    HEARTH_INLINE Floats get(int key, int64_t e) const {
        return C::values(block(key, e) + kScaleBytes, static_cast<int>(e % kBlock)) * scale[key];
    }
    const uint8_t* block(int key, int64_t e) const { return page + (key * width + e) / kBlock * (kScaleBytes + C::kBytes); }
};

template <class V>
void pack_values(const uint8_t* page, int64_t width, int low, int high, uint8_t* to) {
    V v{};
    v.page = page, v.width = width;
    for (int64_t e = 0; e < width; e += 16) {
        v.begin(e);
        for (int key = 0; key < kKeys; key += 2)
            for (int j = 0; j < kPerRow; ++j, to += 4 * kLanes) {
                const auto of = [&](int k) HEARTH_INLINE { return k >= low && k < high ? v.get(k, e + j * kLanes) : Floats{}; };
                store(to, bf16_pair(of(key), of(key + 1)));
            }
    }
}

// Values that are the first `width` rows of the keys: pairs of keys are neighbours already, and words are transposed.
template <class E>
void pack_latent(const uint8_t* page, int64_t width, int low, int high, uint8_t* to) {
    const auto* k = reinterpret_cast<const typename E::Stored*>(page);
    Ints seen[kKeys / kLanes];
    for (int key = 0; key < kKeys; ++key) seen[key / kLanes][key % kLanes] = key >= low && key < high ? -1 : 0;
    for (int64_t e = 0; e < width; e += 16, to += kTileBytes)
        for (int64_t i = 0; i < 16; ++i) {
            alignas(64) uint16_t row[kKeys] = {};
            for (int v = 0; v < kKeys / kLanes && e + i < width; ++v) {
                const Floats x = E::get(k + (e + i) * kKeys + v * kLanes);
                AsBf16::put(row + v * kLanes, bits_to_floats(floats_to_bits(x) & seen[v]));
            }
            for (int pair = 0; pair < 16; ++pair) __builtin_memcpy(to + pair * 64 + i * 4, row + 2 * pair, 4);
        }
}

// ---- a chunk of keys and 16 queries ----

// Neighbouring pages from a place on, kTilePages at most.
struct Chunk {
    int32_t first, n_page;
};
// Those of them that some query of a tile sees.
struct Pages {
    int from, until;
};
Pages pages_of(const AttentionTask& task, int32_t tile, Chunk chunk) {
    int32_t low = INT32_MAX, high = 0;
    for (int32_t i = tile * kQueries; i < task.n_query && i < (tile + 1) * kQueries; ++i) {
        low = task.begin[i] < low ? task.begin[i] : low;
        high = task.end[i] > high ? task.end[i] : high;
    }
    const int32_t from = low > chunk.first ? (low - chunk.first) / kKeys : 0;
    const int32_t until = high > chunk.first ? (high - chunk.first + kKeys - 1) / kKeys : 0;
    return {from, until < chunk.n_page ? until : chunk.n_page};
}

// The scores of 16 queries and n x 16 keys; k: [n][n_step] tiles.
template <int n>
inline void score(Tiles& amx, const uint8_t* q, const uint8_t* k, int32_t n_step, float* to) {
    unrolled<n>([&](auto i) HEARTH_INLINE { amx.template zero<decltype(i)::value>(); });
    for (int32_t s = 0; s < n_step; ++s, q += kTileBytes, k += kTileBytes) {
        amx.template load<4>(q);
        unrolled<n>([&](auto i) HEARTH_INLINE {
            constexpr int kI = decltype(i)::value, kB = 5 + kI % 3;
            amx.template load<kB>(k + int64_t{kI} * n_step * kTileBytes);
            amx.template dot<kI, 4, kB>();
        });
    }
    unrolled<n>([&](auto i) HEARTH_INLINE { amx.template store<decltype(i)::value>(to + i.value * kTileFloats); });
}

void score_pages(Tiles& amx, const AttentionTask& task, const TileAttention& t, int32_t tile, Pages pages, float* to) {
    const int32_t steps = n_step(task.k_width);
    const uint8_t* q = t.queries + int64_t{tile} * steps * kTileBytes;
    int p = pages.from;
    const auto keys = [&] { return t.keys + int64_t{2 * p} * steps * kTileBytes; };
    for (; p + 2 <= pages.until; p += 2) score<4>(amx, q, keys(), steps, to + 2 * p * kTileFloats);
    if (p < pages.until) score<2>(amx, q, keys(), steps, to + 2 * p * kTileFloats);
}

// Adds weights x values of n x 16 elements to their sums; pages are `apart` bytes from each other.
template <int n>
inline void add(Tiles& amx, const uint8_t* weights, const uint8_t* values, int64_t apart, Pages pages, float* sums) {
    unrolled<n>([&](auto i) HEARTH_INLINE { amx.template load<decltype(i)::value>(sums + i.value * kTileFloats); });
    for (int p = pages.from; p < pages.until; ++p) {
        amx.template load<4>(weights + p * kTileBytes);
        unrolled<n>([&](auto i) HEARTH_INLINE {
            constexpr int kI = decltype(i)::value, kB = 5 + kI % 3;
            amx.template load<kB>(values + p * apart + kI * kTileBytes);
            amx.template dot<kI, 4, kB>();
        });
    }
    unrolled<n>([&](auto i) HEARTH_INLINE { amx.template store<decltype(i)::value>(sums + i.value * kTileFloats); });
}

void add_pages(Tiles& amx, const AttentionTask& task, const TileAttention& t, int32_t tile, Pages pages) {
    const int32_t n = n_slice(task.v_width);
    float* const sums = t.sums + int64_t{tile} * n * kTileFloats;
    int32_t e = 0;
    for (; e + 4 <= n; e += 4) add<4>(amx, t.weights, t.values + e * kTileBytes, n * kTileBytes, pages, sums + e * kTileFloats);
    for (; e < n; ++e) add<1>(amx, t.weights, t.values + e * kTileBytes, n * kTileBytes, pages, sums + e * kTileFloats);
}

// Scores of one query times `unit`, with softcap, alibi and mask: [16 keys] at every kTileFloats, of keys first...
HEARTH_INLINE inline void shape(const AttentionTask& task, int32_t query, int32_t first, int n, float unit, float* scores) {
    for (int v = 0; v < n * kPerRow; ++v) {
        float* at = scores + v / kPerRow * kTileFloats + v % kPerRow * kLanes;
        Floats x = loadf(at) * unit;
        if (task.softcap != 0) x = task.softcap * tanh(x / task.softcap) * kLog2e;
        store(at, seen_scores(task, query, first + v * kLanes, x, kNever));
    }
}

HEARTH_INLINE inline void put_bf16(uint8_t* to, Floats x) {
#if defined(__AVX512BF16__)
    store(to, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(x)));
#else
    AsBf16::put(reinterpret_cast<uint16_t*>(to), x);
#endif
}

// Folds the scores of one query into its (maximum, sum) and turns them into bf16 weights, [32 keys] at every tile; the sum is of
// those, so that rounding them moves no mean of equal values. Returns the factor for what is summed so far.
inline float weigh(const float* scores, int n, float unit, float* state, uint8_t* weights) {
    const auto at = [&](int v) HEARTH_INLINE { return loadf(scores + v / kPerRow * kTileFloats + v % kPerRow * kLanes) * unit; };
    Floats tops = splat(state[0]), part{};
    for (int v = 0; v < n * kPerRow; ++v) tops = max(at(v), tops);
    const float top = max_of(tops), factor = top == state[0] ? 1.0f : exp2_of_negative(splat(state[0] - top))[0];
    const float base = top > kNever ? top : 0;  // no key seen yet: every weight is 0
    for (int v = 0; v < n * kPerRow; ++v) {
        uint8_t* to = weights + v / (2 * kPerRow) * kTileBytes + v % (2 * kPerRow) * kLanes * 2;
        put_bf16(to, exp2_of_negative(at(v) - base));
        part += AsBf16::get(reinterpret_cast<const uint16_t*>(to));
    }
    state[0] = top;
    state[1] = state[1] * factor + sum(part);
    return factor;
}

void weigh_tile(const AttentionTask& task, const TileAttention& t, int32_t tile, Chunk chunk, Pages pages, float* scores) {
    const int32_t first = chunk.first + pages.from * kKeys, end = chunk.first + pages.until * kKeys, slices = n_slice(task.v_width);
    const int n = 2 * (pages.until - pages.from);
    for (int32_t row = 0; row < kQueries && tile * kQueries + row < task.n_query; ++row) {
        const int32_t query = tile * kQueries + row;
        float* const s = scores + 2 * pages.from * kTileFloats + row * 16;
        float unit = task.softcap != 0 ? task.scale : task.scale * kLog2e;
        if (task.softcap != 0 || task.slope || first < task.begin[query] || end > task.end[query]) {
            shape(task, query, first, n, unit, s);
            unit = 1;
        }
        const float factor = weigh(s, n, unit, task.scratch + 2 * query, t.weights + pages.from * kTileBytes + row * 64);
        if (factor == 1) continue;
        float* sums = t.sums + int64_t{tile} * slices * kTileFloats + row * 16;
        for (int32_t e = 0; e < slices; ++e, sums += kTileFloats)
            for (int j = 0; j < 16; j += kLanes) store(sums + j, loadf(sums + j) * factor);
    }
}

// The scores of the next 16 queries are asked for before the softmax of these: tiles work while vectors do.
void attend(Tiles& amx, const AttentionTask& task, const TileAttention& t, Chunk chunk) {
    const int32_t n_tile = (task.n_query + kQueries - 1) / kQueries;
    Pages pages[2];
    const auto begin = [&](int32_t tile) {
        pages[tile % 2] = pages_of(task, tile, chunk);
        score_pages(amx, task, t, tile, pages[tile % 2], t.scores + tile % 2 * kScoreFloats);
    };
    begin(0);
    for (int32_t tile = 0; tile < n_tile; ++tile) {
        if (tile + 1 < n_tile) begin(tile + 1);
        const Pages now = pages[tile % 2];
        if (now.from >= now.until) continue;
        weigh_tile(task, t, tile, chunk, now, t.scores + tile % 2 * kScoreFloats);
        add_pages(amx, task, t, tile, now);
    }
}

void pack(const AttentionTask& task, const TileAttention& t, int32_t place, int slot, int32_t low, int32_t high) {
    const uint8_t* at = task.pool + task.page[place / kKeys] * task.page_bytes;
    const int first = low > place ? low - place : 0, last = high < place + kKeys ? high - place : kKeys;
    t.pack_keys(at + task.k_offset, task.k_width, first, last, t.keys + int64_t{2 * slot} * n_step(task.k_width) * kTileBytes);
    const uint8_t* v = at + (task.latent ? task.k_offset : task.v_offset);
    t.pack_values(v, task.v_width, first, last, t.values + int64_t{slot} * n_slice(task.v_width) * kTileBytes);
}

void finish(const AttentionTask& task, const TileAttention& t, int32_t query) {
    const float share = share_of(task, query);
    const float* sums = t.sums + int64_t{query / kQueries} * n_slice(task.v_width) * kTileFloats + query % kQueries * 16;
    for (int32_t d = 0; d < task.v_width; ++d) task.out[query][d] = sums[d / 16 * kTileFloats + d % 16] * share;
}

void run(const AttentionTask& task, const TileAttention& t) {
    constexpr int32_t kChunkKeys = kPages * kKeys;
    int32_t low = INT32_MAX, high = 0;
    for (int32_t i = 0; i < task.n_query; ++i) {
        task.scratch[2 * i] = kNever;
        task.scratch[2 * i + 1] = 0;
        low = task.begin[i] < low ? task.begin[i] : low;
        high = task.end[i] > high ? task.end[i] : high;
    }
    const int64_t n_tile = (task.n_query + kQueries - 1) / kQueries;
    for (int64_t i = 0; i < n_tile * n_slice(task.v_width) * kTileFloats; ++i) t.sums[i] = 0;
    Tiles amx;
    for (int32_t place = low / kKeys * kKeys; place < high;) {
        Chunk chunk{place, 0};
        const int32_t end = place / kChunkKeys * kChunkKeys + kChunkKeys;
        for (; place < high && place < end && task.page[place / kKeys] >= 0; place += kKeys, ++chunk.n_page)
            pack(task, t, place, chunk.n_page, low, high);
        if (chunk.n_page > 0)
            attend(amx, task, t, chunk);
        else
            place += kKeys;  // a page that is not there
    }
    for (int32_t i = 0; i < task.n_query; ++i) finish(task, t, i);
}

// Float32 has no tiles: it would lose what makes it float32.
constexpr TileAttentionKernels kernels() {
    TileAttentionKernels table{};
    table.run = run;
    table.key[HEARTH_FORMAT_F16] = pack_keys<AsF16>;
    table.key[HEARTH_FORMAT_BF16] = pack_keys<AsBf16>;
    table.key[HEARTH_FORMAT_Q8_0] = pack_code_keys<Keys8>;
    table.key[HEARTH_FORMAT_Q4_0] = pack_code_keys<Keys4>;
    table.value[HEARTH_FORMAT_F16] = pack_values<PlainValues<AsF16>>;
    table.value[HEARTH_FORMAT_BF16] = pack_values<PlainValues<AsBf16>>;
    table.value[HEARTH_FORMAT_Q8_0] = pack_values<CodeValues<Values8>>;
    table.value[HEARTH_FORMAT_Q4_0] = pack_values<CodeValues<Values4>>;
    table.latent[HEARTH_FORMAT_F16] = pack_latent<AsF16>;
    table.latent[HEARTH_FORMAT_BF16] = pack_latent<AsBf16>;
    return table;
}

}  // namespace

extern "C" {
extern const TileAttentionKernels HEARTH_LEVEL_NAME(hearth_cpu_tile_attention);
constexpr TileAttentionKernels HEARTH_LEVEL_NAME(hearth_cpu_tile_attention) = kernels();
}

// Cached keys and values as codes: blocks of 32 elements with a scale, Q8_0 and Q4_0.
// Keys meet queries as integers: those are codes, too (see AttentionTask). So do values and weights.
#include <hearth/backend.h>

#include "device/cpu/kernels.hpp"
#include "device/cpu/level/block_values.hpp"
#include "device/cpu/level/int8.hpp"
#include "device/cpu/level/lanes.hpp"
#include "device/cpu/level/math.hpp"
#include "device/cpu/level/query_group.hpp"

namespace {

using namespace hearth::cpu;

// What sets the two types apart. `pairs` are codes at.. of two keys as halves of lanes; `sums` is the sum over the block of
// code(key) * q for the keys of one register; `raised` are codes 4g..4g+3 of those keys plus 128, kRaised times as large.
struct Codes8 : Values8 {
    static inline void sums(const uint8_t* codes, const Q8Block* const* q, int n, Ints* total) {
        for (int i = 0; i < n; ++i) total[i] = Ints{} - kSignedOffset * q[i]->sum;
        for (int g = 0; g < kBlock / 4; ++g) {
            const Ints c = loadi(codes + g * kKeys * 4);
            for (int i = 0; i < n; ++i) total[i] = dot_signed<false>(total[i], c, splat4(q[i]->q + 4 * g), Ints{});
        }
    }
    [[maybe_unused]] static constexpr int kRaised = 1;
    static HEARTH_INLINE inline Ints raised(const uint8_t* codes, int g) { return offset_codes(loadi(codes + g * kKeys * 4)); }
    static inline Ints pairs(const uint8_t* a, const uint8_t* b, int at) { return byte_pairs<true>(a + at, b + at); }
    static inline float scale(const float* x) {
        float top = 0;
        for (int i = 0; i < kBlock; ++i) {
            const float size = x[i] < 0 ? -x[i] : x[i];
            top = size > top ? size : top;
        }
        return top / 127.0f;
    }
    static inline void encode(const int32_t* code, uint8_t* bytes) {
        for (int i = 0; i < kBlock; ++i) bytes[i] = static_cast<uint8_t>(code[i]);
    }
};

struct Codes4 : Values4 {
    static inline void sums(const uint8_t* codes, const Q8Block* const* q, int n, Ints* total) {
        Ints partial[kGroup] = {};
        for (int g = 0; g < kBlock / 8; ++g) {
            const Ints c = loadi(codes + g * kKeys * 4), low = bits(c, 0, 15), high = bits(c, 4, 15);
            for (int i = 0; i < n; ++i) {
                partial[i] = dot_step(partial[i], low, splat4(q[i]->q + 4 * g));
                partial[i] = dot_step(partial[i], high, splat4(q[i]->q + 16 + 4 * g));
            }
        }
        for (int i = 0; i < n; ++i) total[i] = finish(partial[i]) - 8 * q[i]->sum;
    }
    [[maybe_unused]] static constexpr int kRaised = 16;
    static HEARTH_INLINE inline Ints raised(const uint8_t* codes, int g) {
        return bits(loadi(codes + g % 4 * kKeys * 4), g / 4 * 4 - 4, 0xf0);
    }
    static inline Ints pairs(const uint8_t* a, const uint8_t* b, int at) {
        const Ints c = byte_pairs<false>(a + at % 16, b + at % 16);
        return reinterpret_cast<Ints>(reinterpret_cast<Shorts>((at < 16 ? c : c >> 4) & 0x000f000f) - static_cast<int16_t>(8));
    }
    // The element of the largest size becomes the code 0, which stands for -8.
    static inline float scale(const float* x) {
        float top = 0, size = 0;
        for (int i = 0; i < kBlock; ++i) {
            const float s = x[i] < 0 ? -x[i] : x[i];
            if (s > size) size = s, top = x[i];
        }
        return top / -8.0f;
    }
    static inline void encode(const int32_t* code, uint8_t* bytes) {
        for (int i = 0; i < kBlock / 2; ++i) {
            const auto nibble = [&](int at) { return code[at] + 8 > 15 ? 15 : code[at] + 8; };
            bytes[i] = static_cast<uint8_t>(nibble(i) | nibble(i + 16) << 4);
        }
    }
};

// codes = round(x / scale), to even; the scale itself is kept as a half.
template <class C>
inline void quantise(const float* x, uint16_t* scale, uint8_t* bytes) {
    const float d = C::scale(x);
    const Floats inverse = splat(d != 0 ? 1.0f / d : 0.0f);
    int32_t code[kBlock];
    for (int i = 0; i < kBlock; i += kLanes) store(code + i, round_to_ints(loadf(x + i) * inverse));
    put_one<AsF16>(scale, d);
    C::encode(code, bytes);
}

template <class C>
void store_k(uint8_t* page, const float* k, int64_t width, int64_t slot) {
    for (int64_t b = 0; b < width / kBlock; ++b, page += kKeys * (kScaleBytes + C::kBytes)) {
        uint8_t bytes[C::kBytes];
        uint16_t scale;
        quantise<C>(k + b * kBlock, &scale, bytes);
        __builtin_memcpy(page + slot * kScaleBytes, &scale, kScaleBytes);
        for (int g = 0; g < C::kBytes / 4; ++g) __builtin_memcpy(page + kKeys * kScaleBytes + (g * kKeys + slot) * 4, bytes + 4 * g, 4);
    }
}

template <class C>
void store_v(uint8_t* page, const float* v, int64_t width, int64_t slot) {
    uint8_t* to = page + slot * (width / kBlock) * (kScaleBytes + C::kBytes);
    for (int64_t b = 0; b < width / kBlock; ++b, to += kScaleBytes + C::kBytes) {
        uint16_t scale;
        quantise<C>(v + b * kBlock, &scale, to + kScaleBytes);
        __builtin_memcpy(to, &scale, kScaleBytes);
    }
}

// The keys of a register, by the sums of their codes.
template <class C, int n>
HEARTH_INLINE inline void add_block(const uint8_t* scales, const uint8_t* codes, const Q8Block* const* q, Floats (*acc)[1]) {
    Ints total[n];
    C::sums(codes, q, n, total);
    const Floats scale = halves(scales);
    for (int i = 0; i < n; ++i) acc[i][0] = fma(to_floats(total[i]), scale * q[i]->d, acc[i][0]);
}
// Those of two, where sums start at kSumBase: as many sums at a time as the processor has products under way.
template <class C, int n>
HEARTH_INLINE inline void add_block(const uint8_t* scales, const uint8_t* codes, const Q8Block* const* q, Floats (*acc)[2]) {
    Ints sum[n][2];
    for (int i = 0; i < n; ++i) sum[i][0] = sum[i][1] = splat4(&q[i]->start);
    unrolled<kBlock / 4>([&](auto step) HEARTH_INLINE {
        constexpr int g = decltype(step)::value;
        const Ints c[2] = {C::raised(codes, g), C::raised(codes + kLanes * 4, g)};
        for (int i = 0; i < n; ++i) {
            const Ints x = splat4(q[i]->q + 4 * g);
            for (int j = 0; j < 2; ++j) sum[i][j] = dot_step(sum[i][j], c[j], x);
        }
    });
    for (int j = 0; j < 2; ++j) {
        const Floats scale = halves(scales + j * kLanes * kScaleBytes) * (1.0f / C::kRaised);
        for (int i = 0; i < n; ++i)
            acc[i][j] = fma(fma(bits_to_floats(sum[i][j]), splat(q[i]->d), splat(q[i]->minus)), scale, acc[i][j]);
    }
}

template <class C, int n>
inline void scores_of(const QueryGroup& g, const Ahead& ahead, float (*out)[kMostKeys]) {
    constexpr int kAtOnce = kSumsAreFloats ? 2 : 1;  // registers of keys
    const int64_t n_block = g.task->k_width / kBlock;
    const int n_vector = g.pages->n * kKeyVectors;
    for (int v = 0; v < n_vector; v += kAtOnce) {
        Floats acc[n][kAtOnce] = {};
        const uint8_t* at = g.pages->k[v / kKeyVectors];
        const int of_page = v % kKeyVectors * kLanes;
        for (int64_t b = 0; b < n_block; ++b, at += kKeys * (kScaleBytes + C::kBytes)) {
            for (int i = 0; i < kAtOnce; ++i) ahead.ask(v * n_block + b * kAtOnce + i);
            const Q8Block* q[n];
            for (int i = 0; i < n; ++i) q[i] = g.task->q8 + (g.first + i) * n_block + b;
            add_block<C, n>(at + of_page * kScaleBytes, at + kKeys * kScaleBytes + of_page * 4, q, acc);
        }
        for (int i = 0; i < n; ++i)
            for (int j = 0; j < kAtOnce; ++j) store(out[i] + (v + j) * kLanes, acc[i][j]);
    }
}

// The scales of 32 neighbouring values of all keys, 0 where it is not a finite number.
struct BlockScales {
    float of_key[kMostKeys];
    uint64_t lost;  // the keys of the latter
};
static_assert(kMostKeys <= 64);

// The same values, unpacked to words: a 32-bit lane has the codes of two keys that are kLanes apart. A run of kLanes rows of words is of
// 2 * kLanes neighbouring keys.
struct WordBlock {
    BlockScales scales;
    int32_t words[kMostKeys / 2][kBlock];
};

template <class C>
inline void take_scales(const QueryGroup& g, int64_t b, BlockScales& to) {
    constexpr int kBytes = kScaleBytes + C::kBytes;
    const int n_key = g.pages->n * kKeys;
    for (int page = 0; page < g.pages->n; ++page)
        scales_of(g.pages->v[page] + b * kBytes, g.task->v_width / kBlock * kBytes, to.of_key + page * kKeys);
    Floats odd{};
    for (int v = 0; v < n_key; v += kLanes) odd += loadf(to.of_key + v) * 0.0f;
    to.lost = 0;
    if (const float any = sum(odd); any == any) return;
    for (int key = 0; key < n_key; ++key)
        if (const float x = to.of_key[key] * 0.0f; x != x) to.lost |= uint64_t{1} << key, to.of_key[key] = 0;
}

// Where the words of block b are read: out of the pages, or as unpack_v() left them.
template <class C>
struct PackedCodes {
    int64_t row_bytes;
    const uint8_t* codes[kPagesAtOnce + 1] = {};  // next() looks at one past the last, which nobody reads from
    PackedCodes(const QueryGroup& g, int64_t b) : row_bytes(g.task->v_width / kBlock * (kScaleBytes + C::kBytes)) {
        for (int page = 0; page < g.pages->n; ++page) codes[page] = g.pages->v[page] + b * (kScaleBytes + C::kBytes) + kScaleBytes;
    }
    HEARTH_INLINE const uint8_t* run(int i) const { return codes[i * 2 * kLanes / kKeys] + i * 2 * kLanes % kKeys * row_bytes; }
    HEARTH_INLINE const uint8_t* next(const uint8_t* row, int i) const { return i % kLanes == 0 ? run(i / kLanes) : row + row_bytes; }
    template <int at, int tile>
    HEARTH_INLINE void load_row(const uint8_t* row, Ints* x) const {
        unrolled<tile>([&](auto j) HEARTH_INLINE { x[j.value] = C::pairs(row, row + kLanes * row_bytes, at + j.value * kLanes); });
    }
};
template <class C>
struct PackedWords : PackedCodes<C> {
    BlockScales of_block;
    PackedWords(const QueryGroup& g, int64_t b) : PackedCodes<C>(g, b) { take_scales<C>(g, b, of_block); }
    const BlockScales& scales() const { return of_block; }
};
struct UnpackedWords {
    const WordBlock& block;
    UnpackedWords(const QueryGroup& g, int64_t b) : block(reinterpret_cast<const WordBlock*>(g.pages->v[0])[b]) {}
    const BlockScales& scales() const { return block.scales; }
    HEARTH_INLINE const uint8_t* run(int i) const { return reinterpret_cast<const uint8_t*>(block.words[i * kLanes]); }
    HEARTH_INLINE const uint8_t* next(const uint8_t* row, int) const { return row + sizeof block.words[0]; }
    template <int at, int tile>
    HEARTH_INLINE void load_row(const uint8_t* row, Ints* x) const {
        for (int j = 0; j < tile; ++j) x[j] = load<Ints>(row + (at + j * kLanes) * 4);
    }
};

// f(row, where it is read)
template <class Words, class F>
HEARTH_INLINE inline void each_row(const Words& words, int n_key, F f) {
    const uint8_t* at = words.run(0);
    for (int row = 0; row < n_key / 2;) {
        f(row, at);
        at = words.next(at, ++row);
    }
}

template <class C>
void unpack_v(const QueryGroup& g, float* to, const uint8_t** v) {
    auto* blocks = reinterpret_cast<WordBlock*>(to);
    for (int64_t b = 0; b < g.task->v_width / kBlock; ++b) {
        const PackedCodes<C> from(g, b);
        take_scales<C>(g, b, blocks[b].scales);
        each_row(from, g.pages->n * kKeys, [&](int row, const uint8_t* codes) HEARTH_INLINE {
            unrolled<kBlock / kLanes>([&](auto j) HEARTH_INLINE {
                Ints x;
                from.template load_row<j.value * kLanes, 1>(codes, &x);
                store(blocks[b].words[row] + j.value * kLanes, x);
            });
        });
    }
    v[0] = reinterpret_cast<const uint8_t*>(blocks);
}

// Weights and codes meet as integers of 16 bits: for a block a query's weights times the keys' scales, in units of which the largest has
// kWhole. That moves a sum by half a unit times the code for each key at most.
constexpr float kWhole = 32767, kLeastWhole = 1e-30f;  // what is below comes to nothing beside the largest weight of all, which is 1

// out[i][row]: words of two weights, of n queries. Returns the unit of each as a lane.
template <int n>
HEARTH_INLINE inline Floats weigh_words(const KeyWeights& weights, int first, const BlockScales& scales, int n_key,
                                        int32_t (*out)[kMostKeys / 2]) {
    Floats most[n];
    for (int i = 0; i < n; ++i) {
        Floats all{};
        for (int v = 0; v < n_key; v += kLanes) all = max(abs(loadf(weights.p[first + i] + v) * loadf(scales.of_key + v)), all);
        most[i] = all;
    }
    const Floats largest = across<n>(most, max), factor = largest > kLeastWhole ? kWhole / largest : splat(0);
    for (int i = 0; i < n; ++i)
        for (int v = 0; v < n_key; v += 2 * kLanes) {
            const auto word = [&](int at) HEARTH_INLINE {
                return round_to_ints(loadf(weights.p[first + i] + at) * loadf(scales.of_key + at) * factor[i]);
            };
            store(out[i] + v / 2, pair(word(v), word(v + kLanes) << 16));
        }
    return largest * (1 / kWhole);
}

// A query that gives weight to a lost value has none of the block's elements.
void lose(const KeyWeights& weights, int n, const BlockScales& block, int64_t first, float* const* out) {
    for (int i = 0; i < n; ++i)
        for (int key = 0; key < kMostKeys; ++key) {
            if ((block.lost >> key & 1) == 0 || weights.p[i][key] == 0) continue;
            for (int e = 0; e < kBlock; ++e) out[i][first + e] = __builtin_nanf("");
        }
}

// Registers of elements at a time; there are two more in use than for floats.
template <int n>
constexpr int word_tile() {
    constexpr int most = n < 3 ? 4 : 2;
    return kBlock / kLanes < most ? kBlock / kLanes : most;
}

// Sums of words' products. Without an instruction for them floats are faster, and lose less than the words have.
#if defined(__SSSE3__) || defined(HEARTH_NEON)
struct WordSums : PairSums {
    HEARTH_INLINE Floats floats() const { return to_floats(total()); }
};
#else
struct WordSums {
    Floats sum;
    HEARTH_INLINE void clear() { sum = Floats{}; }
    HEARTH_INLINE void add(Ints a, Ints b) {
        sum += to_floats((a << 16) >> 16) * to_floats((b << 16) >> 16);
        sum += to_floats(a >> 16) * to_floats(b >> 16);
    }
    HEARTH_INLINE Floats floats() const { return sum; }
};
#endif

// sums[i][j] = all rows' words from element `at` on by the weights of query i. Not inlined: GCC 12 keeps constants of its caller in
// registers and has none for sums.
template <int n, int at, class Words>
__attribute__((noinline)) void sum_words(const Words& from, const int32_t (*weights)[kMostKeys / 2], int n_key,
                                         Floats (*sums)[word_tile<n>()]) {
    constexpr int tile = word_tile<n>();
    WordSums acc[n][tile];
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < tile; ++j) acc[i][j].clear();
    each_row(from, n_key, [&](int row, const uint8_t* words) HEARTH_INLINE {
        Ints x[tile];
        from.template load_row<at, tile>(words, x);
        for (int i = 0; i < n; ++i) {
            const Ints w = splat4(weights[i] + row);
            for (int j = 0; j < tile; ++j) acc[i][j].add(x[j], w);
        }
    });
    for (int i = 0; i < n; ++i)
        for (int j = 0; j < tile; ++j) sums[i][j] = acc[i][j].floats();
}

template <int n, class Words>
inline void add_words(const QueryGroup& g, const KeyWeights& weights) {
    constexpr int tile = word_tile<n>();
    const int64_t n_block = g.task->v_width / kBlock;
    const int n_key = g.pages->n * kKeys;
    float* const* out = g.task->out + g.first;
    const Ahead ahead(g.in_values, n_block);
    for (int64_t b = 0; b < n_block; ++b) {
        const Words words(g, b);
        int32_t factors[n][kMostKeys / 2];
        float unit[n];
        ahead.ask(b);
        constexpr int kAtOnce = kLanes < n ? kLanes : n;
        unrolled<(n + kAtOnce - 1) / kAtOnce>([&](auto part) HEARTH_INLINE {
            constexpr int first = decltype(part)::value * kAtOnce, count = n - first < kAtOnce ? n - first : kAtOnce;
            const Floats units = weigh_words<count>(weights, first, words.scales(), n_key, factors + first);
            for (int i = 0; i < count; ++i) unit[first + i] = units[i];
        });
        unrolled<kBlock / (tile * kLanes)>([&](auto step) HEARTH_INLINE {  // where an element's code lies is a constant
            constexpr int e = decltype(step)::value * tile * kLanes;
            Floats sums[n][tile];
            sum_words<n, e>(words, factors, n_key, sums);
            for (int i = 0; i < n; ++i)
                for (int j = 0; j < tile; ++j) {
                    float* const to = out[i] + b * kBlock + e + j * kLanes;
                    store(to, fma(sums[i][j], splat(unit[i]), loadf(to) * weights.factor[i]));
                }
        });
        if (words.scales().lost) lose(weights, n, words.scales(), b * kBlock, out);
    }
}

template <class C>
void scores(const QueryGroup& g, float (*out)[kMostKeys]) {
    const Ahead ahead(g.in_scores, g.pages->n * kKeyVectors * (g.task->k_width / kBlock));
    by_count(g.n, [&](auto n) { scores_of<C, n.value>(g, ahead, out); });
}

template <class Words>
void add(const QueryGroup& g, const KeyWeights& weights) {
    by_count(g.n, [&](auto n) { add_words<n.value, Words>(g, weights); });
}
constexpr ValueKernel kUnpacked = {add<UnpackedWords>, nullptr, nullptr, nullptr, 0};

constexpr CachedKernels kernels() {
    CachedKernels table{};
    table.key[HEARTH_FORMAT_Q8_0] = {scores<Codes8>, nullptr, store_k<Codes8>, nullptr, 1};
    table.key[HEARTH_FORMAT_Q4_0] = {scores<Codes4>, nullptr, store_k<Codes4>, nullptr, 1};
    table.value[HEARTH_FORMAT_Q8_0] = {add<PackedWords<Codes8>>, store_v<Codes8>, unpack_v<Codes8>, &kUnpacked, kGroup + 1};
    table.value[HEARTH_FORMAT_Q4_0] = {add<PackedWords<Codes4>>, store_v<Codes4>, unpack_v<Codes4>, &kUnpacked, kGroup + 1};
    return table;
}

}  // namespace

extern "C" {
extern const CachedKernels HEARTH_LEVEL_NAME(hearth_cpu_cached_blocks);
constexpr CachedKernels HEARTH_LEVEL_NAME(hearth_cpu_cached_blocks) = kernels();
}

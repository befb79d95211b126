// Cached keys and values as codes: blocks of 32 elements with a scale, Q8_0 and Q4_0.
// Keys meet queries as integers: those are codes, too (see AttentionTask). Values are taken out of their codes as floats.
#include <hearth/backend.h>

#include "device/cpu/kernels.hpp"
#include "device/cpu/level/block_values.hpp"
#include "device/cpu/level/int8.hpp"
#include "device/cpu/level/lanes.hpp"
#include "device/cpu/level/math.hpp"
#include "device/cpu/level/query_group.hpp"

namespace {

using namespace hearth::cpu;

// What sets the two types apart. `sums` is sum over the block of code(key) * q for the keys of one register.
struct Codes8 : Values8 {
    static inline void sums(const uint8_t* codes, const Q8Block* const* q, int n, Ints* total) {
        for (int i = 0; i < n; ++i) total[i] = Ints{} - kSignedOffset * q[i]->sum;
        for (int g = 0; g < kBlock / 4; ++g) {
            const Ints c = loadi(codes + g * kKeys * 4);
            for (int i = 0; i < n; ++i) total[i] = dot_signed<false>(total[i], c, splat4(q[i]->q + 4 * g), Ints{});
        }
    }
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

template <class C, int n>
inline void scores_of(const QueryGroup& g, const uint8_t* k, float (*out)[kKeys]) {
    const int64_t n_block = g.task->k_width / kBlock;
    for (int v = 0; v < kKeyVectors; ++v) {
        Floats acc[n] = {};
        const uint8_t* at = k;
        for (int64_t b = 0; b < n_block; ++b, at += kKeys * (kScaleBytes + C::kBytes)) {
            ask<kKeys*(kScaleBytes + C::kBytes) / kKeyVectors>(g.ahead_k, b * kKeyVectors + v);
            const Q8Block* q[n];
            Ints total[n];
            for (int i = 0; i < n; ++i) q[i] = g.task->q8 + (g.first + i) * n_block + b;
            C::sums(at + kKeys * kScaleBytes + v * kLanes * 4, q, n, total);
            const Floats scale = halves(at + v * kLanes * kScaleBytes);
            for (int i = 0; i < n; ++i) acc[i] = fma(to_floats(total[i]), scale * q[i]->d, acc[i]);
        }
        for (int i = 0; i < n; ++i) store(out[i] + v * kLanes, acc[i]);
    }
}

constexpr int kTile = kBlock / kLanes < 2 ? kBlock / kLanes : 2;  // registers of elements per query at a time

template <class C, int n>
inline void add_values(const QueryGroup& g, const uint8_t* v, const float (*p)[kKeys], const float* factor, int low, int high) {
    constexpr int kBytes = kScaleBytes + C::kBytes;
    const int64_t n_block = g.task->v_width / kBlock, row_bytes = n_block * kBytes;
    float* const* out = g.task->out + g.first;
    for (int64_t b = 0; b < n_block; ++b) {
        const uint8_t* block = v + b * kBytes;
        float scale[kKeys];
        scales_of(block, row_bytes, scale);
        unrolled<kBlock / (kTile * kLanes)>([&](auto step) HEARTH_INLINE {  // where an element's code lies is a constant
            constexpr int e = decltype(step)::value * kTile * kLanes;
            Floats acc[n][kTile];
            for (int i = 0; i < n; ++i)
                for (int j = 0; j < kTile; ++j) acc[i][j] = loadf(out[i] + b * kBlock + e + j * kLanes) * factor[i];
            for (int key = low; key < high; ++key) {
                if (e == 0) ask<kBytes>(g.ahead_v, b * kKeys + key);
                const uint8_t* codes = block + key * row_bytes + kScaleBytes;
                Floats value[kTile];
                for (int j = 0; j < kTile; ++j) value[j] = C::values(codes, e + j * kLanes) * scale[key];
                for (int i = 0; i < n; ++i)
                    for (int j = 0; j < kTile; ++j) acc[i][j] = fma(splat(p[i][key]), value[j], acc[i][j]);
            }
            for (int i = 0; i < n; ++i)
                for (int j = 0; j < kTile; ++j) store(out[i] + b * kBlock + e + j * kLanes, acc[i][j]);
        });
    }
}

template <class C>
void unpack_v(const uint8_t* v, int64_t width, float* to) {
    const int64_t row_bytes = width / kBlock * (kScaleBytes + C::kBytes);
    for (int64_t b = 0; b < width / kBlock; ++b, v += kScaleBytes + C::kBytes) {
        float scale[kKeys];
        scales_of(v, row_bytes, scale);
        for (int key = 0; key < kKeys; ++key)
            for (int e = 0; e < kBlock; e += kLanes)
                store(to + key * width + b * kBlock + e, C::values(v + key * row_bytes + kScaleBytes, e) * scale[key]);
    }
}

template <class C>
void scores(const QueryGroup& g, const uint8_t* k, float (*out)[kKeys]) {
    by_count(g, [&](auto n) { scores_of<C, n.value>(g, k, out); });
}

template <class C>
void add(const QueryGroup& g, const uint8_t* v, const float (*p)[kKeys], const float* factor, int low, int high) {
    by_count(g, [&](auto n) { add_values<C, n.value>(g, v, p, factor, low, high); });
}

constexpr CachedKernels kernels() {
    CachedKernels table{};
    table.key[HEARTH_FORMAT_Q8_0] = {scores<Codes8>, nullptr, store_k<Codes8>, nullptr, 1};
    table.key[HEARTH_FORMAT_Q4_0] = {scores<Codes4>, nullptr, store_k<Codes4>, nullptr, 1};
    table.value[HEARTH_FORMAT_Q8_0] = {add<Codes8>, store_v<Codes8>, unpack_v<Codes8>};
    table.value[HEARTH_FORMAT_Q4_0] = {add<Codes4>, store_v<Codes4>, unpack_v<Codes4>};
    return table;
}

}  // namespace

extern "C" {
extern const CachedKernels HEARTH_LEVEL_NAME(hearth_cpu_cached_blocks);
constexpr CachedKernels HEARTH_LEVEL_NAME(hearth_cpu_cached_blocks) = kernels();
}

// Kernels over one row at a time: norms, rotary embedding, activations, element-wise arithmetic, int8 quantisation.
#include <hearth/backend.h>

#include "device/cpu/kernels.hpp"
#include "device/cpu/level/lanes.hpp"
#include "device/cpu/level/math.hpp"

namespace {

using namespace hearth::cpu;

// Applies f(Floats...) -> Floats to n elements; a ragged tail goes through zero-filled vectors.
template <class F>
inline void map(float* y, int64_t n, F f, const float* a, const float* b = nullptr) {
    int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes) store(y + i, f(loadf(a + i), b ? loadf(b + i) : Floats{}));
    if (i == n) return;
    float ta[kLanes] = {}, tb[kLanes] = {}, ty[kLanes];
    for (int64_t j = i; j < n; ++j) {
        ta[j - i] = a[j];
        if (b) tb[j - i] = b[j];
    }
    store(ty, f(loadf(ta), loadf(tb)));
    for (int64_t j = i; j < n; ++j) y[j] = ty[j - i];
}

// Sum of f(x) in double: lane sums of at most 64 vectors in float, those in double.
template <class F>
inline double reduce(const float* x, int64_t n, F f) {
    double total = 0;
    int64_t i = 0;
    while (i + kLanes <= n) {
        Floats part{};
        for (int k = 0; k < 16 && i + kLanes <= n; ++k, i += kLanes) part += f(loadf(x + i));
        float lane[kLanes];
        store(lane, part);
        for (float v : lane) total += static_cast<double>(v);
    }
    for (; i < n; ++i) {
        float one[kLanes] = {x[i]};
        total += static_cast<double>(f(loadf(one))[0]);
    }
    return total;
}

void norm(float* y, const float* x, int64_t n, int32_t kind, float eps, const float* weight, const float* bias) {
    const double count = static_cast<double>(n);
    float mean = 0;
    if (kind == HEARTH_NORM_LAYER) mean = static_cast<float>(reduce(x, n, [](Floats v) { return v; }) / count);
    const Floats m = splat(mean);
    const double square = reduce(x, n, [m](Floats v) { return (v - m) * (v - m); }) / count;
    const float factor = static_cast<float>(1.0 / __builtin_sqrt(square + static_cast<double>(eps)));
    const Floats s = splat(factor);
    if (weight && bias) {
        map(y, n, [=](Floats v, Floats w) { return (v - m) * s * w; }, x, weight);
        map(y, n, [](Floats v, Floats b) { return v + b; }, y, bias);
    } else if (weight) {
        map(y, n, [=](Floats v, Floats w) { return (v - m) * s * w; }, x, weight);
    } else {
        map(y, n, [=](Floats v, Floats) { return (v - m) * s; }, x);
        if (bias) map(y, n, [](Floats v, Floats b) { return v + b; }, y, bias);
    }
}

void rope(float* y, const float* x, const float* cos_sin, int64_t n_rot, int64_t n, int32_t halves) {
    const int64_t half = n_rot / 2;
    const float *c = cos_sin, *s = cos_sin + half;
    int64_t i = 0;
    if (halves)
        for (; i + kLanes <= half; i += kLanes) {
            const Floats a = loadf(x + i), b = loadf(x + half + i), cv = loadf(c + i), sv = loadf(s + i);
            store(y + i, a * cv - b * sv);
            store(y + half + i, a * sv + b * cv);
        }
    for (; i < half; ++i) {
        const int64_t p = halves ? i : 2 * i, q = halves ? half + i : 2 * i + 1;
        const float a = x[p], b = x[q];
        y[p] = a * c[i] - b * s[i];
        y[q] = a * s[i] + b * c[i];
    }
    if (y != x)
        for (i = n_rot; i < n; ++i) y[i] = x[i];
}

inline Floats gelu_tanh(Floats x) {
    const Floats inner = 0.79788456080286535588f * fma(x * x * x, splat(0.044715f), x);
    return x * sigmoid(2.0f * inner);  // 1 + tanh would cancel for negative x
}

// To the nearest half and back, ties to even: 13 bits of a normal number go; below 2^-14 the half's step is 2^-24, which is
// what adding and subtracting 0.75 rounds to. Values here stay below 16, so nothing overflows.
inline Floats round_to_half(Floats x) {
    const Ints bits = floats_to_bits(x), rounded = (bits + 0xfff + ((bits >> 13) & 1)) & ~0x1fff;
    const Floats magic = splat(0.75f), small = (x + magic) - magic;
    return abs(x) < 6.103515625e-05f ? small : bits_to_floats(rounded);
}

typedef double Doubles __attribute__((vector_size(8 * kLanes)));
typedef int64_t Longs __attribute__((vector_size(8 * kLanes)));

// exp to about 1e-11 for |x| < 700: the integer part of x / ln 2 lands in the low bits of a sum with 1.5 * 2^52.
inline Doubles exp_double(Doubles x) {
    const Doubles magic = Doubles{} + 6755399441055744.0, shifted = x * 1.4426950408889634 + magic;
    const Doubles n = shifted - magic, r = x - n * 0.6931471805599453;
    Doubles p = Doubles{} + 1.0 / 362880;
    constexpr double kTaylor[] = {1.0 / 40320, 1.0 / 5040, 1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1.0, 1.0};
    for (double c : kTaylor) p = p * r + c;
    const Longs power = (reinterpret_cast<Longs>(shifted) << 52) + (int64_t{1023} << 52);
    return p * reinterpret_cast<Doubles>(power);
}

// In double between the two roundings, so that only x itself can tip a result over to the next half.
inline Floats gelu_tanh_half(Floats x) {
    const Doubles h = __builtin_convertvector(round_to_half(x), Doubles);
    const Doubles inner = 0.7978845608028654 * (h + 0.044715 * h * h * h);
    const Floats inside = round_to_half(__builtin_convertvector(h / (1.0 + exp_double(-2.0 * inner)), Floats));
    return x <= -10.0f ? Floats{} : x >= 10.0f ? x : inside;
}

inline Floats gelu_erf(Floats x) {
    float v[kLanes];
    store(v, x);
    for (float& e : v) e = 0.5f * e * (1.0f + __builtin_erff(e * 0.70710678118654752440f));
    return loadf(v);
}

inline Floats relu(Floats x) { return x > 0.0f ? x : Floats{}; }

void act(float* y, const float* x, int64_t n, int32_t kind) {
    if (kind == HEARTH_ACT_SILU) map(y, n, [](Floats v, Floats) { return v * sigmoid(v); }, x);
    if (kind == HEARTH_ACT_GELU_TANH) map(y, n, [](Floats v, Floats) { return gelu_tanh(v); }, x);
    if (kind == HEARTH_ACT_GELU_TANH_HALF) map(y, n, [](Floats v, Floats) { return gelu_tanh_half(v); }, x);
    if (kind == HEARTH_ACT_GELU_ERF) map(y, n, [](Floats v, Floats) { return gelu_erf(v); }, x);
    if (kind == HEARTH_ACT_RELU) map(y, n, [](Floats v, Floats) { return relu(v); }, x);
    if (kind == HEARTH_ACT_RELU2) map(y, n, [](Floats v, Floats) { return relu(v) * relu(v); }, x);
}

void glu(float* y, const float* gate, const float* up, int64_t n, int32_t kind, float alpha, float limit) {
    if (kind == HEARTH_ACT_SILU) map(y, n, [](Floats g, Floats u) { return g * sigmoid(g) * u; }, gate, up);
    if (kind == HEARTH_ACT_GELU_TANH) map(y, n, [](Floats g, Floats u) { return gelu_tanh(g) * u; }, gate, up);
    if (kind == HEARTH_ACT_GELU_TANH_HALF) map(y, n, [](Floats g, Floats u) { return gelu_tanh_half(g) * u; }, gate, up);
    if (kind == HEARTH_ACT_GELU_ERF) map(y, n, [](Floats g, Floats u) { return gelu_erf(g) * u; }, gate, up);
    if (kind == HEARTH_ACT_RELU) map(y, n, [](Floats g, Floats u) { return relu(g) * u; }, gate, up);
    if (kind == HEARTH_ACT_RELU2) map(y, n, [](Floats g, Floats u) { return relu(g) * relu(g) * u; }, gate, up);
    if (kind == HEARTH_ACT_SWIGLU_OAI) {
        const Floats high = splat(limit), low = splat(-limit);
        map(y, n,
            [=](Floats g, Floats u) {
                const Floats gc = min(g, high), uc = max(min(u, high), low);
                return gc * sigmoid(alpha * gc) * (uc + 1.0f);
            },
            gate, up);
    }
}

void add(float* y, const float* a, const float* b, float scale, int64_t n) {
    map(y, n, [=](Floats p, Floats q) { return fma(splat(scale), q, p); }, a, b);
}

void scale_row(float* y, const float* x, float factor, int64_t n) {
    map(y, n, [=](Floats v, Floats) { return v * factor; }, x);
}

void softcap(float* y, const float* x, float cap, int64_t n) {
    map(y, n, [=](Floats v, Floats) { return cap * tanh(v / cap); }, x);
}

// Codes of n (a multiple of 16) elements with a common scale of 22 bits; returns it.
inline float quantise(int8_t* q, const float* x, int n) {
    Floats top{};
    for (int i = 0; i < n; i += kLanes) top = max(top, abs(loadf(x + i)));
    const float largest = max_of(top), d = largest / 127.0f;
    const Floats inverse = splat(largest > 0 ? 127.0f / largest : 0.0f);
    for (int i = 0; i < n; i += kLanes) {
        int32_t code[kLanes];
        store(code, round_to_ints(loadf(x + i) * inverse));
        for (int k = 0; k < kLanes; ++k) q[i + k] = static_cast<int8_t>(code[k]);
    }
    return bits_to_floats(floats_to_bits(splat(d)) & ~3)[0];
}

void quantise32(Q8Block* out, const float* x, int64_t n) {
    for (int64_t b = 0; b < n / 32; ++b) {
        Q8Block& block = out[b];
        block.d = quantise(block.q, x + 32 * b, 32);
        block.sum = 0;
        for (int8_t q : block.q) block.sum += q;
        if constexpr (kSumsAreFloats) {
            block.minus = -kSumBaseValue * block.d;
            block.start = kSumBase - 128 * block.sum;
        }
    }
}

// What a level that starts sums at kSumBase wants beside the sums of q: where they start, and the sign of every other 32 changed.
[[maybe_unused]] inline void start_sums(Q8SuperBlock& block) {
    const auto start = [](int g32, int sum) { return g32 % 2 == 0 ? kSumBase - 128 * sum : kMinusSumBase + 128 * sum; };
    for (int g = 0; g < 16; ++g) block.start[g] = start(g / 2, block.sum[g]);
    for (int g = 0; g < 8; ++g) block.start32[g] = start(g, block.sum32[g]);
    for (int g = 32; g < 256; g += 64)
        for (int i = 0; i < 32; ++i) block.q[g + i] = static_cast<int8_t>(-block.q[g + i]);
}

void quantise256(Q8SuperBlock* out, const float* x, int64_t n) {
    for (int64_t b = 0; b < n / 256; ++b) {
        Q8SuperBlock& block = out[b];
        block.d = quantise(block.q, x + 256 * b, 256);
        block.pad = 0;
        for (int g = 0; g < 16; ++g) {
            int total = 0;
            for (int i = 0; i < 16; ++i) total += block.q[16 * g + i];
            block.sum[g] = static_cast<int16_t>(total);
        }
        for (int g = 0; g < 8; ++g) block.sum32[g] = static_cast<int16_t>(block.sum[2 * g] + block.sum[2 * g + 1]);
        if constexpr (kSumsAreFloats) start_sums(block);
    }
}

void round_bf16(uint8_t* out, int64_t first, const float* x, int64_t n, int64_t slab_bytes) {
    constexpr int64_t kPieceBytes = 16 * 64;
    for (int64_t i = 0; i < n; i += 32) {
        const int64_t at = first + i;
        auto* to = reinterpret_cast<uint16_t*>(out + at / kSlabInputs * slab_bytes + at % kSlabInputs / 32 * kPieceBytes);
        float tail[32] = {};
        const float* from = x + i;
        if (n - i < 32) {
            for (int64_t k = 0; k < n - i; ++k) tail[k] = x[i + k];
            from = tail;
        }
        for (int k = 0; k < 32; k += kLanes) AsBf16::put(to + k, loadf(from + k));
    }
}

}  // namespace

extern "C" {
extern const RowKernels HEARTH_LEVEL_NAME(hearth_cpu_row);
const RowKernels HEARTH_LEVEL_NAME(hearth_cpu_row) = {norm, rope,      act,        glu,         add,
                                                          scale_row, softcap, quantise32, quantise256, round_bf16};
}

// Encoders of the plain formats and of those with 32 elements per block.
#include <cfloat>
#include <cmath>

#include "base/half.hpp"
#include "quant/encode.hpp"
#include "quant/fit.hpp"
#include "quant/half_scale.hpp"
#include "quant/pack.hpp"

namespace hearth::quant {

void encode_block(const float* x, const float*, F32::Block& out) { out.value = *x; }
void encode_block(const float* x, const float*, F16::Block& out) { out.bits = to_half(*x).bits; }
void encode_block(const float* x, const float*, BF16::Block& out) { out.bits = to_bf16(*x).bits; }

namespace {

// Finds the scale, keeps it as a half in out.d, and rounds to codes: [32].
template <class Grid, class Block>
void encode_scaled(const float* x, const float* weight, Sweep sweep, Block& out, int8_t* codes) {
    Group<32> g;
    load_groups(x, weight, 32, &g);
    out.d = half_bits(fit_scale<Grid>(g, sweep));
    round_group<Grid>(g, {half_value(out.d), 0}, codes);
}

// The same with a base in out.m.
template <int kHigh, class Block>
void encode_line(const float* x, const float* weight, Sweep sweep, Block& out, int8_t* codes) {
    Group<32> g;
    load_groups(x, weight, 32, &g);
    const Line line = fit_line<kHigh>(g, sweep, false);
    out.d = half_bits(line.scale);
    out.m = half_bits(line.base);
    round_group<LinearGrid<0, kHigh>>(g, {half_value(out.d), half_value(out.m)}, codes);
}

void add(int8_t* codes, int n, int zero) {
    for (int i = 0; i < n; ++i) codes[i] = static_cast<int8_t>(codes[i] + zero);
}

}  // namespace

void encode_block(const float* x, const float* weight, Q4_0::Block& out) {
    int8_t codes[32];
    encode_scaled<LinearGrid<-8, 7>>(x, weight, {0.7f, 1.3f, 25}, out, codes);
    add(codes, 32, Q4_0::kZero);
    pack_nibbles(codes, out.qs);
}

void encode_block(const float* x, const float* weight, Q4_1::Block& out) {
    int8_t codes[32];
    encode_line<15>(x, weight, {0.8f, 1.3f, 16}, out, codes);
    pack_nibbles(codes, out.qs);
}

void encode_block(const float* x, const float* weight, Q5_0::Block& out) {
    int8_t codes[32];
    encode_scaled<LinearGrid<-16, 15>>(x, weight, {0.85f, 1.15f, 25}, out, codes);
    add(codes, 32, Q5_0::kZero);
    pack_nibbles(codes, out.qs);
    pack_bits(codes, 4, out.qh);
}

void encode_block(const float* x, const float* weight, Q5_1::Block& out) {
    int8_t codes[32];
    encode_line<31>(x, weight, {0.9f, 1.15f, 16}, out, codes);
    pack_nibbles(codes, out.qs);
    pack_bits(codes, 4, out.qh);
}

// No search: at 8 bits a smaller scale gains nothing that the cut extremes would not cost. Codes end at -127
// because kernels negate them.
void encode_block(const float* x, const float* weight, Q8_0::Block& out) {
    Group<32> g;
    load_groups(x, weight, 32, &g);
    out.d = half_bits(largest_magnitude(g) / 127);
    round_group<LinearGrid<-127, 127>>(g, {half_value(out.d), 0}, out.qs);
}

void encode_block(const float* x, const float* weight, IQ4_NL::Block& out) {
    int8_t codes[32];
    encode_scaled<Iq4Grid>(x, weight, {0.75f, 1.2f, 25}, out, codes);
    for (int8_t& code : codes) code = iq4_index(code);
    pack_nibbles(codes, out.qs);
}

namespace {

// Index of the value nearest to v, ties to the smaller magnitude.
int fp4_index(float v) {
    constexpr float kMiddles[7] = {0.5f, 1.5f, 2.5f, 3.5f, 5, 7, 10};
    int index = 0;
    for (float middle : kMiddles) index += std::fabs(v) > middle;
    return index && v < 0 ? index + 8 : index;
}

}  // namespace

// Only the exponent is free: the one that just holds the largest value, and its neighbours, which may lose
// less.
void encode_block(const float* x, const float* weight, MXFP4::Block& out) {
    constexpr int kN = MXFP4::kElements;
    constexpr const int8_t* kValues = Fp4Table<Iq4Grid>::kValues;
    const auto cut = [](float v) { return std::fmin(std::fmax(v, -FLT_MAX), FLT_MAX); };
    float most = 0;
    for (int i = 0; i < kN; ++i)
        if (!std::isnan(x[i])) most = std::fmax(most, std::fabs(cut(x[i])));
    if (most == 0) return;
    int top;  // most = [0.5, 1) * 2^top; brought to 2^3 to 2^4 it fills the grid, whose largest value is 12
    std::frexp(most, &top);
    Group<kN> g;
    float scaled[kN];
    for (int i = 0; i < kN; ++i) scaled[i] = std::isnan(x[i]) ? 0 : std::ldexp(cut(x[i]), 4 - top);
    load_groups(scaled, weight, kN, &g);
    float best_error = -1;
    for (int up = 1; up >= -1; --up) {
        const int exponent = top - 4 + up + 128;
        if (exponent < 0 || exponent > 252) continue;  // 12 * 2^125 is past the largest float
        uint8_t index[kN];
        float error = 0;
        for (int i = 0; i < kN; ++i) {
            const float v = std::ldexp(g.x[i / 4][i % 4], -up);
            index[i] = static_cast<uint8_t>(fp4_index(v));
            const float d = std::ldexp(v - kValues[index[i]], up);
            error += g.w[i / 4][i % 4] * d * d;
        }
        if (best_error >= 0 && error >= best_error) continue;
        best_error = error;
        out.e = static_cast<uint8_t>(exponent);
        for (int i = 0; i < 16; ++i) out.qs[i] = static_cast<uint8_t>(index[i] | index[i + 16] << 4);
    }
}

}  // namespace hearth::quant

// Encoders of the 256-element formats whose groups have a scale and no minimum: Q3_K, Q6_K, IQ4_XS.
#include <cmath>

#include "quant/encode.hpp"
#include "quant/fit.hpp"
#include "quant/half_scale.hpp"
#include "quant/pack.hpp"

namespace hearth::quant {

namespace {

// Groups of N under integer scales -kMost .. kMost - 1 times a half.
template <int N>
struct Scaled {
    static constexpr int kGroups = 256 / N;
    uint16_t d = 0;
    int scale[kGroups] = {};
    float error = 0;
};

// Picks each group's integer scale for a given d: the one nearest to its own best scale, or a neighbour.
template <class Grid, int kMost, int N>
Scaled<N> choose_scales(const Group<N>* groups, const float* fitted, float d) {
    Scaled<N> out;
    out.d = half_bits(d);
    const float step = half_value(out.d);
    for (int g = 0; g < out.kGroups; ++g) {
        const float wanted = step != 0 ? fitted[g] / step : 0;
        const int nearest =
            static_cast<int>(std::fmin(std::fmax(wanted, -kMost), kMost - 1) + (wanted < 0 ? -0.5f : 0.5f));
        float best = -1;
        for (int s = nearest - 1; s <= nearest + 1; ++s) {
            if (s < -kMost || s >= kMost) continue;
            const float error = scale_error<Grid>(groups[g], step * static_cast<float>(s));
            if (best >= 0 && error >= best) continue;
            best = error;
            out.scale[g] = s;
        }
        out.error += best;
    }
    return out;
}

// The best d for the codes and integer scales that a choice leads to.
template <class Grid, int N>
float refit_step(const Group<N>* groups, const Scaled<N>& choice) {
    const float step = half_value(choice.d);
    float xq = 0, qq = 0;
    for (int g = 0; g < choice.kGroups; ++g) {
        const float s = static_cast<float>(choice.scale[g]), scale = step * s;
        if (std::fabs(scale) <= kTiny) continue;
        const ScaleSums sums = scale_sums<Grid>(groups[g], 1 / scale);
        xq += sums.xq * s;
        qq += sums.qq * s * s;
    }
    return qq > 0 ? xq / qq : step;
}

// codes: [256] receives the nearest codes
template <class Grid, int kMost, int N>
Scaled<N> encode_scaled(const float* x, const float* weight, Sweep sweep, int8_t* codes) {
    Group<N> groups[256 / N];
    float fitted[256 / N], most = 0;
    load_groups(x, weight, 256, groups);
    for (int g = 0; g < 256 / N; ++g) {
        fitted[g] = fit_scale<Grid>(groups[g], sweep);
        if (std::fabs(fitted[g]) > std::fabs(most)) most = fitted[g];
    }
    Scaled<N> best = choose_scales<Grid, kMost>(groups, fitted, -most / kMost);
    for (int round = 0; round < 3; ++round) {
        const auto next = choose_scales<Grid, kMost>(groups, fitted, refit_step<Grid>(groups, best));
        if (!(next.error < best.error)) break;
        best = next;
    }
    for (int g = 0; g < 256 / N; ++g)
        round_group<Grid>(groups[g], {half_value(best.d) * static_cast<float>(best.scale[g]), 0},
                          codes + g * N);
    return best;
}

}  // namespace

void encode_block(const float* x, const float* weight, Q3_K::Block& out) {
    int8_t codes[256];
    const auto best = encode_scaled<LinearGrid<-4, 3>, 32, 16>(x, weight, {0.55f, 1.35f, 25}, codes);
    for (int8_t& code : codes) code = static_cast<int8_t>(code + Q3_K::kZero);
    pack_fields(codes, 0, 2, 32, out.qs);
    pack_fields(codes, 2, 1, 32, out.hmask);
    for (int g = 0; g < 16; ++g) {
        const int s = best.scale[g] + 32;
        out.scales[g % 8] = static_cast<uint8_t>(out.scales[g % 8] | (s & 15) << (g / 8 * 4));
        out.scales[8 + g % 4] = static_cast<uint8_t>(out.scales[8 + g % 4] | (s >> 4) << (g / 4 * 2));
    }
    out.d = best.d;
}

void encode_block(const float* x, const float* weight, Q6_K::Block& out) {
    int8_t codes[256];
    const auto best = encode_scaled<LinearGrid<-32, 31>, 128, 16>(x, weight, {0.9f, 1.05f, 21}, codes);
    for (int8_t& code : codes) code = static_cast<int8_t>(code + Q6_K::kZero);
    pack_fields(codes, 0, 4, 64, out.ql);
    pack_fields(codes, 4, 2, 32, out.qh);
    for (int g = 0; g < 16; ++g) out.scales[g] = static_cast<int8_t>(best.scale[g]);
    out.d = best.d;
}

void encode_block(const float* x, const float* weight, IQ4_XS::Block& out) {
    int8_t codes[256];
    const auto best = encode_scaled<Iq4Grid, 32, 32>(x, weight, {0.75f, 1.2f, 25}, codes);
    for (int8_t& code : codes) code = iq4_index(code);
    for (int g = 0; g < 8; ++g) {
        const int s = best.scale[g] + 32;
        pack_nibbles(codes + g * 32, out.qs + g * 16);
        out.scales_l[g / 2] = static_cast<uint8_t>(out.scales_l[g / 2] | (s & 15) << (g % 2 * 4));
        out.scales_h = static_cast<uint16_t>(out.scales_h | (s >> 4) << (g * 2));
    }
    out.d = best.d;
}

}  // namespace hearth::quant

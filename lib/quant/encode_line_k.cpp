// Encoders of the 256-element formats whose groups have a scale and a minimum: Q2_K, Q4_K, Q5_K.
#include <cmath>

#include "quant/encode.hpp"
#include "quant/fit.hpp"
#include "quant/half_scale.hpp"
#include "quant/pack.hpp"

namespace hearth::quant {

namespace {

// Groups of N under integer scales and minima 0 .. kMost times two halves.
template <int N>
struct Lined {
    static constexpr int kGroups = 256 / N;
    uint16_t d = 0, dmin = 0;
    int scale[kGroups] = {}, min[kGroups] = {};
    float error = 0;
    Line line(int g) const {
        return {half_value(d) * static_cast<float>(scale[g]),
                -(half_value(dmin) * static_cast<float>(min[g]))};
    }
};

// Integer nearest to value / step within 0..most.
int nearest_multiple(float value, float step, int most) {
    if (step == 0) return 0;
    return static_cast<int>(std::fmin(std::fmax(value / step, 0.0f), static_cast<float>(most)) + 0.5f);
}

// Picks each group's two integers for given steps, among the neighbours of its own best line's.
template <int kHigh, int kMost, int N>
Lined<N> choose_lines(const Group<N>* groups, const Line* fitted, Line steps) {
    Lined<N> out;
    out.d = half_bits(steps.scale);
    out.dmin = half_bits(steps.base);
    const float d = half_value(out.d), dmin = half_value(out.dmin);
    for (int g = 0; g < out.kGroups; ++g) {
        const int s0 = nearest_multiple(fitted[g].scale, d, kMost),
                  m0 = nearest_multiple(-fitted[g].base, dmin, kMost);
        float best = -1;
        for (int s = s0 > 0 ? s0 - 1 : 0; s <= s0 + 1 && s <= kMost; ++s) {
            for (int m = m0 > 0 ? m0 - 1 : 0; m <= m0 + 1 && m <= kMost; ++m) {
                const Line line = {d * static_cast<float>(s), -(dmin * static_cast<float>(m))};
                const float error = line_error<kHigh>(groups[g], line);
                if (best >= 0 && error >= best) continue;
                best = error;
                out.scale[g] = s;
                out.min[g] = m;
            }
        }
        out.error += best;
    }
    return out;
}

// The best {d, dmin} for the codes and integers that a choice leads to: x = d * (scale * q) - dmin * min.
template <int kHigh, int N>
Line refit_steps(const Group<N>* groups, const Lined<N>& choice) {
    double aa = 0, ab = 0, bb = 0, xa = 0, xb = 0;  // a = scale * q, b = min
    int8_t codes[N];
    for (int g = 0; g < choice.kGroups; ++g) {
        round_group<LinearGrid<0, kHigh>>(groups[g], choice.line(g), codes);
        for (int i = 0; i < N; ++i) {
            const double x = groups[g].x[i / 4][i % 4], w = groups[g].w[i / 4][i % 4];
            const double a = choice.scale[g] * codes[i], b = choice.min[g];
            aa += w * a * a;
            ab += w * a * b;
            bb += w * b * b;
            xa += w * x * a;
            xb += w * x * b;
        }
    }
    const double determinant = aa * bb - ab * ab;
    if (determinant <= 1e-9 * aa * bb)
        return {aa > 0 ? static_cast<float>(xa / aa) : 0, half_value(choice.dmin)};
    return {static_cast<float>((xa * bb - xb * ab) / determinant),
            static_cast<float>((xa * ab - xb * aa) / determinant)};
}

// codes: [256] receives the nearest codes
template <int kHigh, int kMost, int N>
Lined<N> encode_lines(const float* x, const float* weight, Sweep sweep, int8_t* codes) {
    Group<N> groups[256 / N];
    Line fitted[256 / N];
    float scale = 0, base = 0;
    load_groups(x, weight, 256, groups);
    for (int g = 0; g < 256 / N; ++g) {
        fitted[g] = fit_line<kHigh>(groups[g], sweep, true);
        scale = std::fmax(scale, fitted[g].scale);
        base = std::fmin(base, fitted[g].base);
    }
    Lined<N> best = choose_lines<kHigh, kMost>(groups, fitted, {scale / kMost, -base / kMost});
    for (int round = 0; round < 4; ++round) {
        const auto next = choose_lines<kHigh, kMost>(groups, fitted, refit_steps<kHigh>(groups, best));
        if (!(next.error < best.error)) break;
        best = next;
    }
    for (int g = 0; g < 256 / N; ++g)
        round_group<LinearGrid<0, kHigh>>(groups[g], best.line(g), codes + g * N);
    return best;
}

void pack_scales(const Lined<32>& best, Scales6& out) {
    const auto put = [&](int byte, int bits) {
        out.bytes[byte] = static_cast<uint8_t>(out.bytes[byte] | bits);
    };
    for (int g = 0; g < 4; ++g) {
        put(g, best.scale[g]);
        put(g + 4, best.min[g]);
        put(g + 8, (best.scale[g + 4] & 15) | (best.min[g + 4] & 15) << 4);
        put(g, (best.scale[g + 4] >> 4) << 6);
        put(g + 4, (best.min[g + 4] >> 4) << 6);
    }
}

}  // namespace

void encode_block(const float* x, const float* weight, Q2_K::Block& out) {
    int8_t codes[256];
    const auto best = encode_lines<3, 15, 16>(x, weight, {0.7f, 1.6f, 16}, codes);
    pack_fields(codes, 0, 2, 32, out.qs);
    for (int g = 0; g < 16; ++g) out.scales[g] = static_cast<uint8_t>(best.scale[g] | best.min[g] << 4);
    out.d = best.d;
    out.dmin = best.dmin;
}

void encode_block(const float* x, const float* weight, Q4_K::Block& out) {
    int8_t codes[256];
    const auto best = encode_lines<15, 63, 32>(x, weight, {0.8f, 1.3f, 16}, codes);
    pack_fields(codes, 0, 4, 32, out.qs);
    pack_scales(best, out.scales);
    out.d = best.d;
    out.dmin = best.dmin;
}

void encode_block(const float* x, const float* weight, Q5_K::Block& out) {
    int8_t codes[256];
    const auto best = encode_lines<31, 63, 32>(x, weight, {0.9f, 1.15f, 16}, codes);
    pack_fields(codes, 0, 4, 32, out.qs);
    pack_fields(codes, 4, 1, 32, out.qh);
    pack_scales(best, out.scales);
    out.d = best.d;
    out.dmin = best.dmin;
}

}  // namespace hearth::quant

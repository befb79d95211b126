// Weighted least-squares search for the scale (and minimum) that lose least when a group of values is
// rounded.
#pragma once

#include <cstdint>

#include "quant/iq4.hpp"

namespace hearth::quant {

// Four floats side by side: the sums below have a fixed order, whatever the compiler vectorises.
using Vec = float __attribute__((vector_size(16)));
inline Vec splat(float a) { return Vec{a, a, a, a}; }
inline Vec smaller(Vec a, Vec b) { return a < b ? a : b; }
inline Vec larger(Vec a, Vec b) { return a > b ? a : b; }
inline float sum(Vec a) { return (a[0] + a[2]) + (a[1] + a[3]); }

// Magnitudes at or below kTiny are under half of the smallest half-precision step, those above kHuge beyond
// every format with a half-precision scale; squares of what lies between stay normal floats.
constexpr float kTiny = 1e-9f, kHuge = 1e9f;

// N values that share a scale, with their importance.
template <int N>
struct Group {
    static constexpr int kVecs = N / 4;
    Vec x[kVecs], w[kVecs];
};

// Fills groups: [n / N] from x and weight: [n]. NaN becomes 0, magnitudes end at kHuge, weights are scaled to
// a largest of 1 and kept at 1e-6 or more, so that an element of no importance still gets a sensible code.
template <int N>
void load_groups(const float* x, const float* weight, int n, Group<N>* groups) {
    float largest = 0;
    for (int i = 0; weight && i < n; ++i)
        if (weight[i] > largest && weight[i] < 1e30f) largest = weight[i];
    const float factor = largest > 1e-30f ? 1 / largest : 0;
    for (int i = 0; i < n; ++i) {
        const float magnitude_cut = x[i] > kHuge ? kHuge : x[i] < -kHuge ? -kHuge : x[i];
        const float w = factor > 0 ? weight[i] * factor : 1;
        Group<N>& g = groups[i / N];
        g.x[i % N / 4][i % 4] = x[i] == x[i] ? magnitude_cut : 0;
        g.w[i % N / 4][i % 4] = w > 1e-6f ? (w < 1 ? w : 1) : 1e-6f;
    }
}

// The codes kLow..kHigh.
template <int kLow, int kHigh>
struct LinearGrid {
    static constexpr float kReach = kHigh + 1 > -kLow ? kHigh : -kLow;
    static Vec nearest(Vec v) {
        constexpr float kRound = 0x1.8p23f;  // adding and subtracting it rounds to the nearest integer
        v = smaller(larger(v, splat(kLow)), splat(kHigh));
        return (v + splat(kRound)) - splat(kRound);
    }
};

// The values of IQ4_NL and IQ4_XS.
struct Iq4Grid {
    static constexpr float kReach = 127;
    static constexpr const int8_t* kValues = Iq4Table<Iq4Grid>::kValues;
    static float middle(int k) { return 0.5f * static_cast<float>(kValues[k - 1] + kValues[k]); }
    static Vec nearest(Vec v) {
        Vec out = splat(kValues[0]);
        for (int k = 1; k < 16; ++k)
            out += v > splat(middle(k)) ? splat(static_cast<float>(kValues[k] - kValues[k - 1])) : splat(0);
        return out;
    }
};

template <int N>
float largest_magnitude(const Group<N>& g) {
    Vec most = splat(0);
    for (Vec x : g.x) most = larger(most, larger(x, -x));
    const Vec half = larger(most, Vec{most[2], most[3], most[0], most[1]});
    return half[0] > half[1] ? half[0] : half[1];
}

// Weighted squared error of x against scale * nearest code.
template <class Grid, int N>
float scale_error(const Group<N>& g, float scale) {
    const float inverse = scale > kTiny || scale < -kTiny ? 1 / scale : 0;
    Vec error = splat(0);
    for (int i = 0; i < g.kVecs; ++i) {
        const Vec d = g.x[i] - splat(scale) * Grid::nearest(g.x[i] * splat(inverse));
        error += g.w[i] * d * d;
    }
    return sum(error);
}

// Sums over a group whose codes q are fixed.
struct ScaleSums {
    float xq = 0,
          qq = 0;  // of w*x*q and w*q*q: the best scale is xq / qq and removes xq * xq / qq of the error
};
template <class Grid, int N>
ScaleSums scale_sums(const Group<N>& g, float inverse) {
    Vec xq = splat(0), qq = splat(0);
    for (int i = 0; i < g.kVecs; ++i) {
        const Vec q = Grid::nearest(g.x[i] * splat(inverse)), wq = g.w[i] * q;
        xq += wq * g.x[i];
        qq += wq * q;
    }
    return {sum(xq), sum(qq)};
}

// Where the largest magnitude may land on the grid, in units of its reach: the range of scales that are
// tried.
struct Sweep {
    float from, to;
    int n_step;
};

// The scale of either sign for which rounding to the grid loses least; 0 for a group of zeros.
template <class Grid, int N>
float fit_scale(const Group<N>& g, Sweep sweep) {
    const float most = largest_magnitude(g);
    if (most <= kTiny) return 0;
    float best = 0, best_gain = 0;
    const auto consider = [&](float inverse) {
        const ScaleSums s = scale_sums<Grid>(g, inverse);
        if (s.qq <= 0 || s.xq * s.xq <= best_gain * s.qq) return false;
        best = s.xq / s.qq;
        best_gain = s.xq * s.xq / s.qq;
        return true;
    };
    for (int step = 0; step < sweep.n_step; ++step) {
        const float part = static_cast<float>(step) / static_cast<float>(sweep.n_step - 1);
        const float inverse = Grid::kReach * (sweep.from + part * (sweep.to - sweep.from)) / most;
        consider(inverse);
        consider(-inverse);
    }
    for (int round = 0; round < 4; ++round)  // a better scale can round to better codes, and so on
        if (best == 0 || !consider(1 / best)) break;
    return best;
}

// value = scale * code + base
struct Line {
    float scale = 0, base = 0;
};

template <int kHigh, int N>
float line_error(const Group<N>& g, Line line) {
    const float inverse = line.scale > kTiny || line.scale < -kTiny ? 1 / line.scale : 0;
    Vec error = splat(0);
    for (int i = 0; i < g.kVecs; ++i) {
        const Vec q = LinearGrid<0, kHigh>::nearest((g.x[i] - splat(line.base)) * splat(inverse));
        const Vec d = g.x[i] - splat(line.base) - splat(line.scale) * q;
        error += g.w[i] * d * d;
    }
    return sum(error);
}

// Best line for the codes that x gets as (x - base) * inverse - shift; negative_base keeps base at 0 or
// below.
template <int kHigh, int N>
Line refit_line(const Group<N>& g, float base, float inverse, float shift, bool negative_base) {
    Vec w = splat(0), x = splat(0), q = splat(0), xq = splat(0), qq = splat(0);
    for (int i = 0; i < g.kVecs; ++i) {
        const Vec c = LinearGrid<0, kHigh>::nearest((g.x[i] - splat(base)) * splat(inverse) - splat(shift));
        const Vec wc = g.w[i] * c;
        w += g.w[i];
        x += g.w[i] * g.x[i];
        q += wc;
        qq += wc * c;
        xq += wc * g.x[i];
    }
    const float sw = sum(w), sx = sum(x), sq = sum(q), sqq = sum(qq), sxq = sum(xq);
    const float determinant = sw * sqq - sq * sq;
    Line line = {0, sx / sw};
    if (determinant > 1e-6f * sw * sqq) {
        line.scale = (sw * sxq - sx * sq) / determinant;
        line.base = (sqq * sx - sq * sxq) / determinant;
    }
    if (negative_base && line.base > 0) line = {sqq > 0 ? sxq / sqq : 0, 0};
    return line;
}

// The line for which rounding to codes 0..kHigh loses least. negative_base as above.
template <int kHigh, int N>
Line fit_line(const Group<N>& g, Sweep sweep, bool negative_base) {
    float low = g.x[0][0], high = low;
    for (const Vec& v : g.x) {
        for (int k = 0; k < 4; ++k) {
            low = v[k] < low ? v[k] : low;
            high = v[k] > high ? v[k] : high;
        }
    }
    if (negative_base && low > 0) low = 0;
    const float range = high - low;
    Line best = {0, low};
    if (range <= kTiny) return best;
    float best_error = line_error<kHigh>(g, best);
    const auto consider = [&](float base, float inverse, float shift) {
        const Line line = refit_line<kHigh>(g, base, inverse, shift, negative_base);
        const float error = line_error<kHigh>(g, line);
        if (!(error < best_error)) return false;
        best = line;
        best_error = error;
        return true;
    };
    for (int step = 0; step < sweep.n_step; ++step) {
        const float part = static_cast<float>(step) / static_cast<float>(sweep.n_step - 1);
        const float reach = kHigh * (sweep.from + part * (sweep.to - sweep.from)), excess = reach - kHigh;
        consider(low, reach / range, 0.5f * excess);
        if (excess > 0) {  // cut at one end only
            consider(low, reach / range, 0);
            consider(low, reach / range, excess);
        }
    }
    for (int round = 0; round < 4; ++round)
        if (best.scale == 0 || !consider(best.base, 1 / best.scale, 0)) break;
    return best;
}

// The nearest codes of a group as integers. codes: [N]
template <class Grid, int N>
void round_group(const Group<N>& g, Line line, int8_t* codes) {
    const float inverse = line.scale > kTiny || line.scale < -kTiny ? 1 / line.scale : 0;
    for (int i = 0; i < g.kVecs; ++i) {
        const Vec q = Grid::nearest((g.x[i] - splat(line.base)) * splat(inverse));
        for (int k = 0; k < 4; ++k) codes[4 * i + k] = static_cast<int8_t>(q[k]);
    }
}

}  // namespace hearth::quant

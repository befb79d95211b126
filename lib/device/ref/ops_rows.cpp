// Operators of the reference backend that work on each row alone.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "device/ref/decode.hpp"
#include "device/ref/ref.hpp"

namespace hearth::ref {

namespace {

// f(row, group, element) for every element of a value.
template <class F>
void each(const Work& w, const hearth_value& v, F f) {
    for (int64_t r = 0; r < w.n_row(v); ++r)
        for (int32_t g = 0; g < v.n_group; ++g)
            for (int32_t i = 0; i < v.group_width; ++i) f(r, g, i);
}

double to_nearest_half(double x) {
    uint16_t half;
    store_element(HEARTH_FORMAT_F16, &half, 0, static_cast<float>(x));
    return load_element(HEARTH_FORMAT_F16, &half, 0);
}

double activate(int32_t kind, double x) {
    switch (kind) {
        case HEARTH_ACT_GELU_TANH_HALF:
            if (x <= -10) return 0;
            return x >= 10 ? x : to_nearest_half(activate(HEARTH_ACT_GELU_TANH, to_nearest_half(x)));
        case HEARTH_ACT_SILU: return x / (1 + std::exp(-x));
        case HEARTH_ACT_GELU_TANH:
            return 0.5 * x * (1 + std::tanh(std::sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x)));
        case HEARTH_ACT_GELU_ERF: return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0)));
        case HEARTH_ACT_RELU: return std::max(x, 0.0);
        case HEARTH_ACT_RELU2: return std::max(x, 0.0) * std::max(x, 0.0);
        default: return std::nan("");
    }
}

double gated(const hearth_act_params& p, double gate, double up) {
    if (p.kind != HEARTH_ACT_SWIGLU_OAI) return activate(p.kind, gate) * up;
    const double g = std::min(gate, static_cast<double>(p.limit));
    const double u = std::clamp(up, -static_cast<double>(p.limit), static_cast<double>(p.limit));
    return g / (1 + std::exp(-p.alpha * g)) * (u + 1);
}

}  // namespace

void op_norm(const Work& w) {
    const hearth_value &x = w.in(0), &y = w.out(0);
    const hearth_norm_params& p = w.node.p.norm;
    const int32_t n = x.group_width;
    for (int64_t r = 0; r < w.n_row(x); ++r)
        for (int32_t g = 0; g < x.n_group; ++g) {
            const std::vector<double> v(w.row(x, r, g), w.row(x, r, g) + n);
            const double mean = p.kind == HEARTH_NORM_LAYER ? std::accumulate(v.begin(), v.end(), 0.0) / n : 0.0;
            double squares = 0;
            for (double e : v) squares += (e - mean) * (e - mean);
            const double scale = 1 / std::sqrt(squares / n + p.eps);
            for (int32_t i = 0; i < n; ++i) {
                const int32_t at = p.per_group ? g * n + i : i;
                const double weight = w.has_weight(0) ? w.vector(0)[at] : 1.0, bias = w.has_weight(1) ? w.vector(1)[at] : 0.0;
                w.row(y, r, g)[i] = static_cast<float>((v[static_cast<std::size_t>(i)] - mean) * scale * weight + bias);
            }
        }
}

void op_glu(const Work& w) {
    const auto &gate = w.in(0), &up = w.in(1), &y = w.out(0);
    each(w, y, [&](int64_t r, int32_t g, int32_t i) {
        w.row(y, r, g)[i] = static_cast<float>(gated(w.node.p.act, w.row(gate, r, g)[i], w.row(up, r, g)[i]));
    });
}

void op_act(const Work& w) {
    each(w, w.out(0), [&](int64_t r, int32_t g, int32_t i) {
        w.row(w.out(0), r, g)[i] = static_cast<float>(activate(w.node.p.act.kind, w.row(w.in(0), r, g)[i]));
    });
}

void op_add(const Work& w) {
    each(w, w.out(0), [&](int64_t r, int32_t g, int32_t i) {
        w.row(w.out(0), r, g)[i] = w.row(w.in(0), r, g)[i] + w.node.p.scale.scale * w.row(w.in(1), r, g)[i];
    });
}

void op_scale(const Work& w) {
    each(w, w.out(0), [&](int64_t r, int32_t g, int32_t i) {
        w.row(w.out(0), r, g)[i] = w.row(w.in(0), r, g)[i] * w.node.p.scale.scale;
    });
}

void op_softcap(const Work& w) {
    const double cap = w.node.p.scale.scale;
    each(w, w.out(0), [&](int64_t r, int32_t g, int32_t i) {
        w.row(w.out(0), r, g)[i] = static_cast<float>(cap * std::tanh(w.row(w.in(0), r, g)[i] / cap));
    });
}

void op_select_rows(const Work& w) {
    each(w, w.out(0), [&](int64_t r, int32_t g, int32_t i) {
        w.row(w.out(0), r, g)[i] = w.row(w.in(0), w.args.output_row[r], g)[i];
    });
}

void op_scale_by_position(const Work& w) {
    const hearth_position_params& p = w.node.p.position;
    each(w, w.out(0), [&](int64_t r, int32_t g, int32_t i) {
        const double pos = w.args.pos[w.token_of(w.out(0), r) * w.args.n_pos_axis];
        const double scale = 1 + p.scale * std::log(1 + std::floor(pos / p.length));
        w.row(w.out(0), r, g)[i] = static_cast<float>(w.row(w.in(0), r, g)[i] * scale);
    });
}

void op_expert_sum(const Work& w) {
    const hearth_value &x = w.in(0), &weights = w.in(1), &y = w.out(0);
    const int64_t k = x.row_factor;
    each(w, y, [&](int64_t r, int32_t g, int32_t i) {
        double sum = 0;
        for (int64_t j = 0; j < k; ++j) sum += double{w.row(weights, r)[j]} * w.row(x, r * k + j, g)[i];
        const double before = w.node.in[2] >= 0 ? w.row(w.in(2), r, g)[i] : 0.0f;
        w.row(y, r, g)[i] = static_cast<float>(before + sum * w.node.p.scale.scale);
    });
}

namespace {

void softmax(std::vector<double>& v) {
    const double top = *std::max_element(v.begin(), v.end());
    double sum = 0;
    for (double& x : v) sum += x = std::exp(x - top);
    for (double& x : v) x /= sum;
}

// Indexes of the best n scores; ties go to the lower index.
std::vector<std::size_t> best(const std::vector<double>& score, std::size_t n) {
    std::vector<std::size_t> order(score.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return score[a] > score[b]; });
    order.resize(n);
    return order;
}

// Takes every group but the best out of the race; a group's score is the sum of its two best.
void keep_groups(std::vector<double>& score, const hearth_route_params& p) {
    const std::size_t n_group = static_cast<std::size_t>(p.n_group), size = score.size() / n_group;
    std::vector<double> group(n_group);
    for (std::size_t g = 0; g < n_group; ++g) {
        const std::vector<double> members(score.begin() + static_cast<std::ptrdiff_t>(g * size),
                                          score.begin() + static_cast<std::ptrdiff_t>((g + 1) * size));
        for (std::size_t i : best(members, std::min<std::size_t>(2, size))) group[g] += members[i];
    }
    std::vector<bool> kept(n_group, false);
    for (std::size_t g : best(group, static_cast<std::size_t>(p.n_group_used))) kept[g] = true;
    for (std::size_t i = 0; i < score.size(); ++i)
        if (!kept[i / size]) score[i] = -HUGE_VAL;
}

}  // namespace

void op_route(const Work& w) {
    const hearth_value& x = w.in(0);
    const hearth_route_params& p = w.node.p.route;
    for (int64_t r = 0; r < w.n_row(x); ++r) {
        std::vector<double> gate(w.row(x, r), w.row(x, r) + x.group_width);
        if (p.gate == HEARTH_GATE_SOFTMAX) softmax(gate);
        if (p.gate == HEARTH_GATE_SIGMOID)
            for (double& v : gate) v = 1 / (1 + std::exp(-v));
        std::vector<double> score = gate;
        for (std::size_t i = 0; w.has_weight(0) && i < score.size(); ++i) score[i] += w.vector(0)[i];
        if (p.n_group > 1) keep_groups(score, p);
        const std::vector<std::size_t> chosen = best(score, static_cast<std::size_t>(p.k));
        std::vector<double> weight;
        for (std::size_t e : chosen) weight.push_back(gate[e]);
        if (p.gate == HEARTH_GATE_SOFTMAX_SELECTED) softmax(weight);
        const double sum = std::max(std::accumulate(weight.begin(), weight.end(), 0.0), std::ldexp(1, -14));
        for (std::size_t j = 0; j < chosen.size(); ++j) {
            reinterpret_cast<int32_t*>(w.row(w.out(0), r))[j] = static_cast<int32_t>(chosen[j]);
            w.row(w.out(1), r)[j] = static_cast<float>(weight[j] / (p.normalise ? sum : 1) * p.scale);
        }
    }
}

}  // namespace hearth::ref

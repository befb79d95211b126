// Choosing experts and summing what they give: ROUTE and EXPERT_SUM.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "device/cpu/program.hpp"

namespace hearth::cpu {

namespace {

// Per-thread work arrays of ROUTE, [n_expert] each.
struct Scores {
    float *gated, *chosen_by;
    int32_t* order;
};

void softmax(const float* x, float* y, int64_t n) {
    float top = -INFINITY;
    for (int64_t i = 0; i < n; ++i) top = std::max(top, x[i]);
    double total = 0;
    for (int64_t i = 0; i < n; ++i) total += static_cast<double>(y[i] = std::exp(x[i] - top));
    for (int64_t i = 0; i < n; ++i) y[i] = static_cast<float>(static_cast<double>(y[i]) / total);
}

// Masks all groups of experts but the best: a group's score is the sum of its two best.
void keep_best_groups(const hearth_route_params& p, float* score, int64_t n_expert) {
    const int64_t per = n_expert / p.n_group;
    const auto group_score = [&](int64_t g) {
        float best = -INFINITY, second = -INFINITY;
        for (int64_t i = g * per; i < (g + 1) * per; ++i) {
            const float s = score[i];
            if (s > best)
                second = best, best = s;
            else
                second = std::max(second, s);
        }
        return per > 1 ? best + second : best;
    };
    // a group stays if fewer than n_group_used groups beat it (ties: the lower one wins)
    uint64_t drop = 0;
    for (int64_t g = 0; g < p.n_group; ++g) {
        int64_t better = 0;
        const float mine = group_score(g);
        for (int64_t o = 0; o < p.n_group; ++o) {
            const float other = group_score(o);
            better += other > mine || (other == mine && o < g);
        }
        if (better >= p.n_group_used) drop |= uint64_t{1} << g;
    }
    for (int64_t i = 0; i < n_expert; ++i)
        if (drop >> (i / per) & 1) score[i] = -INFINITY;
}

void route_row(const Step& step, int64_t t, const Scores& s) {
    const hearth_route_params& p = step.node->p.route;
    const int64_t n = step.in[0].width();
    const float *logits = step.in[0].row(t), *bias = step.weight[0].vector();
    if (p.gate == HEARTH_GATE_SOFTMAX) softmax(logits, s.gated, n);
    for (int64_t i = 0; i < n; ++i) {
        if (p.gate == HEARTH_GATE_SIGMOID) s.gated[i] = 1 / (1 + std::exp(-logits[i]));
        if (p.gate == HEARTH_GATE_SOFTMAX_SELECTED) s.gated[i] = logits[i];
        s.chosen_by[i] = bias ? s.gated[i] + bias[i] : s.gated[i];
        s.order[i] = static_cast<int32_t>(i);
    }
    if (p.n_group > 1) keep_best_groups(p, s.chosen_by, n);
    std::partial_sort(s.order, s.order + p.k, s.order + n, [&](int32_t a, int32_t b) {
        return s.chosen_by[a] > s.chosen_by[b] || (s.chosen_by[a] == s.chosen_by[b] && a < b);
    });
    auto* ids = reinterpret_cast<int32_t*>(step.out[0].row(t));
    float* weights = step.out[1].row(t);
    for (int32_t j = 0; j < p.k; ++j) {
        ids[j] = s.order[j];
        weights[j] = s.gated[s.order[j]];
    }
    if (p.gate == HEARTH_GATE_SOFTMAX_SELECTED) softmax(weights, weights, p.k);
    float factor = p.scale;
    if (p.normalise) {
        double total = 0;
        for (int32_t j = 0; j < p.k; ++j) total += static_cast<double>(weights[j]);
        factor = static_cast<float>(static_cast<double>(factor) / std::max(total, 0x1p-14));
    }
    for (int32_t j = 0; j < p.k; ++j) weights[j] *= factor;
}

void route_part(const Step& step, const Run& run, int64_t part, int32_t thread) {
    const int64_t n = step.in[0].width();
    auto* at = reinterpret_cast<float*>(step.scratch + thread * step.scratch_stride);
    const Scores scores{at, at + n, reinterpret_cast<int32_t*>(at + 2 * n)};
    const RowRange rows = rows_of_part(step.out[0].n_row(run), kRowsPerPart, part);
    for (int64_t t = rows.begin; t < rows.end; ++t) route_row(step, t, scores);
}

void expert_sum_part(const Step& step, const Run& run, int64_t part, int32_t) {
    const Operand &x = step.in[0], &y = step.out[0];
    const int64_t k = step.in[1].width(), width = y.width();
    const float scale = step.node->p.scale.scale;
    const RowRange rows = rows_of_part(y.n_row(run), kRowsPerPart, part);
    for (int64_t t = rows.begin; t < rows.end; ++t) {
        const float* weight = step.in[1].row(t);
        if (step.in[2].exists && step.in[2].row(t) != y.row(t))
            std::memcpy(y.row(t), step.in[2].row(t), static_cast<std::size_t>(width) * 4);
        for (int64_t j = 0; j < k; ++j) {
            const float* row = x.row(t * k + j);
            if (j == 0 && !step.in[2].exists)
                run.kernels->row->scale(y.row(t), row, scale * weight[0], width);
            else
                run.kernels->row->add(y.row(t), y.row(t), row, scale * weight[j], width);
        }
    }
}

}  // namespace

Status bind_route(Builder& builder, const hearth_node& node) {
    Step step = builder.bound(node, route_part, row_parts);
    const hearth_route_params& p = node.p.route;
    const int64_t n = step.in[0].width();
    if (p.gate < HEARTH_GATE_SOFTMAX || p.gate > HEARTH_GATE_SOFTMAX_SELECTED) return builder.refuse(node, "the gate is not known");
    if (p.k < 1 || p.k > n || !step.out[1].exists) return builder.refuse(node, "k must be within the number of experts");
    if (p.n_group > 64 || (p.n_group > 1 && (n % p.n_group || p.n_group_used < 1 || p.n_group_used * (n / p.n_group) < p.k)))
        return builder.refuse(node, "the groups of experts do not fit");
    step.scratch_stride = (n * 12 + 63) / 64 * 64;
    step.scratch = builder.take_scratch(step.scratch_stride * builder.device().host.n_thread);
    builder.add(step);
    return {};
}

Status bind_expert_sum(Builder& builder, const hearth_node& node) {
    Step step = builder.bound(node, expert_sum_part, row_parts);
    if (!step.in[1].exists || !step.in[0].flat() || !step.out[0].flat() || (step.in[2].exists && !step.in[2].flat()))
        return builder.refuse(node, "operands must be contiguous rows");
    builder.add(step);
    return {};
}

}  // namespace hearth::cpu

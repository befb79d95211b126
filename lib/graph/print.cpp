// The text form of a graph: what golden files and `hearth inspect` show.
#include "base/format_text.hpp"
#include "graph/graph.hpp"

namespace hearth {

namespace {

struct OpInfo {
    int32_t id;
    const char* name;
};
constexpr OpInfo kOps[] = {
#define HEARTH_OP(id, name, params) {id, #name},
#include <hearth/ops.def>
#undef HEARTH_OP
};

// Elements from the start of the buffer's row to the value: the first value of a buffer is all of it.
int64_t begin_of(const Graph& graph, int32_t index) {
    int32_t first = 0;
    while (graph.buffer_of(first) != graph.buffer_of(index)) ++first;
    const auto& values = graph.values();
    return (values[static_cast<std::size_t>(index)].offset - values[static_cast<std::size_t>(first)].offset) / 4;
}

// "%7+32[4x16]": of buffer 7 from element 32 on 4 groups of 16; "out" and "*k" tell other row counts than one per token.
std::string value_text(const Graph& graph, int32_t index) {
    const hearth_value& v = graph.values()[static_cast<std::size_t>(index)];
    std::string text = format_text("%{}", graph.buffer_of(index));
    if (const int64_t begin = begin_of(graph, index)) text += format_text("+{}", begin);
    text += v.rows == HEARTH_ROWS_OUTPUT ? "[out " : "[";
    if (v.row_factor > 1) text += format_text("*{} ", v.row_factor);
    text += v.n_group == 1 ? format_text("{}]", v.group_width) : format_text("{}x{}]", v.n_group, v.group_width);
    return text;
}

std::string weight_text(const hearth_weight& weight) {
    std::string text = " w[";
    for (int d = 0; d < weight.n_dim; ++d) text += format_text("{}{}", d ? "," : "", weight.shape[d]);
    return text + "]";
}

// What only some styles of rotation read.
std::string rope_extras(const hearth_rope_params& p) {
    std::string text;
    if (p.ext_factor != 0) text += format_text(" n_ctx_orig={} beta={}..{}", p.n_ctx_orig, p.beta_fast, p.beta_slow);
    if (p.style == HEARTH_ROPE_MROPE || p.style == HEARTH_ROPE_IMROPE)
        text += format_text(" sections={},{},{},{}", p.section[0], p.section[1], p.section[2], p.section[3]);
    return text;
}

std::string act_text(const hearth_act_params& p) {
    if (p.kind != HEARTH_ACT_SWIGLU_OAI) return format_text(" act={}", p.kind);
    return format_text(" act={} alpha={} limit={}", p.kind, p.alpha, p.limit);
}

std::string params_text(const hearth_node& n) {
    switch (n.op) {
        case HEARTH_OP_NORM:
            return format_text(" {} eps={:.3g}", n.p.norm.kind == HEARTH_NORM_RMS ? "rms" : "layer", n.p.norm.eps);
        case HEARTH_OP_ROPE:
            return format_text(" style={} n_rot={} base={} scale={} ext={} magnitude={:.6g}", n.p.rope.style,
                               n.p.rope.n_rot, n.p.rope.base, n.p.rope.freq_scale, n.p.rope.ext_factor,
                               n.p.rope.attn_factor) +
                   rope_extras(n.p.rope);
        case HEARTH_OP_ATTENTION:
            return format_text(" scale={:.6g} window={} softcap={} cache={}.{}", n.p.attention.scale,
                               n.p.attention.window, n.p.attention.softcap, n.cache_group, n.cache_layer);
        case HEARTH_OP_CACHE_STORE:
        case HEARTH_OP_SHORT_CONV: return format_text(" cache={}.{}", n.cache_group, n.cache_layer);
        case HEARTH_OP_GLU:
        case HEARTH_OP_ACT: return act_text(n.p.act);
        case HEARTH_OP_ROUTE:
            return format_text(" gate={} k={} normalise={} scale={}", n.p.route.gate, n.p.route.k,
                               n.p.route.normalise, n.p.route.scale) +
                   (n.p.route.n_group > 1 ? format_text(" groups={} of {}", n.p.route.n_group_used, n.p.route.n_group) : "");
        case HEARTH_OP_SCALE_BY_POSITION:
            return format_text(" scale={:.6g} length={}", n.p.position.scale, n.p.position.length);
        case HEARTH_OP_EMBED:
        case HEARTH_OP_LINEAR:
        case HEARTH_OP_EXPERT_SUM:
        case HEARTH_OP_ADD:
        case HEARTH_OP_SCALE:
        case HEARTH_OP_SOFTCAP: return n.p.scale.scale == 1.0f ? "" : format_text(" scale={:.6g}", n.p.scale.scale);
        default: return "";
    }
}

}  // namespace

const char* op_name(int32_t op) {
    for (const OpInfo& info : kOps)
        if (info.id == op) return info.name;
    return "?";
}

std::string print(const Graph& graph) {
    std::string text;
    for (const hearth_node& n : graph.nodes()) {
        std::string left, right;
        for (int32_t v : n.out)
            if (v >= 0) left += (left.empty() ? "" : ", ") + value_text(graph, v);
        for (int32_t v : n.in)
            if (v >= 0) right += " " + value_text(graph, v);
        for (int32_t w : n.weight)
            if (w >= 0) right += weight_text(graph.weights()[static_cast<std::size_t>(w)]);
        text += format_text("{:<22} {}{}{}{}{}\n", n.label, left, left.empty() ? "" : " = ",
                            op_name(n.op), right, params_text(n));
    }
    return text;
}

}  // namespace hearth

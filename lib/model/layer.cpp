// The building blocks that mixers and feed-forward networks share.
#include "model/layer.hpp"

namespace hearth {

std::string Layer::label(const char* name) const {
    return index < 0 ? std::string(name) : format_text("blk.{}.{}", index, name);
}

Value Layer::like(Value x, int32_t n_group, int32_t group_width, int32_t row_factor) const {
    return graph.value(graph.at(x).rows, n_group, group_width, row_factor ? row_factor : graph.at(x).row_factor);
}

Value Layer::linear(const char* name, Slot slot, Value x, Value residual, float scale) const {
    const int32_t w = weight(slot);
    const auto n_out = static_cast<int32_t>(weights.entries()[static_cast<std::size_t>(w)].desc.shape[0]);
    const Value out = residual ? residual : like(x, 1, n_out);
    graph.node({HEARTH_OP_LINEAR, {x, residual}, {out}, {w, bias(slot)}, label(name)}).p.scale.scale = scale;
    return out;
}

Value Layer::linear(const char* name, Slot slot, Value x, const std::vector<Division>& divisions) const {
    return graph.divide(linear(name, slot, x), divisions);
}

Value Layer::norm(const char* name, Slot slot, Value x) const {
    const hearth_value& v = graph.at(x);
    const Value out = like(x, v.n_group, v.group_width);
    graph.node({HEARTH_OP_NORM, {x}, {out}, {weight(slot), bias(slot)}, label(name)}).p.norm = {h.arch->norm, h.eps, 0};
    return out;
}

void Layer::norm_in_place(const char* name, Slot slot, Value x) const {
    graph.node({HEARTH_OP_NORM, {x}, {x}, {weight(slot), bias(slot)}, label(name)}).p.norm = {h.arch->norm, h.eps, 0};
}

Value Layer::glu(const char* name, Value gate, Value up) const {
    const Value out = graph.divide(like(up, 1, graph.width(up)), {{Axis::hidden, graph.width(up), 1}});
    constexpr float kOaiAlpha = 1.702f, kOaiLimit = 7.0f;  // of gpt-oss; other activations do not read them
    graph.node({HEARTH_OP_GLU, {gate, up}, {out}, {}, label(name)}).p.act = {h.arch->act, kOaiAlpha, kOaiLimit};
    return out;
}

hearth_rope_params& Layer::rope(const char* name, Value x) const {
    int32_t factors = weights.find(Slot::rope_freqs);
    if (factors < 0) {
        const int32_t original = options.rope.yarn_orig_ctx ? options.rope.yarn_orig_ctx : h.rope.n_ctx_orig;
        const bool longer = options.bounds.n_place > original;
        factors = weights.find(longer ? Slot::rope_factors_long : Slot::rope_factors_short);
    }
    hearth_node& node = graph.node({HEARTH_OP_ROPE, {x}, {x}, {factors}, label(name)});
    return node.p.rope = rope_params(h, index, options.rope);
}

void scale_by_position(const Layer& layer, Value q) {
    const Hparams& h = layer.h;
    if (h.attention_temperature_scale == 0) return;
    layer.graph.node({HEARTH_OP_SCALE_BY_POSITION, {q}, {q}, {}, layer.label("q_temperature")}).p.position = {
        h.attention_temperature_scale, static_cast<float>(h.attention_temperature_length)};
}

}  // namespace hearth

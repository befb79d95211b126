// Multi-head attention with grouped key/value heads.
#include <cmath>

#include "model/layer.hpp"

namespace hearth {

namespace {

struct Qkv {
    Value q, k, v;  // [T, n_head, key_width], [T, n_head_kv, key_width], [T, n_head_kv, value_width]
};

Qkv project(const Layer& layer, Value x) {
    const LayerHparams& l = layer.numbers();
    Graph& g = layer.graph;
    const int32_t key = layer.h.head_key(l), value = layer.h.head_value(l);
    const Division q{Axis::head, l.n_head, key}, k{Axis::head_kv, l.n_head_kv, key}, v{Axis::head_kv, l.n_head_kv, value};
    using Divisions = std::vector<Division>;
    const bool whole = layer.h.arch->has(kQkNorm) && layer.h.arch->has(kQkNormWide);  // a norm over all heads wants them together
    if (!layer.has(Slot::attn_qkv))
        return {g.regroup(layer.linear("attn_q", Slot::attn_q, x, whole ? Divisions{} : Divisions{q}), l.n_head),
                g.regroup(layer.linear("attn_k", Slot::attn_k, x, whole ? Divisions{} : Divisions{k}), l.n_head_kv),
                g.regroup(layer.linear("attn_v", Slot::attn_v, x, Divisions{v}), l.n_head_kv)};
    const Value all = layer.linear("attn_qkv", Slot::attn_qkv, x, whole ? Divisions{} : Divisions{q, k, v});
    const int32_t n_q = l.n_head * key, n_k = l.n_head_kv * key, n_v = l.n_head_kv * value;
    return {g.regroup(g.view(all, 0, 1, 0, n_q), l.n_head), g.regroup(g.view(all, 0, 1, n_q, n_k), l.n_head_kv),
            g.regroup(g.view(all, 0, 1, n_q + n_k, n_v), l.n_head_kv)};
}

void normalise(const Layer& layer, const Qkv& qkv) {
    if (!layer.h.arch->has(kQkNorm)) return;
    Graph& g = layer.graph;
    const bool wide = layer.h.arch->has(kQkNormWide);
    layer.norm_in_place("attn_q_norm", Slot::attn_q_norm, wide ? g.regroup(qkv.q, 1) : qkv.q);
    layer.norm_in_place("attn_k_norm", Slot::attn_k_norm, wide ? g.regroup(qkv.k, 1) : qkv.k);
}

float attention_scale(const Hparams& h, const LayerHparams& l) {
    if (h.attention_scale != 0) return h.attention_scale;
    const bool by_embd = h.arch->has(kQueryScaleByEmbd) && h.n_layer >= h.arch->big_n_layer;
    return 1.0f / std::sqrt(static_cast<float>(by_embd ? h.n_embd / l.n_head : h.head_key(l)));
}

}  // namespace

Value attention_mixer(const Layer& layer, Value x, Value residual) {
    const LayerHparams& l = layer.numbers();
    Graph& g = layer.graph;
    const auto at = static_cast<std::size_t>(layer.index);
    const int32_t group = layer.caches.group_of_layer[at], place = layer.caches.place_in_group[at];

    const Qkv qkv = project(layer, x);
    normalise(layer, qkv);
    if (l.rope) {
        layer.rope("rope_q", qkv.q);
        layer.rope("rope_k", qkv.k);
    }
    scale_by_position(layer, qkv.q);
    g.node({HEARTH_OP_CACHE_STORE, {qkv.k, qkv.v}, {}, {}, layer.label("cache"), group, place});
    const int32_t value = layer.h.head_value(l);
    const Value out = g.divide(layer.like(x, l.n_head, value), {{Axis::head, l.n_head, value}});
    const int32_t sinks = layer.has(Slot::attn_sinks) ? layer.weight(Slot::attn_sinks) : -1;
    g.node({HEARTH_OP_ATTENTION, {qkv.q}, {out}, {sinks}, layer.label("attention"), group, place}).p.attention = {
        l.window, attention_scale(layer.h, l), layer.h.attention_softcap, 0};
    return layer.linear("attn_output", Slot::attn_output, g.regroup(out, 1), residual, layer.h.residual_scale);
}

}  // namespace hearth

// Multi-head latent attention in its absorbed form: the cache holds one compressed key per token, shared by all heads.
#include <cmath>

#include "model/layer.hpp"

namespace hearth {

namespace {

// YaRN's magnitude enters twice here: in the rotation and, squared, in the scale (DeepSeek-V2's mscale_all_dim).
float latent_scale(const Hparams& h, const RopeOptions& options) {
    const hearth_rope_params rope = rope_params(h, -1, options);
    const double stretch = std::log(1.0 / rope.freq_scale);
    double original = rope.attn_factor;
    if (rope.ext_factor == 0) original *= 1.0 + 0.1 * stretch;
    const double magnitude = original * (1.0 + 0.1 * h.rope.yarn_log_mul * stretch);
    return static_cast<float>(magnitude * magnitude / std::sqrt(static_cast<double>(h.key_width_mla)));
}

Value queries(const Layer& layer, Value x) {
    const std::vector<Division> heads{{Axis::head, layer.numbers().n_head, layer.h.key_width_mla}};
    if (layer.has(Slot::mla_q)) return layer.linear("attn_q", Slot::mla_q, x, heads);
    const Value low = layer.linear("attn_q_a", Slot::mla_q_a, x);
    layer.norm_in_place("attn_q_a_norm", Slot::mla_q_a_norm, low);
    return layer.linear("attn_q_b", Slot::mla_q_b, low, heads);
}

}  // namespace

Value latent_mixer(const Layer& layer, Value x, Value residual) {
    const Hparams& h = layer.h;
    Graph& g = layer.graph;
    const int32_t n_head = layer.numbers().n_head, nope = h.key_width_mla - h.n_rot, key = h.kv_rank + h.n_rot;
    const auto at = static_cast<std::size_t>(layer.index);
    const int32_t group = layer.caches.group_of_layer[at], place = layer.caches.place_in_group[at];

    const Value q = g.regroup(queries(layer, x), n_head);                // [T, n_head, nope + n_rot]
    const Value k = layer.linear("attn_kv_a", Slot::mla_kv_a, x);        // [T, kv_rank + n_rot]
    layer.norm_in_place("attn_kv_a_norm", Slot::mla_kv_a_norm, g.view(k, 0, 1, 0, h.kv_rank));
    layer.rope("rope_k", g.view(k, 0, 1, h.kv_rank, h.n_rot));

    const auto by_head = [&](int32_t width) { return g.divide(layer.like(x, n_head, width), {{Axis::head, n_head, width}}); };
    const Value wide = by_head(key);                                     // [T, n_head, kv_rank + n_rot]
    g.node({HEARTH_OP_LINEAR_HEADS, {g.view(q, 0, n_head, 0, nope)}, {g.view(wide, 0, n_head, 0, h.kv_rank)},
            {layer.weight(Slot::mla_k_b)}, layer.label("attn_k_b")});
    const Value rotated = g.view(wide, 0, n_head, h.kv_rank, h.n_rot);
    g.node({HEARTH_OP_ROPE, {g.view(q, 0, n_head, nope, h.n_rot)}, {rotated}, {}, layer.label("rope_q")}).p.rope =
        rope_params(h, layer.index, layer.options.rope);
    scale_by_position(layer, wide);

    g.node({HEARTH_OP_CACHE_STORE, {k}, {}, {}, layer.label("cache"), group, place});
    const Value latent = by_head(h.kv_rank);
    g.node({HEARTH_OP_ATTENTION, {wide}, {latent}, {}, layer.label("attention"), group, place}).p.attention = {
        0, latent_scale(h, layer.options.rope), h.attention_softcap, 0};
    const Value out = by_head(h.value_width_mla);
    g.node({HEARTH_OP_LINEAR_HEADS, {latent}, {out}, {layer.weight(Slot::mla_v_b)}, layer.label("attn_v_b")});
    return layer.linear("attn_output", Slot::mla_output, g.regroup(out, 1), residual, h.residual_scale);
}

}  // namespace hearth

// The forward pass of a decoder, layer by layer.
#include "model/decoder.hpp"

#include <algorithm>
#include <cmath>

#include "model/layer.hpp"

namespace hearth {

namespace {

Value mix(const Layer& layer, Value x, Value residual) {
    if (layer.numbers().short_conv) return short_conv_mixer(layer, x, residual);
    return layer.h.arch->mixer == Mixer::latent ? latent_mixer(layer, x, residual) : attention_mixer(layer, x, residual);
}

Value feed_forward(const Layer& layer, Value x, Value residual) {
    return layer.numbers().experts ? expert_ffn(layer, x, residual) : dense_ffn(layer, x, residual);
}

// One half of a layer with its norms: x changes in place. With nothing behind f its last node adds to x directly.
template <class F>
void half_layer(const Layer& layer, Value x, Slot pre, Slot post, const char* pre_name, const char* post_name, F f) {
    const Wiring wiring = layer.h.arch->wiring;
    const Value in = wiring == Wiring::post ? x : layer.norm(pre_name, pre, x);
    if (wiring == Wiring::pre) {
        f(layer, in, x);
        return;
    }
    const Value out = f(layer, in, Value{});
    layer.norm_in_place(post_name, post, out);
    layer.graph.node({HEARTH_OP_ADD, {x, out}, {x}, {}, layer.label("residual")}).p.scale.scale = 1;
}

Value select_outputs(const Layer& layer, Value x) {
    const Value out = layer.graph.value(HEARTH_ROWS_OUTPUT, 1, layer.h.n_embd);
    layer.graph.node({HEARTH_OP_SELECT_ROWS, {x}, {out}, {}, layer.label("outputs")});
    return out;
}

double magnitude_factor(double factor, double multiplier) {
    return factor <= 1 ? 1.0 : 0.1 * multiplier * std::log(factor) + 1.0;
}

// The length of (cos, sin) under YaRN, as the model's makers folded it: see docs/numerics.md.
double yarn_magnitude(const Hparams& h, double freq_scale) {
    const double factor = 1 / freq_scale, all = h.rope.yarn_log_mul;
    if (all == 0) return magnitude_factor(factor, 1);
    const bool same = h.arch->has(kYarnLogMulTimes10) && all != 1;  // DeepSeek-V2: mscale equals mscale_all_dim
    return magnitude_factor(factor, same ? all : 1) / magnitude_factor(factor, all);
}

}  // namespace

hearth_rope_params rope_params(const Hparams& h, int32_t layer, const RopeOptions& o) {
    const bool window = layer >= 0 && h.layer[static_cast<std::size_t>(layer)].window > 0;
    const bool plain = window && h.arch->window.plain_rope;
    hearth_rope_params p{};
    p.style = static_cast<int32_t>(h.arch->rope);
    p.n_rot = window ? h.n_rot_window : h.n_rot;
    p.n_ctx_orig = o.yarn_orig_ctx > 0 ? o.yarn_orig_ctx : h.rope.n_ctx_orig;
    std::copy(std::begin(h.rope.section), std::end(h.rope.section), p.section);
    double scale = o.freq_scale > 0 ? o.freq_scale : h.rope.scale;
    if (o.scaling_type == 0) scale = 1;
    const bool yarn = o.scaling_type >= 0 ? o.scaling_type == 2 : h.rope.yarn;
    const double ext = o.yarn_ext_factor >= 0 ? o.yarn_ext_factor : yarn ? 1 : 0;
    double magnitude = ext != 0 ? yarn_magnitude(h, scale) : 1;
    if (ext == 0 && o.yarn_attn_factor >= 0) magnitude = o.yarn_attn_factor;
    p.base = static_cast<float>(window ? h.rope.base_window : o.freq_base > 0 ? o.freq_base : h.rope.base);
    p.freq_scale = static_cast<float>(plain ? 1.0 : window ? h.rope.scale_window : scale);
    p.ext_factor = static_cast<float>(plain ? 0.0 : ext);
    p.attn_factor = static_cast<float>(plain ? 1.0 : magnitude * h.rope.attn_factor);
    p.beta_fast = static_cast<float>(o.yarn_beta_fast >= 0 ? o.yarn_beta_fast : h.rope.beta_fast);
    p.beta_slow = static_cast<float>(o.yarn_beta_slow >= 0 ? o.yarn_beta_slow : h.rope.beta_slow);
    return p;
}

Graph decoder_graph(const Hparams& h, const Weights& weights, const CacheGroups& caches, const DecoderOptions& options) {
    Graph g(options.bounds, weights.descriptions(), caches.groups);
    const Layer model{g, h, weights, caches, options, -1};
    Value x = g.value(HEARTH_ROWS_TOKEN, 1, h.n_embd);
    g.node({HEARTH_OP_EMBED, {}, {x}, {model.weight(Slot::token_embd)}, "embed"}).p.scale.scale = h.embedding_scale;
    if (h.arch->has(kLearnedPositions))
        g.node({HEARTH_OP_ADD_POSITION, {x}, {x}, {model.weight(Slot::position_embd)}, "positions"});
    for (int32_t i = 0; i < h.n_layer; ++i) {
        const Layer layer{g, h, weights, caches, options, i};
        g.set_layer(i);
        half_layer(layer, x, Slot::attn_norm, Slot::attn_post_norm, "attn_norm", "attn_post_norm", mix);
        if (i == h.n_layer - 1) x = select_outputs(model, x);
        half_layer(layer, x, Slot::ffn_norm, Slot::ffn_post_norm, "ffn_norm", "ffn_post_norm", feed_forward);
    }
    g.set_layer(h.n_layer);
    const Value last = model.norm("output_norm", Slot::output_norm, x);
    const Value logits = g.divide(model.linear("output", Slot::output, last, Value{}, h.logit_scale), {{Axis::vocab, h.n_vocab, 1}});
    if (h.logit_softcap != 0)
        g.node({HEARTH_OP_SOFTCAP, {logits}, {logits}, {}, "softcap"}).p.scale.scale = h.logit_softcap;
    g.finish(logits);
    return g;
}

Graph key_shift_graph(const Hparams& h, const Weights& weights, int32_t layer, const DecoderOptions& options) {
    Graph g(options.bounds, weights.descriptions(), {});
    const CacheGroups none;
    const Layer l{g, h, weights, none, options, layer};
    const LayerHparams& numbers = l.numbers();
    const int32_t width = numbers.n_head_kv * h.head_key(numbers);
    const Value rows = g.value(HEARTH_ROWS_TOKEN, 1, width);
    g.node({HEARTH_OP_EMBED, {}, {rows}, {}, "keys"}).p.scale.scale = 1;
    l.rope("shift", g.regroup(rows, numbers.n_head_kv)).attn_factor = 1;
    g.finish(rows);
    return g;
}

}  // namespace hearth

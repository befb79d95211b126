// The numbers of a model, read from its metadata and checked once.
#pragma once

#include <cstdint>
#include <vector>

#include "format/tensor_source.hpp"
#include "model/archs.hpp"

namespace hearth {

struct LayerHparams {
    int32_t n_head = 0, n_head_kv = 0, n_ff = 0;
    int32_t window = 0;       // places that attention sees, 0 = all
    bool short_conv = false;  // a gated short convolution instead of attention
    bool rope = true;         // this layer rotates q and k
    bool experts = false;     // the feed-forward network is a mixture of experts
};

struct RopeHparams {
    double base = 10000, base_window = 10000;  // window layers may have their own base
    double scale = 1, scale_window = 1;        // frequencies are multiplied by it (1 / factor)
    bool yarn = false, long_rope = false;
    double yarn_log_mul = 0, attn_factor = 1, beta_fast = 32, beta_slow = 1;
    int32_t n_ctx_orig = 0;
    int32_t section[4] = {0, 0, 0, 0};
};

struct Hparams {
    const Arch* arch = nullptr;
    int32_t n_vocab = 0, n_ctx_train = 0, n_embd = 0, n_layer = 0;
    int32_t key_width = 0, value_width = 0, n_rot = 0;                             // per head
    int32_t key_width_window = 0, value_width_window = 0, n_rot_window = 0;        // of window layers
    float eps = 1e-5f;
    RopeHparams rope;
    float attention_scale = 0, attention_softcap = 0, logit_softcap = 0;  // 0 = 1/sqrt(key_width), off, off
    float embedding_scale = 1, residual_scale = 1, logit_scale = 1;
    float attention_temperature_scale = 0;  // 0 = off; length = rope.n_ctx_orig
    int32_t attention_temperature_length = 0;
    int32_t n_expert = 0, n_expert_used = 0, n_ff_expert = 0, n_ff_shared = 0, n_layer_dense = 0;
    int32_t n_expert_group = 0, n_expert_group_used = 0, expert_gate = 0;
    bool normalise_experts = true;
    float expert_scale = 1;
    int32_t q_rank = 0, kv_rank = 0, key_width_mla = 0, value_width_mla = 0;  // latent attention
    int32_t n_conv_tap = 0;
    std::vector<LayerHparams> layer;  // [n_layer]

    int32_t head_key(const LayerHparams& l) const { return l.window ? key_width_window : key_width; }
    int32_t head_value(const LayerHparams& l) const { return l.window ? value_width_window : value_width; }
    int32_t rotated(const LayerHparams& l) const { return l.window ? n_rot_window : n_rot; }
    int32_t n_pos_axis() const { return arch->rope == Rope::mrope ? 4 : 1; }
};

// Reads and checks every number; an unknown architecture is Code::unsupported_arch and lists what is supported.
Result<Hparams> read_hparams(const TensorSource& source);

}  // namespace hearth

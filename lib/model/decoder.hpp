// Turns a row, its numbers and its weights into the graph of one forward pass.
#pragma once

#include "graph/graph.hpp"
#include "model/cache_groups.hpp"
#include "model/weights.hpp"

namespace hearth {

// What a host may change about positions; zero or negative = as the model says (the llama.cpp option of the same name).
struct RopeOptions {
    double freq_base = 0, freq_scale = 0;
    int32_t scaling_type = -1;  // 0 none, 1 linear, 2 YaRN, 3 LongRoPE
    double yarn_ext_factor = -1, yarn_attn_factor = -1, yarn_beta_fast = -1, yarn_beta_slow = -1;
    int32_t yarn_orig_ctx = 0;
};

struct DecoderOptions {
    Graph::Bounds bounds;  // n_place: the context length of one sequence (LongRoPE chooses its factors by it)
    RopeOptions rope;
};

// The rotation of one layer (of the model's plain layers for layer < 0).
hearth_rope_params rope_params(const Hparams& h, int32_t layer, const RopeOptions& options);

Graph decoder_graph(const Hparams& h, const Weights& weights, const CacheGroups& caches, const DecoderOptions& options);

// A graph that rotates cached keys [n_token, n_head_kv, key_width] of one layer by pos[t] (their shift), given as
// embedding rows: what moving a stretch of a sequence needs. The magnitude is 1: it was applied when they were stored.
Graph key_shift_graph(const Hparams& h, const Weights& weights, int32_t layer, const DecoderOptions& options);

}  // namespace hearth

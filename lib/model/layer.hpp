// What mixers and feed-forward networks build with: one layer of the graph under construction.
#pragma once

#include <string>

#include "model/decoder.hpp"

namespace hearth {

struct Layer {
    Graph& graph;
    const Hparams& h;
    const Weights& weights;
    const CacheGroups& caches;
    const DecoderOptions& options;
    int32_t index;  // -1: the model's own slots

    const LayerHparams& numbers() const { return h.layer[static_cast<std::size_t>(index)]; }
    int32_t weight(Slot slot) const { return weights.find(slot, index); }
    int32_t bias(Slot slot) const { return weights.find_bias(slot, index); }
    bool has(Slot slot) const { return weight(slot) >= 0; }
    std::string label(const char* name) const;

    // A value with the rows of x (and its row factor, unless another is given).
    Value like(Value x, int32_t n_group, int32_t group_width, int32_t row_factor = 0) const;
    // scale * (x W^T + bias), added to `residual` in place where one is given; else a new value.
    Value linear(const char* name, Slot slot, Value x, Value residual = {}, float scale = 1) const;
    // The same into a new value whose columns may be spread over devices.
    Value linear(const char* name, Slot slot, Value x, const std::vector<Division>& divisions) const;
    // Normalises each group of x with the slot's weight, into a new value or in place.
    Value norm(const char* name, Slot slot, Value x) const;
    void norm_in_place(const char* name, Slot slot, Value x) const;
    Value glu(const char* name, Value gate, Value up) const;
    // Rotates x in place; the parameters can be changed until the next node is added.
    hearth_rope_params& rope(const char* name, Value x) const;
};

// Each returns f(x), or adds residual_scale * f(x) to `residual` in place and returns that.
Value attention_mixer(const Layer& layer, Value x, Value residual);
Value latent_mixer(const Layer& layer, Value x, Value residual);
Value short_conv_mixer(const Layer& layer, Value x, Value residual);
Value dense_ffn(const Layer& layer, Value x, Value residual);
Value expert_ffn(const Layer& layer, Value x, Value residual);

// Queries get hotter with their position where the model asks for it.
void scale_by_position(const Layer& layer, Value q);

}  // namespace hearth

// The gated short convolution of LFM2: three projections, a causal convolution over a few tokens, an output projection.
#include "model/layer.hpp"

namespace hearth {

Value short_conv_mixer(const Layer& layer, Value x, Value residual) {
    Graph& g = layer.graph;
    const auto at = static_cast<std::size_t>(layer.index);
    const Value bcx = g.regroup(layer.linear("conv_in", Slot::conv_in, x), 3);
    const Value out = layer.like(x, 1, layer.h.n_embd);
    g.node({HEARTH_OP_SHORT_CONV, {bcx}, {out}, {layer.weight(Slot::conv_kernel)}, layer.label("conv"),
            layer.caches.group_of_layer[at], layer.caches.place_in_group[at]});
    return layer.linear("conv_out", Slot::conv_out, out, residual, layer.h.residual_scale);
}

}  // namespace hearth

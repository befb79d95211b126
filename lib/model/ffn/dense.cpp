// The dense feed-forward network: gated, gated with one fused matrix, or plain.
#include "model/layer.hpp"

namespace hearth {

Value dense_ffn(const Layer& layer, Value x, Value residual) {
    Graph& g = layer.graph;
    const int32_t n_ff = layer.numbers().n_ff;
    const Division columns{Axis::hidden, n_ff, 1};
    Value hidden;
    switch (layer.h.arch->ffn) {
        case Ffn::gated: {
            const Value gate = layer.linear("ffn_gate", Slot::ffn_gate, x, std::vector{columns});
            hidden = layer.glu("ffn_act", gate, layer.linear("ffn_up", Slot::ffn_up, x, std::vector{columns}));
            break;
        }
        case Ffn::fused: {
            const Value both = layer.linear("ffn_gate_up", Slot::ffn_gate_up, x, std::vector{columns, columns});
            hidden = layer.glu("ffn_act", g.view(both, 0, 1, 0, n_ff), g.view(both, 0, 1, n_ff, n_ff));
            break;
        }
        case Ffn::plain:
            hidden = layer.linear("ffn_up", Slot::ffn_up_only, x, std::vector{columns});
            g.node({HEARTH_OP_ACT, {hidden}, {hidden}, {}, layer.label("ffn_act")}).p.act = {layer.h.arch->act, 0, 0};
            break;
    }
    return layer.linear("ffn_down", Slot::ffn_down, hidden, residual, layer.h.residual_scale);
}

}  // namespace hearth

// A mixture of experts: a router picks k experts per token, their outputs are summed by weight; maybe one shared expert.
#include "model/layer.hpp"

namespace hearth {

namespace {

struct Routing {
    Value ids, weights;  // [T, k]
};

Routing route(const Layer& layer, Value x) {
    const Hparams& h = layer.h;
    const Value logits = layer.linear("router", Slot::router, x);
    const Routing r{layer.like(x, 1, h.n_expert_used), layer.like(x, 1, h.n_expert_used)};
    layer.graph
        .node({HEARTH_OP_ROUTE, {logits}, {r.ids, r.weights}, {layer.weight(Slot::router_bias)}, layer.label("route")})
        .p.route = {h.expert_gate, h.n_expert_used,   h.n_expert_group, h.n_expert_group_used,
                    h.normalise_experts, h.expert_scale};
    return r;
}

Value experts(const Layer& layer, const char* name, Slot slot, Value x, Value ids, int32_t n_out,
              const std::vector<Division>& divisions) {
    const Value out = layer.graph.divide(layer.like(x, 1, n_out, layer.h.n_expert_used), divisions);
    layer.graph.node(
        {HEARTH_OP_LINEAR_EXPERTS, {x, ids}, {out}, {layer.weight(slot), layer.bias(slot)}, layer.label(name)});
    return out;
}

Value expert_hidden(const Layer& layer, Value x, Value ids) {
    Graph& g = layer.graph;
    const int32_t n_ff = layer.h.n_ff_expert;
    const Division columns{Axis::hidden, n_ff, 1};
    if (!layer.has(Slot::expert_gate_up)) {
        const Value gate = experts(layer, "expert_gate", Slot::expert_gate, x, ids, n_ff, {columns});
        return layer.glu("expert_act", gate, experts(layer, "expert_up", Slot::expert_up, x, ids, n_ff, {columns}));
    }
    const Value both = experts(layer, "expert_gate_up", Slot::expert_gate_up, x, ids, 2 * n_ff, {columns, columns});
    return layer.glu("expert_act", g.view(both, 0, 1, 0, n_ff), g.view(both, 0, 1, n_ff, n_ff));
}

}  // namespace

Value expert_ffn(const Layer& layer, Value x, Value residual) {
    const Hparams& h = layer.h;
    const Routing r = route(layer, x);
    const Value hidden = expert_hidden(layer, x, r.ids);
    const Value each = experts(layer, "expert_down", Slot::expert_down, hidden, r.ids, h.n_embd, {});
    const Value out = residual ? residual : layer.like(x, 1, h.n_embd);
    layer.graph.node({HEARTH_OP_EXPERT_SUM, {each, r.weights, residual}, {out}, {}, layer.label("expert_sum")})
        .p.scale.scale = h.residual_scale;
    if (h.n_ff_shared == 0) return out;
    const std::vector<Division> columns{{Axis::hidden, h.n_ff_shared, 1}};
    const Value gate = layer.linear("shared_gate", Slot::shared_gate, x, columns);
    const Value act = layer.glu("shared_act", gate, layer.linear("shared_up", Slot::shared_up, x, columns));
    return layer.linear("shared_down", Slot::shared_down, act, out, h.residual_scale);
}

}  // namespace hearth

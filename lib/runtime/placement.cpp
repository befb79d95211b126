// A node goes where its layer is, unless its op belongs to the cache or the experts and those are elsewhere.
#include "runtime/placement.hpp"

namespace hearth {

namespace {

bool of_cache(int32_t op) {
    return op == HEARTH_OP_CACHE_STORE || op == HEARTH_OP_ATTENTION || op == HEARTH_OP_SHORT_CONV;
}

// A graph puts the activation between two products with the experts; it goes along, so that hidden rows do not travel.
bool of_experts(const Graph& graph, std::size_t node) {
    const auto& nodes = graph.nodes();
    if (nodes[node].op == HEARTH_OP_LINEAR_EXPERTS) return true;
    if (nodes[node].op != HEARTH_OP_GLU && nodes[node].op != HEARTH_OP_ACT) return false;
    return node > 0 && nodes[node - 1].op == HEARTH_OP_LINEAR_EXPERTS;
}

}  // namespace

Placement Placement::whole(Device* device, int32_t n_layer) {
    return {{device}, std::vector<int32_t>(static_cast<std::size_t>(n_layer) + 2, 0), -1, -1};
}

std::vector<int32_t> Placement::of_nodes(const Graph& graph) const {
    std::vector<int32_t> result;
    for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
        int32_t device = device_of(graph.layer_of(i));
        if (cache >= 0 && of_cache(graph.nodes()[i].op)) device = cache;
        if (experts >= 0 && of_experts(graph, i)) device = experts;
        result.push_back(device);
    }
    return result;
}

}  // namespace hearth

// A node goes where its layer is, unless its op belongs to the cache or the experts and those are elsewhere.
#include "runtime/placement.hpp"

#include <algorithm>

#include "graph/shard.hpp"

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
    Placement placement;
    placement.devices.push_back(device);
    placement.device_of_layer.assign(static_cast<std::size_t>(n_layer) + 2, 0);
    return placement;
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

int32_t Placement::first_spread() const {
    const auto first = ranks.empty() ? device_of_layer.end() : std::find(device_of_layer.begin(), device_of_layer.end(), ranks[0]);
    return static_cast<int32_t>(first - device_of_layer.begin()) - 1;
}

bool Placement::has(int32_t device, int32_t layer) const {
    const bool rank = std::find(ranks.begin(), ranks.end(), device) != ranks.end();
    return device_of(layer) == (rank ? ranks[0] : device);
}

int32_t Placement::n_layer_on(int32_t device) const {
    int32_t n = 0;
    for (int32_t layer = 0; layer + 1 < static_cast<int32_t>(device_of_layer.size()); ++layer) n += has(device, layer);
    return n;
}

Result<PlacedGraph> Placement::place(Graph graph) const {
    const int32_t first = first_spread();
    if (first + 1 >= static_cast<int32_t>(device_of_layer.size())) {
        std::vector<int32_t> device_of_node = of_nodes(graph);
        return PlacedGraph{std::move(graph), std::move(device_of_node), {}, {}, {}, {}, {}};
    }
    return shard(graph, {ranks, shares, first, cache < 0, experts < 0});
}

}  // namespace hearth

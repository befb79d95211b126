// Which device holds which part of a model.
#pragma once

#include <vector>

#include "graph/placed.hpp"
#include "runtime/device.hpp"

namespace hearth {

struct Placement {
    std::vector<Device*> devices;
    // [n_layer + 2] indexes of devices: of the embedding, of each layer, of the output.
    std::vector<int32_t> device_of_layer;
    // Where all cached keys, values and states are, with the attention over them, and where all experts are; -1 = with their layer.
    int32_t cache = -1, experts = -1;
    // Where layers are spread over several devices: those, and their shares. Such layers are at the first in device_of_layer.
    std::vector<int32_t> ranks;
    std::vector<double> shares;

    static Placement whole(Device* device, int32_t n_layer);
    // layer -1 is the embedding, n_layer the output.
    int32_t device_of(int32_t layer) const { return device_of_layer[static_cast<std::size_t>(layer + 1)]; }
    int32_t n_device() const { return static_cast<int32_t>(devices.size()); }
    // The first layer that is spread over ranks: n_layer = the output alone, n_layer + 1 = none.
    int32_t first_spread() const;
    // Whether a device has the layer, or its part of it.
    bool has(int32_t device, int32_t layer) const;
    // How many layers it has, the output among them.
    int32_t n_layer_on(int32_t device) const;
    // [n_node] indexes of devices, where no layer is spread.
    std::vector<int32_t> of_nodes(const Graph& graph) const;
    // Which node runs where; layers that are spread get nodes for each rank.
    Result<PlacedGraph> place(Graph graph) const;
};

}  // namespace hearth

// Cuts a graph into segments that run on different devices, one after the other, and says what must move between them.
#pragma once

#include "graph/placed.hpp"

namespace hearth {

// A buffer that a segment reads or changes and whose content lies on another device.
struct Transfer {
    int32_t buffer, from;  // index of the device
};

struct Segment {
    int32_t device;
    int32_t node_begin, node_end;     // of the whole graph
    std::vector<Transfer> transfers;  // to be done before the segment starts
    int32_t collective;               // to be done before those, -1 = none
};

// Where the rows of a buffer lie in a device's arena.
struct Extent {
    uint64_t offset, bytes;
};

class SplitGraph {
  public:
    // Devices are indexes below n_device. The graph must be finished. Neighbours on one device form one segment.
    SplitGraph(PlacedGraph placed, int32_t n_device);

    const Graph& graph() const { return placed_.graph; }
    const PlacedGraph& placed() const { return placed_; }
    int32_t n_device() const { return static_cast<int32_t>(devices_.size()); }
    const std::vector<Segment>& segments() const { return segments_; }
    // What the segment's device compiles: values where its arena has them, its own layers of each cache group, all weights.
    // Valid while this lives and is not moved.
    hearth_graph view(std::size_t segment) const;

    int64_t arena_bytes(int32_t device) const { return at(device).arena_bytes; }
    // The groups as the device holds them: n_layer counts its layers only, and may be 0.
    const std::vector<hearth_cache>& caches(int32_t device) const { return at(device).caches; }
    // The first of a group's key/value heads that the device holds; how many is in caches().
    int32_t first_head(int32_t device, std::size_t group) const;
    // The cache layers of the whole graph that the device holds, per group, in its order.
    const std::vector<std::vector<int32_t>>& cache_layers(int32_t device) const { return at(device).cache_layers; }
    bool uses_weight(int32_t device, int32_t weight) const { return at(device).uses_weight[static_cast<std::size_t>(weight)]; }
    // Where the result lies: one piece unless it is spread over ranks. At least one.
    const std::vector<ResultPiece>& results() const { return placed_.results; }
    const hearth_value& value(int32_t device, Value v) const { return at(device).values[static_cast<std::size_t>(v.index)]; }
    // The rows of a buffer for a run of these counts.
    Extent extent(int32_t device, int32_t buffer, int32_t n_token, int32_t n_output) const;

  private:
    struct Life {
        int32_t first = -1, last = -1;
        int64_t offset = 0;
    };
    struct Part {
        std::vector<hearth_node> nodes;  // [n_node] with the device's numbers of cache layers
        std::vector<hearth_value> values;
        std::vector<hearth_cache> caches;
        std::vector<std::vector<int32_t>> cache_layers;
        std::vector<bool> uses_weight;
        std::vector<Life> life;  // [n_buffer]
        int64_t arena_bytes = 0;
    };
    const Part& at(int32_t device) const { return devices_[static_cast<std::size_t>(device)]; }
    void cut();
    void add_transfers();
    void place(Part& part);
    void number_caches(int32_t device);
    int32_t rank_of(int32_t device) const;  // -1 = none

    PlacedGraph placed_;
    std::vector<Segment> segments_;
    std::vector<Part> devices_;
};

}  // namespace hearth

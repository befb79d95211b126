// Walks the nodes once and remembers which devices hold the present content of each buffer.
#include "graph/split.hpp"

#include <algorithm>

#include "graph/arena.hpp"

namespace hearth {

namespace {

// f(buffer) for every buffer that a node reads or writes.
template <class F>
void each_buffer(const Graph& graph, const hearth_node& node, F f) {
    for (const int32_t value : {node.in[0], node.in[1], node.in[2], node.out[0], node.out[1]})
        if (value >= 0) f(graph.buffer_of(value));
}

void extend(int32_t* first, int32_t* last, int32_t node) {
    *first = *first < 0 ? node : std::min(*first, node);
    *last = std::max(*last, node);
}

}  // namespace

SplitGraph::SplitGraph(PlacedGraph placed, int32_t n_device) : placed_(std::move(placed)), devices_(static_cast<std::size_t>(n_device)) {
    for (Part& part : devices_) {
        part.nodes = graph().nodes();
        part.values = graph().values();
        part.caches = graph().caches();
        part.cache_layers.resize(part.caches.size());
        part.uses_weight.resize(graph().weights().size());
        part.life.resize(static_cast<std::size_t>(graph().n_buffer()));
    }
    cut();
    add_transfers();
    for (int32_t d = 0; d < n_device; ++d) number_caches(d);
    for (Part& part : devices_) place(part);
}

void SplitGraph::cut() {
    const auto n = static_cast<int32_t>(graph().nodes().size());
    std::size_t next = 0;  // collective
    for (int32_t i = 0; i < n; ++i) {
        const int32_t device = placed_.device_of_node[static_cast<std::size_t>(i)];
        const bool sums = next < placed_.collectives.size() && placed_.collectives[next].node == i;
        if (segments_.empty() || segments_.back().device != device || sums)
            segments_.push_back({device, i, i, {}, sums ? static_cast<int32_t>(next++) : -1});
        segments_.back().node_end = i + 1;
        Part& part = devices_[static_cast<std::size_t>(device)];
        const hearth_node& node = graph().nodes()[static_cast<std::size_t>(i)];
        each_buffer(graph(), node, [&](int32_t b) { extend(&part.life[static_cast<std::size_t>(b)].first,
                                                           &part.life[static_cast<std::size_t>(b)].last, i); });
        for (const int32_t w : node.weight)
            if (w >= 0) part.uses_weight[static_cast<std::size_t>(w)] = true;
    }
    if (placed_.results.empty()) placed_.results.push_back({{graph().view().result}, segments_.back().device, 0});
    for (const ResultPiece& piece : placed_.results)  // they live to the end
        devices_[static_cast<std::size_t>(piece.device)].life[static_cast<std::size_t>(graph().buffer_of(piece.value.index))].last = n;
}

// A buffer that was written before must be here, whole, before a node touches it, also where the node writes it: nodes add
// in place and fill views. What a node writes is then valid on its device only.
void SplitGraph::add_transfers() {
    constexpr int32_t kUnwritten = -1;
    const auto n_buffer = static_cast<std::size_t>(graph().n_buffer());
    std::vector<int32_t> owner(n_buffer, kUnwritten);  // the device that wrote it last
    std::vector<std::vector<bool>> valid(devices_.size(), std::vector<bool>(n_buffer, false));
    for (Segment& segment : segments_) {
        const auto here = static_cast<std::size_t>(segment.device);
        for (std::size_t r = 0; segment.collective >= 0 && r < placed_.rank_device.size(); ++r) {
            const int32_t device = placed_.rank_device[r];
            const auto buffer = static_cast<std::size_t>(placed_.collectives[static_cast<std::size_t>(segment.collective)].buffer[r]);
            Life& life = devices_[static_cast<std::size_t>(device)].life[buffer];
            extend(&life.first, &life.last, segment.node_begin);
            owner[buffer] = device;
            valid[static_cast<std::size_t>(device)][buffer] = true;
        }
        for (int32_t i = segment.node_begin; i < segment.node_end; ++i) {
            const hearth_node& node = graph().nodes()[static_cast<std::size_t>(i)];
            each_buffer(graph(), node, [&](int32_t b) {
                const auto buffer = static_cast<std::size_t>(b);
                if (owner[buffer] == kUnwritten || valid[here][buffer]) return;
                segment.transfers.push_back({b, owner[buffer]});
                valid[here][buffer] = true;
                Life& to = devices_[here].life[buffer];
                Life& from = devices_[static_cast<std::size_t>(owner[buffer])].life[buffer];
                extend(&to.first, &to.last, segment.node_begin);
                extend(&from.first, &from.last, segment.node_begin);
            });
            for (const int32_t value : node.out) {
                if (value < 0) continue;
                const auto buffer = static_cast<std::size_t>(graph().buffer_of(value));
                for (auto& of_device : valid) of_device[buffer] = false;
                valid[here][buffer] = true;
                owner[buffer] = segment.device;
            }
        }
    }
}

void SplitGraph::number_caches(int32_t device) {
    Part& part = devices_[static_cast<std::size_t>(device)];
    for (const Segment& segment : segments_) {
        if (segment.device != device) continue;
        for (int32_t i = segment.node_begin; i < segment.node_end; ++i) {
            hearth_node& node = part.nodes[static_cast<std::size_t>(i)];
            if (node.cache_group < 0) continue;
            auto& layers = part.cache_layers[static_cast<std::size_t>(node.cache_group)];
            auto found = std::find(layers.begin(), layers.end(), node.cache_layer);
            node.cache_layer = static_cast<int32_t>(found - layers.begin());
            if (found == layers.end()) layers.push_back(graph().nodes()[static_cast<std::size_t>(i)].cache_layer);
        }
    }
    const int32_t rank = rank_of(device);
    for (std::size_t g = 0; g < part.caches.size(); ++g) {
        part.caches[g].n_layer = static_cast<int32_t>(part.cache_layers[g].size());
        if (rank >= 0 && part.caches[g].kind != HEARTH_CACHE_RECURRENT && part.caches[g].n_layer > 0)
            part.caches[g].n_head_kv = static_cast<int32_t>(placed_.heads[static_cast<std::size_t>(rank)][g].size());
    }
}

int32_t SplitGraph::rank_of(int32_t device) const {
    const auto found = std::find(placed_.rank_device.begin(), placed_.rank_device.end(), device);
    return found == placed_.rank_device.end() ? -1 : static_cast<int32_t>(found - placed_.rank_device.begin());
}

int32_t SplitGraph::first_head(int32_t device, std::size_t group) const {
    const int32_t rank = rank_of(device);
    return rank < 0 ? 0 : static_cast<int32_t>(placed_.heads[static_cast<std::size_t>(rank)][group].begin);
}

void SplitGraph::place(Part& part) {
    std::vector<ArenaBuffer> buffers;
    for (std::size_t b = 0; b < part.life.size(); ++b)
        buffers.push_back({graph().buffer_bytes(static_cast<int32_t>(b)), part.life[b].first, part.life[b].last, 0});
    part.arena_bytes = plan_arena(buffers);
    for (std::size_t b = 0; b < buffers.size(); ++b) part.life[b].offset = buffers[b].offset;
    for (std::size_t v = 0; v < part.values.size(); ++v) {
        const int32_t b = graph().buffer_of(static_cast<int32_t>(v));
        part.values[v].offset += part.life[static_cast<std::size_t>(b)].offset - graph().buffer_offset(b);
    }
}

hearth_graph SplitGraph::view(std::size_t segment) const {
    const Segment& s = segments_[segment];
    const Part& part = at(s.device);
    hearth_graph g = graph().view();
    g.node = part.nodes.data() + s.node_begin;
    g.n_node = s.node_end - s.node_begin;
    g.value = part.values.data();
    g.cache = part.caches.data();
    g.arena_bytes = part.arena_bytes;
    if (segment + 1 < segments_.size() || placed_.results.size() > 1) g.result = -1;
    return g;
}

Extent SplitGraph::extent(int32_t device, int32_t buffer, int32_t n_token, int32_t n_output) const {
    const Life& life = at(device).life[static_cast<std::size_t>(buffer)];
    return {static_cast<uint64_t>(life.offset), static_cast<uint64_t>(graph().buffer_bytes(buffer, n_token, n_output))};
}

}  // namespace hearth

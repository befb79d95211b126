// A graph cut over devices computes in their arenas what it computes where every buffer has memory of its own.
#include "support/catch.hpp"

#include <set>

#include "graph/split.hpp"
#include "support/support.hpp"

using namespace hearth;

namespace {

constexpr Graph::Bounds kBounds{5, 3, 2, 8};
constexpr int32_t kGroups = 2, kLayers = 3, kWeights = 6;

// Random nodes on random devices: whole buffers, views filled one after the other, changes in place and of a part.
class Program {
    test::Random* random_;  // first: what follows is drawn from it

  public:
    explicit Program(test::Random* random)
        : random_(random), graph(kBounds, std::vector<hearth_weight>(kWeights), caches()), n_device(1 + below(4)) {
        for (auto& group : cache_home_)
            for (int32_t& home : group) home = below(n_device);
        node(fresh());
        for (int n = 0; n < 40; ++n) step();
        const Value result = fresh();
        node(result);
        readable_.clear();
        if (below(2)) finish_with(fresh());
        graph.finish(result);
    }

    Graph graph;
    int32_t n_device;
    std::vector<int32_t> device_of_node;

  private:
    int32_t below(int32_t n) { return static_cast<int32_t>(random_->below(static_cast<uint64_t>(n))); }
    static std::vector<hearth_cache> caches() {
        std::vector<hearth_cache> groups(kGroups);
        for (hearth_cache& group : groups) group.n_layer = kLayers;
        return groups;
    }
    Value fresh() { return graph.value(below(2) ? HEARTH_ROWS_TOKEN : HEARTH_ROWS_OUTPUT, 1 + below(3), 2 + below(30), 1 + below(2)); }
    Value some() { return readable_[static_cast<std::size_t>(below(static_cast<int32_t>(readable_.size())))]; }
    Value part_of(Value v) {
        const hearth_value whole = graph.at(v);
        const int32_t group = below(whole.n_group), begin = below(whole.group_width);
        return graph.view(v, group, 1 + below(whole.n_group - group), begin, 1 + below(whole.group_width - begin));
    }
    Value input() { return readable_.empty() ? Value{} : below(3) ? some() : part_of(some()); }

    void node(Value out, Value also = {}) {
        const int32_t group = below(4) ? -1 : below(kGroups), layer = group < 0 ? -1 : below(kLayers);
        graph.node({0, {input(), input(), below(2) ? input() : Value{}}, {out, also}, {below(2) ? below(kWeights) : -1}, "", group, layer});
        if (below(3) == 0) device_ = below(n_device);
        device_of_node.push_back(group < 0 ? device_ : cache_home_[group][layer]);
        if (device_of_node.size() == 1) readable_.push_back(out);
    }
    // One more node where the last one was: the result must outlive it.
    void finish_with(Value out) {
        graph.node({0, {}, {out}});
        device_of_node.push_back(device_of_node.back());
    }
    void step() {
        const int32_t kind = below(5);
        if (kind == 0) return node(some());
        if (kind == 1) return node(part_of(some()));
        const Value whole = fresh();
        if (kind == 2) {
            const hearth_value v = graph.at(whole);
            node(graph.view(whole, 0, v.n_group, 0, v.group_width / 2));
            half_done_.push_back(whole);
        } else if (kind == 3 && !half_done_.empty()) {
            const hearth_value v = graph.at(half_done_.back());
            node(graph.view(half_done_.back(), 0, v.n_group, v.group_width / 2, v.group_width - v.group_width / 2));
            readable_.push_back(half_done_.back());
            half_done_.pop_back();
        } else {
            const Value also = below(3) ? Value{} : fresh();
            node(whole, also);
            readable_.push_back(whole);
            if (also) readable_.push_back(also);
        }
        while (readable_.size() > 6) readable_.erase(readable_.begin() + below(6));
    }

    std::vector<Value> readable_, half_done_;
    int32_t cache_home_[kGroups][kLayers];
    int32_t device_ = 0;
};

// Memory that holds one number per element.
using Memory = std::vector<uint64_t>;

struct Counts {
    int32_t n_token, n_output;
};

template <class F>
void each_element(const hearth_value& v, const Counts& counts, F f) {
    const int32_t n_row = (v.rows == HEARTH_ROWS_TOKEN ? counts.n_token : counts.n_output) * v.row_factor;
    for (int32_t row = 0; row < n_row; ++row)
        for (int32_t group = 0; group < v.n_group; ++group)
            for (int32_t i = 0; i < v.group_width; ++i)
                f(static_cast<std::size_t>(v.offset / 4 + row * v.row_stride + group * v.group_stride + i));
}

uint64_t mix(uint64_t x) {
    x = (x ^ (x >> 31)) * 0x9e3779b97f4a7c15u;
    return x ^ (x >> 29);
}

// Fills the node's outputs with numbers that depend on all that it reads; returns what stands for what was read.
uint64_t execute(const hearth_node& node, int32_t number, const hearth_value* values, const Counts& counts, Memory* memory) {
    uint64_t state = static_cast<uint64_t>(number) + 1;
    for (const int32_t in : node.in)
        if (in >= 0) each_element(values[in], counts, [&](std::size_t at) { state = mix(state + memory->at(at)); });
    const uint64_t read = state;
    for (const int32_t out : node.out)
        if (out >= 0) each_element(values[out], counts, [&](std::size_t at) { memory->at(at) = state = mix(state); });
    return read;
}

// What each node reads, and in the end the result, where no buffer shares memory with another.
std::vector<uint64_t> run_apart(const Graph& graph, const Counts& counts) {
    std::vector<hearth_value> values = graph.values();
    std::vector<int64_t> begin = {0};
    for (int32_t b = 0; b < graph.n_buffer(); ++b) begin.push_back(begin.back() + graph.buffer_bytes(b));
    for (std::size_t v = 0; v < values.size(); ++v) {
        const int32_t b = graph.buffer_of(static_cast<int32_t>(v));
        values[v].offset += begin[static_cast<std::size_t>(b)] - graph.buffer_offset(b);
    }
    Memory memory(static_cast<std::size_t>(begin.back() / 4));
    std::vector<uint64_t> read;
    for (const hearth_node& node : graph.nodes())
        read.push_back(execute(node, static_cast<int32_t>(read.size()), values.data(), counts, &memory));
    each_element(values[static_cast<std::size_t>(graph.view().result)], counts, [&](std::size_t at) { read.push_back(memory[at]); });
    return read;
}

// The same over the devices' arenas. Nothing is moved that is there already.
std::vector<uint64_t> run_split(const SplitGraph& split, const Counts& counts, test::Random* random) {
    const Graph& graph = split.graph();
    std::vector<Memory> arenas;
    for (int32_t d = 0; d < split.n_device(); ++d) {
        arenas.emplace_back(static_cast<std::size_t>(split.arena_bytes(d) / 4));
        for (uint64_t& word : arenas.back()) word = random->next();
    }
    std::vector<std::set<int32_t>> holders(static_cast<std::size_t>(graph.n_buffer()));
    std::vector<uint64_t> read;
    for (std::size_t s = 0; s < split.segments().size(); ++s) {
        const Segment& segment = split.segments()[s];
        Memory& here = arenas[static_cast<std::size_t>(segment.device)];
        for (const Transfer& t : segment.transfers) {
            const Extent from = split.extent(t.from, t.buffer, counts.n_token, counts.n_output);
            const Extent to = split.extent(segment.device, t.buffer, counts.n_token, counts.n_output);
            const Memory& there = arenas[static_cast<std::size_t>(t.from)];
            for (uint64_t i = 0; i < from.bytes / 4; ++i) here.at(to.offset / 4 + i) = there.at(from.offset / 4 + i);
            auto& holder = holders[static_cast<std::size_t>(t.buffer)];
            CHECK((from.bytes == to.bytes && holder.count(t.from) == 1));
            CHECK(holder.insert(segment.device).second);
        }
        const hearth_graph g = split.view(s);
        for (int32_t n = 0; n < g.n_node; ++n) {
            read.push_back(execute(g.node[n], segment.node_begin + n, g.value, counts, &here));
            for (const int32_t out : g.node[n].out)
                if (out >= 0) holders[static_cast<std::size_t>(graph.buffer_of(out))] = {segment.device};
        }
        CHECK(g.result == (s + 1 < split.segments().size() ? -1 : graph.view().result));
        if (g.result >= 0) each_element(g.value[g.result], counts, [&](std::size_t at) { read.push_back(here.at(at)); });
    }
    return read;
}

}  // namespace

TEST_CASE("on whatever devices nodes run, they read what was written last") {
    test::Random random(test::seed());
    INFO("HEARTH_TEST_SEED=" << test::seed());
    int n_transfer = 0;
    for (int round = 0; round < 300; ++round) {
        Program program(&random);
        const SplitGraph split({std::move(program.graph), program.device_of_node, {}, {}, {}, {}, {}}, program.n_device);
        const Counts counts{static_cast<int32_t>(1 + random.below(kBounds.n_token)),
                            static_cast<int32_t>(random.below(kBounds.n_output + 1))};
        CHECK(run_split(split, counts, &random) == run_apart(split.graph(), counts));
        for (const Segment& segment : split.segments()) n_transfer += static_cast<int>(segment.transfers.size());
    }
    CHECK(n_transfer > 300);
}

TEST_CASE("a device has the cache layers and the weights that its nodes use, and no others") {
    test::Random random(test::seed());
    INFO("HEARTH_TEST_SEED=" << test::seed());
    for (int round = 0; round < 100; ++round) {
        Program program(&random);
        const SplitGraph split({std::move(program.graph), program.device_of_node, {}, {}, {}, {}, {}}, program.n_device);
        std::vector<std::set<int32_t>> layers(static_cast<std::size_t>(split.n_device() * kGroups)), weights(layers.size());
        for (std::size_t s = 0; s < split.segments().size(); ++s) {
            const Segment& segment = split.segments()[s];
            const hearth_graph g = split.view(s);
            for (int32_t n = 0; n < g.n_node; ++n) {
                const hearth_node& whole = split.graph().nodes()[static_cast<std::size_t>(segment.node_begin + n)];
                const hearth_node& node = g.node[n];
                if (whole.weight[0] >= 0) weights[static_cast<std::size_t>(segment.device)].insert(whole.weight[0]);
                if (whole.cache_group < 0) continue;
                const auto group = static_cast<std::size_t>(whole.cache_group);
                CHECK(split.cache_layers(segment.device)[group].at(static_cast<std::size_t>(node.cache_layer)) == whole.cache_layer);
                layers[static_cast<std::size_t>(segment.device) * kGroups + group].insert(whole.cache_layer);
            }
        }
        for (int32_t d = 0; d < split.n_device(); ++d) {
            const auto device = static_cast<std::size_t>(d);
            for (std::size_t group = 0; group < kGroups; ++group) {
                const auto& held = split.cache_layers(d)[group];
                CHECK(std::set<int32_t>(held.begin(), held.end()) == layers[device * kGroups + group]);
                CHECK(held.size() == layers[device * kGroups + group].size());
                CHECK(split.caches(d)[group].n_layer == static_cast<int32_t>(held.size()));
            }
            for (int32_t w = 0; w < kWeights; ++w) CHECK(split.uses_weight(d, w) == (weights[device].count(w) == 1));
        }
    }
}

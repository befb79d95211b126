// Boundaries fall between quantisation blocks, and query heads stay with the key/value head that they read.
#include "graph/shard_ranges.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "quant/format.hpp"

namespace hearth {

namespace {

constexpr int64_t kWideGrain = 128, kGrain = 32;  // columns that kernels like to have together, where there are enough

// Units of this width that make up whole blocks.
int64_t units_per_block(int64_t block, int64_t unit_width) { return block / std::gcd(block, unit_width); }

int64_t comfortable(int64_t n_unit, int64_t n_rank) {
    return n_unit >= 2 * kWideGrain * n_rank ? kWideGrain : n_unit >= 2 * kGrain * n_rank ? kGrain : 1;
}

}  // namespace

ShardRanges::ShardRanges(const Graph& graph, const std::vector<double>& shares) : shares_(shares) {
    for (std::size_t i = 0; i < graph.nodes().size(); ++i) collect(graph, i);
    const auto n_rank = static_cast<int64_t>(shares.size());
    for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
        const hearth_node& node = graph.nodes()[i];
        if (node.op != HEARTH_OP_ATTENTION) continue;
        const hearth_cache& cache = graph.caches()[static_cast<std::size_t>(node.cache_group)];
        cut_heads(layers_[graph.layer_of(i)], graph.at({node.in[0]}).n_group, cache.kind == HEARTH_CACHE_LATENT ? 0 : cache.n_head_kv);
    }
    for (auto& [index, layer] : layers_)
        for (const auto& [key, grain] : layer.grain)
            if (!layer.ranges.count(key)) layer.ranges[key] = cut(key.second, std::lcm(grain, comfortable(key.second, n_rank)));
}

// Every division that a node writes, and what its readers ask of the boundaries.
void ShardRanges::collect(const Graph& graph, std::size_t index) {
    const hearth_node& node = graph.nodes()[index];
    Layer& layer = layers_[graph.layer_of(index)];
    for (const int32_t out : node.out) {
        if (out < 0) continue;
        for (const Division& d : graph.divisions(graph.buffer_of(out))) layer.grain.emplace(Key{d.axis, d.n_unit}, 1);
    }
    if (node.op != HEARTH_OP_LINEAR && node.op != HEARTH_OP_LINEAR_EXPERTS) return;
    const auto& divisions = graph.divisions(graph.buffer_of(node.in[0]));
    if (divisions.empty()) return;
    const hearth_weight& weight = graph.weights()[static_cast<std::size_t>(node.weight[0])];
    int64_t& grain = layer.grain[{divisions[0].axis, divisions[0].n_unit}];
    grain = std::lcm(std::max<int64_t>(grain, 1), units_per_block(find_format(weight.format)->block_elements, divisions[0].unit_width));
}

// Boundaries at multiples of the grain, as near as they come to the shares; what is left over goes to the last rank.
std::vector<Range> ShardRanges::cut(int64_t n_unit, int64_t grain) const {
    const double all = std::accumulate(shares_.begin(), shares_.end(), 0.0);
    const int64_t n_grain = n_unit / grain;
    std::vector<Range> ranges;
    double sum = 0;
    for (std::size_t r = 0; r < shares_.size(); ++r) {
        const int64_t begin = r == 0 ? 0 : ranges.back().end;
        sum += shares_[r];
        const int64_t end = std::llround(sum / all * static_cast<double>(n_grain)) * grain;
        ranges.push_back({begin, r + 1 == shares_.size() ? n_unit : std::max(begin, end)});
    }
    return ranges;
}

// With enough key/value heads each rank has some of its own, with all query heads that read them. With fewer, several ranks
// hold the same key/value head and share its query heads evenly.
void ShardRanges::cut_heads(Layer& layer, int32_t n_head, int32_t n_head_kv) const {
    const Key q{Axis::head, n_head}, kv{Axis::head_kv, n_head_kv};
    const int64_t grain = std::max<int64_t>(1, layer.grain[q]);
    if (n_head_kv == 0) {
        layer.ranges[q] = cut(n_head, grain);
        return;
    }
    const auto n_rank = static_cast<int64_t>(shares_.size());
    const int64_t n_rep = n_head / n_head_kv, kv_grain = units_per_block(grain, n_rep);
    std::vector<Range>&q_ranges = layer.ranges[q], &kv_ranges = layer.ranges[kv];
    if (n_head_kv / kv_grain >= n_rank || n_rep % grain != 0) {
        kv_ranges = cut(n_head_kv, kv_grain);
        q_ranges.clear();
        for (const Range& r : kv_ranges) q_ranges.push_back({r.begin * n_rep, r.end * n_rep});
        return;
    }
    q_ranges.clear();
    kv_ranges.clear();
    for (int64_t r = 0; r < n_rank; ++r) {
        const int64_t head = r * n_head_kv / n_rank;
        const int64_t first = (head * n_rank + n_head_kv - 1) / n_head_kv, next = ((head + 1) * n_rank + n_head_kv - 1) / n_head_kv;
        const int64_t n_grain = n_rep / grain, n = next - first, at = r - first;
        q_ranges.push_back({head * n_rep + n_grain * at / n * grain, head * n_rep + n_grain * (at + 1) / n * grain});
        kv_ranges.push_back(q_ranges.back().size() > 0 ? Range{head, head + 1} : Range{head, head});
    }
}

Range ShardRanges::of(int32_t layer, const Division& division, int32_t rank) const {
    const auto found = layers_.find(layer);  // there, because some node of the layer writes the division
    return found->second.ranges.find({division.axis, division.n_unit})->second[static_cast<std::size_t>(rank)];
}

}  // namespace hearth

// Which units of each divided axis every rank computes, layer by layer.
#pragma once

#include <map>
#include <vector>

#include "graph/graph.hpp"

namespace hearth {

struct Range {
    int64_t begin = 0, end = 0;
    int64_t size() const { return end - begin; }
    friend bool operator==(const Range&, const Range&) = default;
};

class ShardRanges {
  public:
    // shares: [n_rank], what each rank is to have of every axis, in proportion. The graph must outlive this only for the call.
    ShardRanges(const Graph& graph, const std::vector<double>& shares);

    // The units of a division that a rank has in a layer (n_layer = the output); may be empty.
    Range of(int32_t layer, const Division& division, int32_t rank) const;

  private:
    using Key = std::pair<Axis, int32_t>;  // n_unit
    struct Layer {
        std::map<Key, int64_t> grain;               // units that stay together: blocks of the weights that read them
        std::map<Key, std::vector<Range>> ranges;  // [n_rank]
    };
    void collect(const Graph& graph, std::size_t node);
    std::vector<Range> cut(int64_t n_unit, int64_t grain) const;
    void cut_heads(Layer& layer, int32_t n_head, int32_t n_head_kv) const;

    std::vector<double> shares_;
    std::map<int32_t, Layer> layers_;
};

}  // namespace hearth

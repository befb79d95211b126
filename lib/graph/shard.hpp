// Tensor parallelism as a graph pass: the last layers are spread over ranks, each of which computes some heads, some hidden
// columns and some of the vocabulary, with two sums over all ranks per layer.
#pragma once

#include "base/result.hpp"
#include "graph/placed.hpp"

namespace hearth {

struct ShardOptions {
    std::vector<int32_t> rank_device;  // [n_rank] indexes of devices, none of them 0, all different
    std::vector<double> shares;        // [n_rank]
    int32_t first_layer = 0;           // this and all later layers are spread, n_layer = the output; what comes before is on device 0
    bool cache_on_ranks = true, experts_on_ranks = true;  // false: attention with its cache, or the experts, whole on device 0
};

// What each rank computes of every divided buffer (see Graph::divide), and whole on each rank what lies between: norms, the
// residual stream. The router and short convolutions run on the first rank alone. `whole` must be finished.
Result<PlacedGraph> shard(const Graph& whole, const ShardOptions& options);

}  // namespace hearth

// A graph of which it is known where each node runs: what graph/split.hpp cuts into segments.
#pragma once

#include "graph/graph.hpp"
#include "graph/shard_ranges.hpp"

namespace hearth {

// Buffers, one per rank, that are summed up before a node runs; each then holds the sum.
struct Collective {
    int32_t node;                 // the first node behind it
    std::vector<int32_t> buffer;  // [n_rank]
    std::vector<bool> adds;       // [n_rank] false: the rank has nothing to add, only the sum to receive
};

// A part of a weight of the model that one rank has. Empty lists and ranges mean all of it.
struct WeightSlice {
    int32_t weight;
    Range matrices;
    std::vector<Range> rows, columns;  // of each matrix, in elements
};

// Columns of the result [n_output, n_vocab], in order.
struct ResultPiece {
    Value value;
    int32_t device, column;
};

struct PlacedGraph {
    Graph graph;
    std::vector<int32_t> device_of_node;  // [n_node]
    // All of this stays empty where no layer is spread over ranks.
    std::vector<int32_t> rank_device;       // [n_rank]
    std::vector<Collective> collectives;    // by node
    std::vector<WeightSlice> slices;        // of the graph's last weights
    std::vector<ResultPiece> results;       // empty: the graph's result, where its last node runs
    std::vector<std::vector<Range>> heads;  // [n_rank][n_cache] key/value heads that the rank holds
};

}  // namespace hearth

// Inside graph/shard.hpp: where the content of each old buffer is in the new graph, and the operands of new nodes.
#pragma once

#include "graph/shard.hpp"

namespace hearth {

// Every buffer is at any time whole on one device, a copy on each rank, columns per rank, or a summand per rank.
class Sharder {
  public:
    Sharder(const Graph& old, const ShardOptions& options);
    Result<PlacedGraph> run();

  private:
    enum class Kind { none, single, copies, columns, summands };
    struct Store {
        Kind kind = Kind::none;
        std::vector<Value> base;  // single: [1], else [n_rank]; absent where a rank has no columns
        Value gathered = {};      // columns: all of them on the host, if a node there asked
    };
    struct Pending {
        hearth_node node;
        std::string label;
        int32_t layer;
    };

    std::size_t n_rank() const { return options_.rank_device.size(); }
    std::size_t buffer(int32_t value) const { return static_cast<std::size_t>(old_.buffer_of(value)); }
    Store& store(int32_t value) { return store_[buffer(value)]; }
    const std::vector<Division>& divisions(int32_t value) const { return old_.divisions(old_.buffer_of(value)); }
    Range units(const Division& d, std::size_t rank) const { return ranges_.of(layer_, d, static_cast<int32_t>(rank)); }
    Value broken(const char* why);

    // Emitting. Nodes of one rank stay together, so that segments are long; flush() comes before what needs several ranks.
    void emit(std::size_t rank, const hearth_node& node, const std::string& label) { pending_[rank].push_back({node, label, layer_}); }
    void emit_host(const hearth_node& node, const std::string& label);
    void flush();
    void append(const Pending& p, int32_t device);

    // Buffers and views.
    Value fresh(std::size_t old_buffer, int64_t width = -1);  // like the old one, of another width if one is given
    hearth_value form(int32_t value) const;                   // the old view, its offset counted from its buffer's start
    Value same_view(Value base, int32_t value) { return out_.graph.view_as(base, form(value)); }
    int64_t local_width(int32_t value, std::size_t rank) const;
    Value local_view(Value base, int32_t value, std::size_t rank);  // of divided columns, as the rank has them
    Value part_view(Value base, hearth_value v, const Division& d, int64_t n_unit, int64_t column);
    Value narrow(Value whole, int32_t n_unit, const Range& units);  // of whole columns those of some units

    // Operands: what a rank reads, or changes in place, for an old value; what the host reads; and what a node writes.
    Value read(int32_t value, std::size_t rank);
    Value change(int32_t value, std::size_t rank);
    Value read_whole(int32_t value);
    void gather(int32_t value);
    Value write_single(int32_t value);
    Value write(int32_t value, std::size_t rank, Kind kind);
    int32_t slice(int32_t weight, int32_t uses, WeightSlice cut);
    std::vector<Range> columns(int32_t value, std::size_t rank) const;  // what a rank has of a divided value

    // Rules, by op.
    void alone(const hearth_node& node);   // as it is, on the host
    void on_root(const hearth_node& node);  // as it is, on the first rank
    void spread(const hearth_node& node);
    void linear(const hearth_node& node);
    void column_linear(const hearth_node& node);
    void row_linear(const hearth_node& node);
    void linear_heads(const hearth_node& node);
    void elementwise(const hearth_node& node);
    void cache_store(const hearth_node& node);
    void attention(const hearth_node& node);
    void expert_linear(const hearth_node& node);
    void expert_sum(const hearth_node& node);
    // [n_rank], absent where a rank has none of the input's columns.
    std::vector<Value> summands(const hearth_node& node, int32_t uses);
    // Sums them into copies; a rank without one has nothing to add and gets a buffer for the sum.
    void reduce(const hearth_node& node, std::vector<Value>* summands);
    // residual + values, or the values where there is no residual, becomes the content of `out`.
    void deliver(const hearth_node& node, int32_t residual, const std::vector<Value>& values, Kind kind);
    void finish();

    const Graph& old_;
    const ShardOptions& options_;
    ShardRanges ranges_;
    PlacedGraph out_;
    std::vector<Store> store_;                 // [old n_buffer]
    std::vector<int32_t> base_;                // [old n_buffer] the value that covers it
    std::vector<bool> only_root_;              // [old n_buffer] the router's and the short convolution's
    std::vector<std::vector<Pending>> pending_;  // [n_rank]
    int32_t layer_ = 0;
    const char* broken_ = nullptr;
};

}  // namespace hearth

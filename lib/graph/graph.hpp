// Builds a graph: values (views of buffers in one arena) and nodes, as the plain C data of hearth/backend.h.
#pragma once

#include <hearth/backend.h>

#include "graph/arena.hpp"

#include <deque>
#include <initializer_list>
#include <string>
#include <vector>

namespace hearth {

// A value of the graph being built; index -1 is "absent".
struct Value {
    int32_t index = -1;
    explicit operator bool() const { return index >= 0; }
};

// What columns of a buffer stand for, where they may lie on different devices.
enum class Axis : int32_t { head, head_kv, hidden, vocab };

// A stretch of columns: n_unit units, each of which stays whole.
struct Division {
    Axis axis;
    int32_t n_unit, unit_width;
    int32_t width() const { return n_unit * unit_width; }
};

// The operands of one node; what is left out is absent.
struct NodeSpec {
    int32_t op = 0;
    std::initializer_list<Value> in = {};
    std::initializer_list<Value> out = {};
    std::initializer_list<int32_t> weight = {};
    std::string label = {};
    int32_t cache_group = -1, cache_layer = -1;
};

class Graph {
  public:
    // Upper bounds of a run's counts; n_place bounds the places of one sequence.
    struct Bounds {
        int32_t n_token = 1, n_output = 1, n_seq = 1, n_place = 1;
        bool deterministic = false;  // for the backends: see hearth_graph
    };

    Graph(const Bounds& bounds, std::vector<hearth_weight> weights, std::vector<hearth_cache> caches);
    Graph(Graph&&) = default;  // nodes point at labels_, which a copy would not share
    Graph& operator=(Graph&&) = default;

    // A new buffer and the value that covers it: rows x n_group x group_width.
    Value value(int32_t rows, int32_t n_group, int32_t group_width, int32_t row_factor = 1);
    // Groups [group, group + n_group), and of each the elements [begin, begin + width).
    Value view(Value base, int32_t group, int32_t n_group, int32_t begin, int32_t width);
    // The same elements seen as n_group groups (the base must be contiguous within a row).
    Value regroup(Value base, int32_t n_group);
    // A view of `base`, a whole buffer, with this form; v.offset counts from the buffer's start.
    Value view_as(Value base, const hearth_value& v);
    // Says that the columns of the buffer of v, from its first to its last, may be spread over devices: see graph/shard.hpp.
    Value divide(Value v, const std::vector<Division>& divisions);
    // The reference is valid until the next node is added: set its parameters at once.
    hearth_node& node(const NodeSpec& spec);
    // A node whose operands are indexes already; the label is copied.
    hearth_node& node(const hearth_node& n, const std::string& label);
    int32_t add_weight(const hearth_weight& weight);

    const hearth_value& at(Value v) const { return values_[static_cast<std::size_t>(v.index)]; }
    int32_t width(Value v) const { return at(v).n_group * at(v).group_width; }

    // Assigns arena offsets by lifetime; call once, after the last node. `result` lives to the end.
    void finish(Value result);
    // Valid while this graph lives and is not changed.
    hearth_graph view() const;

    const std::vector<hearth_node>& nodes() const { return nodes_; }
    const std::vector<hearth_value>& values() const { return values_; }
    const std::vector<hearth_weight>& weights() const { return weights_; }
    const std::vector<hearth_cache>& caches() const { return caches_; }
    // Which buffer a value is a view of (for the printer and the tests).
    int32_t buffer_of(int32_t value_index) const { return buffer_of_[static_cast<std::size_t>(value_index)]; }

    // Empty: the buffer stays whole.
    const std::vector<Division>& divisions(int32_t buffer) const { return divisions_[static_cast<std::size_t>(buffer)]; }
    const Bounds& bounds() const { return bounds_; }

    // Nodes from here on belong to this layer: -1 = before the first (the embedding), n_layer = the output.
    void set_layer(int32_t layer) { layer_ = layer; }
    int32_t layer_of(std::size_t node_index) const { return layer_of_[node_index]; }

    int32_t n_buffer() const { return static_cast<int32_t>(buffers_.size()); }
    int64_t buffer_offset(int32_t buffer) const { return buffers_[static_cast<std::size_t>(buffer)].offset; }
    int64_t buffer_bytes(int32_t buffer) const { return buffers_[static_cast<std::size_t>(buffer)].bytes; }
    // Of the rows that a run of these counts has.
    int64_t buffer_bytes(int32_t buffer, int32_t n_token, int32_t n_output) const;

  private:
    struct Rows {
        int32_t kind, factor;  // HEARTH_ROWS_*, rows per token or output
        int64_t width;
    };
    void note_use(int32_t value_index, int32_t node_index);

    Bounds bounds_;
    std::vector<hearth_weight> weights_;
    std::vector<hearth_cache> caches_;
    std::vector<hearth_value> values_;
    std::vector<hearth_node> nodes_;
    std::vector<int32_t> buffer_of_;  // [n_value]
    std::vector<ArenaBuffer> buffers_;
    std::vector<Rows> rows_;         // [n_buffer]
    std::vector<std::vector<Division>> divisions_;  // [n_buffer]
    std::vector<int32_t> layer_of_;  // [n_node]
    int32_t layer_ = -1;
    std::deque<std::string> labels_;  // a deque: addresses stay valid
    int32_t result_ = -1;
    int64_t arena_bytes_ = 0;
};

// One line per node, for people and for golden files; does not depend on the bounds.
std::string print(const Graph& graph);

const char* op_name(int32_t op);  // "LINEAR"; "?" for an unknown id

}  // namespace hearth

// Values, views, nodes and the arena plan of a graph.
#include "graph/graph.hpp"

#include <algorithm>
#include <iterator>

namespace hearth {

namespace {
constexpr int64_t kAlign = 64;
int64_t align_up(int64_t n) { return (n + kAlign - 1) / kAlign * kAlign; }
}  // namespace

Graph::Graph(const Bounds& bounds, std::vector<hearth_weight> weights, std::vector<hearth_cache> caches)
    : bounds_(bounds), weights_(std::move(weights)), caches_(std::move(caches)) {}

Value Graph::value(int32_t rows, int32_t n_group, int32_t group_width, int32_t row_factor) {
    const int64_t width = int64_t{n_group} * group_width;
    const int64_t n_row = int64_t{rows == HEARTH_ROWS_TOKEN ? bounds_.n_token : bounds_.n_output} * row_factor;
    buffer_of_.push_back(static_cast<int32_t>(buffers_.size()));
    buffers_.push_back({align_up(n_row * width * 4), -1, -1, 0});
    rows_.push_back({rows, row_factor, width});
    divisions_.emplace_back();
    values_.push_back({rows, row_factor, n_group, group_width, width, group_width, 0});
    return {static_cast<int32_t>(values_.size()) - 1};
}

Value Graph::view(Value base, int32_t group, int32_t n_group, int32_t begin, int32_t width) {
    hearth_value v = at(base);
    v.offset += 4 * (group * v.group_stride + begin);
    v.n_group = n_group;
    v.group_width = width;
    values_.push_back(v);
    buffer_of_.push_back(buffer_of(base.index));
    return {static_cast<int32_t>(values_.size()) - 1};
}

Value Graph::regroup(Value base, int32_t n_group) {
    hearth_value v = at(base);
    v.group_width = v.n_group * v.group_width / n_group;
    v.n_group = n_group;
    v.group_stride = v.group_width;
    values_.push_back(v);
    buffer_of_.push_back(buffer_of(base.index));
    return {static_cast<int32_t>(values_.size()) - 1};
}

Value Graph::view_as(Value base, const hearth_value& v) {
    values_.push_back(v);
    buffer_of_.push_back(buffer_of(base.index));
    return {static_cast<int32_t>(values_.size()) - 1};
}

Value Graph::divide(Value v, const std::vector<Division>& divisions) {
    divisions_[static_cast<std::size_t>(buffer_of(v.index))] = divisions;
    return v;
}

int32_t Graph::add_weight(const hearth_weight& weight) {
    weights_.push_back(weight);
    return static_cast<int32_t>(weights_.size()) - 1;
}

void Graph::note_use(int32_t value_index, int32_t node_index) {
    if (value_index < 0) return;
    ArenaBuffer& buffer = buffers_[static_cast<std::size_t>(buffer_of(value_index))];
    if (buffer.first < 0) buffer.first = node_index;
    buffer.last = node_index;
}

hearth_node& Graph::node(const NodeSpec& spec) {
    hearth_node n{};
    n.op = spec.op;
    std::fill(std::begin(n.in), std::end(n.in), -1);
    std::fill(std::begin(n.out), std::end(n.out), -1);
    std::fill(std::begin(n.weight), std::end(n.weight), -1);
    std::transform(spec.in.begin(), spec.in.end(), n.in, [](Value v) { return v.index; });
    std::transform(spec.out.begin(), spec.out.end(), n.out, [](Value v) { return v.index; });
    std::copy(spec.weight.begin(), spec.weight.end(), n.weight);
    n.cache_group = spec.cache_group;
    n.cache_layer = spec.cache_layer;
    return node(n, spec.label);
}

hearth_node& Graph::node(const hearth_node& given, const std::string& label) {
    hearth_node n = given;
    n.label = labels_.emplace_back(label).c_str();
    const auto index = static_cast<int32_t>(nodes_.size());
    for (int32_t v : n.in) note_use(v, index);
    for (int32_t v : n.out) note_use(v, index);
    layer_of_.push_back(layer_);
    return nodes_.emplace_back(n);
}

int64_t Graph::buffer_bytes(int32_t buffer, int32_t n_token, int32_t n_output) const {
    const Rows& r = rows_[static_cast<std::size_t>(buffer)];
    return 4 * int64_t{r.kind == HEARTH_ROWS_TOKEN ? n_token : n_output} * r.factor * r.width;
}

void Graph::finish(Value result) {
    result_ = result.index;
    buffers_[static_cast<std::size_t>(buffer_of(result.index))].last = static_cast<int32_t>(nodes_.size());
    arena_bytes_ = plan_arena(buffers_);
    for (std::size_t i = 0; i < values_.size(); ++i)
        values_[i].offset += buffers_[static_cast<std::size_t>(buffer_of_[i])].offset;
}

hearth_graph Graph::view() const {
    hearth_graph g{};
    g.size = sizeof g;
    g.n_node = static_cast<int32_t>(nodes_.size());
    g.n_value = static_cast<int32_t>(values_.size());
    g.n_weight = static_cast<int32_t>(weights_.size());
    g.n_cache = static_cast<int32_t>(caches_.size());
    g.node = nodes_.data();
    g.value = values_.data();
    g.weight = weights_.data();
    g.cache = caches_.data();
    g.n_token = bounds_.n_token;
    g.n_output = bounds_.n_output;
    g.n_seq = bounds_.n_seq;
    g.n_place = bounds_.n_place;
    g.result = result_;
    g.arena_bytes = arena_bytes_;
    g.deterministic = bounds_.deterministic;
    return g;
}

}  // namespace hearth

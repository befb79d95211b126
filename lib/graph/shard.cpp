// What becomes of each node when its layer is spread over ranks.
#include "graph/shard.hpp"

#include <algorithm>

#include "graph/sharder.hpp"

namespace hearth {

namespace {

constexpr std::size_t kRoot = 0;

bool in_place(const Graph& graph, const hearth_node& node) { return graph.buffer_of(node.in[0]) == graph.buffer_of(node.out[0]); }

}  // namespace

void Sharder::alone(const hearth_node& node) {
    hearth_node n = node;
    for (int32_t& in : n.in) in = read_whole(in).index;
    for (int32_t& out : n.out)
        if (out >= 0) out = write_single(out).index;
    emit_host(n, node.label);
}

void Sharder::on_root(const hearth_node& node) {
    hearth_node n = node;
    for (int32_t& in : n.in) in = read(in, kRoot).index;
    for (int32_t& out : n.out)
        if (out >= 0) out = write_single(out).index;
    emit(kRoot, n, node.label);
}

void Sharder::reduce(const hearth_node& node, std::vector<Value>* summands) {
    flush();
    Collective c{static_cast<int32_t>(out_.graph.nodes().size()), {}, {}};
    for (Value& v : *summands) {
        c.adds.push_back(static_cast<bool>(v));
        if (!v) v = fresh(buffer(node.out[0]));
        c.buffer.push_back(out_.graph.buffer_of(v.index));
    }
    out_.collectives.push_back(std::move(c));
}

void Sharder::deliver(const hearth_node& node, int32_t residual, const std::vector<Value>& values, Kind kind) {
    if (residual < 0) {
        store(node.out[0]) = {kind, values};
        return;
    }
    if (buffer(residual) != buffer(node.out[0])) broken("a sum is written beside what it is added to");
    for (std::size_t r = 0; r < n_rank(); ++r) {
        hearth_node add = node;
        add.op = HEARTH_OP_ADD;
        add.p.scale.scale = 1;
        add.weight[0] = add.weight[1] = add.in[2] = -1;
        add.in[0] = add.out[0] = change(residual, r).index;
        add.in[1] = values[kind == Kind::single ? 0 : r].index;
        emit(r, add, node.label);
    }
}

void Sharder::linear(const hearth_node& node) {
    if (!divisions(node.out[0]).empty()) return column_linear(node);
    if (!divisions(node.in[0]).empty()) return row_linear(node);
    if (only_root_[buffer(node.out[0])]) return on_root(node);
    if (!only_root_[buffer(node.in[0])]) return elementwise(node);
    hearth_node n = node;
    const Value y = fresh(buffer(node.out[0]));
    n.in[0] = read(node.in[0], kRoot).index;
    n.in[1] = -1;
    n.out[0] = y.index;
    emit(kRoot, n, node.label);
    deliver(node, node.in[1], {y}, Kind::single);
}

// Each rank computes its columns of the output: rows of the weight.
void Sharder::column_linear(const hearth_node& node) {
    const bool experts = node.op == HEARTH_OP_LINEAR_EXPERTS;
    if (!experts && node.in[1] >= 0) broken("divided columns are added to something");
    for (std::size_t r = 0; r < n_rank(); ++r) {
        const Value out = write(node.out[0], r, Kind::columns);
        if (!out) continue;
        hearth_node n = node;
        n.out[0] = out.index;
        n.in[0] = read(node.in[0], r).index;
        n.in[1] = read(node.in[1], r).index;
        n.weight[0] = slice(node.weight[0], experts ? HEARTH_USE_EXPERTS : HEARTH_USE_MATMUL, {0, {}, columns(node.out[0], r), {}});
        n.weight[1] = slice(node.weight[1], HEARTH_USE_VECTOR, {0, {}, {}, columns(node.out[0], r)});
        emit(r, n, node.label);
    }
}

// Each rank multiplies the columns of the input that it has: a summand of the whole output. One of them adds the bias.
std::vector<Value> Sharder::summands(const hearth_node& node, int32_t uses) {
    std::vector<Value> sums(n_rank());
    bool biased = false;
    for (std::size_t r = 0; r < n_rank(); ++r) {
        const Value in = read(node.in[0], r);
        if (!in) continue;
        hearth_node n = node;
        n.in[0] = in.index;
        n.in[1] = uses == HEARTH_USE_EXPERTS ? read(node.in[1], r).index : -1;  // the experts' ids; a residual comes to the sum
        sums[r] = fresh(buffer(node.out[0]));
        n.out[0] = sums[r].index;
        n.weight[0] = slice(node.weight[0], uses, {0, {}, {}, columns(node.in[0], r)});
        if (biased) n.weight[1] = -1;
        biased = true;
        emit(r, n, node.label);
    }
    return sums;
}

void Sharder::row_linear(const hearth_node& node) {
    std::vector<Value> sums = summands(node, HEARTH_USE_MATMUL);
    reduce(node, &sums);
    deliver(node, node.in[1], sums, Kind::copies);
}

void Sharder::linear_heads(const hearth_node& node) {
    for (std::size_t r = 0; r < n_rank(); ++r) {
        const Value out = write(node.out[0], r, Kind::columns);
        if (!out) continue;
        hearth_node n = node;
        n.out[0] = out.index;
        n.in[0] = read(node.in[0], r).index;
        n.weight[0] = slice(node.weight[0], HEARTH_USE_HEADS, {0, units(divisions(node.out[0])[0], r), {}, {}});
        emit(r, n, node.label);
    }
}

// Every rank does it to its columns, or all do the same to their copies.
void Sharder::elementwise(const hearth_node& node) {
    const bool divided = !divisions(node.out[0]).empty();
    if (divided && store(node.in[0]).kind == Kind::single) return alone(node);
    for (std::size_t r = 0; r < n_rank(); ++r) {
        hearth_node n = node;
        for (int i = 0; i < 3; ++i) {
            if (node.in[i] < 0) continue;
            const bool changed = buffer(node.in[i]) == buffer(node.out[0]);
            n.in[i] = (changed ? change(node.in[i], r) : read(node.in[i], r)).index;
        }
        if (divided && n.in[0] < 0) continue;  // the rank has none of the columns
        n.out[0] = (in_place(old_, node) ? read(node.out[0], r) : write(node.out[0], r, divided ? Kind::columns : Kind::copies)).index;
        emit(r, n, node.label);
    }
}

void Sharder::cache_store(const hearth_node& node) {
    if (!options_.cache_on_ranks) return alone(node);
    const auto group = static_cast<std::size_t>(node.cache_group);
    const int32_t n_head = old_.caches()[group].n_head_kv;
    const bool latent = node.in[1] < 0;
    for (std::size_t r = 0; r < n_rank(); ++r) {
        const Range heads = latent ? Range{0, 1} : units({Axis::head_kv, n_head, 0}, r);
        if (heads.size() == 0) continue;
        hearth_node n = node;
        for (int32_t& in : n.in) {
            if (in < 0) continue;
            const Value v = read(in, r);
            in = (latent || !divisions(in).empty() ? v : narrow(v, n_head, heads)).index;
        }
        out_.heads[r][group] = heads;
        emit(r, n, node.label);
    }
}

void Sharder::attention(const hearth_node& node) {
    if (!options_.cache_on_ranks) return alone(node);
    const int32_t n_head = old_.at({node.in[0]}).n_group;
    for (std::size_t r = 0; r < n_rank(); ++r) {
        const Range heads = units({Axis::head, n_head, 0}, r);
        const Value out = write(node.out[0], r, Kind::columns);
        if (heads.size() == 0) continue;
        hearth_node n = node;
        const Value q = read(node.in[0], r);
        n.in[0] = (divisions(node.in[0]).empty() ? narrow(q, n_head, heads) : q).index;
        n.out[0] = out.index;
        n.weight[0] = slice(node.weight[0], HEARTH_USE_VECTOR, {0, {}, {}, {heads}});
        emit(r, n, node.label);
    }
}

void Sharder::expert_linear(const hearth_node& node) {
    if (!options_.experts_on_ranks) return alone(node);
    if (!divisions(node.out[0]).empty()) return column_linear(node);
    store(node.out[0]) = {Kind::summands, summands(node, HEARTH_USE_EXPERTS)};
}

void Sharder::expert_sum(const hearth_node& node) {
    const Store& each = store(node.in[0]);
    hearth_node n = node;
    n.in[2] = -1;
    if (each.kind == Kind::single) {
        const Value sum = fresh(buffer(node.out[0]));
        n.in[0] = read_whole(node.in[0]).index;
        n.in[1] = read_whole(node.in[1]).index;
        n.out[0] = sum.index;
        emit_host(n, node.label);
        return deliver(node, node.in[2], {sum}, Kind::single);
    }
    if (each.kind != Kind::summands) broken("experts' rows are neither whole nor summands");
    std::vector<Value> sums(n_rank());
    for (std::size_t r = 0; r < n_rank() && !broken_; ++r) {
        if (!each.base[r]) continue;
        sums[r] = fresh(buffer(node.out[0]));
        n.in[0] = read(node.in[0], r).index;
        n.in[1] = read(node.in[1], r).index;
        n.out[0] = sums[r].index;
        emit(r, n, node.label);
    }
    reduce(node, &sums);
    deliver(node, node.in[2], sums, Kind::copies);
}

void Sharder::spread(const hearth_node& node) {
    switch (node.op) {
        case HEARTH_OP_LINEAR: return linear(node);
        case HEARTH_OP_LINEAR_HEADS: return linear_heads(node);
        case HEARTH_OP_LINEAR_EXPERTS: return expert_linear(node);
        case HEARTH_OP_EXPERT_SUM: return expert_sum(node);
        case HEARTH_OP_CACHE_STORE: return cache_store(node);
        case HEARTH_OP_ATTENTION: return attention(node);
        case HEARTH_OP_ROUTE: return on_root(node);
        case HEARTH_OP_SHORT_CONV: return options_.cache_on_ranks ? on_root(node) : alone(node);
        case HEARTH_OP_NORM:
        case HEARTH_OP_ROPE:
        case HEARTH_OP_GLU:
        case HEARTH_OP_ACT:
        case HEARTH_OP_ADD:
        case HEARTH_OP_SCALE:
        case HEARTH_OP_SOFTCAP:
        case HEARTH_OP_SELECT_ROWS:
        case HEARTH_OP_SCALE_BY_POSITION: return elementwise(node);
        default: broken("there is no rule for one of its operators");
    }
}

void Sharder::finish() {
    const int32_t result = old_.view().result;
    const Store& s = store(result);
    if (s.kind == Kind::columns) {
        for (std::size_t r = 0; r < n_rank(); ++r) {
            if (!s.base[r]) continue;
            const int64_t begin = columns(result, r)[0].begin;
            out_.results.push_back({read(result, r), options_.rank_device[r], static_cast<int32_t>(begin)});
        }
    } else {
        out_.results.push_back({read(result, kRoot), options_.rank_device[kRoot], 0});
    }
    out_.graph.finish(out_.results[0].value);
}

Result<PlacedGraph> Sharder::run() {
    for (const hearth_node& node : old_.nodes()) {
        layer_ = old_.layer_of(static_cast<std::size_t>(&node - old_.nodes().data()));
        if (layer_ < options_.first_layer)
            alone(node);
        else
            spread(node);
        if (broken_) return fail(Code::internal, "the graph cannot be spread over ranks at {}: {}", node.label, broken_);
    }
    flush();
    finish();
    return std::move(out_);
}

Result<PlacedGraph> shard(const Graph& whole, const ShardOptions& options) { return Sharder(whole, options).run(); }

}  // namespace hearth

// Buffers, views, operands and weight slices of the tensor-parallel graph.
#include "graph/sharder.hpp"

#include <algorithm>
#include <numeric>

#include "quant/format.hpp"

namespace hearth {

namespace {

constexpr int32_t kHost = 0;

hearth_node scale_node(Value from, Value to) {
    hearth_node n{};
    n.op = HEARTH_OP_SCALE;
    n.in[0] = from.index;
    n.out[0] = to.index;
    n.in[1] = n.in[2] = n.out[1] = n.weight[0] = n.weight[1] = n.cache_group = n.cache_layer = -1;
    n.p.scale.scale = 1;
    return n;
}

int64_t total(const std::vector<Range>& ranges) {
    return std::accumulate(ranges.begin(), ranges.end(), int64_t{0}, [](int64_t n, const Range& r) { return n + r.size(); });
}

}  // namespace

Sharder::Sharder(const Graph& old, const ShardOptions& options)
    : old_(old), options_(options), ranges_(old, options.shares),
      out_{Graph(old.bounds(), old.weights(), old.caches()), {}, options.rank_device, {}, {}, {}, {}},
      store_(static_cast<std::size_t>(old.n_buffer())), base_(store_.size()), only_root_(store_.size()), pending_(n_rank()) {
    out_.heads.assign(n_rank(), std::vector<Range>(old.caches().size()));
    for (std::size_t v = old.values().size(); v-- > 0;) base_[buffer(static_cast<int32_t>(v))] = static_cast<int32_t>(v);
    for (const hearth_node& node : old.nodes()) {
        if (node.op != HEARTH_OP_ROUTE && node.op != HEARTH_OP_SHORT_CONV) continue;
        only_root_[buffer(node.in[0])] = only_root_[buffer(node.out[0])] = true;
    }
}

Value Sharder::broken(const char* why) {
    broken_ = why;
    return {};
}

void Sharder::append(const Pending& p, int32_t device) {
    out_.graph.set_layer(p.layer);
    out_.graph.node(p.node, p.label);
    out_.device_of_node.push_back(device);
}

void Sharder::emit_host(const hearth_node& node, const std::string& label) {
    flush();
    append({node, label, layer_}, kHost);
}

void Sharder::flush() {
    for (std::size_t r = 0; r < n_rank(); ++r) {
        for (const Pending& p : pending_[r]) append(p, options_.rank_device[r]);
        pending_[r].clear();
    }
}

Value Sharder::fresh(std::size_t old_buffer, int64_t width) {
    const hearth_value v = old_.at({base_[old_buffer]});
    if (width >= 0) return out_.graph.value(v.rows, 1, static_cast<int32_t>(width), v.row_factor);
    return out_.graph.value(v.rows, v.n_group, v.group_width, v.row_factor);
}

hearth_value Sharder::form(int32_t value) const {
    hearth_value v = old_.at({value});
    v.offset -= old_.buffer_offset(old_.buffer_of(value));
    return v;
}

int64_t Sharder::local_width(int32_t value, std::size_t rank) const {
    int64_t width = 0;
    for (const Division& d : divisions(value)) width += units(d, rank).size() * d.unit_width;
    return width;
}

Value Sharder::local_view(Value base, int32_t value, std::size_t rank) {
    if (!base) return {};
    hearth_value v = form(value);
    v.row_stride = local_width(value, rank);
    const hearth_value& whole = old_.at({base_[buffer(value)]});
    if (v.n_group == 1 && v.group_width == whole.n_group * whole.group_width) {
        v.group_width = static_cast<int32_t>(v.row_stride);
        v.group_stride = v.row_stride;
        return out_.graph.view_as(base, v);
    }
    int64_t old_begin = 0, begin = 0;
    for (const Division& d : divisions(value)) {
        const int64_t column = v.offset / 4 - old_begin, n = units(d, rank).size();
        if (column < d.width()) {
            if (n == 0) return {};
            v.offset = 4 * (begin + column);
            return part_view(base, v, d, n, column);
        }
        old_begin += d.width();
        begin += n * d.unit_width;
    }
    return broken("a view lies outside its buffer");
}

// All units of one division, each whole or the same stretch of each; or all its columns as one group.
Value Sharder::part_view(Value base, hearth_value v, const Division& d, int64_t n_unit, int64_t column) {
    if (v.n_group == d.n_unit && (v.group_stride == d.unit_width || d.n_unit == 1) && column + v.group_width <= d.unit_width) {
        v.n_group = static_cast<int32_t>(n_unit);
    } else if (v.n_group == 1 && column == 0 && v.group_width == d.width()) {
        v.group_width = static_cast<int32_t>(n_unit * d.unit_width);
        v.group_stride = v.group_width;
    } else {
        return broken("a view cuts through what stays whole");
    }
    return out_.graph.view_as(base, v);
}

Value Sharder::narrow(Value whole, int32_t n_unit, const Range& units) {
    if (units.size() == 0) return {};
    const hearth_value v = out_.graph.at(whole);
    const auto begin = static_cast<int32_t>(units.begin), n = static_cast<int32_t>(units.size());
    if (v.n_group == n_unit) return out_.graph.view(whole, begin, n, 0, v.group_width);
    if (v.n_group != 1) return broken("a view of whole columns has other groups than they");
    const int32_t width = v.group_width / n_unit;
    return out_.graph.view(whole, 0, 1, begin * width, n * width);
}

Value Sharder::read(int32_t value, std::size_t rank) {
    if (value < 0) return {};
    const Store& s = store(value);
    if (s.kind == Kind::none) return broken("a value is read before it is written");
    if (s.kind == Kind::columns) return local_view(s.base[rank], value, rank);
    if (s.kind != Kind::single) return same_view(s.base[rank], value);
    const Value whole = same_view(s.base[0], value);
    const auto& parts = divisions(value);
    return parts.empty() ? whole : narrow(whole, parts[0].n_unit, units(parts[0], rank));
}

// What was whole on one device is copied to every rank first.
Value Sharder::change(int32_t value, std::size_t rank) {
    Store& s = store(value);
    if (s.kind == Kind::single) {
        const Value from = s.base[0];
        s = {Kind::copies, {}};
        for (std::size_t r = 0; r < n_rank(); ++r) {
            s.base.push_back(fresh(buffer(value)));
            emit(r, scale_node(from, s.base.back()), "to_rank");
        }
    }
    return read(value, rank);
}

// The first rank's copy, or all columns brought together.
Value Sharder::read_whole(int32_t value) {
    if (value < 0) return {};
    Store& s = store(value);
    if (s.kind == Kind::none) return broken("a value is read before it is written");
    if (s.kind != Kind::columns) return same_view(s.base[0], value);
    if (!s.gathered) gather(value);
    return same_view(s.gathered, value);
}

void Sharder::gather(int32_t value) {
    Store& s = store(value);
    s.gathered = fresh(buffer(value));
    const Value row = out_.graph.regroup(s.gathered, 1);
    int64_t old_begin = 0;
    std::vector<int64_t> begin(n_rank(), 0);
    for (const Division& d : divisions(value)) {
        int64_t done = 0;
        for (std::size_t r = 0; r < n_rank(); ++r) {
            const Range mine = units(d, r);
            const auto width = static_cast<int32_t>(mine.size() * d.unit_width), at = static_cast<int32_t>(begin[r]);
            begin[r] += width;
            if (width == 0 || mine.begin < done) continue;  // several ranks may hold the same heads
            done = mine.end;
            const auto to = static_cast<int32_t>(old_begin + mine.begin * d.unit_width);
            emit_host(scale_node(out_.graph.view(s.base[r], 0, 1, at, width), out_.graph.view(row, 0, 1, to, width)), "gather");
        }
        old_begin += d.width();
    }
}

Value Sharder::write_single(int32_t value) {
    Store& s = store(value);
    if (s.kind != Kind::single) s = {Kind::single, {fresh(buffer(value))}};
    return same_view(s.base[0], value);
}

Value Sharder::write(int32_t value, std::size_t rank, Kind kind) {
    Store& s = store(value);
    if (s.kind == Kind::single && kind == Kind::copies) return change(value, rank);
    if (s.kind != kind) {
        s = {kind, {}};
        for (std::size_t r = 0; r < n_rank(); ++r) {
            const int64_t width = kind == Kind::columns ? local_width(value, r) : -1;
            s.base.push_back(width == 0 ? Value{} : fresh(buffer(value), width));
        }
    }
    s.gathered = {};
    return read(value, rank);
}

int32_t Sharder::slice(int32_t weight, int32_t uses, WeightSlice cut) {
    if (weight < 0) return -1;
    cut.weight = weight;
    hearth_weight desc = old_.weights()[static_cast<std::size_t>(weight)];
    desc.uses = uses;
    if (cut.matrices.size() > 0) desc.shape[0] = cut.matrices.size();
    if (!cut.rows.empty()) desc.shape[desc.n_dim - 2] = total(cut.rows);
    if (!cut.columns.empty()) desc.shape[desc.n_dim - 1] = total(cut.columns);
    const int64_t block = find_format(desc.format)->block_elements;
    if (std::any_of(cut.columns.begin(), cut.columns.end(), [&](const Range& r) { return r.begin % block != 0 || r.end % block != 0; }))
        broken("a cut falls inside a quantisation block");
    out_.slices.push_back(std::move(cut));
    return out_.graph.add_weight(desc);
}

std::vector<Range> Sharder::columns(int32_t value, std::size_t rank) const {
    std::vector<Range> ranges;
    int64_t begin = 0;
    for (const Division& d : divisions(value)) {
        const Range u = units(d, rank);
        if (u.size() > 0) ranges.push_back({begin + u.begin * d.unit_width, begin + u.end * d.unit_width});
        begin += d.width();
    }
    return ranges;
}

}  // namespace hearth

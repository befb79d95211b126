// Checks, measures and runs graphs of LINEAR nodes.
#include "device/onednn/program.hpp"

#include <algorithm>
#include <cstring>

#include "base/half.hpp"

namespace hearth::onednn {

namespace {

constexpr std::size_t kAlign = 64;

int64_t n_row_of(const hearth_value& v, int64_t n_token, int64_t n_output) {
    return (v.rows == HEARTH_ROWS_OUTPUT ? n_output : n_token) * v.row_factor;
}
int64_t width_of(const hearth_value& v) { return int64_t{v.n_group} * v.group_width; }
bool is_dense(const hearth_value& v) { return v.n_group == 1 || v.group_stride == v.group_width; }

std::string refusal_of(const hearth_graph& graph, const hearth_node& node) {
    const std::string label = node.label ? node.label : "";
    if (node.op != HEARTH_OP_LINEAR)
        return std::string("operator ") + op_name(node.op) + " (" + std::to_string(node.op) + ") of '" + label +
               "' is not supported by the oneDNN backend, which does LINEAR alone";
    for (int32_t operand : node.weight)
        if (operand >= 0 && !serves_format(graph.weight[operand].format))
            return std::string("tensor format ") + format_name(graph.weight[operand].format) + " of '" + label +
                   "' is not supported by the oneDNN backend, which takes F32, F16 and BF16";
    const hearth_value &x = graph.value[node.in[0]], &y = graph.value[node.out[0]];
    if (!is_dense(x) || !is_dense(y) || (node.in[1] >= 0 && !is_dense(graph.value[node.in[1]])))
        return "the groups of a row of '" + label + "' lie apart; the oneDNN backend takes rows without gaps";
    const hearth_weight& w = graph.weight[node.weight[0]];
    if (w.n_dim != 2 || width_of(x) != w.shape[1] || width_of(y) != w.shape[0])
        return "the rows of LINEAR '" + label + "' do not fit its weight";
    return {};
}

}  // namespace

std::string refusal(const hearth_graph& graph) {
    for (int32_t i = 0; i < graph.n_node; ++i)
        if (std::string why = refusal_of(graph, graph.node[i]); !why.empty()) return why;
    return {};
}

Program::Program(const hearth_graph& graph, const dnnl::engine& engine, bool has_bf16, Bound bound)
    : graph_(graph), bound_(std::move(bound)) {
    for (int32_t i = 0; i < graph.n_node; ++i) product_.push_back(product_of(graph.node[i], has_bf16));
    for (const Product& product : products_) measure(product, engine);
}

// Finds the product of a node's shape, or adds it.
std::size_t Program::product_of(const hearth_node& node, bool has_bf16) {
    const hearth_weight& w = graph_.weight[node.weight[0]];
    const hearth_value &x = graph_.value[node.in[0]], &y = graph_.value[node.out[0]];
    MatmulShape shape{w.shape[0], w.shape[1], x.row_stride, y.row_stride, layout_of(w, has_bf16) == Layout::bf16,
                      node.in[1] >= 0 || node.weight[1] >= 0, node.p.scale.scale};
    if (shape.bf16) shape.x_stride = shape.n_in;  // converted rows are dense
    const auto same = [&](const Product& p) { return p.matmul.shape() == shape; };
    auto found = std::find_if(products_.begin(), products_.end(), same);
    if (found == products_.end()) found = products_.insert(found, Product{Matmul(shape), 1});
    const int64_t most = std::min(kPartRows, n_row_of(x, graph_.n_token, graph_.n_output));
    found->most_rows = std::max(found->most_rows, most);
    return static_cast<std::size_t>(found - products_.begin());
}

// For the most rows and for every power of two below, which is what Matmul::run falls back to.
void Program::measure(const Product& product, const dnnl::engine& engine) {
    const auto one = [&](int64_t n) { pad_bytes_ = std::max(pad_bytes_, product.matmul.scratch_bytes(engine, n)); };
    for (int64_t n = 1; n < product.most_rows; n *= 2) one(n);
    one(product.most_rows);
    if (!product.matmul.shape().bf16) return;
    const auto bytes = static_cast<std::size_t>(product.most_rows * product.matmul.shape().n_in) * sizeof(Bf16);
    activation_bytes_ = std::max(activation_bytes_, (bytes + kAlign - 1) / kAlign * kAlign);
}

uint32_t Program::n_part(uint32_t node, const hearth_run_args& args) const {
    const hearth_value& x = graph_.value[graph_.node[node].in[0]];
    return static_cast<uint32_t>((n_row_of(x, args.n_token, args.n_output) + kPartRows - 1) / kPartRows);
}

float* Program::row(int32_t value, int64_t r) const {
    const hearth_value& v = graph_.value[value];
    return reinterpret_cast<float*>(bound_.arena + v.offset) + r * v.row_stride;
}

// What the product is added to: in[1] + scale * bias, either of which may be absent.
void Program::prepare_output(const hearth_node& node, int64_t first, int64_t n_row) const {
    const int64_t n_out = graph_.weight[node.weight[0]].shape[0];
    const std::byte* stored = node.weight[1] >= 0 ? bound_.weight[static_cast<std::size_t>(node.weight[1])] : nullptr;
    const auto* bias = reinterpret_cast<const float*>(stored);
    const float scale = node.p.scale.scale;
    for (int64_t r = first; r < first + n_row; ++r) {
        float* y = row(node.out[0], r);
        const float* before = node.in[1] >= 0 ? row(node.in[1], r) : nullptr;
        if (before && !bias && before != y) std::memcpy(y, before, static_cast<std::size_t>(n_out) * sizeof(float));
        for (int64_t o = 0; bias && o < n_out; ++o) y[o] = (before ? before[o] : 0.0f) + scale * bias[o];
    }
}

void Program::round_activations(const hearth_node& node, int64_t first, int64_t n_row) const {
    const int64_t n_in = graph_.weight[node.weight[0]].shape[1];
    auto* to = reinterpret_cast<Bf16*>(bound_.scratch);
    for (int64_t r = 0; r < n_row; ++r)
        std::transform(row(node.in[0], first + r), row(node.in[0], first + r) + n_in, to + r * n_in,
                       [](float v) { return to_bf16(v); });
}

void Program::run_part(dnnl::stream& stream, uint32_t index, uint32_t part, const hearth_run_args& args) {
    const hearth_node& node = graph_.node[index];
    Matmul& matmul = products_[product_[index]].matmul;
    const int64_t first = part * kPartRows;
    const int64_t n_row = std::min(kPartRows, n_row_of(graph_.value[node.in[0]], args.n_token, args.n_output) - first);
    if (matmul.shape().accumulate) prepare_output(node, first, n_row);
    if (matmul.shape().bf16) round_activations(node, first, n_row);
    const std::byte* weight = bound_.weight[static_cast<std::size_t>(node.weight[0])];
    std::byte* pad = bound_.scratch ? bound_.scratch + activation_bytes_ : nullptr;
    for (int64_t done = 0; done < n_row;) {
        const void* x = row(node.in[0], first + done);
        if (matmul.shape().bf16) x = reinterpret_cast<const Bf16*>(bound_.scratch) + done * matmul.shape().n_in;
        done += matmul.run(stream, n_row - done, x, weight, row(node.out[0], first + done), pad, pad_bytes_);
    }
}

}  // namespace hearth::onednn

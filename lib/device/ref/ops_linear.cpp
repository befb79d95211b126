// Matrix products of the reference backend: one decoded row of weights times one row of activations, in double.
#include <Eigen/Core>

#include "device/ref/decode.hpp"
#include "device/ref/ref.hpp"

namespace hearth::ref {

namespace {

using Row = Eigen::Map<const Eigen::VectorXf, Eigen::Unaligned>;

// Row `index` of all the rows of a weight, decoded.
Eigen::VectorXd weight_row(const Work& w, int operand, int64_t index) {
    const hearth_weight& weight = w.weight(operand);
    const int64_t n_in = weight.shape[weight.n_dim - 1];
    Eigen::VectorXd row(n_in);
    decode_row(weight.format, w.matrix(operand) + index * format_row_bytes(weight.format, n_in),
               static_cast<std::size_t>(n_in), row.data());
    return row;
}

}  // namespace

void op_embed(const Work& w) {
    const hearth_value& out = w.out(0);
    int64_t next_embedding = 0;
    for (int64_t t = 0; t < w.args.n_token; ++t) {
        float* to = w.row(out, t);
        const int64_t width = int64_t{out.n_group} * out.group_width;
        if (w.args.token[t] < 0) {
            const float* from = w.args.embedding + next_embedding++ * width;
            for (int64_t i = 0; i < width; ++i) to[i] = from[i];
            continue;
        }
        const Eigen::VectorXd row = weight_row(w, 0, w.args.token[t]);
        for (int64_t i = 0; i < width; ++i) to[i] = static_cast<float>(row[i]) * w.node.p.scale.scale;
    }
}

void op_add_position(const Work& w) {
    for (int64_t t = 0; t < w.args.n_token; ++t) {
        const Eigen::VectorXd row = weight_row(w, 0, w.args.pos[t * w.args.n_pos_axis]);
        for (int64_t i = 0; i < row.size(); ++i)
            w.row(w.out(0), t)[i] = static_cast<float>(w.row(w.in(0), t)[i] + row[i]);
    }
}

void op_linear(const Work& w) {
    const hearth_value &x = w.in(0), &y = w.out(0);
    const int64_t n_out = w.weight(0).shape[0], n_in = w.weight(0).shape[1];
    for (int64_t o = 0; o < n_out; ++o) {
        const Eigen::VectorXd row = weight_row(w, 0, o);
        for (int64_t r = 0; r < w.n_row(x); ++r) {
            const double sum = row.dot(Row(w.row(x, r), n_in).cast<double>()) + (w.has_weight(1) ? w.vector(1)[o] : 0.0f);
            const double before = w.node.in[1] >= 0 ? w.row(w.in(1), r)[o] : 0.0f;
            w.row(y, r)[o] = static_cast<float>(before + sum * w.node.p.scale.scale);
        }
    }
}

void op_linear_heads(const Work& w) {
    const hearth_value &x = w.in(0), &y = w.out(0);
    const int64_t n_out = w.weight(0).shape[1], n_in = w.weight(0).shape[2];
    for (int32_t h = 0; h < x.n_group; ++h)
        for (int64_t o = 0; o < n_out; ++o) {
            const Eigen::VectorXd row = weight_row(w, 0, h * n_out + o);
            for (int64_t r = 0; r < w.n_row(x); ++r)
                w.row(y, r, h)[o] = static_cast<float>(row.dot(Row(w.row(x, r, h), n_in).cast<double>()));
        }
}

void op_linear_experts(const Work& w) {
    const hearth_value &x = w.in(0), &ids = w.in(1), &y = w.out(0);
    const int64_t n_expert = w.weight(0).shape[0], n_out = w.weight(0).shape[1], n_in = w.weight(0).shape[2];
    const int64_t k = y.row_factor / ids.row_factor;
    for (int64_t e = 0; e < n_expert; ++e)
        for (int64_t o = 0; o < n_out; ++o) {
            Eigen::VectorXd row;
            for (int64_t r = 0; r < w.n_row(y); ++r) {
                if (reinterpret_cast<const int32_t*>(w.row(ids, r / k))[r % k] != e) continue;
                if (row.size() == 0) row = weight_row(w, 0, e * n_out + o);
                const float* from = w.row(x, x.row_factor == y.row_factor ? r : r / k);
                const float bias = w.has_weight(1) ? w.vector(1)[e * n_out + o] : 0.0f;
                w.row(y, r)[o] = static_cast<float>(row.dot(Row(from, n_in).cast<double>()) + bias);
            }
        }
}

}  // namespace hearth::ref

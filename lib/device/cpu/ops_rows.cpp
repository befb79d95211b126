// Operators that treat every row alone: embeddings, norms, rotary embedding, activations, element-wise arithmetic.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "device/cpu/program.hpp"

namespace hearth::cpu {

namespace {

int64_t blocks(int64_t n) { return (n + kRowsPerPart - 1) / kRowsPerPart; }

// A part that calls fn(step, run, row) for its rows.
template <void (*fn)(const Step&, const Run&, int64_t)>
void each_row(const Step& step, const Run& run, int64_t part, int32_t) {
    const RowRange rows = rows_of_part(step.out[0].n_row(run), kRowsPerPart, part);
    for (int64_t r = rows.begin; r < rows.end; ++r) fn(step, run, r);
}

// The token that row r of a value belongs to.
int64_t token_of(const Operand& x, const Run& run, int64_t r) {
    const int64_t i = r / x.row_factor;
    return x.rows == HEARTH_ROWS_OUTPUT ? run.args->output_row[i] : i;
}

// Calls fn(offset of each operand's stretch..., n) for the contiguous stretches of a row: the row, or each group.
template <class F>
void each_stretch(const Operand& y, const Operand& a, const Operand& b, int64_t r, F fn) {
    const bool whole = y.flat() && a.flat() && (!b.exists || b.flat());
    const int64_t n = whole ? y.width() : y.group_width;
    for (int64_t g = 0; g < (whole ? 1 : y.n_group); ++g)
        fn(y.row(r) + g * y.group_stride, a.row(r) + g * a.group_stride, b.exists ? b.row(r) + g * b.group_stride : nullptr, n);
}

void embed_row(const Step& step, const Run& run, int64_t r) {
    const hearth_run_args& args = *run.args;
    float* out = step.out[0].row(r);
    const int64_t width = step.out[0].width();
    if (args.token[r] >= 0 && step.weight[0].data) {
        decode_row(*step.weight[0].info, step.weight[0].layout, step.weight[0].data, args.token[r], out);
        if (step.node->p.scale.scale != 1.0f) run.kernels->row->scale(out, out, step.node->p.scale.scale, width);
        return;
    }
    int64_t injected = 0;
    for (int64_t t = 0; t < r; ++t) injected += args.token[t] < 0;
    std::memcpy(out, args.embedding + injected * width, static_cast<std::size_t>(width) * 4);
}

void add_position_row(const Step& step, const Run& run, int64_t r) {
    const int64_t width = step.out[0].width();
    float position[256];  // pieces of whole blocks
    const hearth_weight& info = *step.weight[0].info;
    const FormatInfo& format = *find_format(info.format);
    const uint8_t* row = step.weight[0].data + run.args->pos[r * run.args->n_pos_axis] * matrix_of(info, Layout::rows).row_bytes;
    for (int64_t i = 0; i < width; i += 256) {
        const int64_t n = std::min<int64_t>(256, width - i);
        decode(format.format, row + i / format.block_elements * format.block_bytes, position, static_cast<std::size_t>(n));
        run.kernels->row->add(step.out[0].row(r) + i, step.in[0].row(r) + i, position, 1.0f, n);
    }
}

void norm_row(const Step& step, const Run& run, int64_t r) {
    const hearth_norm_params& p = step.node->p.norm;
    const Operand &x = step.in[0], &y = step.out[0];
    const float *weight = step.weight[0].vector(), *bias = step.weight[1].vector();
    for (int64_t g = 0; g < y.n_group; ++g) {
        const int64_t at = p.per_group ? g * y.group_width : 0;
        run.kernels->row->norm(y.row(r) + g * y.group_stride, x.row(r) + g * x.group_stride, y.group_width, p.kind, p.eps,
                               weight ? weight + at : nullptr, bias ? bias + at : nullptr);
    }
}

void rope_row(const Step& step, const Run& run, int64_t r) {
    const hearth_rope_params& p = step.node->p.rope;
    const Operand &x = step.in[0], &y = step.out[0];
    const float* table = reinterpret_cast<const float*>(step.scratch) + token_of(y, run, r) * p.n_rot;
    for (int64_t g = 0; g < y.n_group; ++g)
        run.kernels->row->rope(y.row(r) + g * y.group_stride, x.row(r) + g * x.group_stride, table, p.n_rot, y.group_width,
                               p.style != HEARTH_ROPE_PAIRS);
}

void act_row(const Step& step, const Run& run, int64_t r) {
    each_stretch(step.out[0], step.in[0], {}, r, [&](float* y, const float* x, const float*, int64_t n) {
        run.kernels->row->act(y, x, n, step.node->p.act.kind);
    });
}

void glu_row(const Step& step, const Run& run, int64_t r) {
    const hearth_act_params& p = step.node->p.act;
    each_stretch(step.out[0], step.in[0], step.in[1], r, [&](float* y, const float* a, const float* b, int64_t n) {
        run.kernels->row->glu(y, a, b, n, p.kind, p.alpha, p.limit);
    });
}

void add_row(const Step& step, const Run& run, int64_t r) {
    each_stretch(step.out[0], step.in[0], step.in[1], r, [&](float* y, const float* a, const float* b, int64_t n) {
        run.kernels->row->add(y, a, b, step.node->p.scale.scale, n);
    });
}

void scale_row(const Step& step, const Run& run, int64_t r) {
    each_stretch(step.out[0], step.in[0], {}, r, [&](float* y, const float* x, const float*, int64_t n) {
        run.kernels->row->scale(y, x, step.node->p.scale.scale, n);
    });
}

void softcap_row(const Step& step, const Run& run, int64_t r) {
    each_stretch(step.out[0], step.in[0], {}, r, [&](float* y, const float* x, const float*, int64_t n) {
        run.kernels->row->softcap(y, x, step.node->p.scale.scale, n);
    });
}

void scale_by_position_row(const Step& step, const Run& run, int64_t r) {
    const hearth_position_params& p = step.node->p.position;
    const int32_t position = run.args->pos[token_of(step.out[0], run, r) * run.args->n_pos_axis];
    const double factor = 1 + static_cast<double>(p.scale) * std::log(1 + std::floor(position / static_cast<double>(p.length)));
    each_stretch(step.out[0], step.in[0], {}, r, [&](float* y, const float* x, const float*, int64_t n) {
        run.kernels->row->scale(y, x, static_cast<float>(factor), n);
    });
}

void select_row(const Step& step, const Run& run, int64_t r) {
    const Operand &x = step.in[0], &y = step.out[0];
    const float* from = x.row(run.args->output_row[r]);
    for (int64_t g = 0; g < y.n_group; ++g)
        std::memcpy(y.row(r) + g * y.group_stride, from + g * x.group_stride, static_cast<std::size_t>(y.group_width) * 4);
}

template <void (*fn)(const Step&, const Run&, int64_t)>
Status bind_rows(Builder& builder, const hearth_node& node) {
    builder.add(builder.bound(node, each_row<fn>, row_parts));
    return {};
}

bool known_act(int32_t kind, bool glu) {
    if (kind == HEARTH_ACT_GELU_TANH_HALF) return true;
    return kind >= HEARTH_ACT_SILU && kind <= (glu ? HEARTH_ACT_SWIGLU_OAI : HEARTH_ACT_RELU2);
}

// The angle of frequency i at a position, in double: see hearth_rope_params.
struct Angles {
    const hearth_rope_params& p;
    double low, high;  // YaRN: frequencies below `low` keep their angle, those above `high` are scaled

    explicit Angles(const hearth_rope_params& params) : p(params), low(0), high(0) {
        if (p.ext_factor == 0) return;
        const auto corner = [&](double turns) {  // the frequency that makes so many turns over the original context
            return p.n_rot * std::log(p.n_ctx_orig / (turns * 2 * std::numbers::pi)) / (2 * std::log(static_cast<double>(p.base)));
        };
        low = std::max(0.0, std::floor(corner(static_cast<double>(p.beta_fast))));
        high = std::min(p.n_rot - 1.0, std::ceil(corner(static_cast<double>(p.beta_slow))));
    }
    double operator()(int64_t i, double position, double divisor) const {
        const double t = position * std::pow(static_cast<double>(p.base), -2.0 * static_cast<double>(i) / p.n_rot) / divisor;
        const double scaled = static_cast<double>(p.freq_scale) * t;
        if (p.ext_factor == 0) return scaled;
        const double along = (static_cast<double>(i) - low) / std::max(0.001, high - low);
        const double ramp = (1 - std::min(1.0, std::max(0.0, along))) * static_cast<double>(p.ext_factor);
        return scaled * (1 - ramp) + t * ramp;
    }
};

// Which position axis frequency i follows.
int64_t axis_of(const hearth_rope_params& p, int64_t i) {
    if (p.style != HEARTH_ROPE_MROPE && p.style != HEARTH_ROPE_IMROPE) return 0;
    const int64_t n = int64_t{p.section[0]} + p.section[1] + p.section[2] + p.section[3];
    const int64_t sector = n > 0 ? i % n : 0;
    if (p.style == HEARTH_ROPE_IMROPE)
        return sector % 3 == 1 && sector < 3 * int64_t{p.section[1]}   ? 1
               : sector % 3 == 2 && sector < 3 * int64_t{p.section[2]} ? 2
               : sector % 3 == 0 && sector < 3 * int64_t{p.section[0]} ? 0
                                                                       : 3;
    int64_t axis = 0, end = p.section[0];
    while (axis < 3 && sector >= end) end += p.section[++axis];
    return axis;
}

}  // namespace

int64_t token_parts(const Step&, const Run& run) { return blocks(run.args->n_token); }
int64_t row_parts(const Step& step, const Run& run) { return blocks(step.out[0].n_row(run)); }

void rope_table_part(const Step& step, const Run& run, int64_t part, int32_t) {
    const hearth_rope_params& p = step.node->p.rope;
    const Angles angles(p);
    const int64_t half = p.n_rot / 2;
    const RowRange rows = rows_of_part(run.args->n_token, kRowsPerPart, part);
    for (int64_t i = 0; i < half; ++i) {
        const double divisor = step.weight[0].data ? static_cast<double>(step.weight[0].vector()[i]) : 1.0;
        const int64_t axis = std::min<int64_t>(axis_of(p, i), run.args->n_pos_axis - 1);
        const double unit = angles(i, 1.0, divisor);  // the angle is proportional to the position
        for (int64_t r = rows.begin; r < rows.end; ++r) {
            float* table = reinterpret_cast<float*>(step.scratch) + r * p.n_rot;
            const double angle = unit * run.args->pos[r * run.args->n_pos_axis + axis];
            table[i] = static_cast<float>(std::cos(angle)) * p.attn_factor;
            table[half + i] = static_cast<float>(std::sin(angle)) * p.attn_factor;
        }
    }
}

Status bind_embed(Builder& builder, const hearth_node& node) { return bind_rows<embed_row>(builder, node); }
Status bind_add_position(Builder& builder, const hearth_node& node) { return bind_rows<add_position_row>(builder, node); }
Status bind_add(Builder& builder, const hearth_node& node) { return bind_rows<add_row>(builder, node); }
Status bind_scale(Builder& builder, const hearth_node& node) { return bind_rows<scale_row>(builder, node); }
Status bind_softcap(Builder& builder, const hearth_node& node) { return bind_rows<softcap_row>(builder, node); }
Status bind_select_rows(Builder& builder, const hearth_node& node) { return bind_rows<select_row>(builder, node); }
Status bind_scale_by_position(Builder& builder, const hearth_node& node) {
    return bind_rows<scale_by_position_row>(builder, node);
}

Status bind_norm(Builder& builder, const hearth_node& node) {
    if (node.p.norm.kind != HEARTH_NORM_RMS && node.p.norm.kind != HEARTH_NORM_LAYER)
        return builder.refuse(node, "the kind of norm is not known");
    return bind_rows<norm_row>(builder, node);
}

Status bind_act(Builder& builder, const hearth_node& node) {
    if (!known_act(node.p.act.kind, false)) return builder.refuse(node, "the activation is not known");
    return bind_rows<act_row>(builder, node);
}

Status bind_glu(Builder& builder, const hearth_node& node) {
    if (!known_act(node.p.act.kind, true)) return builder.refuse(node, "the activation is not known");
    return bind_rows<glu_row>(builder, node);
}

Status bind_rope(Builder& builder, const hearth_node& node) {
    Step step = builder.bound(node, each_row<rope_row>, row_parts);
    const hearth_rope_params& p = node.p.rope;
    if (p.style < HEARTH_ROPE_PAIRS || p.style > HEARTH_ROPE_IMROPE) return builder.refuse(node, "the style is not known");
    if (p.n_rot < 2 || p.n_rot % 2 || p.n_rot > step.out[0].group_width)
        return builder.refuse(node, "n_rot must be even and within the group");
    step.scratch = reinterpret_cast<uint8_t*>(builder.rope_table(node, step.weight[0]));
    builder.add(step);
    return {};
}

}  // namespace hearth::cpu

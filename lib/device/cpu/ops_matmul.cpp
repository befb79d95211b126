// Operators on weight matrices: LINEAR, one matrix per head, one matrix per expert; and the preparation of their input rows.
#include <algorithm>
#include <cstring>

#include "device/cpu/program.hpp"

namespace hearth::cpu {

namespace {

constexpr int64_t kPartMacs = 1 << 19;     // multiply-adds of one part: 20 us or more
constexpr int64_t kTokensPerPart = 128;    // their rows stay in the L2 cache beside a panel of weights
constexpr int64_t kPrepareRows = 8;

// How one matmul of n_token rows is cut: blocks of rows x blocks of tokens.
struct Cut {
    int64_t rows, n_row_block, n_token_block;
};
Cut cut(int64_t n_out, int64_t n_in, int64_t n_token) {
    const int64_t tokens = std::min(n_token, kTokensPerPart), unit = 4 * kPanelRows;
    const int64_t wanted = kPartMacs / std::max<int64_t>(1, n_in * tokens);
    const int64_t rows = std::max(unit, wanted / unit * unit);
    return {rows, (n_out + rows - 1) / rows, (n_token + kTokensPerPart - 1) / kTokensPerPart};
}

MatmulTask task_of(const Step& step, int64_t matrix) {
    const Matrix m = matrix_of(*step.weight[0].info, step.weight[0].layout);
    MatmulTask task{};
    task.weight = step.weight[0].data + matrix * m.matrix_bytes;
    task.n_in = m.n_in;
    task.row_bytes = m.row_bytes;
    task.row_end = m.n_out;
    task.act = step.scratch;
    task.act_stride = step.scratch_stride;
    task.out = step.out[0].data;
    task.out_stride = step.out[0].row_stride;
    task.scale = 1;
    return task;
}

// Narrows a task to block `row_block` of rows and rows [begin, end) of tokens.
void narrow(MatmulTask& task, const Cut& c, int64_t row_block, int64_t begin, int64_t end) {
    task.row_begin = row_block * c.rows;
    task.row_end = std::min(task.row_end, task.row_begin + c.rows);
    task.n_token = end - begin;
    if (task.out_row) {
        if (task.in_row) task.in_row += begin;
        task.out_row += begin;
        return;
    }
    task.act += begin * task.act_stride;
    task.out += begin * task.out_stride;
    if (task.residual) task.residual += begin * task.residual_stride;
}

Cut linear_cut(const Step& step, const Run& run) {
    const Matrix m = matrix_of(*step.weight[0].info, step.weight[0].layout);
    return cut(m.n_out, m.n_in, step.out[0].n_row(run));
}

int64_t linear_count(const Step& step, const Run& run) {
    const Cut c = linear_cut(step, run);
    return c.n_row_block * c.n_token_block;
}

// ---- one matrix per head: rows of a head are a strided view, prepared as n_group rows per token ----
Cut heads_cut(const Step& step, const Run& run) {
    const Matrix m = matrix_of(*step.weight[0].info, step.weight[0].layout);
    return cut(m.n_out, m.n_in, step.out[0].n_row(run));
}

int64_t heads_count(const Step& step, const Run& run) {
    const Cut c = heads_cut(step, run);
    return step.out[0].n_group * c.n_row_block * c.n_token_block;
}

void heads_part(const Step& step, const Run& run, int64_t part, int32_t) {
    const Cut c = heads_cut(step, run);
    const int64_t per_head = c.n_row_block * c.n_token_block, head = part / per_head, block = part % per_head;
    const RowRange tokens = rows_of_part(step.out[0].n_row(run), kTokensPerPart, block % c.n_token_block);
    MatmulTask task = task_of(step, head);
    task.act += head * (step.scratch_stride / step.in[0].n_group);
    if (step.matmul->act == Act::f32) task.act = reinterpret_cast<uint8_t*>(step.in[0].data + head * step.in[0].group_stride);
    task.out += head * step.out[0].group_stride;
    narrow(task, c, block / c.n_token_block, tokens.begin, tokens.end);
    step.matmul->run(task);
}

// ---- experts ----
struct Lists {  // see Builder::expert_lists
    int32_t *begin, *used, *pair, *token;
};
Lists lists_at(uint8_t* at, int64_t n_expert, int64_t n_pair) {
    auto* p = reinterpret_cast<int32_t*>(at);
    return {p, p + n_expert + 1, p + 2 * n_expert + 2, p + 2 * n_expert + 2 + n_pair};
}

int64_t n_pairs(const Step& step, const Run& run) { return step.in[1].n_row(run) * step.in[1].width(); }

Cut experts_cut(const Step& step, const Run& run) {
    const Matrix m = matrix_of(*step.weight[0].info, step.weight[0].layout);
    return cut(m.n_out, m.n_in, std::max<int64_t>(1, n_pairs(step, run) / m.n_matrix));
}

int64_t experts_count(const Step& step, const Run& run) {
    const Matrix m = matrix_of(*step.weight[0].info, step.weight[0].layout);
    return std::min(m.n_matrix, n_pairs(step, run)) * experts_cut(step, run).n_row_block;
}

void experts_part(const Step& step, const Run& run, int64_t part, int32_t) {
    const Matrix m = matrix_of(*step.weight[0].info, step.weight[0].layout);
    const Cut c = experts_cut(step, run);
    const Lists lists = lists_at(step.scratch2, m.n_matrix, n_pairs(step, run));
    const int64_t slot = part / c.n_row_block;
    if (slot >= lists.used[0]) return;  // fewer experts in use than the bound that parts were counted with
    const int32_t expert = lists.used[1 + slot], begin = lists.begin[expert], end = lists.begin[expert + 1];
    const bool shared = step.in[0].row_factor == 1;
    for (int64_t at = begin; at < end; at += kTokensPerPart) {
        MatmulTask task = task_of(step, expert);
        task.in_row = shared ? lists.token : lists.pair;
        task.out_row = lists.pair;
        if (step.weight[1].data) task.bias = step.weight[1].vector() + expert * m.n_out;
        narrow(task, c, part % c.n_row_block, at, std::min<int64_t>(end, at + kTokensPerPart));
        step.matmul->run(task);
    }
}

// Checks a weight against its operands and finds its kernel.
Status check_matmul(const Builder& builder, const hearth_node& node, Step& step, int64_t n_in, int64_t n_out) {
    const hearth_weight* w = step.weight[0].info;
    if (!w || !step.in[0].exists || !step.out[0].exists) return builder.refuse(node, "an operand is missing");
    step.matmul = matmul_kernel(builder.device().kernels, w->format);
    if (!step.matmul) return builder.refuse(node, "no kernel for the weight's format");
    const Matrix m = matrix_of(*w, Layout::rows);
    if (m.n_in != n_in || m.n_out != n_out) return builder.refuse(node, "the weight's shape does not fit the operands");
    return {};
}

}  // namespace

void linear_part(const Step& step, const Run& run, int64_t part, int32_t) {
    const Cut c = linear_cut(step, run);
    const RowRange tokens = rows_of_part(step.out[0].n_row(run), kTokensPerPart, part % c.n_token_block);
    MatmulTask task = task_of(step, 0);
    task.bias = step.weight[1].vector();
    task.scale = step.node->p.scale.scale;
    if (step.in[1].exists) {
        task.residual = step.in[1].data;
        task.residual_stride = step.in[1].row_stride;
    }
    narrow(task, c, part / c.n_token_block, tokens.begin, tokens.end);
    step.matmul->run(task);
}

int64_t prepare_count(const Step& step, const Run& run) {
    return (step.in[0].n_row(run) + kPrepareRows - 1) / kPrepareRows;
}

void prepare_part(const Step& step, const Run& run, int64_t part, int32_t) {
    const Operand& x = step.in[0];
    const RowRange rows = rows_of_part(x.n_row(run), kPrepareRows, part);
    const int64_t n = x.flat() ? x.width() : x.group_width, n_stretch = x.flat() ? 1 : x.n_group;
    for (int64_t r = rows.begin; r < rows.end; ++r)
        for (int64_t g = 0; g < n_stretch; ++g) {
            const float* from = x.row(r) + g * x.group_stride;
            uint8_t* to = step.scratch + r * step.scratch_stride + g * (step.scratch_stride / n_stretch);
            switch (step.matmul->act) {
                case Act::f32: std::memcpy(to, from, static_cast<std::size_t>(n) * 4); break;
                case Act::q8x32: run.kernels->row->quantise32(reinterpret_cast<Q8Block*>(to), from, n); break;
                case Act::q8x256: run.kernels->row->quantise256(reinterpret_cast<Q8SuperBlock*>(to), from, n); break;
            }
        }
}

// Sorts the pairs (token, choice) by expert, keeping their order: [n_expert] counts become begins.
void expert_lists_part(const Step& step, const Run& run, int64_t, int32_t) {
    const Operand& ids = step.in[0];
    const int64_t k = ids.width(), n_row = ids.n_row(run), n_expert = step.scratch_stride;
    const Lists lists = lists_at(step.scratch, n_expert, n_row * k);
    std::fill(lists.begin, lists.begin + n_expert + 1, 0);
    const auto id = [&](int64_t t, int64_t j) { return reinterpret_cast<const int32_t*>(ids.row(t))[j]; };
    for (int64_t t = 0; t < n_row; ++t)
        for (int64_t j = 0; j < k; ++j) ++lists.begin[id(t, j) + 1];
    lists.used[0] = 0;
    for (int64_t e = 0; e < n_expert; ++e) {
        if (lists.begin[e + 1] > 0) lists.used[++lists.used[0]] = static_cast<int32_t>(e);
        lists.begin[e + 1] += lists.begin[e];
    }
    for (int64_t t = n_row - 1; t >= 0; --t)  // from the back, so that ends count down to begins
        for (int64_t j = k - 1; j >= 0; --j) {
            const int32_t at = --lists.begin[id(t, j) + 1];
            lists.pair[at] = static_cast<int32_t>(t * k + j);
            lists.token[at] = static_cast<int32_t>(t);
        }
    for (int64_t e = 0; e < n_expert; ++e) lists.begin[e] = lists.begin[e + 1];
    lists.begin[n_expert] = static_cast<int32_t>(n_row * k);
}

Status bind_linear(Builder& builder, const hearth_node& node) {
    Step step = builder.bound(node, linear_part, linear_count);
    HEARTH_CHECK(check_matmul(builder, node, step, step.in[0].width(), step.out[0].width()));
    if (!step.out[0].flat() || (step.in[1].exists && !step.in[1].flat()))
        return builder.refuse(node, "the output's groups are not contiguous");
    builder.prepare_rows(step.in[0], step.matmul->act, &step.scratch, &step.scratch_stride);
    builder.add(step);
    return {};
}

Status bind_linear_heads(Builder& builder, const hearth_node& node) {
    Step step = builder.bound(node, heads_part, heads_count);
    HEARTH_CHECK(check_matmul(builder, node, step, step.in[0].group_width, step.out[0].group_width));
    if (step.in[0].n_group != step.out[0].n_group || matrix_of(*step.weight[0].info, Layout::rows).n_matrix != step.in[0].n_group)
        return builder.refuse(node, "one matrix per group is needed");
    if (step.matmul->act == Act::f32)
        step.scratch_stride = step.in[0].row_stride * 4;
    else
        builder.prepare_rows(step.in[0], step.matmul->act, &step.scratch, &step.scratch_stride);
    builder.add(step);
    return {};
}

Status bind_linear_experts(Builder& builder, const hearth_node& node) {
    Step step = builder.bound(node, experts_part, experts_count);
    HEARTH_CHECK(check_matmul(builder, node, step, step.in[0].width(), step.out[0].width()));
    if (!step.in[1].exists || !step.in[0].flat() || !step.out[0].flat()) return builder.refuse(node, "an operand is missing");
    builder.prepare_rows(step.in[0], step.matmul->act, &step.scratch, &step.scratch_stride);
    step.scratch2 = builder.expert_lists(step.in[1], static_cast<int32_t>(matrix_of(*step.weight[0].info, Layout::rows).n_matrix));
    builder.add(step);
    return {};
}

}  // namespace hearth::cpu

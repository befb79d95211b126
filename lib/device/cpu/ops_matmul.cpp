// Operators on weight matrices: LINEAR, one matrix per head, one matrix per expert; and the preparation of their input rows.
#include <algorithm>
#include <cstring>

#include "device/cpu/panel.hpp"
#include "device/cpu/program.hpp"

namespace hearth::cpu {

namespace {

constexpr int64_t kPartMacs = 1 << 19;     // multiply-adds of one part: 20 us or more
constexpr int64_t kTokensPerPart = 128;    // their rows stay in the L2 cache beside a panel of weights
constexpr int64_t kTilePartMacs = 1 << 28;  // 0.3 ms at most, by tiles
constexpr int64_t kTileParts = 16;          // at least, where a matrix has rows enough: for the balance of threads
constexpr int64_t kPrepareRows = 8;
constexpr int64_t kTileGroupBytes = 16 * kSlabInputs * 2;  // 16 tokens of a slab

// How one matmul of n_token rows is cut: blocks of rows x blocks of tokens.
struct Cut {
    int64_t rows, n_row_block, n_token_block;
    int64_t tokens;  // of a block
};
Cut cut_by(int64_t n_out, int64_t n_token, int64_t rows, int64_t tokens) {
    return {rows, (n_out + rows - 1) / rows, (n_token + tokens - 1) / tokens, tokens};
}
Cut vector_cut(int64_t n_out, int64_t n_in, int64_t n_token) {
    const int64_t tokens = std::min(n_token, kTokensPerPart), unit = 4 * kPanelRows;
    const int64_t wanted = kPartMacs / std::max<int64_t>(1, n_in * tokens);
    return cut_by(n_out, n_token, std::max(unit, wanted / unit * unit), kTokensPerPart);
}
// Blocks of equally many tokens, since each decodes its weights again.
Cut tile_cut(const TileUse& tile, int64_t n_out, int64_t n_in, int64_t n_token) {
    const int64_t n_block = (n_token + tile.n_token - 1) / tile.n_token;
    const int64_t tokens = ((n_token + n_block - 1) / n_block + 31) / 32 * 32, unit = 2 * kPanelRows;
    const int64_t wanted = std::min(kTilePartMacs / std::max<int64_t>(1, n_in * tokens), n_out / kTileParts);
    return cut_by(n_out, n_token, std::clamp(wanted / unit * unit, unit, kTileRows), tokens);
}

// From how many rows on tiles win, by a count of operations (docs/performance.md).
int64_t tile_rows_from(const Step& step) { return step.matmul->act == Act::f32 ? 4 : 16; }
bool on_tiles(const Step& step, int64_t n_row) { return step.tile.kernel && n_row >= tile_rows_from(step); }

Cut cut(const Step& step, int64_t n_row) {
    const Matrix m = matrix_of(*step.weight[0].info, step.weight[0].layout);
    return on_tiles(step, n_row) ? tile_cut(step.tile, m.n_out, m.n_in, n_row) : vector_cut(m.n_out, m.n_in, n_row);
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

void use_tiles(MatmulTask& task, const Step& step, int64_t group, int32_t thread) {
    task.act = step.tile.rows + group * step.tile.group_bytes;
    task.act_stride = step.tile.slab_bytes;
    task.work = step.tile.work + thread * step.tile.work_bytes;
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
    task.act += task.work ? begin / 16 * kTileGroupBytes : begin * task.act_stride;
    task.out += begin * task.out_stride;
    if (task.residual) task.residual += begin * task.residual_stride;
}

// Runs a kernel on the rows of a task; those that lie as in the file become panels a few at a time.
void run_rows(const MatmulKernel& kernel, const MatmulTask& task, const Step& step, int32_t thread) {
    if (step.panels.at_once == 0) return kernel.run(task);
    uint8_t* const panels = step.panels.data + thread * step.panels.bytes;
    const int64_t at_once = step.panels.at_once * kPanelRows;
    for (int64_t row = task.row_begin; row < task.row_end; row += at_once) {
        const int64_t n = std::min(at_once, task.row_end - row);
        for (int64_t r = 0; r < n; r += kPanelRows)
            make_panel(step.weight[0].info->format, task.weight + (row + r) * task.row_bytes, std::min(kPanelRows, n - r), task.row_bytes,
                       panels + r * task.row_bytes);
        MatmulTask some = task;
        some.weight = panels;
        some.row_begin = 0;
        some.row_end = n;
        some.out += row;
        if (some.bias) some.bias += row;
        if (some.residual) some.residual += row;
        kernel.run(some);
    }
}

// One part of LINEAR or of a head: block `block` of the cut.
void run_block(MatmulTask& task, const Step& step, const Cut& c, int64_t n_row, int64_t block, int32_t thread) {
    const RowRange tokens = rows_of_part(n_row, c.tokens, block % c.n_token_block);
    narrow(task, c, block / c.n_token_block, tokens.begin, tokens.end);
    run_rows(task.work ? *step.tile.kernel : *step.matmul, task, step, thread);
}

int64_t linear_count(const Step& step, const Run& run) {
    const Cut c = cut(step, step.out[0].n_row(run));
    return c.n_row_block * c.n_token_block;
}

// ---- one matrix per head: rows of a head are a strided view, prepared as n_group rows per token ----
int64_t heads_count(const Step& step, const Run& run) { return step.out[0].n_group * linear_count(step, run); }

void heads_part(const Step& step, const Run& run, int64_t part, int32_t thread) {
    const int64_t n_row = step.out[0].n_row(run);
    const Cut c = cut(step, n_row);
    const int64_t per_head = c.n_row_block * c.n_token_block, head = part / per_head;
    MatmulTask task = task_of(step, head);
    if (on_tiles(step, n_row))
        use_tiles(task, step, head, thread);
    else if (step.matmul->act == Act::f32)
        task.act = reinterpret_cast<uint8_t*>(step.in[0].data + head * step.in[0].group_stride);
    else
        task.act += head * (step.scratch_stride / step.in[0].n_group);
    task.out += head * step.out[0].group_stride;
    run_block(task, step, c, n_row, part % per_head, thread);
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

// Cut for the rows that an expert has on average; tiles are for those with enough, in tasks as small as tiles need.
Cut experts_cut(const Step& step, const Run& run) {
    const Matrix m = matrix_of(*step.weight[0].info, step.weight[0].layout);
    Cut c = vector_cut(m.n_out, m.n_in, std::max<int64_t>(1, n_pairs(step, run) / m.n_matrix));
    if (step.tile.kernel) c = cut_by(m.n_out, 1, std::min(c.rows, kTileRows), kTokensPerPart);
    return c;
}

int64_t experts_count(const Step& step, const Run& run) {
    const Matrix m = matrix_of(*step.weight[0].info, step.weight[0].layout);
    return std::min(m.n_matrix, n_pairs(step, run)) * experts_cut(step, run).n_row_block;
}

void experts_part(const Step& step, const Run& run, int64_t part, int32_t thread) {
    const Matrix m = matrix_of(*step.weight[0].info, step.weight[0].layout);
    const Cut c = experts_cut(step, run);
    const Lists lists = lists_at(step.scratch2, m.n_matrix, n_pairs(step, run));
    const int64_t slot = part / c.n_row_block;
    if (slot >= lists.used[0]) return;  // fewer experts in use than the bound that parts were counted with
    const int32_t expert = lists.used[1 + slot], begin = lists.begin[expert], end = lists.begin[expert + 1];
    const bool shared = step.in[0].row_factor == 1, tiles = on_tiles(step, end - begin);
    const int64_t at_once = tiles ? step.tile.n_token : c.tokens;
    for (int64_t at = begin; at < end; at += at_once) {
        MatmulTask task = task_of(step, expert);
        if (tiles) use_tiles(task, step, 0, thread);
        task.in_row = shared ? lists.token : lists.pair;
        task.out_row = lists.pair;
        if (step.weight[1].data) task.bias = step.weight[1].vector() + expert * m.n_out;
        narrow(task, c, part % c.n_row_block, at, std::min<int64_t>(end, at + at_once));
        run_rows(tiles ? *step.tile.kernel : *step.matmul, task, step, thread);
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

// Prepares rows for the vector kernel and, where runs may bring enough of them, for tiles: each for the runs that use it.
void prepare(Builder& builder, Step& step, bool by_group) {
    const Operand& x = step.in[0];
    const bool experts = step.node->op == HEARTH_OP_LINEAR_EXPERTS, whole_pieces = x.flat() || by_group || x.group_width % 32 == 0;
    const int64_t from = tile_rows_from(step) * (experts ? x.row_factor : 1);  // an expert has at most one row of each token
    RunRows by_vectors;
    if (whole_pieces && !builder.graph().deterministic && builder.max_rows(x) >= from) {
        step.tile.kernel = tile_kernel(builder.device().kernels, step.weight[0].info->format);
        if (step.tile.kernel) builder.prepare_tiles(step, by_group, {from, INT64_MAX});
        if (step.tile.kernel && !experts) by_vectors.below = from;
    }
    const bool in_place = by_group && step.matmul->act == Act::f32;
    if (!in_place) builder.prepare_rows(x, step.matmul->act, by_vectors, &step.scratch, &step.scratch_stride);
    builder.make_panels_of(step);
}

}  // namespace

void linear_part(const Step& step, const Run& run, int64_t part, int32_t thread) {
    const int64_t n_row = step.out[0].n_row(run);
    MatmulTask task = task_of(step, 0);
    if (on_tiles(step, n_row)) use_tiles(task, step, 0, thread);
    task.bias = step.weight[1].vector();
    task.scale = step.node->p.scale.scale;
    if (step.in[1].exists) {
        task.residual = step.in[1].data;
        task.residual_stride = step.in[1].row_stride;
    }
    run_block(task, step, cut(step, n_row), n_row, part, thread);
}

int64_t prepare_count(const Step& step, const Run& run) {
    const int64_t n_row = step.in[0].n_row(run);
    if (n_row < step.run_rows.from || n_row >= step.run_rows.below) return 0;
    return (n_row + kPrepareRows - 1) / kPrepareRows;
}

void prepare_part(const Step& step, const Run& run, int64_t part, int32_t) {
    const Operand& x = step.in[0];
    const RowRange rows = rows_of_part(x.n_row(run), kPrepareRows, part);
    const bool whole = x.flat() && step.tile.group_bytes == 0;
    const int64_t n = whole ? x.width() : x.group_width, n_stretch = whole ? 1 : x.n_group;
    for (int64_t r = rows.begin; r < rows.end; ++r)
        for (int64_t g = 0; g < n_stretch; ++g) {
            const float* from = x.row(r) + g * x.group_stride;
            uint8_t* to = step.scratch + r * step.scratch_stride + g * (step.scratch_stride / n_stretch);
            const TileUse& tile = step.tile;
            switch (step.matmul->act) {
                case Act::f32: std::memcpy(to, from, static_cast<std::size_t>(n) * 4); break;
                case Act::q8x32: run.kernels->row->quantise32(reinterpret_cast<Q8Block*>(to), from, n); break;
                case Act::q8x256: run.kernels->row->quantise256(reinterpret_cast<Q8SuperBlock*>(to), from, n); break;
                case Act::bf16:
                    to = tile.rows + g * tile.group_bytes + r / 16 * kTileGroupBytes + r % 16 * 64;
                    run.kernels->row->round_bf16(to, tile.group_bytes ? 0 : g * n, from, n, tile.slab_bytes);
                    break;
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
    prepare(builder, step, false);
    builder.add(step);
    return {};
}

Status bind_linear_heads(Builder& builder, const hearth_node& node) {
    Step step = builder.bound(node, heads_part, heads_count);
    HEARTH_CHECK(check_matmul(builder, node, step, step.in[0].group_width, step.out[0].group_width));
    if (step.in[0].n_group != step.out[0].n_group || matrix_of(*step.weight[0].info, Layout::rows).n_matrix != step.in[0].n_group)
        return builder.refuse(node, "one matrix per group is needed");
    prepare(builder, step, true);
    if (step.matmul->act == Act::f32) step.scratch_stride = step.in[0].row_stride * 4;
    builder.add(step);
    return {};
}

Status bind_linear_experts(Builder& builder, const hearth_node& node) {
    Step step = builder.bound(node, experts_part, experts_count);
    HEARTH_CHECK(check_matmul(builder, node, step, step.in[0].width(), step.out[0].width()));
    if (!step.in[1].exists || !step.in[0].flat() || !step.out[0].flat()) return builder.refuse(node, "an operand is missing");
    prepare(builder, step, false);
    step.scratch2 = builder.expert_lists(step.in[1], static_cast<int32_t>(matrix_of(*step.weight[0].info, Layout::rows).n_matrix));
    builder.add(step);
    return {};
}

}  // namespace hearth::cpu

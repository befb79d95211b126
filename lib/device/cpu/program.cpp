// Compiles a graph: binds nodes to functions and memory, plans scratch, shares preparations between nodes.
#include "device/cpu/program.hpp"

#include <algorithm>
#include <cstring>

namespace hearth::cpu {

namespace {

struct OpEntry {
    int32_t op;
    const char* name;
    BindFn bind;
};
constexpr OpEntry kOps[] = {
    {HEARTH_OP_EMBED, "EMBED", bind_embed},
    {HEARTH_OP_ADD_POSITION, "ADD_POSITION", bind_add_position},
    {HEARTH_OP_NORM, "NORM", bind_norm},
    {HEARTH_OP_LINEAR, "LINEAR", bind_linear},
    {HEARTH_OP_LINEAR_HEADS, "LINEAR_HEADS", bind_linear_heads},
    {HEARTH_OP_LINEAR_EXPERTS, "LINEAR_EXPERTS", bind_linear_experts},
    {HEARTH_OP_ROUTE, "ROUTE", bind_route},
    {HEARTH_OP_EXPERT_SUM, "EXPERT_SUM", bind_expert_sum},
    {HEARTH_OP_ROPE, "ROPE", bind_rope},
    {HEARTH_OP_CACHE_STORE, "CACHE_STORE", bind_cache_store},
    {HEARTH_OP_ATTENTION, "ATTENTION", bind_attention},
    {HEARTH_OP_GLU, "GLU", bind_glu},
    {HEARTH_OP_ACT, "ACT", bind_act},
    {HEARTH_OP_ADD, "ADD", bind_add},
    {HEARTH_OP_SCALE, "SCALE", bind_scale},
    {HEARTH_OP_SOFTCAP, "SOFTCAP", bind_softcap},
    {HEARTH_OP_SELECT_ROWS, "SELECT_ROWS", bind_select_rows},
    {HEARTH_OP_SHORT_CONV, "SHORT_CONV", bind_short_conv},
    {HEARTH_OP_SCALE_BY_POSITION, "SCALE_BY_POSITION", bind_scale_by_position},
};

const OpEntry* find_op(int32_t op) {
    for (const OpEntry& entry : kOps)
        if (entry.op == op) return &entry;
    return nullptr;
}

// Bytes [begin, end) of the arena that the rows of a value touch (with the gaps between its groups).
struct Extent {
    const float *begin, *end;
};
Extent extent(const Operand& x, int64_t n_row) {
    return {x.data, x.data + (n_row - 1) * x.row_stride + (x.n_group - 1) * x.group_stride + x.group_width};
}

bool same_view(const Operand& a, const Operand& b) {
    return a.data == b.data && a.row_stride == b.row_stride && a.group_stride == b.group_stride && a.n_group == b.n_group &&
           a.group_width == b.group_width && a.rows == b.rows && a.row_factor == b.row_factor;
}

// Rows that are prepared already are prepared for more runs than before.
void widen(RunRows& rows, const RunRows& more) { rows = {std::min(rows.from, more.from), std::max(rows.below, more.below)}; }

// The step of a preparation.
Step preparation(const Operand& x, Act act, const RunRows& when) {
    static constexpr MatmulKernel kWants[kActs] = {
        {nullptr, Act::f32}, {nullptr, Act::q8x32}, {nullptr, Act::q8x256}, {nullptr, Act::bf16}};
    Step step;
    step.fn = prepare_part;
    step.count = prepare_count;
    step.in[0] = x;
    step.run_rows = when;
    step.matmul = &kWants[static_cast<int>(act)];
    return step;
}

}  // namespace

const char* op_name(int32_t op) { return find_op(op)->name; }

RowRange rows_of_part(int64_t n_row, int64_t rows_per_part, int64_t part) {
    return {part * rows_per_part, std::min(n_row, (part + 1) * rows_per_part)};
}

int64_t one_part(const Step&, const Run&) { return 1; }

Status Builder::build() {
    for (int32_t i = 0; i < graph_.n_node; ++i) {
        const hearth_node& node = graph_.node[i];
        const OpEntry* entry = find_op(node.op);
        if (!entry) return fail(Code::unsupported_type, "cpu: {}: operator {} is not known", node.label ? node.label : "node", node.op);
        HEARTH_CHECK(entry->bind(*this, node));
    }
    join_matmuls();
    return {};
}

// Neither writes what the other reads or writes. (Their prepared rows are in scratch, which no matmul writes.)
bool Builder::independent(const Step& later, const Step& earlier) const {
    const auto apart = [&](const Operand& a, const Operand& b) {
        if (!a.exists || !b.exists) return true;
        const Extent x = extent(a, max_rows(a)), y = extent(b, max_rows(b));
        return x.end <= y.begin || y.end <= x.begin;
    };
    const Operand &a = earlier.out[0], &b = later.out[0];
    return apart(a, b) && apart(a, later.in[0]) && apart(a, later.in[1]) && apart(b, earlier.in[0]) && apart(b, earlier.in[1]);
}

// Query, key and value, or gate and up: one run over the parts of all, so that threads wait for each other once.
void Builder::join_matmuls() {
    constexpr std::size_t kTogether = kMaxJoined;
    for (std::size_t i = 0; i < steps.size(); i += 1 + static_cast<std::size_t>(steps[i].n_more)) {
        std::size_t end = i + 1;
        const auto fits = [&](const Step& step) {
            bool all = step.fn == linear_part && steps[i].fn == linear_part;
            for (std::size_t k = i; k < end; ++k) all = all && independent(step, steps[k]);
            return all;
        };
        while (end < steps.size() && end - i < kTogether && fits(steps[end])) ++end;
        steps[i].n_more = static_cast<int32_t>(end - i - 1);
    }
}

Status Builder::refuse(const hearth_node& node, const char* why) const {
    return fail(Code::unsupported_type, "cpu: {} {}: {}", find_op(node.op)->name, node.label ? node.label : "", why);
}

int64_t Builder::max_rows(const Operand& x) const {
    return static_cast<int64_t>(x.rows == HEARTH_ROWS_OUTPUT ? graph_.n_output : graph_.n_token) * x.row_factor;
}

Operand Builder::operand(int32_t index) const {
    if (index < 0) return {};
    const hearth_value& v = graph_.value[index];
    // When measuring, the arena starts at address 64: views still compare and overlap as they will.
    uint8_t* arena = bindings_ ? bindings_->arena.buffer->data + bindings_->arena.offset : reinterpret_cast<uint8_t*>(64);
    return {reinterpret_cast<float*>(arena + v.offset), v.row_stride, v.group_stride, v.n_group, v.group_width, v.rows,
            v.row_factor, true};
}

WeightRef Builder::weight(int32_t index) const {
    if (index < 0) return {};
    WeightRef ref;
    ref.info = graph_.weight + index;
    if (bindings_) ref.data = bindings_->weight[index].buffer->data + bindings_->weight[index].offset;
    const hearth_layout* layout = bindings_ ? bindings_->weight_layout : graph_.weight_layout;
    if (layout)
        ref.layout = static_cast<Layout>(layout[index].id);
    else if (const auto usual = weight_layout(device_.kernels, *ref.info))
        ref.layout = static_cast<Layout>(usual->id);
    return ref;
}

CacheRef Builder::cache(const hearth_node& node) const {
    CacheRef ref;
    if (node.cache_group < 0) return ref;
    ref.info = graph_.cache + node.cache_group;
    ref.group = node.cache_group;
    ref.layer = node.cache_layer;
    ref.layer_bytes = cache_layer_bytes(*ref.info);
    ref.page_bytes = cache_page_bytes(*ref.info);
    if (bindings_)
        ref.pool = bindings_->cache[ref.group].buffer->data + bindings_->cache[ref.group].offset + ref.layer * ref.layer_bytes;
    return ref;
}

Step Builder::bound(const hearth_node& node, PartFn fn, CountFn count) const {
    Step step;
    step.fn = fn;
    step.count = count;
    step.node = &node;
    for (int i = 0; i < 3; ++i) step.in[i] = operand(node.in[i]);
    for (int i = 0; i < 2; ++i) step.out[i] = operand(node.out[i]);
    for (int i = 0; i < 2; ++i) step.weight[i] = weight(node.weight[i]);
    step.cache = cache(node);
    return step;
}

uint8_t* Builder::take_scratch(int64_t bytes) {
    const int64_t at = scratch_bytes;
    scratch_bytes += (bytes + 63) / 64 * 64;
    return bindings_ && bindings_->scratch.buffer ? bindings_->scratch.buffer->data + bindings_->scratch.offset + at : nullptr;
}

void Builder::forget_overwritten(const Step& step) {
    for (const Operand& out : step.out) {
        if (!out.exists) continue;
        const Extent written = extent(out, max_rows(out));
        const auto hits = [&](const Operand& x) {
            const Extent read = extent(x, max_rows(x));
            return written.begin < read.end && read.begin < written.end;
        };
        for (Prepared& p : prepared_)
            if (p.valid && hits(p.x)) p.valid = false;
        if (experts_.valid && hits(experts_.ids)) experts_.valid = false;
    }
}

void Builder::add(const Step& step) {
    steps.push_back(step);
    forget_overwritten(step);
}

uint8_t* Builder::room(Room* room, int64_t bytes) {
    if (bytes > room->bytes) *room = {take_scratch(bytes), bytes};
    return room->data;
}

void Builder::prepare_rows(const Operand& x, Act act, const RunRows& when, uint8_t** data, int64_t* stride) {
    if (act == Act::f32) {  // contiguous groups: used in place; otherwise gathered
        if (x.flat()) {
            *data = reinterpret_cast<uint8_t*>(x.data);
            *stride = x.row_stride * 4;
            return;
        }
    }
    Prepared& p = prepared_[static_cast<int>(act)];
    if (!p.valid || !same_view(p.x, x)) {
        const int64_t width = x.width();
        p.stride = act == Act::f32     ? width * 4
                   : act == Act::q8x32 ? width / 32 * static_cast<int64_t>(sizeof(Q8Block))
                                       : width / 256 * static_cast<int64_t>(sizeof(Q8SuperBlock));
        p = {x, act, room(&prepared_room_[static_cast<int>(act)], p.stride * max_rows(x)), p.stride, 0, steps.size(), true};
        Step step = preparation(x, act, when);
        step.scratch = p.data;
        step.scratch_stride = p.stride;
        steps.push_back(step);
    }
    widen(steps[p.step].run_rows, when);
    *data = p.data;
    *stride = p.stride;
}

void Builder::prepare_tiles(Step& step, bool by_group, const RunRows& when) {
    const Operand& x = step.in[0];
    TileUse& tile = step.tile;
    const auto slabs = [](int64_t width) { return (width + kSlabInputs - 1) / kSlabInputs; };
    tile.slab_bytes = (max_rows(x) + 15) / 16 * 16 * kSlabInputs * 2;
    tile.group_bytes = by_group ? slabs(x.group_width) * tile.slab_bytes : 0;
    Prepared& p = prepared_[static_cast<int>(Act::bf16)];
    if (!p.valid || !same_view(p.x, x) || p.group_bytes != tile.group_bytes) {
        const int64_t bytes = by_group ? x.n_group * tile.group_bytes : slabs(x.width()) * tile.slab_bytes;
        const auto rows = room(&prepared_room_[static_cast<int>(Act::bf16)], bytes);
        p = {x, Act::bf16, rows, tile.slab_bytes, tile.group_bytes, steps.size(), true};
        Step prepare = preparation(x, Act::bf16, when);
        prepare.tile = tile;
        prepare.tile.rows = p.data;
        steps.push_back(prepare);
    }
    widen(steps[p.step].run_rows, when);
    tile.rows = p.data;
    if (tile_work_.work_bytes == 0) {
        tile_work_.n_token = std::min<int64_t>(kTileTokens, (graph_.n_token + 31) / 32 * 32);
        tile_work_.work_bytes = kTileWorkBytes + tile_work_.n_token * kTileWorkTokenBytes;
        tile_work_.work = take_scratch(device_.host.n_thread * tile_work_.work_bytes);
    }
    tile.work = tile_work_.work;
    tile.work_bytes = tile_work_.work_bytes;
    tile.n_token = tile_work_.n_token;
}

void Builder::make_panels_of(Step& step) {
    constexpr int64_t kRoomBytes = 24 << 10;  // stays in the L2 cache beside what the kernel reads
    if (step.weight[0].layout != Layout::rows) return;
    const int64_t panel_bytes = kPanelRows * matrix_of(*step.weight[0].info, Layout::rows).row_bytes;
    PanelRoom& panels = step.panels;
    panels.at_once = std::clamp<int64_t>(kRoomBytes / panel_bytes, step.tile.kernel ? 2 : 1, 4);
    panels.bytes = (panels.at_once * panel_bytes + 63) / 64 * 64;
    panels.data = room(&panel_room_, panels.bytes * device_.host.n_thread);
}

float* Builder::rope_table(const hearth_node& node, const WeightRef& divisor) {
    for (const RopeTable& t : ropes_)
        if (t.weight == node.weight[0] && std::memcmp(&t.params, &node.p.rope, sizeof t.params) == 0) return t.data;
    Step step;
    step.fn = rope_table_part;
    step.count = token_parts;
    step.node = &node;
    step.weight[0] = divisor;
    step.scratch = take_scratch(int64_t{graph_.n_token} * node.p.rope.n_rot * 4);
    steps.push_back(step);
    ropes_.push_back({node.p.rope, node.weight[0], reinterpret_cast<float*>(step.scratch)});
    return ropes_.back().data;
}

uint8_t* Builder::expert_lists(const Operand& ids, int32_t n_expert) {
    if (experts_.valid && same_view(experts_.ids, ids)) return experts_.data;
    // [n_expert + 1] begins, [n_expert] experts in use with their number before them, [T*k] pairs, [T*k] tokens
    Step step;
    step.fn = expert_lists_part;
    step.count = one_part;
    step.in[0] = ids;
    step.scratch_stride = n_expert;
    step.scratch = take_scratch((2 * int64_t{n_expert} + 2 + 2 * int64_t{graph_.n_token} * ids.width()) * 4);
    steps.push_back(step);
    experts_ = {ids, step.scratch, true};
    return step.scratch;
}

}  // namespace hearth::cpu

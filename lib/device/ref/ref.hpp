// The reference backend's state: plain memory, plain rows, one thread, one node after the other.
#pragma once

#include <hearth/backend.h>

#include <cstdint>
#include <vector>

namespace hearth::ref {

struct Program {
    hearth_graph graph;
    std::vector<const std::byte*> weight;  // [n_weight]: vectors as float32, matrices as file rows
    std::vector<std::byte*> cache;         // [n_cache]
    std::byte* arena;
};

// One node at work: its operands by position. Absent operands must not be touched.
struct Work {
    const Program& program;
    const hearth_node& node;
    const hearth_run_args& args;

    const hearth_value& value(int32_t index) const { return program.graph.value[index]; }
    const hearth_value& in(int i) const { return value(node.in[i]); }
    const hearth_value& out(int i) const { return value(node.out[i]); }
    int64_t n_row(const hearth_value& v) const {
        return int64_t{v.rows == HEARTH_ROWS_TOKEN ? args.n_token : args.n_output} * v.row_factor;
    }
    float* row(const hearth_value& v, int64_t r, int32_t group = 0) const {
        return reinterpret_cast<float*>(program.arena + v.offset) + r * v.row_stride + group * v.group_stride;
    }
    // The token that row r of a value belongs to.
    int64_t token_of(const hearth_value& v, int64_t r) const {
        const int64_t i = r / v.row_factor;
        return v.rows == HEARTH_ROWS_TOKEN ? i : args.output_row[i];
    }
    bool has_weight(int i) const { return node.weight[i] >= 0; }
    const hearth_weight& weight(int i) const { return program.graph.weight[node.weight[i]]; }
    const float* vector(int i) const { return reinterpret_cast<const float*>(program.weight[static_cast<std::size_t>(node.weight[i])]); }
    const std::byte* matrix(int i) const { return program.weight[static_cast<std::size_t>(node.weight[i])]; }
    const hearth_cache& cache() const { return program.graph.cache[node.cache_group]; }
    const hearth_cache_view& cache_view() const { return args.cache[node.cache_group]; }
    std::byte* pool() const { return program.cache[static_cast<std::size_t>(node.cache_group)]; }
};

using OpFn = void (*)(const Work&);
OpFn find_op(int32_t op);  // nullptr for an unknown id

// Plain page layout: per layer k [32, n_head_kv*k_width], then v [32, n_head_kv*v_width]; a slot: per layer the state.
struct PageLayout {
    int64_t k_row_bytes, v_row_bytes, layer_bytes, page_bytes;
};
PageLayout page_layout(const hearth_cache& cache);

void op_embed(const Work&);
void op_add_position(const Work&);
void op_norm(const Work&);
void op_linear(const Work&);
void op_linear_heads(const Work&);
void op_linear_experts(const Work&);
void op_route(const Work&);
void op_expert_sum(const Work&);
void op_rope(const Work&);
void op_cache_store(const Work&);
void op_attention(const Work&);
void op_glu(const Work&);
void op_act(const Work&);
void op_add(const Work&);
void op_scale(const Work&);
void op_softcap(const Work&);
void op_select_rows(const Work&);
void op_short_conv(const Work&);
void op_scale_by_position(const Work&);

}  // namespace hearth::ref

// A compiled graph of the CPU backend: nodes bound to functions and memory, cut into parts when a run's counts are known.
#pragma once

#include <hearth/backend.h>

#include <string>
#include <vector>

#include "base/result.hpp"
#include "device/cpu/kernels.hpp"
#include "device/cpu/layout.hpp"
#include "device/cpu/profile.hpp"

// The opaque types of the contract.
struct hearth_device {
    hearth_host host;
    hearth::cpu::Kernels kernels;
    std::string refused;  // a level that the system does not allow, and why
    bool profile;  // time every step and log a table when a program ends
};
struct hearth_buffer {
    uint8_t* data;
    uint64_t bytes;
    bool borrowed = false;  // memory of others
};

namespace hearth::cpu {

struct Step;

// What one run brings.
struct Run {
    const hearth_run_args* args;
    const Kernels* kernels;
};

// Runs that a preparation is for: those that bring at least `from` rows, and fewer than `below`.
struct RunRows {
    int64_t from = 0, below = INT64_MAX;
};

using PartFn = void (*)(const Step& step, const Run& run, int64_t part, int32_t thread);
using CountFn = int64_t (*)(const Step& step, const Run& run);  // parts of this run; what they compute does not depend on it

struct Operand {  // a value in the arena
    float* data = nullptr;
    int64_t row_stride = 0, group_stride = 0;
    int32_t n_group = 0, group_width = 0, rows = 0, row_factor = 1;
    bool exists = false;

    float* row(int64_t r) const { return data + r * row_stride; }
    int64_t width() const { return static_cast<int64_t>(n_group) * group_width; }
    bool flat() const { return n_group == 1 || group_stride == group_width; }  // a row is contiguous
    int64_t n_row(const Run& run) const {
        return static_cast<int64_t>(rows == HEARTH_ROWS_OUTPUT ? run.args->n_output : run.args->n_token) * row_factor;
    }
};

struct WeightRef {
    const uint8_t* data = nullptr;
    const hearth_weight* info = nullptr;
    Layout layout = Layout::rows;
    const float* vector() const { return reinterpret_cast<const float*>(data); }
};

struct CacheRef {
    const hearth_cache* info = nullptr;
    const hearth_cache_view* view(const Run& run) const { return run.args->cache + group; }
    uint8_t* pool = nullptr;
    int32_t group = -1, layer = -1;
    int64_t page_bytes = 0, layer_bytes = 0;
};

// How a matmul with many rows goes by tiles; kernel == nullptr: not at all.
struct TileUse {
    const MatmulKernel* kernel = nullptr;
    uint8_t* rows = nullptr;   // Act::bf16
    int64_t slab_bytes = 0;
    int64_t group_bytes = 0;   // from the rows of one group to those of the next; 0 = groups follow each other in a row
    uint8_t* work = nullptr;   // [n_thread, work_bytes]
    int64_t work_bytes = 0;
    int64_t n_token = 0;       // that one task may have
};

// Attention of few queries over many keys, the stretches of a group of queries (one part otherwise) in several parts.
struct AttentionSplit {
    uint8_t* sums = nullptr;  // [group][kMostStretches] as AttentionTask::before
    int64_t group_bytes = 0;
    int64_t n_group = 0;      // at most; 0 = never
    int64_t n_part = 0;       // about as many should be there
};

// How attention of many queries goes by tiles; run == nullptr: not at all.
struct AttentionTiles {
    void (*run)(const AttentionTask& task, const TileAttention& tiles) = nullptr;
    TilePack keys = nullptr, values = nullptr;
};

// Room for panels that a matmul makes of file rows while it runs, of each thread; at_once == 0: its weight is in panels.
struct PanelRoom {
    uint8_t* data = nullptr;  // [n_thread, bytes]
    int64_t bytes = 0;
    int64_t at_once = 0;  // panels
};

// One node of the graph, or a preparation that several nodes share (quantised rows, rope tables, expert lists).
struct Step {
    PartFn fn = nullptr;
    CountFn count = nullptr;
    const hearth_node* node = nullptr;
    Operand in[3], out[2];
    WeightRef weight[2];
    CacheRef cache;
    const MatmulKernel* matmul = nullptr;
    const KeyKernel* keys = nullptr;      // of the cache's types
    const ValueKernel* values = nullptr;
    AttentionTiles attention_tiles;
    AttentionSplit split;
    uint8_t* scratch = nullptr;      // this step's input or output in the scratch buffer
    int64_t scratch_stride = 0;      // bytes per row or thread in it
    uint8_t* scratch2 = nullptr;     // expert lists
    TileUse tile;
    PanelRoom panels;
    RunRows run_rows;                // of a preparation
    int32_t n_more = 0;              // steps after this one that need nothing of it and run together with it
    bool ends_node = false;          // the second step of a node that has two
};

// Bytes from one page of the pool to the next, and of one layer in it: K then V, each head by head.
int64_t cache_layer_bytes(const hearth_cache& cache);
int64_t cache_page_bytes(const hearth_cache& cache);
Status check_cache_types(const hearth_cache& cache);  // an error that says which type or width this backend cannot keep
int64_t k_head_bytes(const hearth_cache& cache);
int64_t v_head_bytes(const hearth_cache& cache);

constexpr int32_t kMaxJoined = 4;

// Collects the steps of a program; with bindings == nullptr only measures.
class Builder {
  public:
    Builder(const hearth_device& device, const hearth_graph& graph, const hearth_bindings* bindings)
        : device_(device), graph_(graph), bindings_(bindings) {}
    Status build();

    // ---- for the operators' bind functions ----
    const hearth_device& device() const { return device_; }
    const hearth_graph& graph() const { return graph_; }
    int64_t max_rows(const Operand& x) const;
    // A step with the operands, weights and cache of the node filled in.
    Step bound(const hearth_node& node, PartFn fn, CountFn count) const;
    // Takes bytes of scratch for the whole program and gives their address (nullptr when measuring).
    uint8_t* take_scratch(int64_t bytes);
    // The same for attention steps, which run one at a time and share it.
    uint8_t* attention_scratch(int64_t bytes) { return room(&attention_room_, bytes); }
    // Adds the step that turns rows of x into what the kernel wants, unless that was just done; fills act and stride.
    void prepare_rows(const Operand& x, Act act, const RunRows& when, uint8_t** data, int64_t* stride);
    // The same for tiles: fills the rows of step.tile from those of step.in[0].
    void prepare_tiles(Step& step, bool by_group, const RunRows& when);
    // Room for the panels of a weight in file rows; nothing for others. After prepare_tiles().
    void make_panels_of(Step& step);
    // The rope table of the node: [n_token, 2, n_rot/2] cosines and sines, shared by nodes with equal parameters.
    float* rope_table(const hearth_node& node, const WeightRef& divisor);
    // Lists of the experts in use, shared by the projections of one routing.
    uint8_t* expert_lists(const Operand& ids, int32_t n_expert);
    void add(const Step& step);
    Status refuse(const hearth_node& node, const char* why) const;

    std::vector<Step> steps;
    int64_t scratch_bytes = 0;

  private:
    Operand operand(int32_t value) const;
    WeightRef weight(int32_t index) const;
    CacheRef cache(const hearth_node& node) const;
    void forget_overwritten(const Step& step);
    bool independent(const Step& later, const Step& earlier) const;
    void join_matmuls();

    struct Prepared {
        Operand x;
        Act act;
        uint8_t* data;
        int64_t stride, group_bytes = 0;
        std::size_t step;  // that prepares it
        bool valid = false;
    };
    // Scratch of steps that never run at the same time: the largest that one of them asks for.
    struct Room {
        uint8_t* data = nullptr;
        int64_t bytes = 0;
    };
    uint8_t* room(Room* room, int64_t bytes);
    struct RopeTable {
        hearth_rope_params params;
        int32_t weight;
        float* data;
    };
    struct ExpertLists {
        Operand ids;
        uint8_t* data;
        bool valid = false;
    };

    const hearth_device& device_;
    const hearth_graph& graph_;
    const hearth_bindings* bindings_;
    Prepared prepared_[kActs] = {};
    Room prepared_room_[kActs], attention_room_;
    TileUse tile_work_;
    Room panel_room_;
    std::vector<RopeTable> ropes_;
    ExpertLists experts_;
};

// The operators: one row per op of ops.def.
using BindFn = Status (*)(Builder& builder, const hearth_node& node);
Status bind_embed(Builder& builder, const hearth_node& node);
Status bind_add_position(Builder& builder, const hearth_node& node);
Status bind_norm(Builder& builder, const hearth_node& node);
Status bind_linear(Builder& builder, const hearth_node& node);
Status bind_linear_heads(Builder& builder, const hearth_node& node);
Status bind_linear_experts(Builder& builder, const hearth_node& node);
Status bind_route(Builder& builder, const hearth_node& node);
Status bind_expert_sum(Builder& builder, const hearth_node& node);
Status bind_rope(Builder& builder, const hearth_node& node);
Status bind_cache_store(Builder& builder, const hearth_node& node);
Status bind_attention(Builder& builder, const hearth_node& node);
Status bind_glu(Builder& builder, const hearth_node& node);
Status bind_act(Builder& builder, const hearth_node& node);
Status bind_add(Builder& builder, const hearth_node& node);
Status bind_scale(Builder& builder, const hearth_node& node);
Status bind_softcap(Builder& builder, const hearth_node& node);
Status bind_select_rows(Builder& builder, const hearth_node& node);
Status bind_short_conv(Builder& builder, const hearth_node& node);
Status bind_scale_by_position(Builder& builder, const hearth_node& node);

const char* op_name(int32_t op);
void linear_part(const Step& step, const Run& run, int64_t part, int32_t thread);

// Preparations (see Builder).
void prepare_part(const Step& step, const Run& run, int64_t part, int32_t thread);
int64_t prepare_count(const Step& step, const Run& run);
void rope_table_part(const Step& step, const Run& run, int64_t part, int32_t thread);
void expert_lists_part(const Step& step, const Run& run, int64_t part, int32_t thread);
int64_t one_part(const Step& step, const Run& run);
constexpr int64_t kRowsPerPart = 16;
int64_t token_parts(const Step& step, const Run& run);  // blocks of kRowsPerPart tokens
int64_t row_parts(const Step& step, const Run& run);    // ... rows of the first output: tokens, outputs, or several per one

// Rows [begin, end) of a part that covers blocks of n rows.
struct RowRange {
    int64_t begin, end;
};
RowRange rows_of_part(int64_t n_row, int64_t rows_per_part, int64_t part);

}  // namespace hearth::cpu

struct hearth_program {
    std::vector<hearth::cpu::Step> steps;
    std::vector<hearth::cpu::StepTime> times;  // [steps] where the device profiles, otherwise empty
};

// Runs a graph of one node (or a few) on a backend through its function table alone, so that backends can be compared.
#pragma once

#include <hearth/backend.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "quant/format.hpp"
#include "support/support.hpp"

extern "C" const hearth_backend* hearth_backend_cpu(void);
extern "C" const hearth_backend* hearth_backend_ref(void);
extern "C" const hearth_backend* hearth_backend_sim(void);

namespace hearth::test {

// A graph with its data. Values are dense rows unless a stride is given; each has its own part of the arena.
class OpCase {
  public:
    struct ValueSpec {
        int32_t rows = HEARTH_ROWS_TOKEN, n_group = 1, group_width = 1, row_factor = 1;
        int64_t group_gap = 0, row_gap = 0;  // unused elements after each group and row
    };

    OpCase(int32_t n_token, int32_t n_output = 1, int32_t n_seq = 1);

    // Values; data is dense [n_row, n_group, group_width] and copied into the strided place.
    int32_t input(const ValueSpec& spec, const std::vector<float>& data);
    int32_t output(const ValueSpec& spec);
    int32_t weight(Format format, int32_t uses, std::vector<int64_t> shape, const std::vector<float>& data);
    // Weights given as file bytes.
    int32_t weight_bytes(int32_t format, int32_t uses, std::vector<int64_t> shape, std::vector<uint8_t> bytes);
    int32_t cache(const hearth_cache& cache, int32_t n_page);
    hearth_node& node(int32_t op, std::vector<int32_t> in, std::vector<int32_t> out, std::vector<int32_t> weights = {});

    int64_t n_row(int32_t value) const;
    hearth_graph graph() const;
    hearth_run_args args() const;

    // What a run brings; sized by the constructor with one sequence from place 0 on, causal.
    std::vector<int32_t> token, seq, index, pos, output_row;
    std::vector<float> embedding;
    std::vector<hearth_span> attend;
    int32_t n_pos_axis = 1;
    struct CacheTables {
        std::vector<int32_t> page;
        int32_t page_stride = 0, n_page = 0;
        std::vector<int32_t> state_read, state_write;
    };
    std::vector<CacheTables> tables;
    // Plain content that pages (or slots) hold before the run: [cache][page * n_layer + layer] -> k, v bytes.
    struct PageData {
        std::vector<uint8_t> k, v;
    };
    std::vector<std::map<int32_t, PageData>> pages;

    std::vector<hearth_node> nodes;
    std::vector<hearth_value> values;
    std::vector<hearth_weight> weights;
    std::vector<std::vector<uint8_t>> weight_data;
    std::vector<hearth_cache> caches;
    std::map<int32_t, std::vector<float>> inputs;  // by value
    std::vector<int32_t> outputs;                  // values to read after the run
    int64_t arena_bytes = 0;
    int32_t n_token, n_output, n_seq;
    bool deterministic = false;
    int32_t n_run_token = 0;  // tokens of the run, where they are fewer than it is compiled for; only for ops without a cache

  private:
    int32_t add_value(const ValueSpec& spec);
    mutable std::vector<hearth_cache_view> views_;
    mutable std::vector<int32_t> run_begin_;
};

struct RunStyle {
    int32_t n_thread = 1;
    bool stop_everywhere = false;  // stop after every part and go on from the cursor
};

struct Outcome {
    std::string error;                           // empty = done
    std::map<int32_t, std::vector<float>> value;  // of each output, dense rows
    std::vector<std::map<int32_t, OpCase::PageData>> pages;
    int64_t n_pause = 0;
};

Outcome run(const hearth_backend& backend, const OpCase& test, const RunStyle& style = {});

// A backend to test: the CPU at one level (set through the environment while the device is opened), or ref.
struct Candidate {
    std::string name;
    const hearth_backend* backend;
    std::string level;
    bool has_tiles() const { return level == "v4-amx" || level == "generic-tiles"; }
    Outcome run(const OpCase& test, const RunStyle& style = {}) const;
    std::vector<float> output(const OpCase& test, const RunStyle& style = {}) const;  // the first one, of a run that must succeed
};
std::vector<Candidate> cpu_levels();  // those that this machine can run, and the sim backend at the first of them
std::vector<Candidate> tile_levels();  // those of them that have tiles, without sim
std::vector<Candidate> all_backends();

// Fails the running test unless |got[i] - want[i]| <= bound(i) for all i; says where and by how much.
void check_close(const std::string& what, const std::vector<float>& got, const std::vector<float>& want,
                 const std::vector<double>& bound);
// The same with one relative and one absolute bound.
void check_close(const std::string& what, const std::vector<float>& got, const std::vector<float>& want, double relative,
                 double absolute);

}  // namespace hearth::test

// Cuts a long step into stretches of tokens that follow each other through the devices, so that all of them work at once.
#pragma once

#include <vector>

#include "graph/split.hpp"

namespace hearth {

// Some of a step's tokens, in order: what a run of them sees.
struct Stretch {
    hearth_run_args args;
    std::vector<int32_t> output_row, run_begin;  // what args points at
    std::vector<int32_t> output;                 // [args.n_output] the step's number of each
};

struct Task {
    std::size_t segment, stretch;
};

// How many devices could work at the same time, each on another stretch: 1 = none together.
int32_t count_stages(const SplitGraph& split);
// How many stretches a step of n_token tokens is worth on so many.
int32_t n_stretch(int32_t n_stage, int32_t n_token);

// Makes *out tokens [begin, end) of a step; `step` must outlive it, because it points there.
void cut_stretch(const hearth_run_args& step, int32_t begin, int32_t end, int32_t n_embd, Stretch* out);

// Every segment of every stretch, in an order in which a segment's input is taken over before its device computes the next.
void wavefront(std::size_t n_segment, std::size_t n_stretch, std::vector<Task>* out);

}  // namespace hearth

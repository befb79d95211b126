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

// How many stretches a step of n_token tokens is worth: 1 where no two devices could work at the same time.
int32_t n_stretch(const SplitGraph& split, int32_t n_token);

// Tokens [begin, end) of a step; `step` must outlive what is made, which points into it.
Stretch cut_stretch(const hearth_run_args& step, int32_t begin, int32_t end, int32_t n_embd);

// Every segment of every stretch, in an order in which a segment's input is taken over before its device computes the next.
std::vector<Task> wavefront(std::size_t n_segment, std::size_t n_stretch);

}  // namespace hearth

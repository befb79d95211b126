// Stages that change logits: mask, bias, penalties, DRY, temperature.
#pragma once

#include "runtime/sampler/candidates.hpp"
#include "runtime/sampler/stage.hpp"

#include <span>
#include <vector>

namespace hearth {

// Scratch memory by token id, kept between draws; all zero outside of a stage.
struct TokenTally {
    struct Entry {
        int32_t n = 0;        // penalties: occurrences; DRY: longest repetition that this token would extend
        bool recent = false;  // seen in the newer half of the window
    };
    std::vector<Entry> by_token;  // [n_vocab]
    std::vector<int32_t> touched;
};

// bits: [ceil(n_vocab / 64)], bit set = allowed
void shift_mask(Candidates& list, const uint64_t* bits);
Status shift_bias(Candidates& list, std::span<const LogitBias> bias, int32_t n_vocab);
// history: accepted tokens, oldest first
void shift_penalties(Candidates& list, const PenaltyParams& penalties, std::span<const int32_t> history,
                     TokenTally& tally);
void shift_dry(Candidates& list, const DryParams& dry, std::span<const int32_t> history,
               std::span<const std::vector<int32_t>> breakers, TokenTally& tally,
               std::vector<int32_t>& scratch);
void shift_temperature(Candidates& list, const TemperatureParams& temperature);

// The newest last_n tokens of the history (-1: all).
std::span<const int32_t> newest(std::span<const int32_t> history, int32_t last_n);

}  // namespace hearth

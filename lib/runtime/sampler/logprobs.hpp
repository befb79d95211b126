// Log-probabilities of the raw distribution, for the `logprobs` feature of completion APIs.
#pragma once

#include "base/result.hpp"

#include <cstdint>
#include <vector>

namespace hearth {

struct TokenLogprob {
    int32_t id;
    float logprob;  // natural logarithm, over the whole vocabulary, before any stage
};

struct Logprobs {
    TokenLogprob chosen;
    std::vector<TokenLogprob> top;  // the k best, best first, ties by lower id
};

// logits: [n_vocab]. k larger than the vocabulary gives all of it. Refuses NaN and +inf logits.
Result<Logprobs> top_logprobs(const float* logits, int32_t n_vocab, int32_t chosen, int32_t k);

}  // namespace hearth

// Log-softmax of one token and of the k best.
#include "runtime/sampler/logprobs.hpp"

#include "runtime/sampler/candidates.hpp"

#include <algorithm>
#include <cmath>

namespace hearth {

Result<Logprobs> top_logprobs(const float* logits, int32_t n_vocab, int32_t chosen, int32_t k) {
    if (!logits || n_vocab <= 0)
        return fail(Code::invalid_argument, "log-probabilities need logits of at least one token");
    if (chosen < 0 || chosen >= n_vocab) {
        return fail(Code::invalid_argument, "token {} is outside of the vocabulary of {}", chosen, n_vocab);
    }
    if (k < 0) return fail(Code::invalid_argument, "logprobs is {}, but must be at least 0", k);
    Candidates list;
    HEARTH_CHECK(list.load(logits, n_vocab));
    const float top = list.best().logit;
    double sum = 0;
    for (int32_t i = 0; i < n_vocab; ++i) sum += std::exp(logits[i] - top);
    const double log_sum = std::log(sum) + top;
    const auto logprob = [&](float logit) { return static_cast<float>(logit - log_sum); };

    Logprobs out{{chosen, logprob(logits[chosen])}, {}};
    if (k == 0) return out;
    list.keep_best(static_cast<std::size_t>(k));
    list.sort();
    for (const Candidate& c : list.view()) out.top.push_back({c.id, logprob(c.logit)});
    return out;
}

}  // namespace hearth

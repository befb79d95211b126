// One answer: a prompt into the context, then tokens out until there is a reason to stop.
#pragma once

#include "common.hpp"

namespace cli {

struct Answer {
    std::vector<int32_t> tokens;
    std::string text;
    int32_t n_prompt = 0;  // tokens that had to be run
    double prompt_seconds = 0, seconds = 0;
    bool interrupted = false, full = false;  // why it ended, else the model's own end or n_predict
};

// A conversation in sequence 0: what the context holds, and how to go on.
class Generator {
  public:
    // special: print control tokens too.
    static Result<Generator> create(hearth::Model model, hearth::Context context, hearth::Sampler sampler,
                                    int32_t n_batch, bool special);
    // Makes the context hold exactly `prompt` (what it holds already is reused), then generates at most
    // n_predict tokens (negative: no limit) to stdout.
    Result<Answer> answer(std::span<const int32_t> prompt, int32_t n_predict);

  private:
    Result<void> take_prompt(std::span<const int32_t> prompt);
    Result<void> decode(std::span<const int32_t> tokens, const class InterruptGuard& guard);
    Result<bool> next(Answer& answer, bool last, const class InterruptGuard& guard);

    hearth::Model model_;
    hearth::Context context_;
    hearth::Sampler sampler_;
    hearth::Detokenizer detokenizer_;
    int32_t n_batch_ = 0;
    std::vector<int32_t> held_;  // the tokens in the context
};

// "prompt 12 tokens, 345.6 tokens/s; answer 99 tokens, 78.9 tokens/s"
std::string speed_text(const Answer& answer);

}  // namespace cli

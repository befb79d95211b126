// The sampler: an ordered list of typed stages that leads from logits to one token.
#pragma once

#include "runtime/sampler/candidates.hpp"
#include "runtime/sampler/presets.hpp"
#include "runtime/sampler/shifts.hpp"
#include "runtime/sampler/stage.hpp"

#include <span>
#include <string_view>
#include <vector>

namespace hearth {

// Owned by one thread at a time. sample() changes nothing that a later draw depends on: what was drawn
// counts only once accept() is told, so a token may be drawn, rejected and drawn again.
class Sampler {
  public:
    static Result<Sampler> make(std::vector<SamplerStage> stages, SamplerOptions options = {});
    static Result<Sampler> make(std::string_view preset, const SamplerParams& params);

    // logits: [n_vocab]. The draw depends on (seed, choice, position, stage) and the logits alone: position
    // is the token's place in its sequence, choice tells apart several answers to one prompt.
    Result<int32_t> sample(const float* logits, int32_t n_vocab, int64_t position, uint32_t choice = 0);

    // What the last sample() drew from; p is the probability with which each could have been drawn. In full
    // order up to 1024 candidates, beyond that only as far as the draw had to look.
    std::span<const Candidate> candidates() const { return list_.view(); }

    void accept(int32_t token);  // token of the prompt or of the answer, in order
    void reset();                // forgets accepted tokens and mirostat's mu; seed and stages stay
    Sampler clone() const { return *this; }

    // Bits of allowed tokens for the mask stage: [ceil(n_vocab / 64)], borrowed until replaced; null = all.
    // Grammars set it before each draw.
    void set_mask(const uint64_t* bits) { mask_ = bits; }

    uint64_t seed() const { return seed_; }
    std::span<const SamplerStage> stages() const { return stages_; }
    std::span<const int32_t> history() const { return history_; }  // as far back as some stage looks
    float mirostat_mu() const { return mu_; }

  private:
    Sampler() = default;
    Status apply(const SamplerStage& stage, uint32_t draw_stage, int64_t position, uint32_t choice);
    void cut_mirostat(const SamplerStage& stage);
    int32_t draw(double u);

    std::vector<SamplerStage> stages_;
    SamplerOptions options_;
    uint64_t seed_ = 0;
    const uint64_t* mask_ = nullptr;
    int32_t n_vocab_ = 0;
    std::vector<int32_t> history_;
    std::size_t n_history_ = 0;  // longest window of any stage
    float mu_ = 0;               // mirostat: twice the target surprise at first
    bool drawn_ = false;         // candidates() belong to a draw that accept() has not seen yet

    Candidates list_;
    TokenTally tally_;
    std::vector<int32_t> scratch_;
    std::vector<Candidate> spare_;
};

}  // namespace hearth

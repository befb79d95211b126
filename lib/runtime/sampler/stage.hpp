// What a sampling step is made of: one typed stage with its numbers; an ordered list of them is a sampler.
#pragma once

#include "base/result.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace hearth {

// Numbers are part of a draw's address (see DrawPlace), so they are frozen: append only.
enum class StageKind : uint8_t {
    mask = 0,
    logit_bias = 1,
    penalties = 2,
    dry = 3,
    top_n_sigma = 4,
    top_k = 5,
    top_a = 6,
    tfs = 7,
    typical = 8,
    top_p = 9,
    min_p = 10,
    xtc = 11,
    temperature = 12,
    mirostat_1 = 13,  // from here on a stage draws the token and ends the list
    mirostat_2 = 14,
    greedy = 15,
    dist = 16,
};

// A window `last_n` counts accepted tokens: 0 switches the stage off, -1 means all of them.
struct CutParams {  // top_n_sigma, top_a, tfs, typical, top_p, min_p; value as the stage's name says
    float value;
    int32_t min_keep;  // never fewer than this many candidates (0 and 1 mean the same: one always stays)
};
struct PenaltyParams {
    float repeat, frequency, presence;
    float slope;  // share of `repeat` for tokens seen only in the older half of the window; 1 = all of it
    int32_t last_n;
};
struct DryParams {
    float multiplier, base;
    int32_t allowed_length, last_n;
    bool kobold;  // KoboldCPP: a breaker may be penalised itself, and the limit by breakers is one stricter
};
struct XtcParams {
    float probability, threshold;
    int32_t min_keep;
};
struct TemperatureParams {
    float value;                              // <= 0: only the best candidate stays
    float range, exponent;                    // value +- range, by entropy; range 0 = off
    float smoothing_factor, smoothing_curve;  // factor 0 = off
};
struct MirostatParams {
    float tau, eta;
    int32_t m;  // how many candidates version 1 estimates the slope from
};

struct SamplerStage {
    StageKind kind;
    union {             // the member that kind names; mask, logit_bias, greedy and dist have none
        int32_t top_k;  // <= 0: off
        CutParams cut;
        PenaltyParams penalties;
        DryParams dry;
        XtcParams xtc;
        TemperatureParams temperature;
        MirostatParams mirostat;
    };
};

struct LogitBias {
    int32_t token;
    float bias;  // -inf bans; +inf forces: only forced tokens stay, with their own logits
};

// What stages need beside their numbers.
struct SamplerOptions {
    std::optional<uint64_t> seed;  // unset: drawn from the operating system; 0 is a seed like any other
    std::vector<LogitBias> logit_bias;
    std::vector<std::vector<int32_t>> dry_breakers;  // token sequences that end a repetition
};

const char* stage_name(StageKind kind);

// Every number in its range, and exactly one drawing stage, the last. The error names stage and number.
Status check_stages(std::span<const SamplerStage> stages);

}  // namespace hearth

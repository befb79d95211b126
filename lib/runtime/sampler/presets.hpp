// Presets: the stage orders and defaults of other programs, by name.
#pragma once

#include "runtime/sampler/stage.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace hearth {

// The common numbers, as a user names them. preset_params() fills in a preset's defaults (these are
// llama.cpp's); change what you want, then preset_stages(). A field whose stage the preset lacks has no
// effect.
struct SamplerParams {
    float temperature = 0.8f;
    float dynatemp_range = 0, dynatemp_exponent = 1, smoothing_factor = 0, smoothing_curve = 1;
    int32_t top_k = 40;
    float top_p = 0.95f, min_p = 0.05f, typical_p = 1, tfs_z = 1, top_a = 0, top_n_sigma = -1;
    float xtc_probability = 0, xtc_threshold = 0.1f;
    float repeat_penalty = 1, frequency_penalty = 0, presence_penalty = 0, repeat_slope = 1;
    int32_t repeat_last_n = 64;
    float dry_multiplier = 0, dry_base = 1.75f;
    int32_t dry_allowed_length = 2, dry_last_n = 64;
    int32_t mirostat = 0;  // 0 off, 1, 2
    float mirostat_tau = 5, mirostat_eta = 0.1f;
    int32_t min_keep = 0;
    // Strings that end a repetition for DRY; whoever owns a vocabulary turns them into options.dry_breakers.
    std::vector<std::string> dry_breaker_strings = {"\n", ":", "\"", "*"};
    SamplerOptions options;
};

Result<SamplerParams> preset_params(std::string_view preset);
Result<std::vector<SamplerStage>> preset_stages(std::string_view preset, const SamplerParams& params);
std::vector<std::string_view> preset_names();

}  // namespace hearth

// Sampling options as text: "temperature=0.7,top_k=0" over a preset.
#pragma once

#include <string_view>

#include "runtime/sampler/presets.hpp"

namespace hearth {

// The preset's defaults with the named values changed. An unknown name is an error with the nearest known one.
Result<SamplerParams> parse_sampler_options(std::string_view preset, std::string_view options);

}  // namespace hearth

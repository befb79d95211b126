// The table of sampling options and their parser.
#include "runtime/sampler/options.hpp"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/closest.hpp"

namespace hearth {

namespace {

struct Option {
    std::string_view name;
    float SamplerParams::*number;
    int32_t SamplerParams::*integer;
};

constexpr Option kOptions[] = {
    {"temperature", &SamplerParams::temperature, nullptr},
    {"dynatemp_range", &SamplerParams::dynatemp_range, nullptr},
    {"dynatemp_exponent", &SamplerParams::dynatemp_exponent, nullptr},
    {"smoothing_factor", &SamplerParams::smoothing_factor, nullptr},
    {"smoothing_curve", &SamplerParams::smoothing_curve, nullptr},
    {"top_k", nullptr, &SamplerParams::top_k},
    {"top_p", &SamplerParams::top_p, nullptr},
    {"min_p", &SamplerParams::min_p, nullptr},
    {"typical_p", &SamplerParams::typical_p, nullptr},
    {"tfs_z", &SamplerParams::tfs_z, nullptr},
    {"top_a", &SamplerParams::top_a, nullptr},
    {"top_n_sigma", &SamplerParams::top_n_sigma, nullptr},
    {"xtc_probability", &SamplerParams::xtc_probability, nullptr},
    {"xtc_threshold", &SamplerParams::xtc_threshold, nullptr},
    {"repeat_penalty", &SamplerParams::repeat_penalty, nullptr},
    {"frequency_penalty", &SamplerParams::frequency_penalty, nullptr},
    {"presence_penalty", &SamplerParams::presence_penalty, nullptr},
    {"repeat_slope", &SamplerParams::repeat_slope, nullptr},
    {"repeat_last_n", nullptr, &SamplerParams::repeat_last_n},
    {"dry_multiplier", &SamplerParams::dry_multiplier, nullptr},
    {"dry_base", &SamplerParams::dry_base, nullptr},
    {"dry_allowed_length", nullptr, &SamplerParams::dry_allowed_length},
    {"dry_last_n", nullptr, &SamplerParams::dry_last_n},
    {"mirostat", nullptr, &SamplerParams::mirostat},
    {"mirostat_tau", &SamplerParams::mirostat_tau, nullptr},
    {"mirostat_eta", &SamplerParams::mirostat_eta, nullptr},
    {"min_keep", nullptr, &SamplerParams::min_keep},
};

Status set_option(std::string_view name, std::string_view value, SamplerParams* params) {
    std::vector<std::string_view> known;
    for (const Option& option : kOptions) {
        known.push_back(option.name);
        if (option.name != name) continue;
        const char* end = value.data() + value.size();
        std::from_chars_result read{};
        if (option.integer) {
            read = std::from_chars(value.data(), end, params->*option.integer);
        } else {
            read = std::from_chars(value.data(), end, params->*option.number);
        }
        if (read.ec == std::errc() && read.ptr == end && (option.integer || std::isfinite(params->*option.number))) return {};
        return fail(Code::invalid_argument, "the sampling option {} cannot be '{}': {} is expected", name, value,
                    option.integer ? "a whole number" : "a number");
    }
    return fail(Code::invalid_argument, "unknown sampling option '{}'{}", name, did_you_mean(name, known));
}

}  // namespace

Result<SamplerParams> parse_sampler_options(std::string_view preset, std::string_view options) {
    HEARTH_TRY(SamplerParams params, preset_params(preset));
    while (!options.empty()) {
        const std::size_t comma = options.find(',');
        const std::string_view pair = options.substr(0, comma);
        options = comma == std::string_view::npos ? std::string_view() : options.substr(comma + 1);
        if (pair.empty()) continue;
        const std::size_t equals = pair.find('=');
        if (equals == std::string_view::npos)
            return fail(Code::invalid_argument, "the sampling option '{}' has no value; write name=value", pair);
        HEARTH_CHECK(set_option(pair.substr(0, equals), pair.substr(equals + 1), &params));
    }
    return params;
}

}  // namespace hearth

// The table of presets: defaults and stage orders as in docs/sampling.md.
#include "runtime/sampler/presets.hpp"

#include <algorithm>
#include <iterator>

namespace hearth {

namespace {
using K = StageKind;

enum class Rule : uint8_t {
    llama_cpp,
    python,
    kobold,
    greedy
};  // which last stages temperature and mirostat select

// KoboldCPP cuts to this many before its own order runs, whatever top_k says.
constexpr int32_t kKoboldPrefilter = 3000, kMirostatM = 100;

constexpr K kLlama[] = {K::mask,    K::logit_bias, K::penalties, K::dry, K::top_n_sigma, K::top_k,
                        K::typical, K::top_p,      K::min_p,     K::xtc, K::temperature};
constexpr K kLlamaMirostat[] = {K::mask, K::logit_bias, K::temperature};
constexpr K kPython[] = {K::logit_bias, K::penalties, K::mask,  K::top_k,
                         K::typical,    K::top_p,     K::min_p, K::temperature};
constexpr K kPythonShort[] = {K::logit_bias, K::penalties, K::mask};  // mirostat, greedy, and plain drawing
constexpr K kKoboldHead[] = {K::logit_bias, K::mask, K::dry};         // before the prefilter
constexpr K kKobold[] = {K::penalties, K::top_k, K::top_a,       K::tfs,         K::typical,
                         K::top_p,     K::min_p, K::temperature, K::top_n_sigma, K::xtc};
constexpr K kKoboldMirostat[] = {K::penalties, K::temperature};
constexpr K kGreedy[] = {K::mask, K::logit_bias, K::penalties};

struct Preset {
    std::string_view name;
    Rule rule;
    int32_t least_keep;
    void (*defaults)(SamplerParams&);  // what differs from llama.cpp's
};

void kobold_defaults(SamplerParams& p) {
    p.temperature = 0.7f;
    p.top_k = 100;
    p.top_p = 0.92f;
    p.min_p = 0;
    p.top_n_sigma = 0;
    p.xtc_threshold = 0.2f;
    p.repeat_last_n = 320;
    p.dry_last_n = 320;
}

constexpr Preset kPresets[] = {
    {"llama.cpp", Rule::llama_cpp, 0, [](SamplerParams&) {}},
    {"llama-cpp-python", Rule::python, 1, [](SamplerParams&) {}},
    {"llama-cpp-python-chat", Rule::python, 1, [](SamplerParams& p) { p.temperature = 0.2f; }},
    {"koboldcpp", Rule::kobold, 1, kobold_defaults},
    {"greedy", Rule::greedy, 0, [](SamplerParams& p) { p.temperature = 0; }},
};

Result<const Preset*> find_preset(std::string_view name) {
    const auto* at = std::find_if(std::begin(kPresets), std::end(kPresets),
                                  [&](const Preset& p) { return p.name == name; });
    if (at != std::end(kPresets)) return at;
    return fail(Code::not_found, "unknown sampling preset '{}'; known are {}", name,
                join_text(preset_names()));
}

SamplerStage make_stage(K kind, const SamplerParams& p, const Preset& preset) {
    const int32_t keep = std::max(p.min_keep, preset.least_keep);
    const bool kobold = preset.rule == Rule::kobold;
    // In KoboldCPP 0 means the whole context to DRY.
    const int32_t dry_last_n = kobold && p.dry_last_n == 0 ? -1 : p.dry_last_n;
    switch (kind) {
        case K::mask:
        case K::logit_bias:
        case K::greedy:
        case K::dist:
            return {.kind = kind, .top_k = 0};
        case K::penalties:
            return {.kind = kind,
                    .penalties = {p.repeat_penalty, p.frequency_penalty, p.presence_penalty, p.repeat_slope,
                                  p.repeat_last_n}};
        case K::dry:
            return {.kind = kind,
                    .dry = {p.dry_multiplier, p.dry_base, p.dry_allowed_length, dry_last_n, kobold}};
        case K::top_n_sigma:
            return {.kind = kind, .cut = {p.top_n_sigma, 0}};
        case K::top_k:
            return {.kind = kind, .top_k = p.top_k};
        case K::top_a:
            return {.kind = kind, .cut = {p.top_a, keep}};
        case K::tfs:
            return {.kind = kind, .cut = {p.tfs_z, keep}};
        case K::typical:
            return {.kind = kind, .cut = {p.typical_p, keep}};
        case K::top_p:
            return {.kind = kind, .cut = {p.top_p, keep}};
        case K::min_p:
            return {.kind = kind, .cut = {p.min_p, keep}};
        case K::xtc:
            return {.kind = kind, .xtc = {p.xtc_probability, p.xtc_threshold, keep}};
        case K::temperature:
            return {.kind = kind,
                    .temperature = {p.temperature, p.dynatemp_range, p.dynatemp_exponent, p.smoothing_factor,
                                    p.smoothing_curve}};
        case K::mirostat_1:
        case K::mirostat_2:
            return {.kind = kind, .mirostat = {p.mirostat_tau, p.mirostat_eta, kMirostatM}};
    }
    return {.kind = kind, .top_k = 0};
}

// One preset's list: runs of stages, then the one that draws.
struct Order {
    std::span<const K> head, body;
    int32_t prefilter = 0;  // a top_k between them
    K last = K::dist;
};

Order order_of(Rule rule, const SamplerParams& p) {
    const K mirostat = p.mirostat == 1 ? K::mirostat_1 : K::mirostat_2;
    switch (rule) {
        case Rule::llama_cpp:
            if (p.mirostat) return {.head = kLlamaMirostat, .body = {}, .last = mirostat};
            return {.head = kLlama, .body = {}};
        case Rule::python:  // temperature decides first: negative draws untempered, 0 takes the best
            if (p.temperature < 0) return {.head = kPythonShort, .body = {}};
            if (p.temperature == 0) return {.head = kPythonShort, .body = {}, .last = K::greedy};
            if (p.mirostat) return {.head = kPythonShort, .body = {}, .last = mirostat};
            return {.head = kPython, .body = {}};
        case Rule::kobold:
            if (p.mirostat)
                return {.head = kKoboldHead,
                        .body = kKoboldMirostat,
                        .prefilter = kKoboldPrefilter,
                        .last = mirostat};
            return {.head = kKoboldHead, .body = kKobold, .prefilter = kKoboldPrefilter};
        case Rule::greedy:
            return {.head = kGreedy, .body = {}, .last = K::greedy};
    }
    return {};
}
}  // namespace

std::vector<std::string_view> preset_names() {
    std::vector<std::string_view> names;
    for (const Preset& p : kPresets) names.push_back(p.name);
    return names;
}

Result<SamplerParams> preset_params(std::string_view preset) {
    HEARTH_TRY(const Preset* found, find_preset(preset));
    SamplerParams params;
    found->defaults(params);
    return params;
}

Result<std::vector<SamplerStage>> preset_stages(std::string_view preset, const SamplerParams& params) {
    HEARTH_TRY(const Preset* found, find_preset(preset));
    if (params.mirostat < 0 || params.mirostat > 2) {
        return fail(Code::invalid_argument, "mirostat is {}, but must be 0 (off), 1 or 2", params.mirostat);
    }
    if (params.min_keep < 0)
        return fail(Code::invalid_argument, "min_keep is {}, but must be at least 0", params.min_keep);
    const Order order = order_of(found->rule, params);
    std::vector<SamplerStage> stages;
    for (K kind : order.head) stages.push_back(make_stage(kind, params, *found));
    if (order.prefilter > 0) stages.push_back({.kind = K::top_k, .top_k = order.prefilter});
    for (K kind : order.body) stages.push_back(make_stage(kind, params, *found));
    stages.push_back(make_stage(order.last, params, *found));
    HEARTH_CHECK(check_stages(stages));
    return stages;
}

}  // namespace hearth

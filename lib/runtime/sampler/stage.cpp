// Names of stages, and the ranges of their numbers.
#include "runtime/sampler/stage.hpp"

#include <cmath>
#include <initializer_list>
#include <limits>

namespace hearth {

namespace {
constexpr const char* kNames[] = {"mask",        "logit_bias", "penalties",  "dry",    "top_n_sigma", "top_k",
                                  "top_a",       "tfs",        "typical",    "top_p",  "min_p",       "xtc",
                                  "temperature", "mirostat_1", "mirostat_2", "greedy", "dist"};
constexpr float kAny = std::numeric_limits<float>::max();

struct Range {
    const char* name;
    float value, low, high;
    bool open = false;  // low itself is excluded
};

Status in_range(const Range& r) {
    if (r.value >= r.low && r.value <= r.high && !(r.open && r.value == r.low)) return {};
    if (r.high == kAny && r.low == -kAny)
        return fail(Code::invalid_argument, "{} is {}, but must be a finite number", r.name, r.value);
    if (r.high == kAny) {
        return fail(Code::invalid_argument, "{} is {}, but must be {} {}", r.name, r.value,
                    r.open ? "above" : "at least", r.low);
    }
    return fail(Code::invalid_argument, "{} is {}, but must be in {}{}, {}]", r.name, r.value,
                r.open ? "(" : "[", r.low, r.high);
}

Status all_in_range(std::initializer_list<Range> ranges) {
    for (const Range& r : ranges) HEARTH_CHECK(in_range(r));
    return {};
}

Status at_least(const char* name, int32_t value, int32_t least) {
    if (value >= least) return {};
    return fail(Code::invalid_argument, "{} is {}, but must be at least {}", name, value, least);
}

Status check_cut(const SamplerStage& s, const Range& range) {
    HEARTH_CHECK(in_range(range));
    return at_least("min_keep", s.cut.min_keep, 0);
}

Status check_penalties(const PenaltyParams& p) {  // bounds that no sum over a window can overflow
    HEARTH_CHECK(all_in_range({{"repeat_penalty", p.repeat, 0.01f, 100},
                               {"frequency_penalty", p.frequency, -1e6f, 1e6f},
                               {"presence_penalty", p.presence, -1e6f, 1e6f},
                               {"repeat_slope", p.slope, 0, 100}}));
    return at_least("repeat_last_n", p.last_n, -1);
}

Status check_dry(const DryParams& d) {
    HEARTH_CHECK(all_in_range({{"dry_multiplier", d.multiplier, 0, 1e6f}, {"dry_base", d.base, 0, 1e6f}}));
    HEARTH_CHECK(at_least("dry_allowed_length", d.allowed_length, 0));
    return at_least("dry_last_n", d.last_n, -1);
}

Status check_temperature(const TemperatureParams& t) {
    return all_in_range({{"temperature", t.value, -kAny, kAny},
                         {"dynatemp_range", t.range, 0, kAny},
                         {"dynatemp_exponent", t.exponent, 0, kAny},
                         {"smoothing_factor", t.smoothing_factor, 0, kAny},
                         {"smoothing_curve", t.smoothing_curve, -kAny, kAny}});
}

Status check_stage(const SamplerStage& s) {
    switch (s.kind) {
        case StageKind::mask:
        case StageKind::logit_bias:
        case StageKind::greedy:
        case StageKind::dist:
        case StageKind::top_k:
            return {};
        case StageKind::penalties:
            return check_penalties(s.penalties);
        case StageKind::dry:
            return check_dry(s.dry);
        case StageKind::top_n_sigma:
            return check_cut(s, {"top_n_sigma", s.cut.value, -kAny, kAny});
        case StageKind::top_a:
            return check_cut(s, {"top_a", s.cut.value, 0, kAny});
        case StageKind::tfs:
            return check_cut(s, {"tfs_z", s.cut.value, 0, 1, true});
        case StageKind::typical:
            return check_cut(s, {"typical_p", s.cut.value, 0, 1, true});
        case StageKind::top_p:
            return check_cut(s, {"top_p", s.cut.value, 0, 1, true});
        case StageKind::min_p:
            return check_cut(s, {"min_p", s.cut.value, 0, 1});
        case StageKind::xtc:
            HEARTH_CHECK(all_in_range(
                {{"xtc_probability", s.xtc.probability, 0, 1}, {"xtc_threshold", s.xtc.threshold, 0, 1}}));
            return at_least("min_keep", s.xtc.min_keep, 0);
        case StageKind::temperature:
            return check_temperature(s.temperature);
        case StageKind::mirostat_1:
        case StageKind::mirostat_2:
            HEARTH_CHECK(all_in_range(
                {{"mirostat_tau", s.mirostat.tau, 0, 1e6f}, {"mirostat_eta", s.mirostat.eta, 0, 1e6f}}));
            return s.kind == StageKind::mirostat_1 ? at_least("mirostat m", s.mirostat.m, 2) : Status{};
    }
    return fail(Code::invalid_argument, "stage kind {} is unknown", static_cast<int>(s.kind));
}
}  // namespace

const char* stage_name(StageKind kind) { return kNames[static_cast<std::size_t>(kind)]; }

Status check_stages(std::span<const SamplerStage> stages) {
    if (stages.empty())
        return fail(Code::invalid_argument,
                    "a sampler without stages cannot draw; end it with greedy or dist");
    for (std::size_t i = 0; i < stages.size(); ++i) {
        HEARTH_CHECK(check_stage(stages[i]));
        const bool draws = stages[i].kind >= StageKind::mirostat_1, last = i + 1 == stages.size();
        if (draws == last) continue;
        return fail(Code::invalid_argument, "stage {} ({}) {}; a sampler has one drawing stage, the last", i,
                    stage_name(stages[i].kind), last ? "draws no token" : "draws before others have run");
    }
    return {};
}

}  // namespace hearth

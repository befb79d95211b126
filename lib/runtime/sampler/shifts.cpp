// Mask, bias, penalties and temperature.
#include "runtime/sampler/shifts.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace hearth {

namespace {
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Stages may overflow on absurd logits; what sorts and sums them must never see NaN or +inf.
float tame(float logit) {
    constexpr float kMost = std::numeric_limits<float>::max();
    return std::isnan(logit) ? -kInfinity : std::min(logit, kMost);
}

// Quadratic to cubic curve through the best logit (KoboldCPP's smoothing).
void smooth(Candidates& list, float factor, float curve) {
    const float top = list.best().logit;
    const float square = (3 - curve) / 2 * factor, cube = (curve - 1) / 2 * factor;
    for (Candidate& c : list.shift()) {
        const float d = c.logit - top;
        if (c.logit > -kInfinity) c.logit = tame(-(square * d * d) + cube * d * d * d + top);
    }
}

// Temperature in value +- range by the entropy of what is left, relative to a flat distribution.
float dynamic_temperature(Candidates& list, const TemperatureParams& t) {
    list.softmax();
    double entropy = 0;
    for (const Candidate& c : list.view()) {
        if (c.p > 0) entropy -= c.p * std::log(static_cast<double>(c.p));
    }
    const double share = std::clamp(entropy / std::log(static_cast<double>(list.size())), 0.0, 1.0);
    const float low = std::max(0.0f, t.value - t.range), high = std::max(0.0f, t.value + t.range);
    return low + (high - low) * static_cast<float>(std::pow(share, static_cast<double>(t.exponent)));
}
}  // namespace

std::span<const int32_t> newest(std::span<const int32_t> history, int32_t last_n) {
    return last_n < 0 ? history : history.last(std::min(history.size(), static_cast<std::size_t>(last_n)));
}

void shift_mask(Candidates& list, const uint64_t* bits) {
    if (!bits) return;
    for (Candidate& c : list.shift()) {
        if (!(bits[c.id / 64] >> (c.id % 64) & 1)) c.logit = -kInfinity;
    }
}

Status shift_bias(Candidates& list, std::span<const LogitBias> bias, int32_t n_vocab) {
    if (bias.empty()) return {};
    const auto all = list.shift();
    bool forced = false;
    for (const LogitBias& b : bias) {
        if (b.token >= n_vocab) {
            return fail(Code::invalid_argument, "logit bias for token {}, but the vocabulary has {}", b.token,
                        n_vocab);
        }
        Candidate* c = list.find(b.token);
        if (b.bias == kInfinity)
            forced = true;
        else if (c)
            c->logit = tame(c->logit + b.bias);
    }
    if (!forced) return {};
    for (Candidate& c : all) {  // p marks the forced ones for this moment
        c.p = 0;
    }
    for (const LogitBias& b : bias) {
        Candidate* c = list.find(b.token);
        if (c && b.bias == kInfinity) c->p = 1;
    }
    list.filter([](const Candidate& c) { return c.p > 0; });
    return {};
}

// Divides positive and multiplies negative logits by `repeat` (the paper only divides, which would favour
// tokens with negative logits), then subtracts count * frequency + presence.
void shift_penalties(Candidates& list, const PenaltyParams& p, std::span<const int32_t> history,
                     TokenTally& tally) {
    if (p.repeat == 1 && p.frequency == 0 && p.presence == 0) return;
    const auto window = newest(history, p.last_n);
    const auto n_vocab = tally.by_token.size();
    for (std::size_t i = 0; i < window.size(); ++i) {
        if (window[i] < 0 || static_cast<std::size_t>(window[i]) >= n_vocab) continue;
        auto& entry = tally.by_token[static_cast<std::size_t>(window[i])];
        if (entry.n++ == 0) tally.touched.push_back(window[i]);
        entry.recent = entry.recent || i >= window.size() / 2;
    }
    const float reduced = p.repeat > 1 ? 1 + (p.repeat - 1) * p.slope : p.repeat;
    for (Candidate& c : list.shift()) {
        const auto& entry = tally.by_token[static_cast<std::size_t>(c.id)];
        if (entry.n == 0) continue;
        const float repeat = entry.recent ? p.repeat : reduced;
        c.logit = c.logit <= 0 ? c.logit * repeat : c.logit / repeat;
        c.logit = tame(c.logit - (static_cast<float>(entry.n) * p.frequency + p.presence));
    }
    for (int32_t id : tally.touched) tally.by_token[static_cast<std::size_t>(id)] = {};
    tally.touched.clear();
}

void shift_temperature(Candidates& list, const TemperatureParams& t) {
    float value = t.value;
    if (t.range > 0) {
        if (list.size() < 2) return;
        value = dynamic_temperature(list, t);
    }
    // A temperature so low that the best logit overflows means the same as 0.
    if (!(value > 0) || !std::isfinite(list.best().logit / value)) return list.keep_best(1);
    if (value != 1) {
        for (Candidate& c : list.shift()) c.logit /= value;
    }
    if (t.smoothing_factor > 0 && list.size() > 1) smooth(list, t.smoothing_factor, t.smoothing_curve);
}

}  // namespace hearth

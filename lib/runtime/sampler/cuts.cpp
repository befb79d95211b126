// Truncation rules. Sums run in double; where llama.cpp departs from a paper, llama.cpp is followed.
#include "runtime/sampler/cuts.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace hearth {

namespace {
std::size_t at_least_one(int32_t min_keep) { return static_cast<std::size_t>(std::max(min_keep, 1)); }

double entropy(const Candidates& list) {  // of p, natural logarithm; 0 log 0 = 0
    double sum = 0;
    for (const Candidate& c : list.view()) {
        if (c.p > 0) sum -= c.p * std::log(static_cast<double>(c.p));
    }
    return sum;
}
}  // namespace

// Keeps logits within value standard deviations of the best; -inf takes no part in the statistics. What falls
// out becomes -inf and keeps its place, because later stages count it (dynamic temperature: maximal entropy).
void cut_top_n_sigma(Candidates& list, const CutParams& cut) {
    if (cut.value <= 0 || list.size() < 2) return;
    constexpr float kNone = -std::numeric_limits<float>::infinity();
    double sum = 0, square = 0;
    std::size_t n = 0;
    for (const Candidate& c : list.view()) {
        if (c.logit == kNone) continue;
        sum += c.logit;
        ++n;
    }
    if (n == 0) return;
    const double mean = sum / static_cast<double>(n);
    for (const Candidate& c : list.view()) {
        if (c.logit != kNone) square += (c.logit - mean) * (c.logit - mean);
    }
    const double least = list.best().logit - cut.value * std::sqrt(square / static_cast<double>(n));
    for (Candidate& c : list.shift()) {
        if (c.logit < least) c.logit = kNone;
    }
}

// Keeps p >= value * p_max^2, written on logits: log(p / p_max) >= log(value * p_max).
void cut_top_a(Candidates& list, const CutParams& cut) {
    if (cut.value <= 0 || list.size() < 2) return;
    list.softmax();
    const Candidate top = list.best();
    list.keep_at_least(std::min(top.logit, top.logit + std::log(cut.value * top.p)),
                       at_least_one(cut.min_keep));
}

void cut_min_p(Candidates& list, const CutParams& cut) {
    if (cut.value <= 0) return;
    list.keep_at_least(list.best().logit + std::log(cut.value), at_least_one(cut.min_keep));
}

// Tail-free: cuts where the normalised |second difference| of the sorted probabilities has summed up to
// value.
void cut_tail_free(Candidates& list, const CutParams& cut) {
    if (cut.value >= 1 || list.size() <= 2) return;
    list.sort();
    list.softmax();
    const std::size_t n = list.size() - 2;
    const auto bend = [&](std::size_t i) {
        return std::abs((static_cast<double>(list[i].p) - list[i + 1].p) -
                        (static_cast<double>(list[i + 1].p) - list[i + 2].p));
    };
    double total = 0, sum = 0;
    for (std::size_t i = 0; i < n; ++i) total += bend(i);
    const bool flat = total <= 1e-6;  // no bend to speak of: every place weighs the same
    for (std::size_t i = 0; i < n; ++i) {
        sum += flat ? 1.0 / static_cast<double>(n) : bend(i) / total;
        if (sum > cut.value && i >= at_least_one(cut.min_keep)) return list.keep_prefix(i);
    }
}

// Locally typical sampling: takes candidates in order of |surprise - entropy| until their sum exceeds value.
// Like llama.cpp, and unlike the paper, the candidate that crosses the line is kept.
void cut_typical(Candidates& list, const CutParams& cut, std::vector<Candidate>& scratch) {
    if (cut.value >= 1) return;
    list.softmax();
    const double expected = entropy(list);
    const auto distance = [&](const Candidate& c) {
        return std::abs(-std::log(static_cast<double>(c.p)) - expected);
    };
    scratch.assign(list.view().begin(), list.view().end());
    std::sort(scratch.begin(), scratch.end(), [&](const Candidate& a, const Candidate& b) {
        const double da = distance(a), db = distance(b);
        return da < db || (da == db && better(a, b));
    });
    double sum = 0;
    std::size_t n = 0;
    while (n < scratch.size()) {
        sum += scratch[n++].p;
        if (sum > cut.value && n >= at_least_one(cut.min_keep)) break;
    }
    list.assign({scratch.data(), n});
}

void cut_top_p(Candidates& list, const CutParams& cut) {
    if (cut.value >= 1) return;
    list.softmax();
    double sum = 0;
    for (std::size_t i = 0; i < list.size(); ++i) {
        list.sort_prefix(i + 1);
        sum += list[i].p;
        if (sum >= cut.value && i + 1 >= at_least_one(cut.min_keep)) return list.keep_prefix(i + 1);
    }
}

// Exclude top choices: of the candidates at or above the threshold only the least likely stays.
void cut_xtc(Candidates& list, const XtcParams& xtc, double chance) {
    if (xtc.probability <= 0 || xtc.threshold > 0.5f || list.size() < 2 || chance >= xtc.probability) return;
    list.softmax();
    std::size_t n = 0;
    for (; n < list.size(); ++n) {
        list.sort_prefix(n + 1);
        if (list[n].p < xtc.threshold) break;
    }
    if (n > 1 && list.size() - (n - 1) >= at_least_one(xtc.min_keep)) list.drop_prefix(n - 1);
}

}  // namespace hearth

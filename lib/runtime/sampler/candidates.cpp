// Loading, partial sorting and cutting of the candidate list.
#include "runtime/sampler/candidates.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace hearth {

namespace {
constexpr float kInfinity = std::numeric_limits<float>::infinity();

Failure refuse(const float* logits, int32_t n_vocab) {
    for (int32_t i = 0; i < n_vocab; ++i) {
        if (std::isnan(logits[i]))
            return fail(Code::invalid_argument, "the logit of token {} is not a number", i);
        if (logits[i] == kInfinity)
            return fail(Code::invalid_argument, "the logit of token {} is +infinity", i);
    }
    return fail(Code::invalid_argument, "all {} logits are -infinity: no token can be drawn", n_vocab);
}
}  // namespace

Status Candidates::load(const float* logits, int32_t n_vocab) {
    bool sound = true, any = false;
    for (int32_t i = 0; i < n_vocab; ++i) {  // no early exit: lets the compiler use wide registers
        sound &= logits[i] < kInfinity;
        any |= logits[i] > -kInfinity;
    }
    if (!sound || !any) return refuse(logits, n_vocab);
    list_.resize(static_cast<std::size_t>(n_vocab));
    for (int32_t i = 0; i < n_vocab; ++i) list_[static_cast<std::size_t>(i)] = {i, logits[i], 0.0f};
    n_sorted_ = 0;
    dense_ = true;
    return {};
}

Candidate Candidates::best() const {
    if (n_sorted_ > 0) return list_.front();
    return *std::min_element(list_.begin(), list_.end(), better);
}

Candidate* Candidates::find(int32_t id) {
    if (dense_) {
        return id >= 0 && static_cast<std::size_t>(id) < list_.size() ? &list_[static_cast<std::size_t>(id)]
                                                                      : nullptr;
    }
    const auto at = std::find_if(list_.begin(), list_.end(), [&](const Candidate& c) { return c.id == id; });
    return at == list_.end() ? nullptr : &*at;
}

// Grows at least fourfold, so that asking one by one costs a few selections, not one per question.
void Candidates::sort_prefix(std::size_t n) {
    if (n <= n_sorted_) return;
    n = std::min(list_.size(), std::max({n, 4 * n_sorted_, std::size_t{256}}));
    const auto from = list_.begin() + static_cast<std::ptrdiff_t>(n_sorted_);
    const auto to = list_.begin() + static_cast<std::ptrdiff_t>(n);
    if (to != list_.end()) std::nth_element(from, to, list_.end(), better);
    std::sort(from, to, better);
    n_sorted_ = n;
    dense_ = false;
}

void Candidates::softmax() {
    const float top = best().logit;
    if (!(top > -kInfinity)) {  // all banned: drop_impossible() will say so
        for (Candidate& c : list_) c.p = 0;
        return;
    }
    double sum = 0;
    for (Candidate& c : list_) sum += c.p = std::exp(c.logit - top);
    const double scale = 1 / sum;
    for (Candidate& c : list_) c.p = static_cast<float>(c.p * scale);
}

// For k far below the size: one pass that collects what beats the k-th best so far. On unordered logits only
// about k ln(size/k) entries are ever touched a second time.
void Candidates::keep_best(std::size_t k) {
    if (k >= list_.size()) return;
    if (k <= n_sorted_) return keep_prefix(k);
    dense_ = false;
    n_sorted_ = 0;
    if (4 * k < list_.size()) {
        chosen_.resize(2 * k);
        Candidate limit{0, -kInfinity, 0};
        bool limited = false;
        std::size_t n = 0;
        const auto kth = chosen_.begin() + static_cast<std::ptrdiff_t>(k - 1);
        for (const Candidate& c : list_) {
            if (limited && !better(c, limit)) continue;
            chosen_[n++] = c;
            if (n < chosen_.size()) continue;
            std::nth_element(chosen_.begin(), kth, chosen_.end(), better);
            limit = *kth;
            limited = true;
            n = k;
        }
        std::copy_n(chosen_.begin(), n, list_.begin());
        list_.resize(n);
    }
    if (k < list_.size()) {
        std::nth_element(list_.begin(), list_.begin() + static_cast<std::ptrdiff_t>(k), list_.end(), better);
    }
    list_.resize(k);
}

void Candidates::keep_at_least(float logit, std::size_t min_keep) {
    if (min_keep <= 1) {
        filter([&](const Candidate& c) { return c.logit >= logit; });
        return;
    }
    min_keep = std::min(min_keep, list_.size());
    sort_prefix(min_keep);
    const Candidate last = list_[min_keep - 1];
    filter([&](const Candidate& c) { return c.logit >= logit || !better(last, c); });
}

void Candidates::keep_prefix(std::size_t n) {
    list_.resize(std::min(n, list_.size()));
    n_sorted_ = std::min(n_sorted_, list_.size());
    dense_ = false;
}

void Candidates::drop_prefix(std::size_t n) {
    list_.erase(list_.begin(), list_.begin() + static_cast<std::ptrdiff_t>(n));
    n_sorted_ -= std::min(n, n_sorted_);
    dense_ = false;
}

void Candidates::assign(std::span<const Candidate> list) {
    list_.assign(list.begin(), list.end());
    n_sorted_ = 0;
    dense_ = false;
}

Status Candidates::drop_impossible() {
    for (const Candidate& c : list_) {
        if (!(c.logit < kInfinity)) {
            return fail(Code::invalid_argument,
                        "the sampling settings push the logit of token {} out of range", c.id);
        }
    }
    filter([](const Candidate& c) { return c.logit > -kInfinity; });
    if (list_.empty()) return fail(Code::invalid_argument, "no token is allowed: mask and bans leave none");
    return {};
}

}  // namespace hearth

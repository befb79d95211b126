// The stages written down once more in double precision over a fully sorted list, as plainly as possible.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <vector>

namespace hearth::test {

struct Ref {
    int32_t id;
    double logit, p;
};
using RefList = std::vector<Ref>;

constexpr double kNever = -std::numeric_limits<double>::infinity();

inline void normalise(RefList& list) {
    std::sort(list.begin(), list.end(), [](const Ref& a, const Ref& b) {
        return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
    });
    double sum = 0;
    for (Ref& r : list) sum += r.p = std::exp(r.logit - list[0].logit);
    for (Ref& r : list) r.p /= sum;
}

inline RefList ref_load(const std::vector<float>& logits) {
    RefList list;
    for (std::size_t i = 0; i < logits.size(); ++i) list.push_back({static_cast<int32_t>(i), logits[i], 0});
    normalise(list);
    return list;
}

// Every cut returns how far its closest decision was from going the other way; a test discards cases whose
// distance is within the rounding of the code under test.
inline double ref_top_k(RefList& list, std::size_t k) {
    if (k < list.size()) list.resize(k);
    return 1;
}

inline double ref_top_p(RefList& list, double value, std::size_t min_keep) {
    double sum = 0, gap = 1;
    for (std::size_t i = 0; i < list.size(); ++i) {
        sum += list[i].p;
        gap = std::min(gap, std::abs(sum - value));
        if (sum >= value && i + 1 >= min_keep) {
            list.resize(i + 1);
            break;
        }
    }
    return gap;
}

inline double ref_threshold(RefList& list, double least_p, std::size_t min_keep) {
    double gap = 1;
    std::size_t n = 0;
    for (; n < list.size(); ++n) {
        gap = std::min(gap, std::abs(list[n].p / least_p - 1));
        if (list[n].p < least_p && n >= std::max<std::size_t>(min_keep, 1)) break;
    }
    list.resize(n);
    return gap;
}

inline double ref_min_p(RefList& list, double value, std::size_t keep) {
    return ref_threshold(list, value * list[0].p, keep);
}
inline double ref_top_a(RefList& list, double value, std::size_t keep) {
    return ref_threshold(list, value * list[0].p * list[0].p, keep);
}

inline double ref_top_n_sigma(RefList& list, double n) {
    double mean = 0, square = 0, gap = 1;
    for (const Ref& r : list) mean += r.logit / static_cast<double>(list.size());
    for (const Ref& r : list)
        square += (r.logit - mean) * (r.logit - mean) / static_cast<double>(list.size());
    const double least = list[0].logit - n * std::sqrt(square);
    RefList kept;
    for (const Ref& r : list) {
        gap = std::min(gap, std::abs(r.logit - least));
        if (r.logit >= least) kept.push_back(r);
    }
    list = kept;
    return gap;
}

inline double ref_typical(RefList& list, double value, std::size_t min_keep) {
    double h = 0, sum = 0, gap = 1;
    for (const Ref& r : list) h -= r.p * std::log(r.p);
    std::sort(list.begin(), list.end(), [&](const Ref& a, const Ref& b) {
        return std::abs(-std::log(a.p) - h) < std::abs(-std::log(b.p) - h);
    });
    for (std::size_t i = 0; i < list.size(); ++i) {
        if (i + 1 < list.size())
            gap = std::min(gap, std::abs(-std::log(list[i + 1].p) - h) - std::abs(-std::log(list[i].p) - h));
        sum += list[i].p;
        gap = std::min(gap, std::abs(sum - value));
        if (sum > value && i + 1 >= min_keep) {
            list.resize(i + 1);
            break;
        }
    }
    return gap;
}

inline double ref_tail_free(RefList& list, double z, std::size_t min_keep) {
    std::vector<double> bend;
    double total = 0, sum = 0, gap = 1;
    for (std::size_t i = 0; i + 2 < list.size(); ++i)
        bend.push_back(std::abs(list[i].p - 2 * list[i + 1].p + list[i + 2].p));
    for (double b : bend) total += b;
    for (std::size_t i = 0; i < bend.size(); ++i) {
        sum += bend[i] / total;
        gap = std::min(gap, std::abs(sum - z));
        if (sum > z && i >= std::max<std::size_t>(min_keep, 1)) {
            list.resize(i);
            break;
        }
    }
    return gap;
}

// DRY by its definition: for each token, the longest suffix of the window (not reaching behind a breaker)
// that somewhere earlier was followed by this token.
inline std::map<int32_t, int> ref_repeats(const std::vector<int32_t>& window, int limit) {
    std::map<int32_t, int> longest;
    const int n = static_cast<int>(window.size());
    for (int end = 1; end < n; ++end) {  // window[end] followed window[..end)
        int length = 0;
        while (length < end && window[end - 1 - length] == window[n - 1 - length]) ++length;
        auto [at, fresh] = longest.emplace(window[end], std::min(length, limit));
        if (!fresh) at->second = std::max(at->second, std::min(length, limit));
    }
    return longest;
}

}  // namespace hearth::test

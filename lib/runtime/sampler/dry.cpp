// DRY ("don't repeat yourself"): a token that would continue a repetition pays more the longer it already is.
#include "runtime/sampler/shifts.hpp"

#include <algorithm>
#include <cmath>

namespace hearth {

namespace {
// How many tokens follow the newest breaker in the window (all of it if there is none). Going back from the
// end, the first token that starts a complete breaker decides, with the longest breaker that starts there.
std::size_t tokens_since_breaker(std::span<const int32_t> window,
                                 std::span<const std::vector<int32_t>> breakers) {
    for (std::size_t back = 0; back < window.size(); ++back) {
        const auto tail = window.last(back + 1);
        std::size_t longest = 0;
        for (const auto& b : breakers) {
            if (b.size() > longest && b.size() <= tail.size() && std::equal(b.begin(), b.end(), tail.begin()))
                longest = b.size();
        }
        if (longest > 0) return tail.size() - longest;
    }
    return window.size();
}

// z[k]: how many tokens before and including the one k places before the last equal the window's own end.
// The Z algorithm on the reversed window (Gusfield, "Algorithms on Strings, Trees and Sequences", 1.3).
void suffix_matches(std::span<const int32_t> window, std::vector<int32_t>& z) {
    const auto n = static_cast<int32_t>(window.size());
    const auto at = [&](int32_t i) { return window[static_cast<std::size_t>(n - 1 - i)]; };
    z.assign(window.size(), 0);
    for (int32_t k = 1, left = 0, right = 0; k < n; ++k) {  // [left, right): the match that reaches furthest
        int32_t length = k < right ? std::min(right - k, z[static_cast<std::size_t>(k - left)]) : 0;
        while (k + length < n && at(length) == at(k + length)) ++length;
        z[static_cast<std::size_t>(k)] = length;
        if (k + length > right) {
            left = k;
            right = k + length;
        }
    }
}

bool is_breaker(int32_t token, std::span<const std::vector<int32_t>> breakers) {
    return std::any_of(breakers.begin(), breakers.end(),
                       [&](const auto& b) { return b.size() == 1 && b[0] == token; });
}
}  // namespace

void shift_dry(Candidates& list, const DryParams& dry, std::span<const int32_t> history,
               std::span<const std::vector<int32_t>> breakers, TokenTally& tally,
               std::vector<int32_t>& scratch) {
    if (dry.multiplier <= 0 || (dry.kobold ? dry.base <= 0 : dry.base < 1) || dry.last_n == 0) return;
    const auto window = newest(history, dry.last_n);
    const auto allowed = static_cast<std::size_t>(dry.allowed_length);
    if (window.size() <= allowed) return;
    const std::size_t limit = tokens_since_breaker(window, breakers);
    if (limit < allowed + (dry.kobold ? 1 : 0)) return;

    suffix_matches(window, scratch);
    for (std::size_t k = 1; k < window.size(); ++k) {
        const int32_t length = std::min(scratch[k], static_cast<int32_t>(limit));
        const int32_t next = window[window.size() - k];  // what followed the earlier occurrence
        if (length < dry.allowed_length || next < 0 ||
            static_cast<std::size_t>(next) >= tally.by_token.size())
            continue;
        auto& entry = tally.by_token[static_cast<std::size_t>(next)];
        if (!entry.recent) tally.touched.push_back(next);
        entry.recent = true;
        entry.n = std::max(entry.n, length);
    }
    if (tally.touched.empty()) return;
    // base^exponent must stay a finite float: log(FLT_MAX) = 88.72
    const int32_t most = dry.base > 1.000001f ? static_cast<int32_t>(88.7228391f / std::log(dry.base)) : 0;
    for (Candidate& c : list.shift()) {
        const auto& entry = tally.by_token[static_cast<std::size_t>(c.id)];
        if (!entry.recent || (!dry.kobold && is_breaker(c.id, breakers))) continue;
        int32_t exponent = entry.n - dry.allowed_length;
        if (most > 0) exponent = std::min(exponent, most);
        c.logit -= dry.multiplier * std::pow(dry.base, static_cast<float>(exponent));
    }
    for (int32_t id : tally.touched) tally.by_token[static_cast<std::size_t>(id)] = {};
    tally.touched.clear();
}

}  // namespace hearth

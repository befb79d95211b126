// One pass per token length, longest first, over the places where a special token can start at all.
#include "text/special_split.hpp"

#include <algorithm>

namespace hearth {

namespace {

constexpr uint32_t kMatched = kTokenControl | kTokenUserDefined | kTokenUnknown;

// White space as the C locale has it.
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

struct Match {
    int32_t token;
    std::size_t begin, end;  // with the white space that the token strips
};

Match strip(const Tokens& tokens, std::string_view text, const std::vector<bool>& taken, Match match) {
    if (tokens.is(match.token, kTokenStripLeft))
        while (match.begin > 0 && !taken[match.begin - 1] && is_space(text[match.begin - 1])) --match.begin;
    if (tokens.is(match.token, kTokenStripRight))
        while (match.end < text.size() && !taken[match.end] && is_space(text[match.end])) ++match.end;
    return match;
}

}  // namespace

SpecialSplitter::SpecialSplitter(const Tokens& tokens) {
    for (int32_t id = 0; id < tokens.n_token(); ++id) {
        const std::string_view text = tokens.text(id);
        if (!tokens.is(id, kMatched) || text.empty()) continue;
        auto same = std::find_if(lengths_.begin(), lengths_.end(),
                                 [&](const Length& l) { return l.n_byte == text.size(); });
        if (same == lengths_.end()) same = lengths_.insert(same, Length{text.size(), {}});
        same->first.set(static_cast<uint8_t>(text[0]));
        first_.set(static_cast<uint8_t>(text[0]));
    }
    std::sort(lengths_.begin(), lengths_.end(),
              [](const Length& a, const Length& b) { return a.n_byte > b.n_byte; });
}

std::vector<Fragment> SpecialSplitter::split(const Tokens& tokens, std::string_view text,
                                             bool parse_special) const {
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < text.size(); ++i)
        if (first_.test(static_cast<uint8_t>(text[i]))) places.push_back(i);
    std::vector<Match> matches;
    std::vector<bool> taken(places.empty() ? 0 : text.size());
    for (const Length& length : lengths_) {
        for (const std::size_t at : places) {
            const std::size_t end = at + length.n_byte;
            if (end > text.size()) break;
            // A longer match took both ends of what it took, so the ends tell about the middle.
            if (taken[at] || taken[end - 1] || !length.first.test(static_cast<uint8_t>(text[at]))) continue;
            const int32_t token = tokens.find(text.substr(at, length.n_byte));
            if (token < 0 || !tokens.is(token, kMatched)) continue;
            if (!parse_special && tokens.is(token, kTokenSpecial)) continue;
            const Match match = strip(tokens, text, taken, {token, at, end});
            std::fill(taken.begin() + static_cast<std::ptrdiff_t>(match.begin),
                      taken.begin() + static_cast<std::ptrdiff_t>(match.end), true);
            matches.push_back(match);
        }
    }
    std::sort(matches.begin(), matches.end(),
              [](const Match& a, const Match& b) { return a.begin < b.begin; });
    std::vector<Fragment> fragments;
    std::size_t done = 0;
    for (const Match& match : matches) {
        if (match.begin > done) fragments.push_back({-1, done, match.begin - done});
        fragments.push_back({match.token, match.begin, match.end - match.begin});
        done = match.end;
    }
    if (done < text.size()) fragments.push_back({-1, done, text.size() - done});
    return fragments;
}

}  // namespace hearth

// Finds special tokens written out in a text and cuts the text around them.
#pragma once

#include "text/tokens.hpp"

#include <bitset>
#include <cstdint>
#include <string_view>
#include <vector>

namespace hearth {

// A stretch of plain text (token is -1) or one special token.
struct Fragment {
    int32_t token;
    std::size_t begin, n;
};

class SpecialSplitter {
  public:
    // Reads the attributes; make a new one after they change.
    explicit SpecialSplitter(const Tokens& tokens);
    // Longer tokens win over shorter ones, earlier places over later ones. Without parse_special only
    // user-defined tokens are looked for. Cost: text length times the number of different token lengths that
    // can start there.
    std::vector<Fragment> split(const Tokens& tokens, std::string_view text, bool parse_special) const;

  private:
    struct Length {
        std::size_t n_byte = 0;
        std::bitset<256> first;  // bytes that a token of this length starts with
    };
    std::vector<Length> lengths_;  // longest first
    std::bitset<256> first_;
};

}  // namespace hearth

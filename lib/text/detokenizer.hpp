// Turns tokens into text one at a time, holding back bytes until they form whole characters.
#pragma once

#include "text/vocab.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace hearth {

// What comes out is always UTF-8 and, over a whole run, equals detokenize() with every longest broken
// sequence replaced by U+FFFD. Borrows the vocabulary. One thread at a time.
class Detokenizer {
  public:
    explicit Detokenizer(const Vocab& vocab, DetokenizeOptions options = {});
    // The text that this token completes, possibly ""; valid until the next call. Fails on an id out of
    // range.
    Result<std::string_view> feed(int32_t id);
    // What was held back, U+FFFD where it never became a character. Then starts anew.
    std::string_view flush();
    std::size_t held_bytes() const { return held_.size(); }

  private:
    const Vocab& vocab_;
    DetokenizeOptions options_;
    bool at_start_ = true;
    std::string held_;  // the beginning of a character, at most 3 bytes
    std::string text_;  // what was returned last
};

}  // namespace hearth

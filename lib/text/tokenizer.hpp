// The algorithms that cut plain text (no special tokens in it) into tokens, behind one interface.
#pragma once

#include "base/result.hpp"
#include "text/tokens.hpp"

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace hearth {

class PreTokenizer;

// Immutable once made, so encode may be called from any thread. Borrows the Tokens that it was made with.
class Tokenizer {
  public:
    virtual ~Tokenizer() = default;
    // Appends the tokens of text, which may be any bytes of at most kMaxTextBytes.
    virtual Status encode(std::string_view text, std::vector<int32_t>& out) const = 0;
};

constexpr std::size_t kMaxTextBytes = std::size_t{1} << 30;

struct WordPieceOptions {
    bool lowercase = true, strip_accents = true;
};

// SentencePiece by scores, with bytes for what has no token. White space must be escaped already.
std::unique_ptr<Tokenizer> make_spm(const Tokens& tokens);
// Byte-pair encoding by merge ranks. A merge is "left right"; views are needed during the call only.
Result<std::unique_ptr<Tokenizer>> make_bpe(const Tokens& tokens, const std::vector<std::string_view>& merges,
                                            std::unique_ptr<PreTokenizer> pre);
// BERT's greedy longest match; a word starts with U+2581, as converters write it.
std::unique_ptr<Tokenizer> make_wordpiece(const Tokens& tokens, const WordPieceOptions& options);

}  // namespace hearth

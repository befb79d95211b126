// Vocabularies small enough to follow by hand, for tests that need no fixture.
#pragma once

#include "text/vocab.hpp"

#include <memory>
#include <string>
#include <vector>

namespace hearth::test {

constexpr std::int32_t kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kByte = 6;

// Owns the texts that a VocabSource only views.
class SmallVocab {
  public:
    SmallVocab& add(std::string text, std::int32_t type = kNormal, float score = 0.0f);
    SmallVocab& merge(std::string left_space_right);
    VocabSource source() const;           // views into this object
    std::unique_ptr<Vocab> make() const;  // fails the test where make_vocab fails

    VocabSource base;  // model, pre, flags and roles

  private:
    std::vector<std::string> texts_, merges_;
    std::vector<std::int32_t> types_;
    std::vector<float> scores_;
};

// <unk> <s> </s>, then <0x00> to <0xFF> (id 3 + byte), then pieces of "hello world" from id 259.
SmallVocab small_spm();
// The byte alphabet (id = byte), merges that make "hello" and " world", then <|end|> and <tool>.
SmallVocab small_bpe(std::string_view pre = "gpt-2");
SmallVocab small_wordpiece();

std::vector<std::int32_t> ids_of(const Vocab& vocab, std::string_view text,
                                 TokenizeOptions options = {false, false});
std::vector<std::string> words_of(const Vocab& vocab, std::string_view text,
                                  TokenizeOptions options = {false, false});

}  // namespace hearth::test

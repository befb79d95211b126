// Builds the small vocabularies.
#include "small_vocabs.hpp"

#include "support/catch.hpp"
#include "text/byte_alphabet.hpp"
#include "text/utf8.hpp"

namespace hearth::test {

SmallVocab& SmallVocab::add(std::string text, std::int32_t type, float score) {
    texts_.push_back(std::move(text));
    types_.push_back(type);
    scores_.push_back(score);
    return *this;
}

SmallVocab& SmallVocab::merge(std::string left_space_right) {
    merges_.push_back(std::move(left_space_right));
    return *this;
}

VocabSource SmallVocab::source() const {
    VocabSource source = base;
    source.tokens.assign(texts_.begin(), texts_.end());
    source.merges.assign(merges_.begin(), merges_.end());
    source.types = types_;
    source.scores = scores_;
    return source;
}

std::unique_ptr<Vocab> SmallVocab::make() const {
    auto vocab = make_vocab(source());
    if (!vocab) FAIL(error_record().message);
    return *std::move(vocab);
}

SmallVocab small_spm() {
    SmallVocab vocab;
    vocab.base.model = "llama";
    vocab.add("<unk>", kUnknown).add("<s>", kControl).add("</s>", kControl);
    for (int byte = 0; byte < 256; ++byte) vocab.add(format_text("<0x{:02X}>", byte), kByte);
    const std::string mark = "\xE2\x96\x81";
    float score = 0;
    for (const char* text : {"he", "ll", "hell", "hello"}) vocab.add(text, kNormal, score -= 1);
    for (const char* text : {"", "h", "hello", "w"}) vocab.add(mark + text, kNormal, score -= 1);
    for (const char* text : {"h", "e", "l", "o", "w", "r", "d"}) vocab.add(text, kNormal, score -= 1);
    return vocab;
}

SmallVocab small_bpe(std::string_view pre) {
    SmallVocab vocab;
    vocab.base.model = "gpt2";
    vocab.base.pre = pre;
    for (std::uint32_t byte = 0; byte < 256; ++byte) {
        std::string text;
        append_utf8(text, kByteAlphabet.code[byte]);
        vocab.add(text);
    }
    const std::string space = "\xC4\xA0";  // U+0120, the alphabet's space
    for (const std::string merge : {"l l", "h e", "he ll", "hell o", "o r"}) vocab.merge(merge);
    vocab.merge(space + " w").merge(space + "w or").merge(space + "wor l").merge(space + "worl d");
    for (const std::string text : {"ll", "he", "hell", "hello", "or"}) vocab.add(text);
    for (const std::string text : {"w", "wor", "worl", "world"}) vocab.add(space + text);
    vocab.add("<|end|>", kControl).add("<tool>", kUserDefined).add("<tool>er", kUserDefined);
    return vocab;
}

SmallVocab small_wordpiece() {
    SmallVocab vocab;
    vocab.base.model = "bert";
    const std::string mark = "\xE2\x96\x81";
    vocab.add("[UNK]", kControl).add("[CLS]", kControl).add("[SEP]", kControl);
    vocab.base.role[static_cast<std::size_t>(Role::unk)] = 0;
    vocab.base.role[static_cast<std::size_t>(Role::cls)] = 1;
    vocab.base.role[static_cast<std::size_t>(Role::sep)] = 2;
    for (const char* text : {"un", "cafe", "do", ".", "\xE4\xB8\xAD"}) vocab.add(mark + text);
    for (const char* text : {"do", "ne", "s"}) vocab.add(text);
    return vocab;
}

std::vector<std::int32_t> ids_of(const Vocab& vocab, std::string_view text, TokenizeOptions options) {
    auto ids = vocab.tokenize(text, options);
    if (!ids) FAIL(error_record().message);
    return *ids;
}

std::vector<std::string> words_of(const Vocab& vocab, std::string_view text, TokenizeOptions options) {
    std::vector<std::string> words;
    for (const std::int32_t id : ids_of(vocab, text, options)) words.emplace_back(vocab.token_text(id));
    return words;
}

}  // namespace hearth::test

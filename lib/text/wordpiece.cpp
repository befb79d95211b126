// BERT: clean and split the text into words, then match each word greedily against the vocabulary.
#include "text/tokenizer.hpp"
#include "text/utf8.hpp"

#include <utf8proc.h>

#include <algorithm>
#include <string>

namespace hearth {

namespace {

constexpr std::string_view kWordMark = "\xE2\x96\x81";  // U+2581 begins the first piece of a word
constexpr std::size_t kMaxWordChars = 100;              // BERT's own limit; a longer word is unknown
constexpr uint32_t kReplacement = 0xFFFD;

bool is_space(uint32_t code) {
    const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
    return (code >= 9 && code <= 13) || code == 0x85 || category == UTF8PROC_CATEGORY_ZS ||
           category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
}

bool is_dropped(uint32_t code) {
    const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
    return code == kReplacement || category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF ||
           category == UTF8PROC_CATEGORY_CO || category == UTF8PROC_CATEGORY_CS;
}

bool is_punctuation(uint32_t code) {
    if (code < 0x80)
        return (code > 32 && code < 48) || (code > 57 && code < 65) || (code > 90 && code < 97) ||
               (code > 122 && code < 127);
    const auto category = utf8proc_category(static_cast<utf8proc_int32_t>(code));
    return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

bool is_ideograph(uint32_t code) {
    struct Range {
        uint32_t first, last;
    };
    // As in the Hugging Face normalizer, with its 2B920 where Unicode's block starts at 2B820.
    static constexpr Range kRanges[] = {{0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF},
                                        {0x2A700, 0x2B73F}, {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF},
                                        {0xF900, 0xFAFF},   {0x2F800, 0x2FA1F}};
    return std::any_of(std::begin(kRanges), std::end(kRanges),
                       [code](const Range& r) { return code >= r.first && code <= r.last; });
}

struct Word {
    std::string text = std::string(kWordMark);
    std::size_t n_char = 0;

    void clear() {
        text = kWordMark;
        n_char = 0;
    }
    void push(uint32_t code) {
        append_utf8(text, code);
        ++n_char;
    }
};

class WordPiece final : public Tokenizer {
  public:
    WordPiece(const Tokens& tokens, const WordPieceOptions& options) : tokens_(tokens), options_(options) {}

    Status encode(std::string_view text, std::vector<int32_t>& out) const override {
        Word word;
        for (std::size_t at = 0; at < text.size();) {
            const Utf8Char c = decode_utf8(text, at);
            at += c.n_byte;
            add(c.code, word, out);
        }
        finish(word, out);
        return {};
    }

  private:
    void add(uint32_t code, Word& word, std::vector<int32_t>& out) const {
        if (is_space(code)) return finish(word, out);
        if (is_dropped(code)) return;
        if (!options_.strip_accents) return add_normal(code, word, out);
        utf8proc_int32_t parts[8];
        const auto n = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(code), parts, 8,
                                               UTF8PROC_DECOMPOSE, nullptr);
        if (n < 0 || n > 8) return add_normal(code, word, out);
        for (utf8proc_ssize_t i = 0; i < n; ++i)
            if (utf8proc_category(parts[i]) != UTF8PROC_CATEGORY_MN)
                add_normal(static_cast<uint32_t>(parts[i]), word, out);
    }

    void add_normal(uint32_t code, Word& word, std::vector<int32_t>& out) const {
        if (options_.lowercase)
            code = static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code)));
        const bool alone = is_punctuation(code) || is_ideograph(code);
        if (alone) finish(word, out);
        word.push(code);
        if (alone) finish(word, out);
    }

    // Longest match from the left; one unmatched place makes the whole word unknown.
    void finish(Word& word, std::vector<int32_t>& out) const {
        if (word.n_char == 0) return;
        const std::size_t n_before = out.size();
        const std::string_view text = word.text;
        bool known = word.n_char <= kMaxWordChars;
        for (std::size_t at = 0; known && at < text.size();) {
            int32_t id = -1;
            std::size_t end = std::min(text.size(), at + tokens_.table.longest_bytes());
            for (; end > at && id < 0; --end) id = tokens_.find(text.substr(at, end - at));
            known = id >= 0;
            if (known) out.push_back(id);
            at = end + 1;
        }
        if (!known) {
            out.resize(n_before);
            if (tokens_.unk >= 0) out.push_back(tokens_.unk);
        }
        word.clear();
    }

    const Tokens& tokens_;
    const WordPieceOptions options_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_wordpiece(const Tokens& tokens, const WordPieceOptions& options) {
    return std::make_unique<WordPiece>(tokens, options);
}

}  // namespace hearth

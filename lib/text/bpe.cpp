// Byte-pair encoding: words from the pre-tokenizer, neighbours merged by rank.
#include "text/byte_alphabet.hpp"
#include "text/merge.hpp"
#include "text/pre_tokenizer.hpp"
#include "text/tokenizer.hpp"
#include "text/utf8.hpp"

#include <string>

namespace hearth {

namespace {

// (left symbol, right symbol) -> rank and merged symbol. Linear probing, at most half full.
class MergeTable {
  public:
    explicit MergeTable(std::size_t n_merge) {
        std::size_t n = 16;
        while (n < n_merge * 2) n *= 2;
        rows_.resize(n);
    }
    // The first of two equal merges counts.
    void add(int32_t left, int32_t right, int32_t rank, int32_t merged) {
        Row& row = rows_[place(left, right)];
        if (row.rank < 0) row = {left, right, rank, merged};
    }
    bool find(int32_t left, int32_t right, int32_t* rank, int32_t* merged) const {
        if (left < 0 || right < 0) return false;
        const Row& row = rows_[place(left, right)];
        *rank = row.rank;
        *merged = row.merged;
        return row.rank >= 0;
    }

  private:
    struct Row {
        int32_t left = -1, right = -1, rank = -1, merged = -1;
    };
    std::size_t place(int32_t left, int32_t right) const {
        const uint64_t key =
            static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
        // Folds the high half in before and after, so that both ids reach the bits that pick the row.
        uint64_t h = (key ^ key >> 29) * 0x9E3779B97F4A7C15u;
        h ^= h >> 32;
        std::size_t i = static_cast<std::size_t>(h) & (rows_.size() - 1);
        while (rows_[i].rank >= 0 && (rows_[i].left != left || rows_[i].right != right))
            i = (i + 1) & (rows_.size() - 1);
        return i;
    }
    std::vector<Row> rows_;
};

std::string alphabet_text(std::string_view bytes) {
    std::string out;
    for (const char c : bytes) append_utf8(out, kByteAlphabet.code[static_cast<uint8_t>(c)]);
    return out;
}

// Symbols are the texts that occur in merges; most of them are tokens, too.
class Bpe final : public Tokenizer {
  public:
    Bpe(const Tokens& tokens, std::unique_ptr<PreTokenizer> pre, std::size_t n_merge)
        : tokens_(tokens), pre_(std::move(pre)), merges_(n_merge), raw_(pre_->flags() & kPreRawUtf8) {}

    Status add_merges(const std::vector<std::string_view>& merges);
    Status encode(std::string_view text, std::vector<int32_t>& out) const override;

  private:
    void encode_word(std::string_view word, MergeWork<int32_t>& work, std::vector<int32_t>& out) const;
    int32_t whole_word(std::string_view word) const;
    void start_symbols(std::string_view word, MergeWork<int32_t>& work) const;
    void emit(const Symbol& symbol, std::string_view word, std::vector<int32_t>& out) const;

    const Tokens& tokens_;
    const std::unique_ptr<PreTokenizer> pre_;
    MergeTable merges_;
    const bool raw_;  // symbols are UTF-8 characters, not bytes
    TextTable symbols_;
    std::vector<int32_t> token_of_symbol_;       // [n_symbol], -1 for a text that only merges know
    std::array<int32_t, 256> byte_symbol_{};     // -1 where no merge has the byte
    std::array<int32_t, 256> alphabet_token_{};  // the token that is one byte, -1 where there is none
};

Status Bpe::add_merges(const std::vector<std::string_view>& merges) {
    if (merges.empty())
        return fail(Code::bad_file,
                    "a BPE vocabulary needs merges (tokenizer.ggml.merges), the file has none");
    std::string joined;
    symbols_.reserve(static_cast<std::size_t>(tokens_.n_token()), 0);
    for (std::size_t i = 0; i < merges.size(); ++i) {
        // The left text may itself begin with a space.
        const std::size_t space = merges[i].find(' ', 1);
        if (space == std::string_view::npos || space + 1 == merges[i].size())
            return fail(Code::bad_file,
                        "tokenizer.ggml.merges: entry {} is '{}', not two texts with a space between", i,
                        to_utf8(merges[i].substr(0, 64), Replace::each_byte));
        const std::string_view left = merges[i].substr(0, space), right = merges[i].substr(space + 1);
        joined.assign(left);
        joined += right;
        const int32_t left_id = symbols_.intern(left), right_id = symbols_.intern(right);
        merges_.add(left_id, right_id, static_cast<int32_t>(i), symbols_.intern(joined));
    }
    for (int32_t id = 0; id < symbols_.size(); ++id)
        token_of_symbol_.push_back(tokens_.find(symbols_.text(id)));
    for (uint32_t byte = 0; byte < 256; ++byte) {
        std::string one;
        append_utf8(one, kByteAlphabet.code[byte]);
        byte_symbol_[byte] = symbols_.find(one);
        alphabet_token_[byte] = tokens_.find(one);
    }
    return {};
}

Status Bpe::encode(std::string_view text, std::vector<int32_t>& out) const {
    std::string repaired;
    if (!is_utf8(text)) {
        repaired = to_utf8(text, Replace::each_byte);
        text = repaired;
    }
    std::vector<std::size_t> ends;
    HEARTH_CHECK(pre_->split(text, ends));
    MergeWork<int32_t> work;
    std::size_t begin = 0;
    for (const std::size_t end : ends) {
        encode_word(text.substr(begin, end - begin), work, out);
        begin = end;
    }
    return {};
}

// The token that is all of this word where such words stay whole, else -1.
int32_t Bpe::whole_word(std::string_view word) const {
    const bool always = pre_->flags() & kPreIgnoreMerges;
    const bool newlines =
        pre_->flags() & kPreNewlineRuns && word.find_first_not_of('\n') == std::string_view::npos;
    if ((!always && !newlines) || word.size() > tokens_.table.longest_bytes()) return -1;
    return tokens_.find(raw_ ? std::string(word) : alphabet_text(word));
}

void Bpe::start_symbols(std::string_view word, MergeWork<int32_t>& work) const {
    work.clear();
    for (std::size_t at = 0; at < word.size();) {
        const std::size_t n = raw_ ? decode_utf8(word, at).n_byte : 1;
        work.push(raw_ ? symbols_.find(word.substr(at, n)) : byte_symbol_[static_cast<uint8_t>(word[at])], at,
                  n);
        at += n;
    }
}

void Bpe::encode_word(std::string_view word, MergeWork<int32_t>& work, std::vector<int32_t>& out) const {
    const int32_t whole = whole_word(word);
    if (whole >= 0) return out.push_back(whole);
    start_symbols(word, work);
    merge_symbols(work, [this](const Symbol& left, const Symbol& right, int32_t* rank, int32_t* id) {
        return merges_.find(left.id, right.id, rank, id);
    });
    for (int32_t i = 0; i >= 0; i = work.symbols[static_cast<std::size_t>(i)].next)
        emit(work.symbols[static_cast<std::size_t>(i)], word, out);
}

void Bpe::emit(const Symbol& symbol, std::string_view word, std::vector<int32_t>& out) const {
    const std::string_view bytes = word.substr(symbol.begin, symbol.n);
    const int32_t merged = symbol.id >= 0 ? token_of_symbol_[static_cast<std::size_t>(symbol.id)] : -1;
    const int32_t token = merged >= 0 || !raw_ ? merged : tokens_.find(bytes);
    if (token >= 0) return out.push_back(token);
    // A merge result that is no token, or a character that no merge has: byte by byte.
    for (const char c : bytes) {
        const auto byte = static_cast<uint8_t>(c);
        const int32_t one = raw_ ? tokens_.byte_token[byte] : alphabet_token_[byte];
        if (one >= 0) {
            out.push_back(one);
        } else if (tokens_.unk >= 0) {
            return out.push_back(tokens_.unk);
        }
    }
}

}  // namespace

Result<std::unique_ptr<Tokenizer>> make_bpe(const Tokens& tokens, const std::vector<std::string_view>& merges,
                                            std::unique_ptr<PreTokenizer> pre) {
    auto bpe = std::make_unique<Bpe>(tokens, std::move(pre), merges.size());
    HEARTH_CHECK(bpe->add_merges(merges));
    return std::unique_ptr<Tokenizer>(std::move(bpe));
}

}  // namespace hearth

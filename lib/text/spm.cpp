// SentencePiece's BPE: neighbours merge while their joined text is a token, the highest score first.
#include "text/merge.hpp"
#include "text/tokenizer.hpp"
#include "text/utf8.hpp"

namespace hearth {

namespace {

class Spm final : public Tokenizer {
  public:
    explicit Spm(const Tokens& tokens) : tokens_(tokens) {}

    Status encode(std::string_view text, std::vector<int32_t>& out) const override {
        if (text.empty()) return {};
        MergeWork<float> work;
        work.symbols.reserve(text.size());
        for (std::size_t at = 0; at < text.size();) {
            // A stray byte stands alone: it must not take the first byte of an escaped space with it.
            const Utf8Char c = decode_utf8(text, at);
            const std::size_t n = c.valid ? c.n_byte : 1;
            work.push(tokens_.find(text.substr(at, n)), at, n);
            at += n;
        }
        merge_symbols(work, [&](const Symbol& left, const Symbol& right, float* rank, int32_t* id) {
            *id = tokens_.find(text.substr(left.begin, left.n + right.n));
            if (*id < 0) return false;
            *rank = -tokens_.score[static_cast<std::size_t>(*id)];
            return true;
        });
        for (int32_t i = 0; i >= 0; i = work.symbols[static_cast<std::size_t>(i)].next)
            emit(work.symbols[static_cast<std::size_t>(i)], text, out);
        return {};
    }

  private:
    void emit(const Symbol& symbol, std::string_view text, std::vector<int32_t>& out) const {
        if (symbol.id >= 0) return out.push_back(symbol.id);
        for (uint32_t i = 0; i < symbol.n; ++i) {
            const int32_t byte = tokens_.byte_token[static_cast<uint8_t>(text[symbol.begin + i])];
            if (byte >= 0) {
                out.push_back(byte);
            } else if (tokens_.unk >= 0) {
                // Without byte tokens a character that has no token is one unknown, not one per byte.
                return out.push_back(tokens_.unk);
            }
        }
    }

    const Tokens& tokens_;
};

}  // namespace

std::unique_ptr<Tokenizer> make_spm(const Tokens& tokens) { return std::make_unique<Spm>(tokens); }

}  // namespace hearth

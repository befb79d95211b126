// SentencePiece's BPE: neighbours merge while their joined text is a token, the highest score first.
#include "text/merge.hpp"
#include "text/tokenizer.hpp"

namespace hearth {

namespace {

// Length of a character by its first byte alone: broken text stays in one piece per byte or per
// claimed length, and ends up as byte tokens either way.
std::size_t claimed_bytes(char first) {
    const auto byte = static_cast<uint8_t>(first);
    return byte < 0xC0 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

class Spm final : public Tokenizer {
  public:
    explicit Spm(const Tokens& tokens) : tokens_(tokens) {}

    Status encode(std::string_view text, std::vector<int32_t>& out) const override {
        if (text.empty()) return {};
        MergeWork<float> work;
        work.symbols.reserve(text.size());
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t n = std::min(claimed_bytes(text[at]), text.size() - at);
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

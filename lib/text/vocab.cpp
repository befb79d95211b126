// Tokenizing and detokenizing with a finished vocabulary.
#include "text/vocab.hpp"

namespace hearth {

namespace {

constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581 stands for a space inside tokens

void append_escaped(std::string& out, std::string_view text) {
    for (const char c : text) {
        if (c == ' ') {
            out += kSpaceMark;
        } else {
            out += c;
        }
    }
}

}  // namespace

Result<std::vector<int32_t>> Vocab::tokenize(std::string_view text, TokenizeOptions options) const {
    if (kind_ == VocabKind::none)
        return fail(Code::unsupported_struct, "this model has no tokenizer; give token ids");
    if (text.size() > kMaxTextBytes)
        return fail(Code::invalid_argument, "the text has {} bytes, the limit is {}", text.size(),
                    kMaxTextBytes);
    std::vector<int32_t> ids;
    ids.reserve(text.size() / 3 + 8);
    const bool wordpiece = kind_ == VocabKind::wordpiece;
    if (options.add_special && add_bos_) ids.push_back(bos());
    bool after_special = true;
    std::string escaped;
    for (const Fragment& fragment : splitter_->split(tokens_, text, options.parse_special)) {
        if (fragment.token >= 0) {
            ids.push_back(fragment.token);
            after_special = true;
            continue;
        }
        std::string_view plain = text.substr(fragment.begin, fragment.n);
        if (escape_white_space_) {
            escaped.clear();
            if (add_space_prefix_ && after_special) escaped += kSpaceMark;
            append_escaped(escaped, plain);
            plain = escaped;
        }
        HEARTH_CHECK(tokenizer_->encode(plain, ids));
        after_special = false;
    }
    if (options.add_special && add_eos_) ids.push_back(eos());
    if (options.add_special && add_sep_ && wordpiece) ids.push_back(token(Role::sep));
    return ids;
}

std::string_view Vocab::piece(int32_t id, bool special) const {
    if (!has(id) || (!special && is_special(id))) return {};
    const auto i = static_cast<std::size_t>(id);
    return std::string_view(piece_bytes_).substr(piece_begin_[i], piece_begin_[i + 1] - piece_begin_[i]);
}

Result<std::string> Vocab::detokenize(const std::vector<int32_t>& ids, DetokenizeOptions options) const {
    std::string text;
    bool strip = options.strip_space_prefix && strip_first_space_;
    for (const int32_t id : ids) {
        if (!has(id))
            return fail(Code::invalid_argument, "token {} is outside the vocabulary of {} tokens", id,
                        n_token());
        std::string_view bytes = piece(id, options.special);
        if (strip && !is_special(id)) {
            if (!bytes.empty() && bytes[0] == ' ') bytes.remove_prefix(1);
            strip = false;
        }
        text += bytes;
    }
    return text;
}

}  // namespace hearth

// The hold-back rule: everything but a tail that more bytes could complete.
#include "text/detokenizer.hpp"

#include "text/utf8.hpp"

namespace hearth {

Detokenizer::Detokenizer(const Vocab& vocab, DetokenizeOptions options) : vocab_(vocab), options_(options) {}

Result<std::string_view> Detokenizer::feed(int32_t id) {
    if (!vocab_.has(id))
        return fail(Code::invalid_argument, "token {} is outside the vocabulary of {} tokens", id,
                    vocab_.n_token());
    std::string_view bytes = vocab_.piece(id, options_.special);
    if (at_start_ && !vocab_.is_special(id)) {
        at_start_ = false;
        const bool strip = options_.strip_space_prefix && vocab_.strips_first_space();
        if (strip && !bytes.empty() && bytes[0] == ' ') bytes.remove_prefix(1);
    }
    held_ += bytes;
    const std::string_view ready = std::string_view(held_).substr(0, held_.size() - cut_tail(held_));
    text_ = to_utf8(ready, Replace::each_sequence);
    held_.erase(0, ready.size());
    return std::string_view(text_);
}

std::string_view Detokenizer::flush() {
    text_ = to_utf8(held_, Replace::each_sequence);
    held_.clear();
    at_start_ = true;
    return text_;
}

}  // namespace hearth

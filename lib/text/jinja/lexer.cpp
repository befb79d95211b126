// The template lexer: text outside tags, tokens inside, white space control at their borders.
#include "text/jinja/lexer.hpp"

#include <charconv>
#include <tuple>

#include "text/jinja/unicode.hpp"

namespace hearth::jinja {

Failure fail_at(std::string_view name, uint32_t line, uint32_t column, std::string_view message) {
    const std::string copy(message);  // `message` may be the record's own
    Failure failure = fail(Code::template_error, "{}:{}:{}: {}", name, line, column, copy);
    error_record().line = line;
    error_record().column = column;
    return failure;
}

namespace {

constexpr std::string_view kSymbols[] = {"==", "!=", ">=", "<=", "//", "**", "+", "-", "/",
                                         "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                         ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};

bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }

class Lexer {
  public:
    Lexer(std::string source, std::string_view name) : source_(std::move(source)), name_(name) {}

    Result<std::vector<Token>> run() {
        while (at_ < source_.size()) {
            HEARTH_CHECK(outside());
        }
        push(Lex::end);
        return std::move(tokens_);
    }

  private:
    Failure error(std::string_view message) {
        const auto [line, column] = place();
        return fail_at(name_, line, column, message);
    }
    std::pair<uint32_t, uint32_t> place() {
        for (; counted_ < at_; ++counted_)
            if (source_[counted_] == '\n') {
                ++line_;
                line_begin_ = counted_ + 1;
            }
        return {line_, static_cast<uint32_t>(at_ - line_begin_ + 1)};
    }
    Token& push(Lex kind) {
        Token& token = tokens_.emplace_back();
        token.kind = kind;
        std::tie(token.line, token.column) = place();
        return token;
    }
    bool starts(std::string_view text, std::size_t at) const {
        return source_.compare(at, text.size(), text) == 0;
    }
    char peek(std::size_t at) const { return at < source_.size() ? source_[at] : '\0'; }
    std::size_t past_space(std::size_t at) const {
        while (at < source_.size()) {
            std::size_t next = at;
            if (!is_space(next_char(source_, next))) break;
            at = next;
        }
        return at;
    }

    // Literal text up to a tag that begins at `tag`; strips its end as that tag asks.
    void text_until(std::size_t tag, bool is_print) {
        std::string_view text(source_.data() + at_, tag - at_);
        const char sign = peek(tag + 2);
        if (sign == '-') {
            text = strip(text, false, true);
        } else if (sign != '+' && !is_print) {
            const std::size_t line = text.rfind('\n') + 1;  // npos + 1 = 0
            if ((line > 0 || line_starting_) && strip(text.substr(line), true, false).empty())
                text = text.substr(0, line);
        }
        if (!text.empty()) push(Lex::text).text = text;
    }

    // Past the end of a block, comment or endraw tag whose "%}" or "#}" begins at `end`.
    void after_tag(std::size_t end, char sign) {
        at_ = end + 2;
        if (sign == '-')
            at_ = past_space(at_);
        else if (sign != '+' && peek(at_) == '\n')
            ++at_;
        line_starting_ = at_ > 0 && source_[at_ - 1] == '\n';
    }

    Status outside() {
        std::size_t tag = at_;
        while (true) {
            tag = source_.find('{', tag);
            if (tag == std::string::npos) tag = source_.size();
            const char kind = peek(tag + 1);
            if (tag == source_.size() || kind == '{' || kind == '%' || kind == '#') break;
            ++tag;
        }
        if (tag == source_.size()) {
            push(Lex::text).text = source_.substr(at_);
            at_ = tag;
            return {};
        }
        const char kind = source_[tag + 1];
        text_until(tag, kind == '{');
        at_ = tag;
        std::size_t begin = tag + 2;
        if (peek(begin) == '-' || peek(begin) == '+') ++begin;
        if (kind == '#') return comment(begin);
        if (kind == '%')
            if (const std::size_t end = raw_tag(begin, "raw")) return raw(end);
        push(kind == '{' ? Lex::print_begin : Lex::block_begin);
        at_ = begin;
        line_starting_ = false;
        return inside(kind == '{');
    }

    Status comment(std::size_t begin) {
        const std::size_t end = source_.find("#}", begin);
        if (end == std::string::npos) return error("this comment has no end ('#}')");
        const char sign = end > begin ? source_[end - 1] : '\0';
        after_tag(end, sign);
        return {};
    }

    // Whether a tag body at `at` is just the word (then the offset of its "%}" or of a sign before it), else
    // 0.
    std::size_t raw_tag(std::size_t at, std::string_view word) const {
        at = past_space(at);
        if (!starts(word, at)) return 0;
        at = past_space(at + word.size());
        const bool sign = peek(at) == '-' || (word == "endraw" && peek(at) == '+');
        return starts("%}", sign ? at + 1 : at) ? at : 0;
    }

    Status raw(std::size_t end) {
        const bool strips = source_[end] == '-';
        const std::size_t tag_at = at_;
        at_ = strips ? past_space(end + 3) : end + 2;
        line_starting_ = source_[at_ - 1] == '\n';
        for (std::size_t tag = at_; (tag = source_.find("{%", tag)) != std::string::npos; tag += 2) {
            const char sign = peek(tag + 2);
            const std::size_t close = raw_tag(tag + (sign == '-' || sign == '+' ? 3 : 2), "endraw");
            if (!close) continue;
            text_until(tag, false);
            const bool signed_end = source_[close] != '%';
            after_tag(signed_end ? close + 1 : close, source_[close]);
            return {};
        }
        at_ = tag_at;
        return error("this raw block has no endraw");
    }

    // Tokens of one tag, past its end.
    Status inside(bool is_print) {
        const std::string_view close = is_print ? "}}" : "%}";
        std::string open;  // brackets that are open
        while (true) {
            at_ = past_space(at_);
            if (at_ >= source_.size()) return error("the template ends inside a tag");
            const char c = source_[at_];
            const bool sign = (c == '-' || (c == '+' && !is_print)) && starts(close, at_ + 1);
            if (open.empty() && (sign || starts(close, at_))) {
                push(is_print ? Lex::print_end : Lex::block_end);
                const std::size_t end = sign ? at_ + 1 : at_;
                after_tag(end, is_print && !sign ? '+' : c);
                return {};
            }
            HEARTH_CHECK(token(open));
        }
    }

    Status token(std::string& open) {
        const char c = source_[at_];
        if (is_ascii_digit(c)) return number();
        if (c == '\'' || c == '"') return string(c);
        std::size_t end = at_;
        while (end < source_.size()) {
            std::size_t next = end;
            const uint32_t letter = next_char(source_, next);
            if (letter != '_' && !is_alpha(letter) && !is_digit(letter)) break;
            end = next;
        }
        if (end > at_) {
            push(Lex::name).text = source_.substr(at_, end - at_);
            at_ = end;
            return {};
        }
        for (const std::string_view symbol : kSymbols) {
            if (!starts(symbol, at_)) continue;
            if (c == '(' || c == '[' || c == '{') open += c == '(' ? ')' : c == '[' ? ']' : '}';
            if (c == ')' || c == ']' || c == '}') {
                if (open.empty() || open.back() != c) return error(std::string("unexpected '") + c + "'");
                open.pop_back();
            }
            push(Lex::symbol).text = symbol;
            at_ += symbol.size();
            return {};
        }
        return error("unexpected character in a tag");
    }

    // Digits with single underscores between them, from `at`.
    std::size_t digits(std::size_t at, std::string& out, int base) const {
        const auto good = [&](char c) {
            const int d = is_ascii_digit(c)                    ? c - '0'
                          : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
                                                               : 99;
            return d < base;
        };
        while (good(peek(at)) || (peek(at) == '_' && good(peek(at + 1)))) {
            if (source_[at] != '_') out += source_[at];
            ++at;
        }
        return at;
    }

    Status number() {
        std::string text;
        std::size_t end = at_;
        const char mark = static_cast<char>(peek(at_ + 1) | 32);
        const int base = source_[at_] != '0' ? 10 : mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 10;
        if (base != 10) end = digits(at_ + 2, text, base);
        if (text.empty()) end = digits(at_, text, 10);
        bool real = false;
        if (base == 10 && (at_ == 0 || source_[at_ - 1] != '.')) {
            if (peek(end) == '.' && is_ascii_digit(peek(end + 1))) {
                text += '.';
                end = digits(end + 1, text, 10);
                real = true;
            }
            const bool sign = peek(end + 1) == '+' || peek(end + 1) == '-';
            if ((peek(end) | 32) == 'e' && is_ascii_digit(peek(end + (sign ? 2 : 1)))) {
                text += 'e';
                if (sign) text += source_[end + 1];
                end = digits(end + (sign ? 2 : 1), text, 10);
                real = true;
            }
        }
        Token& token = push(real ? Lex::number : Lex::integer);
        const char *first = text.data(), *last = first + text.size();
        const auto result =
            real ? std::from_chars(first, last, token.number)
                 : std::from_chars(first, last, token.integer, base == 10 || text.empty() ? 10 : base);
        if (real && result.ec == std::errc::result_out_of_range)
            token.number = text.find("e-") != text.npos ? 0 : 1e308 * 10;
        else if (result.ec != std::errc())
            return error("this number is too large");
        if (!real && base == 10 && text.size() > 1 && text[0] == '0' && token.integer != 0)
            return error("leading zero");
        at_ = end;
        return {};
    }

    Status string(char quote) {
        std::size_t end = at_ + 1;
        while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
        if (end >= source_.size()) return error("this string has no end");
        std::string text;
        for (std::size_t i = at_ + 1; i < end;) {
            if (source_[i] != '\\') {
                text += source_[i++];
            } else if (!escape(i, end, text)) {
                return error("this string holds a bad escape sequence");
            }
        }
        push(Lex::string).text = std::move(text);
        at_ = end + 1;
        return {};
    }

    // One escape sequence, as in Python; an unknown one stands for itself.
    bool escape(std::size_t& i, std::size_t end, std::string& out) const {
        constexpr std::string_view kFrom = "\\'\"abfnrtv", kTo = "\\'\"\a\b\f\n\r\t\v";
        const char c = source_[i + 1];
        i += 2;
        if (const std::size_t k = kFrom.find(c); k != kFrom.npos) return out += kTo[k], true;
        if (c == '\n') return true;
        const int n_hex = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
        if (n_hex == 0 && (c < '0' || c > '7')) {
            out += '\\';
            --i;  // the character itself follows, all of its bytes
            out += source_[i++];
            return c != 'N';
        }
        uint32_t value = 0;
        std::size_t stop = n_hex ? i + static_cast<std::size_t>(n_hex) : i;
        if (n_hex == 0) {
            i -= 1;
            while (stop < i + 3 && stop < end && source_[stop] >= '0' && source_[stop] <= '7') ++stop;
        }
        if (stop > end) return false;
        const auto result = std::from_chars(source_.data() + i, source_.data() + stop, value, n_hex ? 16 : 8);
        if (result.ec != std::errc() || result.ptr != source_.data() + stop) return false;
        i = stop;
        if (value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return false;
        return append_char(out, value), true;
    }

    std::string source_;
    std::string_view name_;
    std::vector<Token> tokens_;
    std::size_t at_ = 0, counted_ = 0, line_begin_ = 0;
    uint32_t line_ = 1;
    bool line_starting_ = true;  // the text before at_ ends a line
};

}  // namespace

Result<std::vector<Token>> tokenize(std::string_view source, std::string_view name) {
    if (!valid_utf8(source)) return fail_at(name, 1, 1, "the template is not UTF-8");
    std::string lines;
    lines.reserve(source.size());
    for (std::size_t i = 0; i < source.size(); ++i) {
        if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n') continue;
        lines += source[i] == '\r' ? '\n' : source[i];
    }
    if (!lines.empty() && lines.back() == '\n') lines.pop_back();  // one newline at the end does not count
    return Lexer(std::move(lines), name).run();
}

}  // namespace hearth::jinja

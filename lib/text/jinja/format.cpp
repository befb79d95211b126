// Python's two ways to format text: "%s" % x and "{}".format(x).
#include "text/jinja/format.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "text/jinja/ops.hpp"
#include "text/jinja/unicode.hpp"
#include "text/jinja/vm.hpp"

namespace hearth::jinja {

namespace {

constexpr int kWidest = 1 << 16;

struct Spec {
    std::string fill = " ";
    char align = 0, sign = '-', type = 0, grouping = 0;
    bool alternate = false, zero = false;
    int width = 0, precision = -1;
};

std::string grouped(std::string digits, char mark, std::size_t every) {
    std::size_t end = digits.find_first_not_of("0123456789abcdefABCDEF");
    if (end == digits.npos) end = digits.size();
    for (std::size_t at = end; at > every;) digits.insert(at -= every, 1, mark);
    return digits;
}

std::string padded(const Spec& spec, std::string sign, std::string body, char usual) {
    const auto n = static_cast<int>(count_chars(sign) + count_chars(body));
    const int missing = std::max(spec.width - n, 0);
    const char align = spec.align ? spec.align : spec.zero && usual == '>' ? '=' : usual;
    const std::string& fill = spec.zero && !spec.align ? "0" : spec.fill;
    const int before = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
    std::string left, right;
    for (int i = 0; i < missing; ++i) (i < before ? left : right) += fill;
    return align == '=' ? sign + left + body + right : left + sign + body + right;
}

std::string sign_text(const Spec& spec, bool negative) {
    return negative ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
}

Result<std::string> integer_text(const Spec& spec, const Value& value) {
    const int64_t number = value.integer();
    const uint64_t size = number < 0 ? 0 - static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
    std::string body, prefix;
    switch (spec.type) {
        case 'x':
            body = format_text("{:x}", size), prefix = "0x";
            break;
        case 'X':
            body = format_text("{:X}", size), prefix = "0X";
            break;
        case 'o':
            body = format_text("{:o}", size), prefix = "0o";
            break;
        case 'b':
            body = format_text("{:b}", size), prefix = "0b";
            break;
        case 'c':
            if (size > 0x10ffff || number < 0 || (size >= 0xd800 && size < 0xe000))
                return fail(Code::template_error, "format: no such character");
            append_char(body, static_cast<uint32_t>(size));
            return padded(spec, "", std::move(body), '<');
        default:
            body = std::to_string(size);
    }
    if (spec.grouping) body = grouped(std::move(body), spec.grouping, 3);
    return padded(spec, sign_text(spec, number < 0) + (spec.alternate ? prefix : ""), std::move(body), '>');
}

// printf's e, f and g without printf's locale
std::string real_body(double size, char type, int precision, bool alternate) {
    const bool capital = type == 'E' || type == 'F' || type == 'G';
    std::string body;
    switch (type | 32) {
        case 'e':
            body = alternate ? format_text("{:#.{}e}", size, precision)
                             : format_text("{:.{}e}", size, precision);
            break;
        case 'f':
            body = alternate ? format_text("{:#.{}f}", size, precision)
                             : format_text("{:.{}f}", size, precision);
            break;
        default:
            body = alternate ? format_text("{:#.{}g}", size, precision)
                             : format_text("{:.{}g}", size, precision);
    }
    return capital ? upper(body) : body;
}

Result<std::string> real_text(const Spec& spec, double number) {
    const double size = std::fabs(number);
    const int precision = spec.precision < 0 ? 6 : spec.precision;
    if (precision > 400) return fail(Code::template_error, "format: more than 400 decimals");
    std::string body;
    if (spec.type == '%')
        body = real_body(size * 100, 'f', precision, spec.alternate) + "%";
    else if (spec.type)
        body = real_body(size, spec.type, precision == 0 && (spec.type | 32) == 'g' ? 1 : precision,
                         spec.alternate);
    else if (spec.precision < 0)
        body = float_text(size);
    else {
        body = real_body(size, 'g', std::max(precision, 1), spec.alternate);
        const bool plain = body.find_first_of(".einf") == body.npos;
        if (plain && static_cast<int>(body.size()) >= std::max(precision, 1))
            body = real_body(size, 'e', std::max(precision - 1, 0), false);
        else if (plain)
            body += ".0";
    }
    if (spec.grouping) body = grouped(std::move(body), spec.grouping, 3);
    return padded(spec, sign_text(spec, std::signbit(number) && !std::isnan(number)), std::move(body), '>');
}

std::string first_chars(std::string text, int precision) {
    if (precision >= 0) text.resize(char_offset(text, static_cast<std::size_t>(precision)));
    return text;
}

// One conversion of a "%" format, from after its '%'.
class Percent {
  public:
    Percent(Heap& heap, std::string_view format, const Value& values)
        : heap_(heap), format_(format), values_(values) {}

    Result<Value> run(bool safe) {
        while (at_ < format_.size()) {
            if (format_[at_] != '%') {
                out_ += format_[at_++];
                continue;
            }
            ++at_;
            HEARTH_CHECK(conversion());
            if (out_.size() > kMostText) return too_much_text();
        }
        if (left_over()) return fail(Code::template_error, "format: not all arguments were used");
        return heap_.string(std::move(out_), safe);
    }

  private:
    bool is_tuple() const { return values_.is(Type::list) && values_.list().kind == Kind::tuple; }
    // Whether arguments were not used; what has subscripts may be left alone, as in Python.
    bool left_over() const {
        if (is_tuple()) return next_ < values_.list().items.size();
        const bool subscripts = values_.is(Type::dict) || values_.is(Type::undefined) ||
                                (values_.is(Type::list) && values_.list().kind <= Kind::range);
        return next_ == 0 && !named_ && !subscripts;
    }
    char peek() const { return at_ < format_.size() ? format_[at_] : '\0'; }

    Result<Value> next() {
        if (!is_tuple() && next_ == 0) return ++next_, values_;
        if (!is_tuple() || next_ >= values_.list().items.size())
            return fail(Code::template_error, "format: too few arguments");
        return values_.list().items[next_++];
    }

    Result<int> number() {
        if (peek() == '*') {
            ++at_;
            HEARTH_TRY(const Value value, next());
            if (!value.is_integral() || std::abs(value.integer()) > kWidest)
                return fail(Code::template_error, "format: bad width");
            return static_cast<int>(value.integer());
        }
        int n = 0;
        while (peek() >= '0' && peek() <= '9') {
            n = n * 10 + (format_[at_++] - '0');
            if (n > kWidest) return fail(Code::template_error, "format: the width is too large");
        }
        return n;
    }

    Status conversion() {
        Spec spec;
        Value value;
        if (peek() == '(') {
            const std::size_t end = format_.find(')', at_);
            if (end == format_.npos || !values_.is(Type::dict))
                return fail(Code::template_error, "format: names need a dictionary");
            const Value* found = values_.dict().find(format_.substr(at_ + 1, end - at_ - 1));
            if (!found) return fail(Code::template_error, "format: a name is missing");
            value = *found;
            named_ = true;
            at_ = end + 1;
        }
        for (bool flag = true; flag;) {
            const char c = peek();
            if (c == '-')
                spec.align = '<';
            else if (c == '+')
                spec.sign = '+';
            else if (c == ' ')
                spec.sign = spec.sign == '+' ? '+' : ' ';
            else if (c == '#')
                spec.alternate = true;
            else if (c == '0')
                spec.zero = true;
            else
                flag = false;
            if (flag) ++at_;
        }
        HEARTH_TRY(spec.width, number());
        if (spec.width < 0) spec.align = '<', spec.width = -spec.width;
        if (peek() == '.') {
            ++at_;
            HEARTH_TRY(spec.precision, number());
        }
        while (peek() == 'l' || peek() == 'h' || peek() == 'L') ++at_;
        spec.type = peek();
        if (spec.type == '\0') return fail(Code::template_error, "format: the format ends after '%'");
        ++at_;
        if (spec.type == '%') return out_ += '%', Status();
        if (value.is(Type::missing)) {
            HEARTH_TRY(value, next());
        }
        return convert(spec, value);
    }

    Status convert(Spec& spec, const Value& value) {
        std::string text;
        switch (spec.type) {
            case 's':
                HEARTH_CHECK(append_text(text, value));
                break;
            case 'r':
            case 'a':
                HEARTH_CHECK(append_repr(text, value));
                break;
            case 'd':
            case 'i':
            case 'u':
                return integer(spec, value, true);
            case 'x':
            case 'X':
            case 'o':
                return integer(spec, value, false);
            case 'c':
                if (value.is_integral()) return integer(spec, value, false);
                if (!value.is(Type::string) || value.string().n_char != 1)
                    return fail(Code::template_error, "format: %c needs one character");
                text = value.text();
                break;
            case 'e':
            case 'E':
            case 'f':
            case 'F':
            case 'g':
            case 'G': {
                if (!value.is_number())
                    return fail(Code::template_error, "format: {} is no number", type_name(value));
                HEARTH_TRY(text, real_text(spec, value.real()));
                out_ += text;
                return {};
            }
            default:
                return fail(Code::template_error, "format: unknown conversion '%{}'", spec.type);
        }
        spec.zero = false;
        out_ += padded(spec, "", first_chars(std::move(text), spec.precision), '>');
        return {};
    }

    Status integer(Spec& spec, const Value& value, bool from_real) {
        Value number = value;
        if (from_real && value.is(Type::number) && std::fabs(value.real()) < 9e18)
            number = Value::of(static_cast<int64_t>(value.real()));
        if (!number.is_integral())
            return fail(Code::template_error, "format: {} is no integer", type_name(value));
        if (spec.type == 'i' || spec.type == 'u') spec.type = 'd';
        HEARTH_TRY(const std::string text, integer_text(spec, number));
        out_ += text;
        return {};
    }

    Heap& heap_;
    std::string_view format_;
    const Value& values_;
    std::string out_;
    std::size_t at_ = 0, next_ = 0;
    bool named_ = false;
};

// "[[fill]align][sign][#][0][width][,][.precision][type]"
Result<Spec> parse_spec(std::string_view text) {
    Spec spec;
    std::size_t at = 0;
    const auto peek = [&](std::size_t i) { return i < text.size() ? text[i] : '\0'; };
    const auto is_align = [](char c) {
        return c != '\0' && std::string_view("<>^=").find(c) != std::string_view::npos;
    };
    if (!text.empty()) {
        std::size_t past = 0;
        next_char(text, past);
        if (is_align(peek(past))) {
            spec.fill = text.substr(0, past);
            spec.align = text[past];
            at = past + 1;
        } else if (is_align(text[0])) {
            spec.align = text[0];
            at = 1;
        }
    }
    if (peek(at) == '+' || peek(at) == '-' || peek(at) == ' ') spec.sign = text[at++];
    if (peek(at) == '#') spec.alternate = true, ++at;
    if (peek(at) == '0') spec.zero = true, ++at;
    const auto number = [&](int* out) {
        const auto result = std::from_chars(text.data() + at, text.data() + text.size(), *out);
        at = static_cast<std::size_t>(result.ptr - text.data());
        return result.ec == std::errc() && *out <= kWidest && *out >= 0;
    };
    if (peek(at) >= '1' && peek(at) <= '9' && !number(&spec.width))
        return fail(Code::template_error, "format: the width is too large");
    if (peek(at) == ',' || peek(at) == '_') spec.grouping = text[at++];
    if (peek(at) == '.' && (++at, !number(&spec.precision)))
        return fail(Code::template_error, "format: bad precision");
    if (at < text.size()) spec.type = text[at++];
    if (at != text.size()) return fail(Code::template_error, "format: bad format specification");
    return spec;
}

Result<std::string> formatted(const Value& value, std::string_view text) {
    if (text.empty()) return text_of(value);
    HEARTH_TRY(Spec spec, parse_spec(text));
    if (value.is_integral() && !(value.is(Type::boolean) && spec.type == 's')) {
        if (spec.type == 0 || std::string_view("dxXobcn").find(spec.type) != std::string_view::npos) {
            if (spec.precision >= 0) return fail(Code::template_error, "format: an integer has no precision");
            return integer_text(spec, value);
        }
    }
    if (value.is_number() && spec.type != 's') {
        if (spec.type != 0 && std::string_view("eEfFgG%").find(spec.type) == std::string_view::npos)
            return fail(Code::template_error, "format: '{}' does not fit {}", spec.type, type_name(value));
        return real_text(spec, value.real());
    }
    if (!value.is(Type::string) || (spec.type != 0 && spec.type != 's') || spec.align == '=' ||
        spec.sign != '-' || spec.grouping || spec.alternate)
        return fail(Code::template_error, "format: this specification does not fit {}", type_name(value));
    if (spec.zero && !spec.align) {  // a zero pads strings on their right
        spec.fill = "0";
        spec.align = '<';
    }
    return padded(spec, "", first_chars(std::string(value.text()), spec.precision), '<');
}

// The value that "name", "0", "name.member" or "name[key]" means.
Result<Value> field_value(Vm& vm, std::string_view field, const Arguments& arguments,
                          std::size_t* automatic) {
    const std::size_t end = std::min(field.find_first_of(".["), field.size());
    const std::string_view first = field.substr(0, end);
    const bool number = !first.empty() && first.find_first_not_of("0123456789") == first.npos;
    std::size_t place = SIZE_MAX;
    if (first.empty())
        place = (*automatic)++;
    else if (number)
        std::from_chars(first.data(), first.data() + first.size(), place);
    const Value* found = first.empty() || number
                             ? (place < arguments.args.size() ? &arguments.args[place] : nullptr)
                             : arguments.get(SIZE_MAX, first);
    if (!found) return fail(Code::template_error, "format: argument '{}' is missing", first);
    Value value = *found;
    for (std::size_t at = end; at < field.size();) {
        const bool bracket = field[at] == '[';
        const std::size_t stop = bracket ? field.find(']', at) : field.find_first_of(".[", at + 1);
        if (bracket && stop == field.npos) return fail(Code::template_error, "format: ']' is missing");
        const std::string_view key = field.substr(at + 1, stop == field.npos ? stop : stop - at - 1);
        int64_t index = 0;
        const bool is_index =
            bracket &&
            std::from_chars(key.data(), key.data() + key.size(), index).ptr == key.data() + key.size() &&
            !key.empty();
        if (bracket) {
            HEARTH_TRY(value,
                       item_of(vm, value, is_index ? Value::of(index) : vm.heap.string(std::string(key))));
        } else {
            HEARTH_TRY(value, member_of(vm, value, key));
        }
        if (value.is(Type::undefined)) return fail(Code::template_error, "format: '{}' is missing", key);
        at = stop == field.npos ? field.size() : bracket ? stop + 1 : stop;
    }
    return value;
}

}  // namespace

Result<Value> percent_format(Heap& heap, const Value& format, const Value& values) {
    return Percent(heap, format.text(), values).run(format.string().safe);
}

Result<Value> brace_format(Vm& vm, std::string_view format, const Arguments& arguments) {
    std::string out;
    std::size_t automatic = 0;
    for (std::size_t at = 0; at < format.size();) {
        const char c = format[at++];
        if (c != '{' && c != '}') {
            out += c;
            continue;
        }
        if (at < format.size() && format[at] == c) {
            out += c;
            ++at;
            continue;
        }
        const std::size_t end = format.find('}', at);
        if (c == '}' || end == format.npos) return fail(Code::template_error, "format: single '{}'", c);
        std::string_view field = format.substr(at, end - at), spec;
        at = end + 1;
        if (field.find('{') != field.npos)
            return fail(Code::template_error, "format: nested fields are not supported");
        if (const std::size_t colon = field.find(':'); colon != field.npos) {
            spec = field.substr(colon + 1);
            field = field.substr(0, colon);
        }
        char conversion = 0;
        if (const std::size_t mark = field.find('!'); mark != field.npos) {
            conversion = mark + 2 == field.size() ? field[mark + 1] : '?';
            field = field.substr(0, mark);
            if (conversion != 'r' && conversion != 's')
                return fail(Code::template_error, "format: bad conversion after '!'");
        }
        HEARTH_TRY(Value value, field_value(vm, field, arguments, &automatic));
        if (conversion) {
            std::string text;
            HEARTH_CHECK(conversion == 'r' ? append_repr(text, value) : append_text(text, value));
            value = vm.heap.string(std::move(text));
        }
        HEARTH_TRY(const std::string text, formatted(value, spec));
        out += text;
        if (out.size() > kMostText) return too_much_text();
    }
    return vm.heap.string(std::move(out));
}

}  // namespace hearth::jinja

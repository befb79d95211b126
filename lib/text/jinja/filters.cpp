// Filters on texts and numbers, and the table of all filters.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "text/jinja/builtins.hpp"
#include "text/jinja/filters.hpp"
#include "text/jinja/format.hpp"
#include "text/jinja/ops.hpp"
#include "text/jinja/unicode.hpp"
#include "text/jinja/vm.hpp"

namespace hearth::jinja {

namespace {

bool is_safe(const Value& value) { return value.is(Type::string) && value.string().safe; }

template <std::string (*Change)(std::string_view)>
Result<Value> changed(Vm& vm, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "this filter", 0, 0));
    HEARTH_TRY(const std::string text, text_of(value));
    return vm.heap.string(Change(text), is_safe(value));
}

// Jinja's title: a capital after white space and after - ( { [ <, the rest small.
std::string title_words(std::string_view text) {
    std::string out;
    std::string word;
    const auto flush = [&] {
        out += capitalize(word);
        word.clear();
    };
    for (std::size_t at = 0; at < text.size();) {
        const uint32_t c = next_char(text, at);
        const bool ends = is_space(c) || (c < 128 && std::string_view("-({[<").find(static_cast<char>(c)) !=
                                                         std::string_view::npos);
        if (ends) {
            flush();
            append_char(out, c);
        } else {
            append_char(word, c);
        }
    }
    flush();
    return out;
}

Result<Value> trim(Vm& vm, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "trim", 0, 1, {"chars"}));
    HEARTH_TRY(const std::string text, text_of(value));
    const Value* chars = arguments.get(0, "chars");
    if (!chars || chars->is(Type::none))
        return vm.heap.string(std::string(strip(text, true, true)), is_safe(value));
    if (!chars->is(Type::string)) return fail(Code::template_error, "trim: 'chars' must be a string");
    const std::string_view set = chars->text();
    return vm.heap.string(std::string(strip(text, true, true, &set)), is_safe(value));
}

Result<Value> to_string(Vm& vm, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "string", 0, 0));
    if (value.is(Type::string)) return value;
    HEARTH_TRY(std::string text, text_of(value));
    return vm.heap.string(std::move(text));
}

Result<Value> escape(Vm& vm, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "escape", 0, 0));
    if (is_safe(value)) return value;
    HEARTH_TRY(const std::string text, text_of(value));
    return vm.heap.string(escape_html(text), true);
}

Result<Value> force_escape(Vm& vm, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "forceescape", 0, 0));
    HEARTH_TRY(const std::string text, text_of(value));
    return vm.heap.string(escape_html(text), true);
}

Result<Value> safe(Vm& vm, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "safe", 0, 0));
    HEARTH_TRY(std::string text, text_of(value));
    return vm.heap.string(std::move(text), true);
}

Result<Value> replace(Vm& vm, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "replace", 2, 3, {"old", "new", "count"}));
    if (!arguments.get(0, "old") || !arguments.get(1, "new"))
        return fail(Code::template_error, "replace needs old and new");
    HEARTH_TRY(const std::string text, text_of(value));
    HEARTH_TRY(const std::string from, text_of(*arguments.get(0, "old")));
    HEARTH_TRY(const std::string to, text_of(*arguments.get(1, "new")));
    const Value* given = arguments.get(2, "count");
    int64_t count = -1;
    if (given && !given->is(Type::none)) {
        HEARTH_TRY(count, integer_argument(arguments, 2, "count", -1));
    }
    HEARTH_TRY(std::string out, replaced(text, from, to, count));
    return vm.heap.string(std::move(out));
}

Result<Value> format(Vm& vm, const Value& value, const Arguments& arguments) {
    HEARTH_TRY(const std::string text, text_of(value));
    if (!arguments.args.empty() && !arguments.named.empty())
        return fail(Code::template_error, "format takes positional or named arguments, not both");
    if (arguments.named.empty())
        return percent_format(vm.heap, vm.heap.string(text), vm.heap.list(arguments.args, Kind::tuple));
    auto* dict = new Dict(vm.heap);
    const Value named(dict);
    for (const auto& [name, each] : arguments.named) dict->set(vm.heap.string(std::string(name)), each);
    return percent_format(vm.heap, vm.heap.string(text), named);
}

Result<Value> indent(Vm& vm, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "indent", 0, 3, {"width", "first", "blank"}));
    if (!value.is(Type::string))
        return fail(Code::template_error, "indent: {} is no string", type_name(value));
    std::string text(value.text());
    const Value* width = arguments.get(0, "width");
    std::string space(4, ' ');
    if (width && width->is(Type::string)) {
        space = width->text();
    } else {
        HEARTH_TRY(const int64_t n, integer_argument(arguments, 0, "width", 4));
        space.assign(static_cast<std::size_t>(std::clamp<int64_t>(n, 0, 1000)), ' ');
    }
    const bool first = truth_argument(arguments, 1, "first", false),
               blank = truth_argument(arguments, 2, "blank", false);
    text += '\n';  // so that splitting keeps what Jinja's extra newline keeps
    std::string out;
    std::vector<std::string_view> lines = line_split(text);
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (i > 0) out += '\n';
        if (i == 0 ? first : blank || !lines[i].empty()) out += space;
        out += lines[i];
        if (out.size() > kMostText) return too_much_text();
    }
    return vm.heap.string(std::move(out), is_safe(value));
}

Result<Value> word_count(Vm&, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "wordcount", 0, 0));
    HEARTH_TRY(const std::string text, text_of(value));
    int64_t n = 0;
    bool inside = false;
    for (std::size_t at = 0; at < text.size();) {
        const uint32_t c = next_char(text, at);
        const bool word = is_alpha(c) || is_digit(c) || c == '_';
        n += word && !inside;
        inside = word;
    }
    return Value::of(n);
}

Result<Value> center(Vm& vm, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "center", 0, 1, {"width"}));
    HEARTH_TRY(const std::string text, text_of(value));
    HEARTH_TRY(const int64_t width, integer_argument(arguments, 0, "width", 80));
    const auto n = static_cast<int64_t>(count_chars(text));
    if (width > 1 << 20) return too_much_text();
    if (width <= n) return vm.heap.string(text);
    const int64_t pad = width - n, left = pad / 2 + (pad & width & 1);  // as str.center rounds
    return vm.heap.string(std::string(static_cast<std::size_t>(left), ' ') + text +
                          std::string(static_cast<std::size_t>(pad - left), ' '));
}

Result<Value> to_json(Vm& vm, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(
        check_arguments(arguments, "tojson", 0, 4, {"ensure_ascii", "indent", "separators", "sort_keys"}));
    JsonStyle style;
    style.ascii = truth_argument(arguments, 0, "ensure_ascii", false);
    style.sort_keys = truth_argument(arguments, 3, "sort_keys", false);
    const Value* indent_by = arguments.get(1, "indent");
    if (indent_by && !indent_by->is(Type::none)) {
        style.pretty = true;
        style.item_separator = ",";
        if (indent_by->is(Type::string)) {
            style.indent = indent_by->text();
        } else {
            HEARTH_TRY(const int64_t n, integer_argument(arguments, 1, "indent", 0));
            style.indent.assign(static_cast<std::size_t>(std::clamp<int64_t>(n, 0, 100)), ' ');
        }
    }
    const Value* separators = arguments.get(2, "separators");
    if (separators && !separators->is(Type::none)) {
        HEARTH_TRY(const auto pair, items_of(vm.heap, *separators));
        if (pair.size() != 2 || !pair[0].is(Type::string) || !pair[1].is(Type::string))
            return fail(Code::template_error, "tojson: 'separators' must be two strings");
        style.item_separator = pair[0].text();
        style.key_separator = pair[1].text();
    }
    std::string out;
    HEARTH_CHECK(append_json(out, value, style));
    return vm.heap.string(std::move(out));
}

Result<Value> absolute(Vm&, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "abs", 0, 0));
    if (value.is(Type::number)) return Value::of(std::fabs(value.real()));
    if (!value.is_integral()) return fail(Code::template_error, "{} has no absolute value", type_name(value));
    return value.integer() < 0 ? unary(Unary::negate, value) : Result<Value>(Value::of(value.integer()));
}

bool parse_integer(std::string_view text, int64_t base, int64_t* out) {
    text = strip(text, true, true);
    std::string digits;
    for (std::size_t i = 0; i < text.size(); ++i)  // single underscores between digits
        if (text[i] != '_' || i == 0 || i + 1 == text.size() || text[i - 1] == '_' || text[i + 1] == '_')
            digits += text[i];
    const bool negative = !digits.empty() && digits[0] == '-';
    if (!digits.empty() && (digits[0] == '-' || digits[0] == '+')) digits.erase(0, 1);
    if (digits.size() > 2 && digits[0] == '0') {
        const char mark = static_cast<char>(digits[1] | 32);
        const int64_t marked = mark == 'x' ? 16 : mark == 'o' ? 8 : mark == 'b' ? 2 : 0;
        if (marked && (base == marked || base == 0)) {
            digits.erase(0, 2);
            base = marked;
        }
    }
    if (base == 0) base = 10;
    if (base < 2 || base > 36 || digits.empty() || digits[0] == '-') return false;
    if (negative) digits.insert(0, "-");
    const auto result =
        std::from_chars(digits.data(), digits.data() + digits.size(), *out, static_cast<int>(base));
    return result.ec == std::errc() && result.ptr == digits.data() + digits.size();
}

bool parse_real(std::string_view text, double* out) {
    text = strip(text, true, true);
    if (text.starts_with('+')) text.remove_prefix(1);
    if (text.starts_with('-') && text.size() > 1 && text[1] == '+') return false;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), *out);
    if (result.ptr != text.data() + text.size() || text.empty()) return false;
    if (result.ec == std::errc::result_out_of_range) *out = text[0] == '-' ? -HUGE_VAL : HUGE_VAL;
    return true;
}

bool truncate(double number, int64_t* out) {
    if (!(std::fabs(number) < 9.2e18)) return false;
    *out = static_cast<int64_t>(number);
    return true;
}

Result<Value> to_integer(Vm&, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "int", 0, 2, {"default", "base"}));
    const Value* otherwise = arguments.get(0, "default");
    HEARTH_TRY(const int64_t base, integer_argument(arguments, 1, "base", 10));
    int64_t out = 0;
    double real = 0;
    if (value.is_integral()) return Value::of(value.integer());
    if (value.is(Type::undefined)) return fail(Code::template_error, "an undefined value is no integer");
    if (value.is(Type::number) && truncate(value.real(), &out)) return Value::of(out);
    if (value.is(Type::string)) {
        if (parse_integer(value.text(), base, &out)) return Value::of(out);
        if (parse_real(value.text(), &real) && truncate(real, &out)) return Value::of(out);
    }
    return otherwise ? *otherwise : Value::of(int64_t{0});
}

Result<Value> to_real(Vm&, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "float", 0, 1, {"default"}));
    const Value* otherwise = arguments.get(0, "default");
    double out = 0;
    if (value.is_number()) return Value::of(value.real());
    if (value.is(Type::undefined)) return fail(Code::template_error, "an undefined value is no number");
    if (value.is(Type::string) && parse_real(value.text(), &out)) return Value::of(out);
    return otherwise ? *otherwise : Value::of(0.0);
}

// Half to even on the exact decimal value, as Python rounds: printing with that many digits does just that.
double rounded(double number, int64_t digits) {
    if (digits > 300 || !std::isfinite(number)) return number;
    if (digits < 0) {
        const double scale = std::pow(10.0, static_cast<double>(-digits));
        return std::nearbyint(number / scale) * scale;
    }
    const std::string text = format_text("{:.{}f}", number, digits);
    double out = number;
    std::from_chars(text.data(), text.data() + text.size(), out);
    return out;
}

Result<Value> round_number(Vm&, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "round", 0, 2, {"precision", "method"}));
    HEARTH_TRY(const int64_t digits, integer_argument(arguments, 0, "precision", 0));
    HEARTH_TRY(const std::string method, text_argument(arguments, 1, "method", "common"));
    if (method != "common" && method != "ceil" && method != "floor")
        return fail(Code::template_error, "round: the method is common, ceil or floor");
    if (!value.is_number()) return fail(Code::template_error, "{} cannot be rounded", type_name(value));
    if (method == "common") {
        if (value.is_integral() && digits >= 0) return Value::of(value.integer());
        const double out = rounded(value.real(), digits);
        return value.is_integral() ? Value::of(static_cast<int64_t>(out)) : Value::of(out);
    }
    const double scale = std::pow(10.0, static_cast<double>(digits)), scaled = value.real() * scale;
    return Value::of((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

Result<Value> otherwise(Vm& vm, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "default", 0, 2, {"default_value", "boolean"}));
    const bool replaces =
        value.is(Type::undefined) || (truth_argument(arguments, 1, "boolean", false) && !truth(value));
    if (!replaces) return value;
    const Value* given = arguments.get(0, "default_value");
    return given ? *given : vm.heap.string("");
}

constexpr FunctionRow kFilters[] = {
    {"tojson", to_json},
    {"trim", trim},
    {"default", otherwise},
    {"d", otherwise},
    {"string", to_string},
    {"int", to_integer},
    {"float", to_real},
    {"round", round_number},
    {"abs", absolute},
    {"upper", changed<upper>},
    {"lower", changed<lower>},
    {"title", changed<title_words>},
    {"capitalize", changed<capitalize>},
    {"replace", replace},
    {"format", format},
    {"indent", indent},
    {"escape", escape},
    {"e", escape},
    {"forceescape", force_escape},
    {"safe", safe},
    {"wordcount", word_count},
    {"center", center},
};

}  // namespace

Function find_filter(std::string_view name) {
    const auto* row =
        std::find_if(std::begin(kFilters), std::end(kFilters), [&](const auto& r) { return r.name == name; });
    return row == std::end(kFilters) ? find_sequence_filter(name) : row->function;
}

}  // namespace hearth::jinja

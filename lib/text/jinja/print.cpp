// str() and repr() of template values.
#include <charconv>
#include <cmath>

#include "text/jinja/format.hpp"
#include "text/jinja/ops.hpp"
#include "text/jinja/unicode.hpp"

namespace hearth::jinja {

namespace {

void append_quoted(std::string& out, std::string_view text) {
    const bool single = text.find('\'') == text.npos || text.find('"') != text.npos;
    const char quote = single ? '\'' : '"';
    out += quote;
    for (std::size_t at = 0; at < text.size();) {
        const uint32_t c = next_char(text, at);
        if (c == '\\' || c == static_cast<uint32_t>(quote)) {
            out += '\\';
            out += static_cast<char>(c);
        } else if (c == '\n' || c == '\r' || c == '\t') {
            out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
        } else if (is_printable(c)) {
            append_char(out, c);
        } else {
            out += c < 0x100     ? format_text("\\x{:02x}", c)
                   : c < 0x10000 ? format_text("\\u{:04x}", c)
                                 : format_text("\\U{:08x}", c);
        }
    }
    out += quote;
}

Status append_dict(std::string& out, const std::vector<std::pair<Value, Value>>& entries, int depth) {
    out += '{';
    bool first = true;
    for (const auto& [key, value] : entries) {
        if (!first) out += ", ";
        first = false;
        HEARTH_CHECK(append_repr(out, key, depth + 1));
        out += ": ";
        HEARTH_CHECK(append_repr(out, value, depth + 1));
    }
    out += '}';
    return {};
}

Status append_items(std::string& out, const std::vector<Value>& items, int depth) {
    bool first = true;
    for (const Value& item : items) {
        if (!first) out += ", ";
        first = false;
        HEARTH_CHECK(append_repr(out, item, depth + 1));
    }
    return {};
}

void append_range(std::string& out, const std::vector<Value>& items) {
    const int64_t first = items.empty() ? 0 : items[0].integer();
    const int64_t step = items.size() < 2 ? 1 : items[1].integer() - first;
    const int64_t stop = items.empty() ? 0 : items.back().integer() + (step > 0 ? 1 : -1);
    out += format_text("range({}, {}", first, stop);
    out += step == 1 ? ")" : format_text(", {})", step);
}

Status append_list(std::string& out, const List& list, int depth) {
    static constexpr struct {
        const char *open, *close;
    } kBrackets[] = {{"[", "]"},
                     {"(", ")"},
                     {"", ""},
                     {"", ""},
                     {"dict_items([", "])"},
                     {"dict_keys([", "])"},
                     {"dict_values([", "])"}};
    if (list.kind == Kind::range) return append_range(out, list.items), Status();
    if (list.kind == Kind::generator) return out += "<generator object>", Status();
    const auto& brackets = kBrackets[static_cast<int>(list.kind)];
    out += brackets.open;
    HEARTH_CHECK(append_items(out, list.items, depth));
    if (list.kind == Kind::tuple && list.items.size() == 1) out += ',';
    out += brackets.close;
    return {};
}

Status append_namespace(std::string& out, const Namespace& space, int depth) {
    out += "<Namespace {";
    bool first = true;
    for (const auto& [key, value] : space.attributes) {
        if (!first) out += ", ";
        first = false;
        append_quoted(out, key);
        out += ": ";
        HEARTH_CHECK(append_repr(out, value, depth + 1));
    }
    out += "}>";
    return {};
}

}  // namespace

Failure too_much_text() { return fail(Code::template_error, "a text grew past {} MiB", kMostText >> 20); }

// The shortest digits that read back as the same number, laid out as Python does.
std::string float_text(double number) {
    if (std::isnan(number)) return "nan";
    if (std::isinf(number)) return number > 0 ? "inf" : "-inf";
    char text[40];
    const auto end = std::to_chars(text, text + sizeof text, number, std::chars_format::scientific).ptr;
    const std::string_view all(text, static_cast<std::size_t>(end - text));
    const std::size_t mark = all.find('e');
    int exponent = 0;
    std::from_chars(all.data() + mark + (all[mark + 1] == '+' ? 2 : 1), end, exponent);
    if (exponent < -4 || exponent >= 16)
        return std::string(all);  // "1e+16" and "1e-05" have Python's two digits
    const auto fixed = std::to_chars(text, text + sizeof text, number, std::chars_format::fixed).ptr;
    std::string out(text, fixed);
    if (out.find('.') == out.npos) out += ".0";
    return out;
}

Status append_repr(std::string& out, const Value& value, int depth) {
    if (depth > kValueDepth) return fail(Code::template_error, "this value is nested too deeply to print");
    if (out.size() > kMostText) return too_much_text();
    switch (value.type()) {
        case Type::string:
            if (value.string().safe) out += "Markup(";
            append_quoted(out, value.text());
            if (value.string().safe) out += ')';
            return {};
        case Type::list:
            return append_list(out, value.list(), depth);
        case Type::dict:
            return append_dict(out, value.dict().entries(), depth);
        case Type::space:
            return append_namespace(out, value.space(), depth);
        case Type::undefined:
            return out += "Undefined", Status();
        case Type::missing:
        case Type::none:
        case Type::boolean:
        case Type::integer:
        case Type::number:
        case Type::callable:
        case Type::loop:
            return append_text(out, value);
    }
    return {};
}

Status append_text(std::string& out, const Value& value) {
    switch (value.type()) {
        case Type::missing:
        case Type::undefined:
            break;
        case Type::none:
            out += "None";
            break;
        case Type::boolean:
            out += value.integer() ? "True" : "False";
            break;
        case Type::integer:
            out += std::to_string(value.integer());
            break;
        case Type::number:
            out += float_text(value.real());
            break;
        case Type::string:
            if (out.size() + value.text().size() > kMostText) return too_much_text();
            value.string().heap.spend(value.text().size() / 16);
            out += value.text();
            break;
        case Type::list:
        case Type::dict:
        case Type::space:
            return append_repr(out, value);
        case Type::callable:
            out += value.callable().macro ? "<Macro '" : "<function '";
            out += value.callable().name;
            out += "'>";
            break;
        case Type::loop:
            out += format_text("<LoopContext {}/{}>", value.loop().index + 1, value.loop().items.size());
            break;
    }
    return {};
}

Result<std::string> text_of(const Value& value) {
    std::string out;
    HEARTH_CHECK(append_text(out, value));
    return out;
}

std::string escape_html(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '&')
            out += "&amp;";
        else if (c == '<')
            out += "&lt;";
        else if (c == '>')
            out += "&gt;";
        else if (c == '\'')
            out += "&#39;";
        else if (c == '"')
            out += "&#34;";
        else
            out += c;
    }
    return out;
}

Result<Value> join_text(Heap& heap, const Value* values, std::size_t n, const Value* separator) {
    const bool safe = separator && separator->is(Type::string) && separator->string().safe;
    std::string out;
    const auto add = [&](const Value& value) -> Status {
        if (!safe || (value.is(Type::string) && value.string().safe)) return append_text(out, value);
        HEARTH_TRY(const std::string text, text_of(value));
        out += escape_html(text);
        return out.size() > kMostText ? Status(too_much_text()) : Status();
    };
    for (std::size_t i = 0; i < n; ++i) {
        if (i > 0 && separator) HEARTH_CHECK(add(*separator));
        HEARTH_CHECK(add(values[i]));
    }
    return heap.string(std::move(out), safe);
}

}  // namespace hearth::jinja

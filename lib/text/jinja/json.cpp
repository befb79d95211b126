// JSON in and out: the context of a render, and the tojson filter with the layout of Python's json.dumps.
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

#include "text/jinja/format.hpp"
#include "text/jinja/ops.hpp"
#include "text/jinja/unicode.hpp"

namespace hearth::jinja {

namespace {

void append_json_string(std::string& out, std::string_view text, bool ascii) {
    constexpr std::string_view kFrom = "\"\\\n\r\t\f\b", kTo = "\"\\nrtfb";
    out += '"';
    for (std::size_t at = 0; at < text.size();) {
        const uint32_t c = next_char(text, at);
        if (const std::size_t k = c < 128 ? kFrom.find(static_cast<char>(c)) : kFrom.npos; k != kFrom.npos) {
            out += '\\';
            out += kTo[k];
        } else if (c < 32 || (ascii && c >= 127)) {
            if (c < 0x10000)
                out += format_text("\\u{:04x}", c);
            else
                out += format_text("\\u{:04x}\\u{:04x}", 0xd800 + ((c - 0x10000) >> 10),
                                   0xdc00 + ((c - 0x10000) & 1023));
        } else {
            append_char(out, c);
        }
    }
    out += '"';
}

std::string json_number(double number) {
    if (std::isnan(number)) return "NaN";
    if (std::isinf(number)) return number > 0 ? "Infinity" : "-Infinity";
    return float_text(number);
}

void new_line(std::string& out, const JsonStyle& style, int depth) {
    if (!style.pretty) return;
    out += '\n';
    for (int i = 0; i < depth; ++i) out += style.indent;
}

Result<std::string> key_text(const Value& key) {
    if (key.is(Type::string)) return std::string(key.text());
    std::string out;
    if (!key.is(Type::none) && !key.is_number())
        return fail(Code::template_error, "tojson: {} cannot be a key", type_name(key));
    HEARTH_CHECK(append_json(out, key, {}));
    return out;
}

Status append_object(std::string& out, const Dict& dict, const JsonStyle& style, int depth) {
    if (dict.entries().empty()) return out += "{}", Status();
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : dict.entries()) {
        if (style.sort_keys && !entry.first.is(Type::string))
            return fail(Code::template_error, "tojson: only string keys can be sorted");
        entries.push_back(&entry);
    }
    if (style.sort_keys)
        std::stable_sort(entries.begin(), entries.end(),
                         [](auto* a, auto* b) { return a->first.text() < b->first.text(); });
    out += '{';
    bool first = true;
    for (const auto* entry : entries) {
        if (!first) out += style.item_separator;
        first = false;
        new_line(out, style, depth + 1);
        HEARTH_TRY(const std::string key, key_text(entry->first));
        append_json_string(out, key, style.ascii);
        out += style.key_separator;
        HEARTH_CHECK(append_json(out, entry->second, style, depth + 1));
    }
    new_line(out, style, depth);
    out += '}';
    return {};
}

Status append_array(std::string& out, const List& list, const JsonStyle& style, int depth) {
    if (list.items.empty()) return out += "[]", Status();
    out += '[';
    bool first = true;
    for (const Value& item : list.items) {
        if (!first) out += style.item_separator;
        first = false;
        new_line(out, style, depth + 1);
        HEARTH_CHECK(append_json(out, item, style, depth + 1));
    }
    new_line(out, style, depth);
    out += ']';
    return {};
}

// Builds values while nlohmann_json reads; no exception, no recursion.
class Builder {
  public:
    explicit Builder(Heap& heap) : heap_(heap) {}
    using string_t = nlohmann::json::string_t;
    using binary_t = nlohmann::json::binary_t;
    bool null() { return add(Value::none()); }
    bool boolean(bool b) { return add(Value::of(b)); }
    bool number_integer(int64_t i) { return add(Value::of(i)); }
    bool number_unsigned(uint64_t u) {
        return add(u <= INT64_MAX ? Value::of(static_cast<int64_t>(u)) : Value::of(static_cast<double>(u)));
    }
    bool number_float(double d, const string_t&) { return add(Value::of(d)); }
    bool string(string_t& text) { return add(heap_.string(std::move(text))); }
    bool binary(binary_t&) { return false; }
    bool start_object(std::size_t) { return open(new Dict(heap_)); }
    bool start_array(std::size_t) { return open(new List(heap_)); }
    bool end_object() { return close(); }
    bool end_array() { return close(); }
    bool key(string_t& text) { return open_[open_.size() - 1].key = heap_.string(std::move(text)), true; }
    bool parse_error(std::size_t at, const std::string&, const nlohmann::json::exception&) {
        error_at = at;
        return false;
    }
    Value root;
    std::size_t error_at = 0;

  private:
    struct Open {
        Value value, key;
        List* list = nullptr;
        Dict* dict = nullptr;
    };
    bool open(List* list) { return push({Value(list), {}, list, nullptr}); }
    bool open(Dict* dict) { return push({Value(dict), {}, nullptr, dict}); }
    bool push(Open open) {
        open_.push_back(std::move(open));
        return open_.size() < kValueDepth;
    }
    bool close() {
        Value value = std::move(open_.back().value);
        open_.pop_back();
        return add(std::move(value));
    }
    bool add(Value value) {
        if (open_.empty()) {
            root = std::move(value);
        } else if (Open& top = open_.back(); top.dict) {
            top.dict->set(top.key, std::move(value));
        } else {
            top.list->items.push_back(std::move(value));
            heap_.count(*top.list, sizeof(Value));
        }
        return !heap_.over_limit();
    }
    Heap& heap_;
    std::vector<Open> open_;
};

}  // namespace

Status append_json(std::string& out, const Value& value, const JsonStyle& style, int depth) {
    if (depth > kValueDepth) return fail(Code::template_error, "tojson: the value is nested too deeply");
    if (out.size() > kMostText) return too_much_text();
    switch (value.type()) {
        case Type::none:
            out += "null";
            return {};
        case Type::boolean:
            out += value.integer() ? "true" : "false";
            return {};
        case Type::integer:
            out += std::to_string(value.integer());
            return {};
        case Type::number:
            out += json_number(value.real());
            return {};
        case Type::string:
            append_json_string(out, value.text(), style.ascii);
            return {};
        case Type::dict:
            return append_object(out, value.dict(), style, depth);
        case Type::list:
            if (value.list().kind > Kind::tuple) break;
            return append_array(out, value.list(), style, depth);
        case Type::missing:
        case Type::undefined:
        case Type::space:
        case Type::callable:
        case Type::loop:
            break;
    }
    return fail(Code::template_error, "tojson: {} cannot be written as JSON", type_name(value));
}

Result<Value> parse_json(Heap& heap, std::string_view text, const char* what) {
    Builder builder(heap);
    if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) {
        if (builder.error_at)
            return fail(Code::invalid_argument, "{}: not valid JSON near byte {}", what, builder.error_at);
        return fail(Code::invalid_argument, "{}: the JSON is too large or nested too deeply", what);
    }
    return builder.root;
}

}  // namespace hearth::jinja

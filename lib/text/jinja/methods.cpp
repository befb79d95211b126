// Methods of strings, lists and dictionaries.
#include <algorithm>
#include <iterator>

#include "text/jinja/builtins.hpp"
#include "text/jinja/filters.hpp"
#include "text/jinja/format.hpp"
#include "text/jinja/ops.hpp"
#include "text/jinja/unicode.hpp"
#include "text/jinja/vm.hpp"

namespace hearth::jinja {

Result<std::string> replaced(std::string_view text, std::string_view from, std::string_view to,
                             int64_t count) {
    std::string out;
    std::size_t at = 0;
    for (; count != 0; --count) {
        std::size_t next = text.find(from, at);
        if (next == text.npos) break;
        out.append(text.substr(at, next - at)).append(to);
        at = next + from.size();
        if (from.empty()) {  // between all code points, and at both ends
            if (at >= text.size()) return out;
            next_char(text, at);
            out.append(text.substr(next, at - next));
        }
        if (out.size() > kMostText) return too_much_text();
    }
    out.append(text.substr(std::min(at, text.size())));
    return out;
}

std::vector<std::string_view> line_split(std::string_view text, bool keep_ends) {
    std::vector<std::string_view> lines;
    std::size_t begin = 0;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = at;
        const uint32_t c = next_char(text, at);
        const bool ends =
            (c >= 10 && c <= 13) || (c >= 0x1c && c <= 0x1e) || c == 0x85 || c == 0x2028 || c == 0x2029;
        if (!ends) continue;
        if (c == '\r' && at < text.size() && text[at] == '\n') ++at;
        lines.push_back(text.substr(begin, (keep_ends ? at : end) - begin));
        begin = at;
    }
    if (begin < text.size()) lines.push_back(text.substr(begin));
    return lines;
}

namespace {

Value text_like(Vm& vm, const Value& self, std::string_view text) {
    return vm.heap.string(std::string(text), self.string().safe);
}

Value text_list(Vm& vm, const Value& self, const std::vector<std::string_view>& parts) {
    std::vector<Value> items;
    for (const std::string_view part : parts) {
        if (vm.heap.over_limit()) break;
        items.push_back(text_like(vm, self, part));
    }
    return vm.heap.list(std::move(items));
}

template <std::string (*Change)(std::string_view)>
Result<Value> changed(Vm& vm, const Value& self, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "this method", 0, 0));
    return text_like(vm, self, Change(self.text()));
}

template <bool left, bool right>
Result<Value> stripped(Vm& vm, const Value& self, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "strip", 0, 1));
    const Value* chars = arguments.get(0, "");
    if (!chars || chars->is(Type::none)) return text_like(vm, self, strip(self.text(), left, right));
    HEARTH_TRY(const std::string set, text_argument(arguments, 0, "chars", ""));
    const std::string_view view = set;
    return text_like(vm, self, strip(self.text(), left, right, &view));
}

void split_space(std::string_view text, int64_t most, bool from_right, std::vector<std::string_view>& out) {
    while (true) {
        text = strip(text, !from_right, from_right);
        if (text.empty()) return;
        if (most-- == 0) {
            out.push_back(strip(text, true, true));
            if (!from_right)
                out.back() = strip(text, true, false);
            else
                out.back() = strip(text, false, true);
            return;
        }
        std::size_t cut = from_right ? 0 : text.size();
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t begin = at;
            if (!is_space(next_char(text, at))) continue;
            cut = from_right ? at : begin;
            if (!from_right) break;
        }
        out.push_back(from_right ? text.substr(cut) : text.substr(0, cut));
        text = from_right ? text.substr(0, cut) : text.substr(cut);
    }
}

template <bool from_right>
Result<Value> split(Vm& vm, const Value& self, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "split", 0, 2, {"sep", "maxsplit"}));
    HEARTH_TRY(int64_t most, integer_argument(arguments, 1, "maxsplit", -1));
    const Value* separator = arguments.get(0, "sep");
    std::vector<std::string_view> parts;
    std::string_view text = self.text();
    if (!separator || separator->is(Type::none)) {
        split_space(text, most, from_right, parts);
    } else {
        HEARTH_TRY(const std::string by, text_argument(arguments, 0, "sep", ""));
        if (by.empty()) return fail(Code::template_error, "split: the separator is empty");
        while (most-- != 0) {
            const std::size_t at = from_right ? text.rfind(by) : text.find(by);
            if (at == text.npos) break;
            parts.push_back(from_right ? text.substr(at + by.size()) : text.substr(0, at));
            text = from_right ? text.substr(0, at) : text.substr(at + by.size());
        }
        parts.push_back(text);
    }
    if (from_right) std::reverse(parts.begin(), parts.end());
    return text_list(vm, self, parts);
}

template <bool from_right>
Result<Value> partition(Vm& vm, const Value& self, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "partition", 1, 1));
    HEARTH_TRY(const std::string by, text_argument(arguments, 0, "sep", ""));
    if (by.empty()) return fail(Code::template_error, "partition: the separator is empty");
    const std::string_view text = self.text();
    const std::size_t at = from_right ? text.rfind(by) : text.find(by);
    std::string_view parts[3] = {text, "", ""};
    if (at != text.npos) {
        parts[0] = text.substr(0, at);
        parts[1] = text.substr(at, by.size());
        parts[2] = text.substr(at + by.size());
    } else if (from_right) {
        std::swap(parts[0], parts[2]);
    }
    std::vector<Value> items;
    for (const std::string_view part : parts) items.push_back(text_like(vm, self, part));
    return vm.heap.list(std::move(items), Kind::tuple);
}

Result<Value> split_lines(Vm& vm, const Value& self, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "splitlines", 0, 1, {"keepends"}));
    return text_list(vm, self, line_split(self.text(), truth_argument(arguments, 0, "keepends", false)));
}

// The part of a text that optional start and end arguments choose, as [begin, end) code points; false: none.
Result<bool> window(const Value& self, const Arguments& arguments, int64_t* begin, int64_t* end) {
    const auto n = static_cast<int64_t>(self.string().n_char);
    *begin = 0;
    *end = n;
    for (std::size_t i = 1; i < 3 && i < arguments.args.size(); ++i) {
        if (arguments.args[i].is(Type::none)) continue;
        HEARTH_TRY(int64_t at, integer_argument(arguments, i, "start", 0));
        if (at < 0) at = std::max<int64_t>(at + n, 0);
        (i == 1 ? *begin : *end) = i == 1 ? at : std::min(at, n);
    }
    return *begin <= *end && *begin <= n;
}

std::string_view cut(const Value& self, int64_t begin, int64_t end) {
    const std::string_view text = self.text();
    if (self.string().ascii())
        return text.substr(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin));
    const std::size_t from = char_offset(text, static_cast<std::size_t>(begin));
    return text.substr(from, char_offset(text, static_cast<std::size_t>(end)) - from);
}

template <bool at_end>
Result<Value> affix(Vm& vm, const Value& self, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, at_end ? "endswith" : "startswith", 1, 3));
    int64_t begin = 0, end = 0;
    HEARTH_TRY(const bool any, window(self, arguments, &begin, &end));
    const Value& given = arguments.args[0];
    const bool is_tuple = given.is(Type::list) && given.list().kind == Kind::tuple;
    if (!is_tuple && !given.is(Type::string))
        return fail(Code::template_error, "this method needs a string, not {}", type_name(given));
    const std::string_view text = any ? cut(self, begin, end) : std::string_view();
    const std::vector<Value> one{given};
    for (const Value& affix_value : is_tuple ? given.list().items : one) {
        if (!affix_value.is(Type::string)) return fail(Code::template_error, "this method needs strings");
        const std::string_view wanted = affix_value.text();
        if (any && (at_end ? text.ends_with(wanted) : text.starts_with(wanted))) return Value::of(true);
    }
    vm.heap.spend(1);
    return Value::of(false);
}

template <bool from_right, bool must>
Result<Value> find(Vm& vm, const Value& self, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "find", 1, 3));
    HEARTH_TRY(const std::string wanted, text_argument(arguments, 0, "sub", ""));
    int64_t begin = 0, end = 0;
    HEARTH_TRY(const bool any, window(self, arguments, &begin, &end));
    const std::string_view text = any ? cut(self, begin, end) : std::string_view();
    const std::size_t at = !any ? text.npos : from_right ? text.rfind(wanted) : text.find(wanted);
    vm.heap.spend(text.size() / 16);
    if (at != text.npos) return Value::of(begin + static_cast<int64_t>(count_chars(text.substr(0, at))));
    if (must) return fail(Code::template_error, "index: the text does not occur");
    return Value::of(int64_t{-1});
}

Result<Value> count_text(Vm&, const Value& self, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "count", 1, 3));
    HEARTH_TRY(const std::string wanted, text_argument(arguments, 0, "sub", ""));
    int64_t begin = 0, end = 0, n = 0;
    HEARTH_TRY(const bool any, window(self, arguments, &begin, &end));
    if (!any) return Value::of(n);
    if (wanted.empty()) return Value::of(end - begin + 1);
    const std::string_view text = cut(self, begin, end);
    for (std::size_t at = 0; (at = text.find(wanted, at)) != text.npos; at += wanted.size()) ++n;
    return Value::of(n);
}

Result<Value> replace(Vm& vm, const Value& self, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "replace", 2, 3, {"", "", "count"}));
    HEARTH_TRY(const std::string from, text_argument(arguments, 0, "old", ""));
    HEARTH_TRY(const std::string to, text_argument(arguments, 1, "new", ""));
    HEARTH_TRY(const int64_t count, integer_argument(arguments, 2, "count", -1));
    HEARTH_TRY(const std::string out, replaced(self.text(), from, to, count));
    return text_like(vm, self, out);
}

Result<Value> join(Vm& vm, const Value& self, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "join", 1, 1));
    HEARTH_TRY(const auto items, items_of(vm.heap, arguments.args[0]));
    for (const Value& item : items)
        if (!item.is(Type::string))
            return fail(Code::template_error, "join: {} is no string", type_name(item));
    return join_text(vm.heap, items.data(), items.size(), &self);
}

Result<Value> format(Vm& vm, const Value& self, const Arguments& arguments) {
    return brace_format(vm, self.text(), arguments);
}

template <bool at_end>
Result<Value> remove_affix(Vm& vm, const Value& self, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "removeprefix", 1, 1));
    HEARTH_TRY(const std::string affix_text, text_argument(arguments, 0, "affix", ""));
    std::string_view text = self.text();
    if (at_end && text.ends_with(affix_text))
        text.remove_suffix(affix_text.size());
    else if (!at_end && text.starts_with(affix_text))
        text.remove_prefix(affix_text.size());
    return text_like(vm, self, text);
}

enum class Align { left, right, center, zeros };

template <Align align>
Result<Value> pad(Vm& vm, const Value& self, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "padding", 1, align == Align::zeros ? 1 : 2));
    HEARTH_TRY(const int64_t width, integer_argument(arguments, 0, "width", 0));
    HEARTH_TRY(std::string fill, text_argument(arguments, 1, "fillchar", align == Align::zeros ? "0" : " "));
    if (count_chars(fill) != 1) return fail(Code::template_error, "the fill character must be one character");
    const int64_t missing = width - static_cast<int64_t>(self.string().n_char);
    if (missing <= 0) return self;
    if (missing > int64_t{1} << 20) return too_much_text();
    int64_t before = align == Align::right || align == Align::zeros ? missing : 0;
    if (align == Align::center) before = missing / 2 + (missing & width & 1);
    std::string left, right;
    for (int64_t i = 0; i < missing; ++i) (i < before ? left : right) += fill;
    std::string_view text = self.text();
    if (align == Align::zeros &&
        (text.starts_with('-') || text.starts_with('+'))) {  // zeros go behind the sign
        left.insert(0, 1, text[0]);
        text.remove_prefix(1);
    }
    return text_like(vm, self, left + std::string(text) + right);
}

template <bool (*Is)(uint32_t)>
Result<Value> all_are(Vm&, const Value& self, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "this method", 0, 0));
    const std::string_view text = self.text();
    for (std::size_t at = 0; at < text.size();)
        if (!Is(next_char(text, at))) return Value::of(false);
    return Value::of(!text.empty());
}

template <bool (*Is)(uint32_t), bool (*IsNot)(uint32_t)>
Result<Value> cased(Vm&, const Value& self, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "this method", 0, 0));
    bool any = false;
    for (std::size_t at = 0; at < self.text().size();) {
        const uint32_t c = next_char(self.text(), at);
        if (IsNot(c)) return Value::of(false);
        any |= Is(c);
    }
    return Value::of(any);
}

Result<Value> case_fold(Vm& vm, const Value& self, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "casefold", 0, 0));
    HEARTH_TRY(const std::string text, replaced(lower(self.text()), "\u00df", "ss", -1));
    return text_like(vm, self, text);
}

bool is_alnum(uint32_t c) { return is_alpha(c) || is_digit(c); }

constexpr FunctionRow kStringMethods[] = {
    {"split", split<false>},
    {"rsplit", split<true>},
    {"strip", stripped<true, true>},
    {"lstrip", stripped<true, false>},
    {"rstrip", stripped<false, true>},
    {"startswith", affix<false>},
    {"endswith", affix<true>},
    {"replace", replace},
    {"upper", changed<upper>},
    {"lower", changed<lower>},
    {"casefold", case_fold},
    {"title", changed<title>},
    {"capitalize", changed<capitalize>},
    {"join", join},
    {"format", format},
    {"find", find<false, false>},
    {"rfind", find<true, false>},
    {"index", find<false, true>},
    {"rindex", find<true, true>},
    {"count", count_text},
    {"splitlines", split_lines},
    {"partition", partition<false>},
    {"rpartition", partition<true>},
    {"removeprefix", remove_affix<false>},
    {"removesuffix", remove_affix<true>},
    {"ljust", pad<Align::left>},
    {"rjust", pad<Align::right>},
    {"center", pad<Align::center>},
    {"zfill", pad<Align::zeros>},
    {"isspace", all_are<is_space>},
    {"isalpha", all_are<is_alpha>},
    {"isdigit", all_are<is_digit>},
    {"isdecimal", all_are<is_digit>},
    {"isnumeric", all_are<is_digit>},
    {"isalnum", all_are<is_alnum>},
    {"isupper", cased<is_upper, is_lower>},
    {"islower", cased<is_lower, is_upper>},
};

template <Kind kind>
Result<Value> view(Vm& vm, const Value& self, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "this method", 0, 0));
    std::vector<Value> items;
    for (const auto& [key, value] : self.dict().entries()) {
        if (vm.heap.over_limit()) break;
        items.push_back(kind == Kind::keys     ? key
                        : kind == Kind::values ? value
                                               : vm.heap.list({key, value}, Kind::tuple));
    }
    return vm.heap.list(std::move(items), kind);
}

Result<Value> get(Vm&, const Value& self, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "get", 1, 2));
    if (arguments.args.empty()) return fail(Code::template_error, "get takes positional arguments");
    if (!hashable(arguments.args[0]))
        return fail(Code::template_error, "{} cannot be a dictionary key", type_name(arguments.args[0]));
    const Value* value = self.dict().find(arguments.args[0]);
    return value ? *value : arguments.args.size() > 1 ? arguments.args[1] : Value::none();
}

Result<Value> copy(Vm&, const Value& self, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "copy", 0, 0));
    return self;  // nothing can change it
}

Result<Value> count_items(Vm&, const Value& self, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "count", 1, 1));
    int64_t n = 0;
    for (const Value& item : self.list().items) n += equal(item, arguments.args[0]);
    return Value::of(n);
}

Result<Value> index_of(Vm&, const Value& self, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "index", 1, 1));
    const auto& items = self.list().items;
    for (std::size_t i = 0; i < items.size(); ++i)
        if (equal(items[i], arguments.args[0])) return Value::of(static_cast<int64_t>(i));
    return fail(Code::template_error, "index: the item does not occur");
}

constexpr FunctionRow kDictMethods[] = {{"items", view<Kind::items>},
                                        {"keys", view<Kind::keys>},
                                        {"values", view<Kind::values>},
                                        {"get", get},
                                        {"copy", copy}};
constexpr FunctionRow kListMethods[] = {{"count", count_items}, {"index", index_of}, {"copy", copy}};
constexpr std::string_view kDictChanges[] = {"clear", "pop", "popitem", "setdefault", "update"};
constexpr std::string_view kListChanges[] = {"append", "clear",  "extend",  "insert",
                                             "pop",    "remove", "reverse", "sort"};

template <class Rows>
Function function_in(const Rows& rows, std::string_view name) {
    const auto* row =
        std::find_if(std::begin(rows), std::end(rows), [&](const auto& r) { return r.name == name; });
    return row == std::end(rows) ? nullptr : row->function;
}

template <class Names>
bool is_in(const Names& names, std::string_view name) {
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

}  // namespace

Function find_string_method(std::string_view name) { return function_in(kStringMethods, name); }

Function find_container_method(const Value& object, std::string_view name, bool* changes) {
    if (object.is(Type::dict)) {
        *changes = is_in(kDictChanges, name);
        return function_in(kDictMethods, name);
    }
    if (object.list().kind > Kind::range) return nullptr;
    const bool is_list = object.list().kind == Kind::list;
    *changes = is_list && is_in(kListChanges, name);
    return !is_list && name == "copy" ? nullptr : function_in(kListMethods, name);
}

}  // namespace hearth::jinja

// Filters on sequences and dictionaries.
#include <algorithm>

#include "text/jinja/builtins.hpp"
#include "text/jinja/filters.hpp"
#include "text/jinja/ops.hpp"
#include "text/jinja/unicode.hpp"
#include "text/jinja/vm.hpp"

namespace hearth::jinja {

namespace {

// "a.b.0" looks up a, then b, then item 0.
Result<Value> attribute_of(Vm& vm, const Value& item, const Value& path, const Value* otherwise = nullptr) {
    if (path.is_integral()) return item_of(vm, item, path);
    Value value = item;
    std::string_view rest = path.text();
    while (true) {
        const std::size_t dot = rest.find('.');
        const std::string_view part = rest.substr(0, dot);
        const bool number = !part.empty() && std::all_of(part.begin(), part.end(),
                                                         [](char c) { return c >= '0' && c <= '9'; });
        const Value key = number && part.size() < 10 ? Value::of(int64_t{std::stoi(std::string(part))})
                                                     : vm.heap.string(std::string(part));
        HEARTH_TRY(value, item_of(vm, value, key));
        if (value.is(Type::undefined) && otherwise) value = *otherwise;
        if (dot == rest.npos) return value;
        rest.remove_prefix(dot + 1);
    }
}

bool is_path(const Value* value) { return value && (value->is(Type::string) || value->is_integral()); }

// What sorting, unique, min and max compare by.
Result<Value> sort_key(Vm& vm, const Value& item, const Value* attribute, bool case_sensitive) {
    Value key = item;
    if (is_path(attribute)) {
        HEARTH_TRY(key, attribute_of(vm, item, *attribute));
    }
    if (!case_sensitive && key.is(Type::string)) return vm.heap.string(lower(key.text()));
    return key;
}

struct Keyed {
    Value key, item;
};

// A merge sort that stops at the first pair that has no order.
Status stable_sort(std::vector<Keyed>& items, bool reverse) {
    std::vector<Keyed> other(items.size());
    for (std::size_t width = 1; width < items.size(); width *= 2) {
        for (std::size_t begin = 0; begin < items.size(); begin += 2 * width) {
            std::size_t a = begin, b = std::min(begin + width, items.size());
            const std::size_t a_end = b, b_end = std::min(begin + 2 * width, items.size());
            for (std::size_t out = begin; out < b_end; ++out) {
                bool take_b = a == a_end;
                if (!take_b && b < b_end) {
                    HEARTH_TRY(take_b, compare(Compare::less, reverse ? items[a].key : items[b].key,
                                               reverse ? items[b].key : items[a].key));
                }
                other[out] = std::move(items[take_b ? b++ : a++]);
            }
        }
        items.swap(other);
    }
    return {};
}

Result<std::vector<Keyed>> keyed(Vm& vm, const Value& value, const Value* attribute, bool case_sensitive) {
    HEARTH_TRY(auto items, items_of(vm.heap, value));
    std::vector<Keyed> out;
    for (Value& item : items) {
        HEARTH_TRY(Value key, sort_key(vm, item, attribute, case_sensitive));
        out.push_back({std::move(key), std::move(item)});
    }
    return out;
}

Value items_only(Vm& vm, std::vector<Keyed> sorted, Kind kind = Kind::list) {
    std::vector<Value> items;
    for (Keyed& each : sorted) items.push_back(std::move(each.item));
    return vm.heap.list(std::move(items), kind);
}

// "a,b" sorts by a, then b: the key is the list of both.
Result<Value> sort_keys(Vm& vm, const Value& item, std::string_view attributes, bool case_sensitive) {
    std::vector<Value> keys;
    while (true) {
        const std::size_t comma = attributes.find(',');
        const Value attribute = vm.heap.string(std::string(attributes.substr(0, comma)));
        HEARTH_TRY(Value key, sort_key(vm, item, &attribute, case_sensitive));
        keys.push_back(std::move(key));
        if (comma == attributes.npos) return vm.heap.list(std::move(keys));
        attributes.remove_prefix(comma + 1);
    }
}

Result<Value> sort(Vm& vm, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "sort", 0, 3, {"reverse", "case_sensitive", "attribute"}));
    const Value* attribute = arguments.get(2, "attribute");
    const bool exact = truth_argument(arguments, 1, "case_sensitive", false);
    const bool several = attribute && attribute->is(Type::string);
    HEARTH_TRY(auto items, keyed(vm, value, several ? nullptr : attribute, exact));
    for (Keyed& each : items) {
        if (!several) break;
        HEARTH_TRY(each.key, sort_keys(vm, each.item, attribute->text(), exact));
    }
    HEARTH_CHECK(stable_sort(items, truth_argument(arguments, 0, "reverse", false)));
    return items_only(vm, std::move(items));
}

Result<Value> unique(Vm& vm, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "unique", 0, 2, {"case_sensitive", "attribute"}));
    HEARTH_TRY(auto items, keyed(vm, value, arguments.get(1, "attribute"),
                                 truth_argument(arguments, 0, "case_sensitive", false)));
    auto* seen = new Dict(vm.heap);
    const Value keep(seen);
    std::vector<Value> out;
    for (Keyed& each : items) {
        if (!hashable(each.key))
            return fail(Code::template_error, "unique: {} cannot be looked up", type_name(each.key));
        if (seen->find(each.key)) continue;
        seen->set(each.key, Value::none());
        out.push_back(std::move(each.item));
    }
    return vm.heap.list(std::move(out), Kind::generator);
}

template <bool is_max>
Result<Value> extreme(Vm& vm, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, is_max ? "max" : "min", 0, 2, {"case_sensitive", "attribute"}));
    HEARTH_TRY(auto items, keyed(vm, value, arguments.get(1, "attribute"),
                                 truth_argument(arguments, 0, "case_sensitive", false)));
    if (items.empty()) return Value::undefined();
    std::size_t best = 0;
    for (std::size_t i = 1; i < items.size(); ++i) {
        HEARTH_TRY(const bool better,
                   compare(is_max ? Compare::greater : Compare::less, items[i].key, items[best].key));
        if (better) best = i;
    }
    return items[best].item;
}

Result<Value> sum(Vm& vm, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "sum", 0, 2, {"attribute", "start"}));
    const Value *attribute = arguments.get(0, "attribute"), *start = arguments.get(1, "start");
    HEARTH_TRY(const auto items, items_of(vm.heap, value));
    Value total = start ? *start : Value::of(int64_t{0});
    if (total.is(Type::string)) return fail(Code::template_error, "sum: strings are joined, not summed");
    for (const Value& item : items) {
        Value term = item;
        if (is_path(attribute)) {
            HEARTH_TRY(term, attribute_of(vm, item, *attribute));
        }
        HEARTH_TRY(total, arithmetic(vm.heap, Binary::add, total, term));
    }
    return total;
}

Result<Value> length(Vm&, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "length", 0, 0));
    HEARTH_TRY(const int64_t n, length_of(value));
    return Value::of(n);
}

Result<Value> first(Vm& vm, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "first", 0, 0));
    HEARTH_TRY(const auto items, items_of(vm.heap, value));
    return items.empty() ? Value::undefined() : items.front();
}

Result<Value> last(Vm& vm, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "last", 0, 0));
    if (value.is(Type::list) && value.list().kind == Kind::generator)
        return fail(Code::template_error, "a generator has no last item; use 'list' first");
    HEARTH_TRY(const auto items, items_of(vm.heap, value));
    return items.empty() ? Value::undefined() : items.back();
}

Result<Value> to_list(Vm& vm, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "list", 0, 0));
    HEARTH_TRY(auto items, items_of(vm.heap, value));
    return vm.heap.list(std::move(items));
}

Result<Value> reverse(Vm& vm, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "reverse", 0, 0));
    if (value.is(Type::undefined)) return fail(Code::template_error, "an undefined value cannot be reversed");
    HEARTH_TRY(auto items, items_of(vm.heap, value));
    std::reverse(items.begin(), items.end());
    if (value.is(Type::string)) return join_text(vm.heap, items.data(), items.size());
    const bool copies =
        value.is(Type::list) && value.list().kind == Kind::generator;  // what cannot be walked backwards
    return vm.heap.list(std::move(items), copies ? Kind::list : Kind::generator);
}

Result<Value> join(Vm& vm, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "join", 0, 2, {"d", "attribute"}));
    const Value *separator = arguments.get(0, "d"), *attribute = arguments.get(1, "attribute");
    HEARTH_TRY(auto items, items_of(vm.heap, value));
    if (is_path(attribute))
        for (Value& item : items) {
            HEARTH_TRY(item, attribute_of(vm, item, *attribute));
        }
    if (!separator) return join_text(vm.heap, items.data(), items.size());
    HEARTH_TRY(std::string between, text_of(*separator));
    const Value plain = vm.heap.string(std::move(between));  // no longer safe: autoescape is off
    return join_text(vm.heap, items.data(), items.size(), &plain);
}

Value pair(Vm& vm, const Value& a, const Value& b) { return vm.heap.list({a, b}, Kind::tuple); }

Result<Value> items(Vm& vm, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "items", 0, 0));
    std::vector<Value> out;
    if (!value.is(Type::dict) && !value.is(Type::undefined))
        return fail(Code::template_error, "items: {} is no dictionary", type_name(value));
    if (value.is(Type::dict))
        for (const auto& [key, entry] : value.dict().entries()) out.push_back(pair(vm, key, entry));
    return vm.heap.list(std::move(out), Kind::generator);
}

Result<Value> dict_sort(Vm& vm, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "dictsort", 0, 3, {"case_sensitive", "by", "reverse"}));
    HEARTH_TRY(const std::string by, text_argument(arguments, 1, "by", "key"));
    const bool exact = truth_argument(arguments, 0, "case_sensitive", false);
    if (!value.is(Type::dict))
        return fail(Code::template_error, "dictsort: {} is no dictionary", type_name(value));
    if (by != "key" && by != "value") return fail(Code::template_error, "dictsort: 'by' is key or value");
    std::vector<Keyed> entries;
    for (const auto& [key, entry] : value.dict().entries()) {
        HEARTH_TRY(Value order, sort_key(vm, by == "key" ? key : entry, nullptr, exact));
        entries.push_back({std::move(order), pair(vm, key, entry)});
    }
    HEARTH_CHECK(stable_sort(entries, truth_argument(arguments, 2, "reverse", false)));
    return items_only(vm, std::move(entries));
}

// The arguments after the first n, for the filter or test that map() and select() name.
Arguments rest_of(const Arguments& arguments, std::size_t n) {
    Arguments rest = arguments;
    rest.args.erase(rest.args.begin(),
                    rest.args.begin() + static_cast<std::ptrdiff_t>(std::min(n, rest.args.size())));
    return rest;
}

Result<Value> map(Vm& vm, const Value& value, const Arguments& arguments) {
    const Value* attribute = arguments.args.empty() ? arguments.get(0, "attribute") : nullptr;
    const Value* otherwise = attribute ? arguments.get(1, "default") : nullptr;
    if (attribute && (arguments.named.size() != (otherwise ? 2u : 1u) || !is_path(attribute)))
        return fail(Code::template_error, "map takes attribute= and default=, or the name of a filter");
    if (!attribute && (arguments.args.empty() || !arguments.args[0].is(Type::string)))
        return fail(Code::template_error, "map needs the name of a filter");
    const Arguments rest = rest_of(arguments, 1);
    HEARTH_TRY(auto items, items_of(vm.heap, value));
    for (Value& item : items) {
        if (attribute) {
            HEARTH_TRY(item, attribute_of(vm, item, *attribute, otherwise));
        }
        if (!attribute) {
            HEARTH_TRY(item, vm.apply(true, arguments.args[0].text(), item, rest));
        }
        if (vm.heap.exhausted() || vm.heap.over_limit()) break;
    }
    return vm.heap.list(std::move(items), Kind::generator);
}

template <bool keeps, bool by_attribute>
Result<Value> select(Vm& vm, const Value& value, const Arguments& arguments) {
    constexpr std::size_t kTest = by_attribute ? 1 : 0;
    if (by_attribute && (arguments.args.empty() || !is_path(&arguments.args[0])))
        return fail(Code::template_error, "this filter needs the name of an attribute");
    const bool has_test = arguments.args.size() > kTest;
    if (has_test && !arguments.args[kTest].is(Type::string))
        return fail(Code::template_error, "the name of a test is a string");
    const Arguments rest = rest_of(arguments, kTest + 1);
    HEARTH_TRY(const auto items, items_of(vm.heap, value));
    std::vector<Value> out;
    for (const Value& item : items) {
        Value subject = item;
        if (by_attribute) {
            HEARTH_TRY(subject, attribute_of(vm, item, arguments.args[0]));
        }
        if (has_test) {
            HEARTH_TRY(subject, vm.apply(false, arguments.args[kTest].text(), subject, rest));
        }
        if (truth(subject) == keeps) out.push_back(item);
        if (vm.heap.exhausted()) break;
    }
    return vm.heap.list(std::move(out), Kind::generator);
}

Result<Value> batch(Vm& vm, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "batch", 1, 2, {"linecount", "fill_with"}));
    HEARTH_TRY(const int64_t n, integer_argument(arguments, 0, "linecount", 0));
    if (n < 1 || n > 100000) return fail(Code::template_error, "batch: {} is no useful size", n);
    const Value* fill = arguments.get(1, "fill_with");
    HEARTH_TRY(const auto items, items_of(vm.heap, value));
    std::vector<Value> out, row;
    for (const Value& item : items) {
        row.push_back(item);
        if (row.size() == static_cast<std::size_t>(n)) out.push_back(vm.heap.list(std::exchange(row, {})));
    }
    if (!row.empty()) {
        if (fill && !fill->is(Type::none)) row.resize(static_cast<std::size_t>(n), *fill);
        out.push_back(vm.heap.list(std::move(row)));
    }
    return vm.heap.list(std::move(out), Kind::generator);
}

Result<Value> group_by(Vm& vm, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "groupby", 1, 3, {"attribute", "default", "case_sensitive"}));
    const Value *attribute = arguments.get(0, "attribute"), *otherwise = arguments.get(1, "default");
    if (!is_path(attribute)) return fail(Code::template_error, "groupby needs the name of an attribute");
    HEARTH_TRY(const auto items, items_of(vm.heap, value));
    std::vector<Keyed> entries;
    for (const Value& item : items) {
        HEARTH_TRY(Value key, attribute_of(vm, item, *attribute, otherwise));
        if (key.is(Type::string) && !truth_argument(arguments, 2, "case_sensitive", false))
            key = vm.heap.string(lower(key.text()));
        entries.push_back({std::move(key), item});
    }
    HEARTH_CHECK(stable_sort(entries, false));
    std::vector<Value> groups;
    for (std::size_t i = 0; i < entries.size();) {
        const std::size_t begin = i;
        std::vector<Value> group;
        for (; i < entries.size() && equal(entries[i].key, entries[begin].key); ++i)
            group.push_back(entries[i].item);
        HEARTH_TRY(const Value key, attribute_of(vm, group[0], *attribute, otherwise));
        groups.push_back(pair(vm, key, vm.heap.list(std::move(group))));
    }
    return vm.heap.list(std::move(groups));
}

constexpr FunctionRow kFilters[] = {
    {"length", length},
    {"count", length},
    {"join", join},
    {"first", first},
    {"last", last},
    {"list", to_list},
    {"map", map},
    {"select", select<true, false>},
    {"reject", select<false, false>},
    {"selectattr", select<true, true>},
    {"rejectattr", select<false, true>},
    {"items", items},
    {"dictsort", dict_sort},
    {"sort", sort},
    {"unique", unique},
    {"reverse", reverse},
    {"min", extreme<false>},
    {"max", extreme<true>},
    {"sum", sum},
    {"batch", batch},
    {"groupby", group_by},
};

}  // namespace

Function find_sequence_filter(std::string_view name) {
    const auto* row =
        std::find_if(std::begin(kFilters), std::end(kFilters), [&](const auto& r) { return r.name == name; });
    return row == std::end(kFilters) ? nullptr : row->function;
}

}  // namespace hearth::jinja

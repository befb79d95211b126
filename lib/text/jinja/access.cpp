// Members, subscripts, slices and iteration of template values.
#include <algorithm>

#include "text/jinja/builtins.hpp"
#include "text/jinja/ops.hpp"
#include "text/jinja/unicode.hpp"
#include "text/jinja/vm.hpp"

namespace hearth::jinja {

namespace {

std::string_view char_at(const String& string, std::size_t index) {
    if (string.ascii()) return std::string_view(string.text).substr(index, 1);
    std::size_t begin = char_offset(string.text, index), end = begin;
    next_char(string.text, end);
    return std::string_view(string.text).substr(begin, end - begin);
}

Failure not_iterable(const Value& value) {
    return fail(Code::template_error, "{} cannot be iterated over", type_name(value));
}

Result<Value> loop_cycle(Vm&, const Value& self, const Arguments& arguments) {
    if (arguments.args.empty()) return fail(Code::template_error, "loop.cycle needs a value");
    return arguments.args[self.loop().index % arguments.args.size()];
}

Result<Value> loop_changed(Vm& vm, const Value& self, const Arguments& arguments) {
    Value now = vm.heap.list(arguments.args, Kind::tuple);
    Value& before = self.loop().changed;
    const bool changed = before.is(Type::missing) || !equal(before, now);
    before = std::move(now);
    return Value::of(changed);
}

Result<Value> loop_member(Vm& vm, const Value& object, std::string_view name) {
    const Loop& loop = object.loop();
    const auto index = static_cast<int64_t>(loop.index), length = static_cast<int64_t>(loop.items.size());
    const struct {
        std::string_view name;
        int64_t value;
    } numbers[] = {{"index", index + 1},
                   {"index0", index},
                   {"length", length},
                   {"revindex", length - index},
                   {"revindex0", length - index - 1},
                   {"depth", loop.depth + 1},
                   {"depth0", loop.depth}};
    for (const auto& row : numbers)
        if (row.name == name) return Value::of(row.value);
    if (name == "first") return Value::of(index == 0);
    if (name == "last") return Value::of(index + 1 >= length);
    if (name == "previtem") return index > 0 ? loop.items[loop.index - 1] : Value::undefined();
    if (name == "nextitem") return index + 1 < length ? loop.items[loop.index + 1] : Value::undefined();
    if (name == "cycle") return vm.heap.function("cycle", loop_cycle, object);
    if (name == "changed") return vm.heap.function("changed", loop_changed, object);
    return Value::undefined();
}

// A method of a string, list or dictionary, or missing. One that would change its object is undefined, as it
// is for the reference implementation: templates cannot change what they are given.
Value method_of(Vm& vm, const Value& object, std::string_view name) {
    bool changes = false;
    const Function function =
        object.is(Type::string) ? find_string_method(name) : find_container_method(object, name, &changes);
    if (function) return vm.heap.function(name, function, object);
    return changes ? Value::undefined() : Value();
}

Failure undefined_parent(const Value& object, std::string_view name) {
    if (object.undefined_name())
        return fail(Code::template_error, "'{}' is undefined and has no member '{}'",
                    *object.undefined_name(), name);
    return fail(Code::template_error, "an undefined value has no member '{}'", name);
}

}  // namespace

Result<Value> member_of(Vm& vm, const Value& object, std::string_view name) {
    if (object.is(Type::undefined)) return undefined_parent(object, name);
    if (object.is(Type::loop)) return loop_member(vm, object, name);
    if (object.is(Type::space)) {
        const Value* value = object.space().find(name);
        return value ? *value : Value::undefined();
    }
    if (object.is(Type::string) || object.is(Type::dict) || object.is(Type::list)) {
        if (Value method = method_of(vm, object, name); !method.is(Type::missing)) return method;
        if (object.is(Type::dict))
            if (const Value* value = object.dict().find(name)) return *value;
    }
    if (object.is(Type::callable) && object.callable().macro && name == "name")
        return vm.heap.string(std::string(object.callable().name));
    return Value::undefined();
}

Result<Value> item_of(Vm& vm, const Value& object, const Value& key) {
    if (object.is(Type::undefined)) {
        HEARTH_TRY(const std::string name, text_of(key));
        return undefined_parent(object, name);
    }
    if (object.is(Type::dict) && hashable(key))
        if (const Value* value = object.dict().find(key)) return *value;
    const bool is_list = object.is(Type::list) && object.list().kind <= Kind::range;
    if (key.is_integral() && (is_list || object.is(Type::string))) {
        const auto n = static_cast<int64_t>(is_list ? object.list().items.size() : object.string().n_char);
        const int64_t index = key.integer() < 0 ? key.integer() + n : key.integer();
        if (index < 0 || index >= n) return Value::undefined();
        if (is_list) return object.list().items[static_cast<std::size_t>(index)];
        vm.heap.spend(object.string().ascii() ? 1 : object.text().size() / 16);
        return vm.heap.string(std::string(char_at(object.string(), static_cast<std::size_t>(index))),
                              object.string().safe);
    }
    if (key.is(Type::string)) {
        if (object.is(Type::dict)) {
            Value method = method_of(vm, object, key.text());
            return method.is(Type::missing) ? Value::undefined() : method;
        }
        return member_of(vm, object, key.text());
    }
    return Value::undefined();
}

Result<Value> slice_of(Heap& heap, const Value& object, const Value* bounds) {
    const bool is_list = object.is(Type::list) && object.list().kind <= Kind::range;
    if (object.is(Type::undefined)) return undefined_parent(object, "[:]");
    if (!is_list && !object.is(Type::string))
        return fail(Code::template_error, "{} cannot be sliced", type_name(object));
    for (int i = 0; i < 3; ++i)
        if (!bounds[i].is(Type::none) && !bounds[i].is_integral())
            return fail(Code::template_error, "a slice has integer bounds, not {}", type_name(bounds[i]));
    const auto n = static_cast<int64_t>(is_list ? object.list().items.size() : object.string().n_char);
    const int64_t step = bounds[2].is(Type::none) ? 1 : bounds[2].integer();
    if (step == 0) return fail(Code::template_error, "a slice step cannot be 0");
    const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
    const auto bound = [&](const Value& value, int64_t otherwise) {
        if (value.is(Type::none)) return otherwise;
        const int64_t i = value.integer();
        return i < 0 ? std::max(i < -n ? low : i + n, low) : std::min(i, high);
    };
    const int64_t start = bound(bounds[0], step > 0 ? low : high),
                  stop = bound(bounds[1], step > 0 ? high : low);
    std::vector<std::size_t> places;
    const int64_t reach =
        std::clamp<int64_t>(step, -n - 1, n + 1);  // further steps leave the sequence anyway
    for (int64_t i = start; step > 0 ? i < stop : i > stop; i += reach)
        places.push_back(static_cast<std::size_t>(i));
    heap.spend(places.size() + static_cast<uint64_t>(n) / 16);
    if (is_list) {
        std::vector<Value> items;
        items.reserve(places.size());
        for (const std::size_t i : places) items.push_back(object.list().items[i]);
        return heap.list(std::move(items), object.list().kind);
    }
    const String& string = object.string();
    std::vector<std::size_t> offsets;  // of code points; empty for ASCII
    if (!string.ascii())
        for (std::size_t at = 0; at < string.text.size(); next_char(string.text, at)) offsets.push_back(at);
    std::string out;
    for (const std::size_t i : places) {
        const std::size_t begin = offsets.empty() ? i : offsets[i];
        const std::size_t end = offsets.empty()          ? i + 1
                                : i + 1 < offsets.size() ? offsets[i + 1]
                                                         : string.text.size();
        out.append(string.text, begin, end - begin);
    }
    return heap.string(std::move(out), string.safe);
}

Result<int64_t> length_of(const Value& value) {
    switch (value.type()) {
        case Type::undefined:
            return int64_t{0};
        case Type::string:
            return static_cast<int64_t>(value.string().n_char);
        case Type::list:
            if (value.list().kind == Kind::generator) break;
            return static_cast<int64_t>(value.list().items.size());
        case Type::dict:
            return static_cast<int64_t>(value.dict().entries().size());
        case Type::loop:
            return static_cast<int64_t>(value.loop().items.size());
        case Type::missing:
        case Type::none:
        case Type::boolean:
        case Type::integer:
        case Type::number:
        case Type::space:
        case Type::callable:
            break;
    }
    return fail(Code::template_error, "{} has no length", type_name(value));
}

Result<std::vector<Value>> items_of(Heap& heap, const Value& value) {
    std::vector<Value> items;
    switch (value.type()) {
        case Type::undefined:
            return items;
        case Type::list:
            if (value.list().kind == Kind::generator && std::exchange(value.list().consumed, true))
                return items;
            items = value.list().items;
            break;
        case Type::dict:
            for (const auto& [key, entry] : value.dict().entries()) items.push_back(key);
            break;
        case Type::string:
            if (!heap.has_room(value.string().n_char * 256))
                return fail(Code::template_error, "this string is too long to iterate over");
            for (std::size_t at = 0; at < value.text().size();) {
                const std::size_t begin = at;
                next_char(value.text(), at);
                items.push_back(
                    heap.string(std::string(value.text().substr(begin, at - begin)), value.string().safe));
            }
            break;
        case Type::missing:
        case Type::none:
        case Type::boolean:
        case Type::integer:
        case Type::number:
        case Type::space:
        case Type::callable:
        case Type::loop:
            return not_iterable(value);
    }
    heap.spend(items.size());
    return items;
}

}  // namespace hearth::jinja

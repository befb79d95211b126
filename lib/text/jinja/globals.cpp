// Global functions (range, namespace, dict, raise_exception, strftime_now) and the reading of arguments.
#include <algorithm>

#include "text/jinja/builtins.hpp"
#include "text/jinja/format.hpp"
#include "text/jinja/ops.hpp"
#include "text/jinja/vm.hpp"

namespace hearth::jinja {

Result<int64_t> integer_argument(const Arguments& arguments, std::size_t place, std::string_view name,
                                 int64_t otherwise) {
    const Value* value = arguments.get(place, name);
    if (!value) return otherwise;
    if (!value->is_integral())
        return fail(Code::template_error, "'{}' must be an integer, not {}", name, type_name(*value));
    return value->integer();
}

bool truth_argument(const Arguments& arguments, std::size_t place, std::string_view name, bool otherwise) {
    const Value* value = arguments.get(place, name);
    return value ? truth(*value) : otherwise;
}

Result<std::string> text_argument(const Arguments& arguments, std::size_t place, std::string_view name,
                                  std::string_view otherwise) {
    const Value* value = arguments.get(place, name);
    if (!value) return std::string(otherwise);
    if (!value->is(Type::string))
        return fail(Code::template_error, "'{}' must be a string, not {}", name, type_name(*value));
    return std::string(value->text());
}

Status check_arguments(const Arguments& arguments, std::string_view what, std::size_t least, std::size_t most,
                       std::initializer_list<std::string_view> names) {
    const std::size_t n = arguments.args.size() + arguments.named.size();
    if (n < least || n > most)
        return fail(Code::template_error, "{} takes {}{} arguments, not {}", what,
                    least == most ? "" : "up to ", most, n);
    for (const auto& [name, value] : arguments.named) {
        const auto* known = std::find(names.begin(), names.end(), name);
        if (known == names.end()) return fail(Code::template_error, "{} has no argument '{}'", what, name);
        if (static_cast<std::size_t>(known - names.begin()) < arguments.args.size())
            return fail(Code::template_error, "{}: argument '{}' is given twice", what, name);
    }
    return {};
}

namespace {

constexpr int64_t kMostRange = 100000;  // as in Jinja's sandbox

Result<Value> range(Vm& vm, const Value&, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "range", 1, 3));
    int64_t bounds[3] = {0, 0, 1};
    const std::size_t n = arguments.args.size();
    for (std::size_t i = 0; i < n; ++i) {
        HEARTH_TRY(bounds[n == 1 ? 1 : i], integer_argument(arguments, i, "range", 0));
    }
    const auto [start, stop, step] = bounds;
    if (step == 0) return fail(Code::template_error, "range: the step cannot be 0");
    std::vector<Value> items;
    for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
        if (items.size() >= kMostRange)
            return fail(Code::template_error, "range: more than {} numbers", kMostRange);
        items.push_back(Value::of(i));
        if (__builtin_add_overflow(i, step, &i)) break;
    }
    return vm.heap.list(std::move(items), Kind::range);
}

// dict(mapping or pairs, name=value...) and namespace(...) start alike.
Result<Value> make_dict(Vm& vm, const Value&, const Arguments& arguments) {
    if (arguments.args.size() > 1)
        return fail(Code::template_error, "dict takes at most one positional argument");
    auto* dict = new Dict(vm.heap);
    const Value value(dict);
    if (!arguments.args.empty()) {
        const Value& first = arguments.args[0];
        if (first.is(Type::dict)) {
            for (const auto& [key, entry] : first.dict().entries()) dict->set(key, entry);
        } else {
            HEARTH_TRY(const auto pairs, items_of(vm.heap, first));
            for (const Value& pair : pairs) {
                HEARTH_TRY(const auto two, items_of(vm.heap, pair));
                if (two.size() != 2 || !hashable(two[0]))
                    return fail(Code::template_error, "dict needs pairs");
                dict->set(two[0], two[1]);
            }
        }
    }
    for (const auto& [name, entry] : arguments.named) dict->set(vm.heap.string(std::string(name)), entry);
    return value;
}

Result<Value> make_namespace(Vm& vm, const Value& self, const Arguments& arguments) {
    HEARTH_TRY(const Value dict, make_dict(vm, self, arguments));
    auto* space = new Namespace(vm.heap);
    const Value value(space);
    for (const auto& [key, entry] : dict.dict().entries()) {
        if (!key.is(Type::string)) return fail(Code::template_error, "a namespace's members have names");
        space->attributes.emplace_back(std::string(key.text()), entry);
        vm.heap.count(*space, sizeof space->attributes[0]);
    }
    return value;
}

Result<Value> raise_exception(Vm&, const Value&, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "raise_exception", 1, 1, {"message"}));
    HEARTH_TRY(const std::string message, text_of(*arguments.get(0, "message")));
    return fail(Code::template_error, "{}", message);
}

Result<Value> strftime_now(Vm& vm, const Value&, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "strftime_now", 1, 1, {"format"}));
    HEARTH_TRY(const std::string format, text_argument(arguments, 0, "format", ""));
    HEARTH_TRY(std::string text, format_time(format, vm.now()));
    return vm.heap.string(std::move(text));
}

// joiner(sep): a function that gives "" the first time and sep from then on.
Result<Value> join_next(Vm&, const Value& self, const Arguments&) {
    Namespace& state = self.space();
    return std::exchange(*state.find("next"), *state.find("separator"));
}

Result<Value> make_joiner(Vm& vm, const Value&, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "joiner", 0, 1, {"sep"}));
    const Value* separator = arguments.get(0, "sep");
    auto* state = new Namespace(vm.heap);
    const Value value(state);
    state->attributes.emplace_back("separator", separator ? *separator : vm.heap.string(", "));
    state->attributes.emplace_back("next", vm.heap.string(""));
    return vm.heap.function("joiner", join_next, value);
}

constexpr FunctionRow kGlobals[] = {
    {"range", range},
    {"dict", make_dict},
    {"namespace", make_namespace},
    {"raise_exception", raise_exception},
    {"strftime_now", strftime_now},
    {"joiner", make_joiner},
};

}  // namespace

Function find_global(std::string_view name) {
    const auto* row =
        std::find_if(std::begin(kGlobals), std::end(kGlobals), [&](const auto& r) { return r.name == name; });
    return row == std::end(kGlobals) ? nullptr : row->function;
}

}  // namespace hearth::jinja

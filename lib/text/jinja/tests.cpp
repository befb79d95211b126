// Tests ("x is defined") and the table of them.
#include <algorithm>

#include "text/jinja/builtins.hpp"
#include "text/jinja/ops.hpp"
#include "text/jinja/unicode.hpp"
#include "text/jinja/vm.hpp"

namespace hearth::jinja {

namespace {

template <bool (*Is)(const Value&)>
Result<Value> simple(Vm&, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "this test", 0, 0));
    return Value::of(Is(value));
}

template <Compare which>
Result<Value> comparing(Vm&, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "this test", 1, 1));
    HEARTH_TRY(const bool result, compare(which, value, arguments.args[0]));
    return Value::of(result);
}

template <int rest>
Result<Value> parity(Vm&, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "this test", 0, 0));
    if (!value.is_number()) return fail(Code::template_error, "{} is neither odd nor even", type_name(value));
    if (!value.is_integral()) return Value::of(value.real() - 2 * __builtin_floor(value.real() / 2) == rest);
    return Value::of((value.integer() & 1) == rest);
}

Result<Value> divisible(Vm& vm, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "divisibleby", 1, 1, {"num"}));
    HEARTH_TRY(const Value rest, arithmetic(vm.heap, Binary::modulo, value, *arguments.get(0, "num")));
    return Value::of(equal(rest, Value::of(int64_t{0})));
}

Result<Value> same_as(Vm&, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "sameas", 1, 1, {"other"}));
    return Value::of(value.same(*arguments.get(0, "other")));
}

template <bool (*Is)(uint32_t), bool (*IsNot)(uint32_t)>
Result<Value> cased(Vm&, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "this test", 0, 0));
    HEARTH_TRY(const std::string text, text_of(value));
    bool any = false;
    for (std::size_t at = 0; at < text.size();) {
        const uint32_t c = next_char(text, at);
        if (IsNot(c)) return Value::of(false);
        any |= Is(c);
    }
    return Value::of(any);
}

template <bool is_filter>
Result<Value> exists(Vm&, const Value& value, const Arguments& arguments) {
    HEARTH_CHECK(check_arguments(arguments, "this test", 0, 0));
    if (!value.is(Type::string)) return Value::of(false);
    return Value::of((is_filter ? find_filter(value.text()) : find_test(value.text())) != nullptr);
}

bool is_defined(const Value& v) { return !v.is(Type::undefined); }
bool is_undefined(const Value& v) { return v.is(Type::undefined); }
bool is_none(const Value& v) { return v.is(Type::none); }
bool is_boolean(const Value& v) { return v.is(Type::boolean); }
bool is_true(const Value& v) { return v.is(Type::boolean) && v.integer(); }
bool is_false(const Value& v) { return v.is(Type::boolean) && !v.integer(); }
bool is_integer(const Value& v) { return v.is(Type::integer); }
bool is_float(const Value& v) { return v.is(Type::number); }
bool is_number(const Value& v) { return v.is_number(); }
bool is_string(const Value& v) { return v.is(Type::string); }
bool is_mapping(const Value& v) { return v.is(Type::dict); }
bool is_iterable(const Value& v) {
    return v.is(Type::string) || v.is(Type::list) || v.is(Type::dict) || v.is(Type::undefined) ||
           v.is(Type::loop);
}
bool is_sequence(const Value& v) {
    return v.is(Type::string) || v.is(Type::dict) || v.is(Type::undefined) ||
           (v.is(Type::list) && v.list().kind <= Kind::range);
}
bool is_callable(const Value& v) { return v.is(Type::callable) || v.is(Type::undefined) || v.is(Type::loop); }
bool is_escaped(const Value& v) { return v.is(Type::string) && v.string().safe; }

constexpr FunctionRow kTests[] = {
    {"defined", simple<is_defined>},
    {"undefined", simple<is_undefined>},
    {"none", simple<is_none>},
    {"boolean", simple<is_boolean>},
    {"true", simple<is_true>},
    {"false", simple<is_false>},
    {"integer", simple<is_integer>},
    {"float", simple<is_float>},
    {"number", simple<is_number>},
    {"string", simple<is_string>},
    {"mapping", simple<is_mapping>},
    {"iterable", simple<is_iterable>},
    {"sequence", simple<is_sequence>},
    {"callable", simple<is_callable>},
    {"escaped", simple<is_escaped>},
    {"odd", parity<1>},
    {"even", parity<0>},
    {"divisibleby", divisible},
    {"sameas", same_as},
    {"lower", cased<is_lower, is_upper>},
    {"upper", cased<is_upper, is_lower>},
    {"filter", exists<true>},
    {"test", exists<false>},
    {"in", comparing<Compare::in>},
    {"eq", comparing<Compare::equal>},
    {"equalto", comparing<Compare::equal>},
    {"==", comparing<Compare::equal>},
    {"ne", comparing<Compare::not_equal>},
    {"!=", comparing<Compare::not_equal>},
    {"lt", comparing<Compare::less>},
    {"lessthan", comparing<Compare::less>},
    {"<", comparing<Compare::less>},
    {"le", comparing<Compare::less_equal>},
    {"<=", comparing<Compare::less_equal>},
    {"gt", comparing<Compare::greater>},
    {"greaterthan", comparing<Compare::greater>},
    {">", comparing<Compare::greater>},
    {"ge", comparing<Compare::greater_equal>},
    {">=", comparing<Compare::greater_equal>},
};

}  // namespace

Function find_test(std::string_view name) {
    const auto* row =
        std::find_if(std::begin(kTests), std::end(kTests), [&](const auto& r) { return r.name == name; });
    return row == std::end(kTests) ? nullptr : row->function;
}

}  // namespace hearth::jinja

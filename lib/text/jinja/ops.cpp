// Truth, equality, order and arithmetic of template values.
#include "text/jinja/ops.hpp"

#include <algorithm>
#include <cmath>

#include "text/jinja/format.hpp"

namespace hearth::jinja {

namespace {

constexpr std::size_t kMostItems = 1u << 22;  // of one list

Failure bad_operands(const char* what, const Value& a, const Value& b) {
    for (const Value* value : {&a, &b})
        if (value->is(Type::undefined) && value->undefined_name())
            return fail(Code::template_error, "'{}' is undefined", *value->undefined_name());
    return fail(Code::template_error, "cannot {} {} and {}", what, type_name(a), type_name(b));
}

Failure overflow() { return fail(Code::template_error, "this integer does not fit in 64 bits"); }

int64_t floor_divide(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }

Result<Value> integer_power(int64_t base, int64_t exponent) {
    int64_t result = 1;
    for (bool first = true; exponent > 0; exponent >>= 1, first = false) {
        if (!first && __builtin_mul_overflow(base, base, &base)) return overflow();
        if ((exponent & 1) && __builtin_mul_overflow(result, base, &result)) return overflow();
    }
    return Value::of(result);
}

Result<Value> integers(Binary which, int64_t a, int64_t b) {
    int64_t r = 0;
    switch (which) {
        case Binary::add:
            return __builtin_add_overflow(a, b, &r) ? Result<Value>(overflow()) : Value::of(r);
        case Binary::subtract:
            return __builtin_sub_overflow(a, b, &r) ? Result<Value>(overflow()) : Value::of(r);
        case Binary::multiply:
            return __builtin_mul_overflow(a, b, &r) ? Result<Value>(overflow()) : Value::of(r);
        case Binary::power:
            if (b >= 0) return integer_power(a, b);
            if (a == 0) return fail(Code::template_error, "division by zero");
            return Value::of(std::pow(static_cast<double>(a), static_cast<double>(b)));
        case Binary::divide:
        case Binary::floor_divide:
        case Binary::modulo:
            break;
    }
    if (b == 0) return fail(Code::template_error, "division by zero");
    if (which == Binary::divide) return Value::of(static_cast<double>(a) / static_cast<double>(b));
    if (b == -1) {  // the one quotient that overflows
        if (which == Binary::modulo) return Value::of(int64_t{0});
        return __builtin_sub_overflow(int64_t{0}, a, &r) ? Result<Value>(overflow()) : Value::of(r);
    }
    const int64_t quotient = floor_divide(a, b);
    return Value::of(which == Binary::floor_divide ? quotient : a - quotient * b);
}

// Python's float floor division and modulo: the remainder has the sign of the divisor.
Result<Value> reals(Binary which, double a, double b) {
    switch (which) {
        case Binary::add:
            return Value::of(a + b);
        case Binary::subtract:
            return Value::of(a - b);
        case Binary::multiply:
            return Value::of(a * b);
        case Binary::power: {
            if (a == 0 && b < 0) return fail(Code::template_error, "division by zero");
            const double r = std::pow(a, b);
            if (std::isnan(r) && !std::isnan(a) && !std::isnan(b))
                return fail(Code::template_error, "a complex number is not supported");
            if (std::isinf(r) && std::isfinite(a) && std::isfinite(b))
                return fail(Code::template_error, "result too large");
            return Value::of(r);
        }
        case Binary::divide:
        case Binary::floor_divide:
        case Binary::modulo:
            break;
    }
    if (b == 0) return fail(Code::template_error, "division by zero");
    if (which == Binary::divide) return Value::of(a / b);
    double rest = std::fmod(a, b);
    double quotient = (a - rest) / b;
    if (rest != 0) {
        if ((b < 0) != (rest < 0)) {
            rest += b;
            quotient -= 1;
        }
    } else {
        rest = std::copysign(0.0, b);
    }
    if (which == Binary::modulo) return Value::of(rest);
    if (quotient == 0) return Value::of(std::copysign(0.0, a / b));
    double floored = std::floor(quotient);
    if (quotient - floored > 0.5) floored += 1;
    return Value::of(floored);
}

Result<Value> add_sequences(Heap& heap, const Value& a, const Value& b) {
    if (a.is(Type::string)) {
        const bool safe = a.string().safe || b.string().safe;
        std::string text(safe && !a.string().safe ? escape_html(a.text()) : std::string(a.text()));
        if (text.size() + b.text().size() > kMostText) return too_much_text();
        text += safe && !b.string().safe ? escape_html(b.text()) : std::string(b.text());
        return heap.string(std::move(text), safe);
    }
    std::vector<Value> items = a.list().items;
    if (items.size() + b.list().items.size() > kMostItems)
        return fail(Code::template_error, "this list is too long");
    items.insert(items.end(), b.list().items.begin(), b.list().items.end());
    return heap.list(std::move(items), a.list().kind);
}

Result<Value> repeat(Heap& heap, const Value& what, int64_t n) {
    const auto count = static_cast<uint64_t>(std::max<int64_t>(n, 0));
    if (what.is(Type::string)) {
        const std::string_view text = what.text();
        if (!text.empty() && count > kMostText / text.size()) return too_much_text();
        std::string out;
        out.reserve(text.size() * count);
        for (uint64_t i = 0; i < count && !text.empty(); ++i) out += text;
        return heap.string(std::move(out), what.string().safe);
    }
    const std::vector<Value>& items = what.list().items;
    if (!items.empty() && count > kMostItems / items.size())
        return fail(Code::template_error, "this list is too long");
    std::vector<Value> out;
    for (uint64_t i = 0; i < count && !items.empty(); ++i) out.insert(out.end(), items.begin(), items.end());
    return heap.list(std::move(out), what.list().kind);
}

bool is_plain_list(const Value& value) {
    return value.is(Type::list) && (value.list().kind == Kind::list || value.list().kind == Kind::tuple);
}

// -1, 0, 1, or 2 for "neither" (NaN)
Result<int> order(const Value& a, const Value& b, int depth) {
    if (a.is_number() && b.is_number()) {
        if (a.is_integral() && b.is_integral())
            return (a.integer() > b.integer()) - (a.integer() < b.integer());
        const double x = a.real(), y = b.real();
        return std::isnan(x) || std::isnan(y) ? 2 : (x > y) - (x < y);
    }
    if (a.is(Type::string) && b.is(Type::string)) {
        const int c = a.text().compare(b.text());  // UTF-8 sorts as its code points do
        return (c > 0) - (c < 0);
    }
    if (!is_plain_list(a) || !is_plain_list(b) || a.list().kind != b.list().kind || depth > kValueDepth)
        return bad_operands("compare", a, b);
    const auto &x = a.list().items, &y = b.list().items;
    for (std::size_t i = 0; i < x.size() && i < y.size(); ++i)
        if (!equal(x[i], y[i])) return order(x[i], y[i], depth + 1);
    return (x.size() > y.size()) - (x.size() < y.size());
}

bool equal_dicts(const Dict& a, const Dict& b, int depth) {
    if (a.entries().size() != b.entries().size()) return false;
    for (const auto& [key, value] : a.entries()) {
        const Value* other = b.find(key);
        if (!other || !equal(value, *other, depth + 1)) return false;
    }
    return true;
}

}  // namespace

const char* type_name(const Value& value) {
    static constexpr const char* kNames[] = {"missing",      "an undefined value", "none",       "a boolean",
                                             "an integer",   "a number",           "a string",   "a list",
                                             "a dictionary", "a namespace",        "a function", "a loop"};
    return kNames[static_cast<int>(value.type())];
}

bool truth(const Value& value) {
    switch (value.type()) {
        case Type::missing:
        case Type::undefined:
        case Type::none:
            return false;
        case Type::boolean:
        case Type::integer:
            return value.integer() != 0;
        case Type::number:
            return value.real() != 0;
        case Type::string:
            return !value.text().empty();
        case Type::list:
            return value.list().kind == Kind::generator || !value.list().items.empty();
        case Type::dict:
            return !value.dict().entries().empty();
        case Type::space:
        case Type::callable:
        case Type::loop:
            return true;
    }
    return true;
}

bool equal(const Value& a, const Value& b, int depth) {
    if (a.is_number() && b.is_number()) {
        if (a.is_integral() && b.is_integral()) return a.integer() == b.integer();
        return a.real() == b.real();
    }
    if (a.type() != b.type() || depth > kValueDepth) return false;
    if (a.is(Type::undefined) || a.is(Type::none)) return true;
    if (a.is(Type::string)) return a.text() == b.text();
    if (a.same(b)) return true;
    if (a.is(Type::dict)) return a.dict().heap.spend(1) && equal_dicts(a.dict(), b.dict(), depth);
    if (!a.is(Type::list)) return false;
    const List &x = a.list(), &y = b.list();
    if (x.kind != y.kind || x.kind == Kind::generator || x.kind == Kind::values ||
        x.items.size() != y.items.size())
        return false;
    if (!x.heap.spend(1 + x.items.size())) return false;
    for (std::size_t i = 0; i < x.items.size(); ++i)
        if (!equal(x.items[i], y.items[i], depth + 1)) return false;
    return true;
}

Result<bool> compare(Compare which, const Value& a, const Value& b) {
    if (which == Compare::equal) return equal(a, b);
    if (which == Compare::not_equal) return !equal(a, b);
    if (which == Compare::in) return contains(b, a);
    if (which == Compare::not_in) {
        HEARTH_TRY(const bool in, contains(b, a));
        return !in;
    }
    HEARTH_TRY(const int sign, order(a, b, 0));
    if (sign == 2) return false;
    if (which == Compare::less) return sign < 0;
    if (which == Compare::less_equal) return sign <= 0;
    return which == Compare::greater ? sign > 0 : sign >= 0;
}

Result<bool> contains(const Value& container, const Value& item) {
    if (container.is(Type::string)) {
        if (!item.is(Type::string)) return bad_operands("look in a string: ", container, item);
        container.string().heap.spend(container.text().size() / 16);
        return container.text().find(item.text()) != std::string_view::npos;
    }
    if (container.is(Type::dict)) {
        if (!hashable(item))
            return fail(Code::template_error, "{} cannot be a dictionary key", type_name(item));
        return container.dict().find(item) != nullptr;
    }
    if (container.is(Type::undefined)) return false;
    if (!container.is(Type::list))
        return fail(Code::template_error, "{} holds no items", type_name(container));
    const List& list = container.list();
    list.heap.spend(list.items.size());
    if (list.kind == Kind::generator && std::exchange(list.consumed, true)) return false;
    for (const Value& each : list.items)
        if (equal(each, item)) return true;
    return false;
}

Result<Value> arithmetic(Heap& heap, Binary which, const Value& a, const Value& b) {
    if (a.is_integral() && b.is_integral()) return integers(which, a.integer(), b.integer());
    if (a.is_number() && b.is_number()) return reals(which, a.real(), b.real());
    if (which == Binary::modulo && a.is(Type::string)) return percent_format(heap, a, b);
    if (which == Binary::add && ((a.is(Type::string) && b.is(Type::string)) ||
                                 (is_plain_list(a) && is_plain_list(b) && a.list().kind == b.list().kind)))
        return add_sequences(heap, a, b);
    if (which == Binary::multiply) {
        if ((a.is(Type::string) || is_plain_list(a)) && b.is_integral()) return repeat(heap, a, b.integer());
        if ((b.is(Type::string) || is_plain_list(b)) && a.is_integral()) return repeat(heap, b, a.integer());
    }
    static constexpr const char* kVerbs[] = {"add",    "subtract",       "multiply", "divide",
                                             "divide", "take modulo of", "raise"};
    return bad_operands(kVerbs[static_cast<int>(which)], a, b);
}

Result<Value> unary(Unary which, const Value& value) {
    if (which == Unary::invert) return Value::of(!truth(value));
    if (value.is(Type::number)) return Value::of(which == Unary::negate ? -value.real() : value.real());
    if (!value.is_integral()) return fail(Code::template_error, "{} has no sign", type_name(value));
    int64_t r = value.integer();
    if (which == Unary::negate && __builtin_sub_overflow(int64_t{0}, value.integer(), &r)) return overflow();
    return Value::of(r);
}

}  // namespace hearth::jinja

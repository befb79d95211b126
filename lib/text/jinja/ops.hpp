// What operators do to values, with Python's meaning.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "text/jinja/program.hpp"
#include "text/jinja/value.hpp"

namespace hearth::jinja {

inline constexpr int kValueDepth =
    64;  // nesting of lists and dictionaries that printing and comparing will follow

bool truth(const Value& value);
bool equal(const Value& a, const Value& b, int depth = 0);
const char* type_name(const Value& value);

Result<bool> compare(Compare which, const Value& a, const Value& b);
Result<bool> contains(const Value& container, const Value& item);
Result<Value> arithmetic(Heap& heap, Binary which, const Value& a, const Value& b);
Result<Value> unary(Unary which, const Value& value);
Result<Value> item_of(Vm& vm, const Value& object, const Value& key);
Result<Value> member_of(Vm& vm, const Value& object, std::string_view name);
Result<Value> slice_of(Heap& heap, const Value& object, const Value* bounds);  // bounds: start, stop, step
Result<int64_t> length_of(const Value& value);
// The items that iterating over it gives; consumes a generator.
Result<std::vector<Value>> items_of(Heap& heap, const Value& value);

// str() and repr(); the text is appended to out.
Status append_text(std::string& out, const Value& value);
Status append_repr(std::string& out, const Value& value, int depth = 0);
Result<std::string> text_of(const Value& value);
std::string float_text(double number);
std::string escape_html(std::string_view text);
// The values' texts, one after the other; a safe separator escapes them.
Result<Value> join_text(Heap& heap, const Value* values, std::size_t n, const Value* separator = nullptr);

}  // namespace hearth::jinja

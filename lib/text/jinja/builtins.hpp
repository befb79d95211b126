// The tables of what templates can call: filters, tests, global functions and methods of values.
#pragma once

#include <string_view>

#include "base/result.hpp"
#include "text/jinja/value.hpp"

namespace hearth::jinja {

struct FunctionRow {
    std::string_view name;
    Function function;
};

Function find_filter(std::string_view name);  // nullptr: there is none
Function find_test(std::string_view name);
Function find_global(std::string_view name);
Function find_string_method(std::string_view name);
// A method of lists or dictionaries; `changes` says that it would change them, which templates may not.
Function find_container_method(const Value& object, std::string_view name, bool* changes);

// Reading arguments: the one at `place` or called `name`, or the given default.
Result<int64_t> integer_argument(const Arguments& arguments, std::size_t place, std::string_view name,
                                 int64_t otherwise);
bool truth_argument(const Arguments& arguments, std::size_t place, std::string_view name, bool otherwise);
Result<std::string> text_argument(const Arguments& arguments, std::size_t place, std::string_view name,
                                  std::string_view otherwise);
// An error unless there are at least `least` and at most `most` arguments, named ones among `names` only.
Status check_arguments(const Arguments& arguments, std::string_view what, std::size_t least, std::size_t most,
                       std::initializer_list<std::string_view> names = {});

}  // namespace hearth::jinja

// Text formatting as Python has it: "%d" % x, "{}".format(x), JSON, dates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "text/jinja/value.hpp"

namespace hearth::jinja {

inline constexpr std::size_t kMostText = std::size_t{16} << 20;  // bytes of one text, and of all output
Failure too_much_text();

Result<Value> percent_format(Heap& heap, const Value& format, const Value& values);
Result<Value> brace_format(Vm& vm, std::string_view format, const Arguments& arguments);

struct JsonStyle {
    bool ascii = false, sort_keys = false, pretty = false;
    std::string indent;  // of one level, where pretty
    std::string item_separator = ", ", key_separator = ": ";
};
Status append_json(std::string& out, const Value& value, const JsonStyle& style, int depth = 0);
Result<Value> parse_json(Heap& heap, std::string_view text, const char* what);

// strftime in English; `seconds` since 1970-01-01 00:00 in local time.
Result<std::string> format_time(std::string_view format, int64_t seconds);

}  // namespace hearth::jinja

// What the files of filters and methods share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "text/jinja/value.hpp"

namespace hearth::jinja {

Function find_sequence_filter(std::string_view name);

// str.replace; a negative count replaces all.
Result<std::string> replaced(std::string_view text, std::string_view from, std::string_view to,
                             int64_t count);
// str.splitlines (without the line ends).
std::vector<std::string_view> line_split(std::string_view text, bool keep_ends = false);

}  // namespace hearth::jinja

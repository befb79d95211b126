// The one file that compiles fmt's own code.
#define FMT_HEADER_ONLY 1
#include "base/format_text.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hearth {

std::string vformat_text(fmt::string_view format, fmt::format_args args) { return fmt::vformat(format, args); }

std::size_t vformat_text_to(char* out, std::size_t room, fmt::string_view format, fmt::format_args args) {
    return std::min(fmt::vformat_to_n(out, room, format, args).size, room);
}

}  // namespace hearth

// Text with values in it, by fmt's rules. What formats is compiled once, in format_text.cpp: in every file it would be most of
// the time that the library takes to compile.
#pragma once

#include <fmt/core.h>

#include <cstddef>
#include <string>

namespace hearth {

std::string vformat_text(fmt::string_view format, fmt::format_args args);
// Writes as much as fits into [out, out + room) and allocates nothing; returns how much that is.
std::size_t vformat_text_to(char* out, std::size_t room, fmt::string_view format, fmt::format_args args);

template <class... Args>
std::string format_text(fmt::format_string<Args...> format, Args&&... args) {
    return vformat_text(format, fmt::make_format_args(args...));
}

template <class... Args>
std::size_t format_text_to(char* out, std::size_t room, fmt::format_string<Args...> format, Args&&... args) {
    return vformat_text_to(out, room, format, fmt::make_format_args(args...));
}

// "a, b, c"
template <class At>
std::string join_text(At begin, At end) {
    std::string all;
    for (At at = begin; at != end; ++at) all += format_text("{}{}", at == begin ? "" : ", ", *at);
    return all;
}
template <class Values>
std::string join_text(const Values& values) {
    return join_text(values.begin(), values.end());
}

}  // namespace hearth

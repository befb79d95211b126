// Text with values in it, by fmt's rules. What formats is compiled once, in format_text.cpp: in every file it would be most of
// the time that the library takes to compile.
#pragma once

#include <fmt/core.h>

#include <cstddef>
#include <string>
#include <string_view>

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
template <class Texts>
std::string join_text(const Texts& texts) {
    std::string all;
    for (const std::string_view text : texts) all.append(all.empty() ? "" : ", ").append(text);
    return all;
}

}  // namespace hearth

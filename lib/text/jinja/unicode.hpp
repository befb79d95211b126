// Text by code points, as Python strings count it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hearth::jinja {

bool valid_utf8(std::string_view text);  // no overlong forms, surrogates or values past U+10FFFF
std::size_t count_chars(std::string_view text);
// The code point at text[at] of valid UTF-8; moves `at` past it.
uint32_t next_char(std::string_view text, std::size_t& at);
void append_char(std::string& out, uint32_t c);
std::size_t char_offset(std::string_view text, std::size_t index);  // byte offset of the index-th code point

bool is_space(uint32_t c);      // str.isspace
bool is_printable(uint32_t c);  // str.isprintable
bool is_alpha(uint32_t c);
bool is_digit(uint32_t c);
bool is_upper(uint32_t c);
bool is_lower(uint32_t c);
bool is_cased(uint32_t c);

std::string upper(std::string_view text);
std::string lower(std::string_view text);
std::string title(std::string_view text);       // str.title: a capital after everything that has no case
std::string capitalize(std::string_view text);  // first letter up, the rest down
// Without white space (or, where given, without the characters of `set`) at the left or right end.
std::string_view strip(std::string_view text, bool left, bool right, const std::string_view* set = nullptr);

}  // namespace hearth::jinja

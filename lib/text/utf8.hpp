// Reads and writes UTF-8 one code point at a time, and repairs text that is not well formed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace hearth {

// What stands at one place of a text.
struct Utf8Char {
    uint32_t code;    // the code point, U+FFFD where not well formed
    uint32_t n_byte;  // bytes it takes, at least 1; if not well formed, the longest prefix of a sequence
                      // found there
    bool valid;       // surrogates, overlong forms and code points above U+10FFFF are not
    bool cut;         // not valid only because the text ends too early: more bytes could complete it
};

Utf8Char decode_utf8(std::string_view text, std::size_t at);  // requires at < text.size()
void append_utf8(std::string& out, uint32_t code);            // code must be a scalar value
bool is_utf8(std::string_view text);

// The replacement character stands for every stray byte, or for every longest broken sequence (as browsers
// do).
enum class Replace { each_byte, each_sequence };
std::string to_utf8(std::string_view text, Replace replace);

// Bytes at the end of text that begin a character which more bytes could complete (0 to 3).
std::size_t cut_tail(std::string_view text);

}  // namespace hearth

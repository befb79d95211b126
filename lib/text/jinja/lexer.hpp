// Cuts template source into tokens, with Jinja's rules for white space around tags.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace hearth::jinja {

// Trouble at a place of the source; the message names the template, line and column.
Failure fail_at(std::string_view name, uint32_t line, uint32_t column, std::string_view message);

enum class Lex : uint8_t {
    text,
    print_begin,
    print_end,
    block_begin,
    block_end,
    name,
    string,
    integer,
    number,
    symbol,
    end
};

struct Token {
    Lex kind = Lex::end;
    std::string text;  // literal text (escapes resolved), name, or symbol
    int64_t integer = 0;
    double number = 0;
    uint32_t line = 1, column = 1;  // 1-based; columns count bytes
    bool is(std::string_view symbol) const { return kind == Lex::symbol && text == symbol; }
    bool word(std::string_view name) const { return kind == Lex::name && text == name; }
};

// trim_blocks and lstrip_blocks are always on, as everywhere where chat templates are used.
Result<std::vector<Token>> tokenize(std::string_view source, std::string_view name);

}  // namespace hearth::jinja

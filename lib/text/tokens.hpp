// The list of a vocabulary's tokens, as every tokenizer algorithm sees it.
#pragma once

#include "text/text_table.hpp"

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace hearth {

// What a token is; a token can be several of these.
enum TokenAttr : uint32_t {
    kTokenUnknown = 1,
    kTokenUnused = 2,
    kTokenNormal = 4,
    kTokenControl = 8,       // never printed and only parsed on request
    kTokenUserDefined = 16,  // always matched before the algorithm runs
    kTokenByte = 32,         // stands for the byte in its text, <0xNN>
    kTokenStripLeft = 64,    // takes the white space before it
    kTokenStripRight = 128,  // and after it
};
constexpr uint32_t kTokenSpecial = kTokenControl | kTokenUnknown;

struct Tokens {
    TextTable table;
    std::vector<float> score;               // [n_token]
    std::vector<uint32_t> attr;             // [n_token] bits of TokenAttr
    std::array<int32_t, 256> byte_token{};  // the token <0xNN> of each byte, -1 where there is none
    int32_t unk = -1;

    int32_t n_token() const { return table.size(); }
    bool has(int32_t id) const { return id >= 0 && id < n_token(); }
    std::string_view text(int32_t id) const { return table.text(id); }
    int32_t find(std::string_view text) const { return table.find(text); }
    bool is(int32_t id, uint32_t any_of) const { return (attr[static_cast<std::size_t>(id)] & any_of) != 0; }
};

}  // namespace hearth

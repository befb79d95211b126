// Well-known token names: which of them end a generation or have a role that the file did not state.
#pragma once

#include "text/vocab.hpp"

namespace hearth {

// Fills roles that are still -1, marks control tokens, and sets eog. Follows what the field does, because
// the flags of published files are often wrong.
void assign_roles(Tokens& tokens, std::array<int32_t, kNRole>& role, std::vector<bool>& eog);
// White space that special tokens of certain models take along; files do not say so.
void assign_strip_rules(Tokens& tokens, std::string_view name, std::string_view architecture,
                        std::string_view pre);

}  // namespace hearth

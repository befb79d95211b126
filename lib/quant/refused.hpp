// Names for the tensor types that other programs write and this library does not read, for clear refusals.
#pragma once

#include <cstdint>
#include <string_view>

namespace hearth {

struct RefusedFormat {
    int32_t id;
    std::string_view name, reason;  // reason completes the sentence "tensor type NAME is refused: ..."
};

// nullptr for an id that is unknown (find_format knows those that are read).
const RefusedFormat* refused_format(int32_t id);
std::string_view refused_format_name(int32_t id);  // "" for an unknown id

}  // namespace hearth

// Finds formats by id and by name.
#include "quant/format.hpp"

namespace hearth {

namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

bool same_name(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i)
        if (lower(a[i]) != lower(b[i])) return false;
    return true;
}

}  // namespace

const FormatInfo* find_format(int32_t id) {
    for (const FormatInfo& info : kFormats)
        if (static_cast<int32_t>(info.format) == id) return &info;
    return nullptr;
}

const FormatInfo* find_format(std::string_view name) {
    for (const FormatInfo& info : kFormats)
        if (same_name(info.name, name)) return &info;
    return nullptr;
}

}  // namespace hearth

// The list of tensor formats (formats.def) as an enum and an info table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hearth {

enum class Format : int32_t {
#define HEARTH_FORMAT(id, name, elements, bytes) name = id,
#include <hearth/formats.def>
#undef HEARTH_FORMAT
};

struct FormatInfo {
    Format format;
    std::string_view name;
    int32_t block_elements;
    int32_t block_bytes;
};

inline constexpr FormatInfo kFormats[] = {
#define HEARTH_FORMAT(id, name, elements, bytes) {Format::name, #name, elements, bytes},
#include <hearth/formats.def>
#undef HEARTH_FORMAT
};

// nullptr where this build does not know the id or name (names compare without case).
const FormatInfo* find_format(int32_t id);
const FormatInfo* find_format(std::string_view name);

// Bytes of one row of n elements; n must be a multiple of the block (checked by the reader).
constexpr uint64_t row_bytes(const FormatInfo& info, uint64_t n) {
    return n / static_cast<uint64_t>(info.block_elements) * static_cast<uint64_t>(info.block_bytes);
}

// Host-side conversion of n elements (a multiple of the block), one block after the other.
void decode(Format format, const void* blocks, float* out, std::size_t n);
// weight: optional importance of each element, [n]; nullptr = each format's default.
void encode(Format format, const float* in, void* blocks, std::size_t n, const float* weight = nullptr);

}  // namespace hearth

// Byte counts as people write them: "512MiB", "1.5GiB", "8GB", "4096".
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/checked.hpp"
#include "base/result.hpp"

namespace hearth {

struct ByteUnit {
    std::string_view name;
    uint64_t bytes;
};

inline constexpr ByteUnit kByteUnits[] = {
    {"", 1}, {"B", 1}, {"KiB", 1024}, {"MiB", 1024 * 1024}, {"GiB", uint64_t{1} << 30}, {"TiB", uint64_t{1} << 40},
    {"KB", 1000}, {"MB", 1000 * 1000}, {"GB", 1000 * 1000 * 1000}, {"TB", 1000ull * 1000 * 1000 * 1000},
};

namespace detail {

// Digits from `at` on, which moves behind them; false: there is none, or the number does not fit.
inline bool read_digits(std::string_view text, std::size_t* at, uint64_t* out) {
    const std::size_t begin = *at;
    uint64_t value = 0;
    for (; *at < text.size() && text[*at] >= '0' && text[*at] <= '9'; ++*at)
        if (!checked_mul(value, 10, &value) || !checked_add(value, static_cast<uint64_t>(text[*at] - '0'), &value)) return false;
    if (*at == begin) return false;
    *out = value;
    return true;
}

}  // namespace detail

// The number of bytes that `text` says; parts of a byte are dropped. `name` is the subject of the error.
inline Result<uint64_t> parse_byte_size(std::string_view text, std::string_view name) {
    constexpr std::size_t kMostDecimals = 6;
    std::size_t at = 0;
    uint64_t whole = 0, part = 0, part_unit = 1;
    bool good = detail::read_digits(text, &at, &whole);
    if (good && at < text.size() && text[at] == '.') {
        const std::size_t point = at++;
        good = detail::read_digits(text, &at, &part) && at - point - 1 <= kMostDecimals;
        for (std::size_t i = point + 1; good && i < at; ++i) part_unit *= 10;
    }
    for (const ByteUnit& unit : kByteUnits) {
        if (!good || text.substr(at) != unit.name) continue;
        uint64_t bytes = 0;
        if (!checked_mul(whole, unit.bytes, &bytes) || !checked_add(bytes, part * unit.bytes / part_unit, &bytes))
            return fail(Code::invalid_argument, "{} is '{}', more bytes than 64 bits can count", name, text);
        return bytes;
    }
    return fail(Code::invalid_argument, "{} is '{}'; it is a number with B, KiB, MiB, GiB, TiB, KB, MB, GB or TB, like 512MiB",
                name, text);
}

// The shortest exact text with a binary unit: "512MiB", "1000B".
inline std::string byte_size_text(uint64_t bytes) {
    const ByteUnit* best = &kByteUnits[1];
    for (const ByteUnit& unit : kByteUnits)
        if (bytes != 0 && unit.name.size() == 3 && bytes % unit.bytes == 0) best = &unit;
    return std::to_string(bytes / best->bytes) + std::string(best->name);
}

}  // namespace hearth

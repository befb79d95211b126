// Overflow-checked integer arithmetic for numbers that come from files and callers.
#pragma once

#include <cstdint>

namespace hearth {

// Each returns false and leaves *out untouched when the exact result does not fit.
[[nodiscard]] inline bool checked_add(uint64_t a, uint64_t b, uint64_t* out) {
    uint64_t r;
    if (__builtin_add_overflow(a, b, &r)) return false;
    *out = r;
    return true;
}
[[nodiscard]] inline bool checked_mul(uint64_t a, uint64_t b, uint64_t* out) {
    uint64_t r;
    if (__builtin_mul_overflow(a, b, &r)) return false;
    *out = r;
    return true;
}

}  // namespace hearth

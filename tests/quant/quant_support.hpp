// What the format tests share: Lanes of any width as plain loops, and calling a test body for each block
// format.
#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "base/half.hpp"
#include "quant/format.hpp"
#include "quant/lanes.hpp"
#include "quant/traits.hpp"

namespace hearth::test {

template <int W>
struct ArrayLanes {
    static constexpr int kWidth = W;
    struct Bytes {
        uint8_t v[W];
    };
    template <class F>
    static Bytes each(F f) {
        Bytes out;
        for (int k = 0; k < W; ++k) out.v[k] = static_cast<uint8_t>(f(k));
        return out;
    }
    static Bytes load(const uint8_t* p) {
        return each([=](int k) { return p[k]; });
    }
    static Bytes nibbles(const uint8_t* p, int i) {
        return each([=](int k) { return p[(i + k) % 16] >> ((i + k) / 16 * 4) & 15; });
    }
    static Bytes bits(const uint8_t* p, int i) {
        return each([=](int k) { return p[(i + k) / 8] >> ((i + k) % 8) & 1; });
    }
    static Bytes field(Bytes b, int shift, int mask) {
        return each([=](int k) { return b.v[k] >> shift & mask; });
    }
    static Bytes join(Bytes low, Bytes high, int shift) {
        return each([=](int k) { return low.v[k] | high.v[k] << shift; });
    }
    static Bytes lookup(const int8_t* table, Bytes b) {
        return each([=](int k) { return table[b.v[k]]; });
    }
    static float half(uint16_t bits) { return to_float(Half{bits}); }
};
static_assert(quant::Lanes<ArrayLanes<1>> && quant::Lanes<ArrayLanes<32>>);

// Calls body(trait, info) for every format: body is a generic lambda, the trait an empty object to take the
// type of.
template <class F>
void for_each_format(F body) {
#define HEARTH_FORMAT(id, name, elements, bytes) body(quant::name{}, *find_format(id));
#include <hearth/formats.def>
#undef HEARTH_FORMAT
}

template <class F>
void for_each_block_format(F body) {
    for_each_format([&](auto trait, const FormatInfo& info) {
        if constexpr (!decltype(trait)::kPlain) body(trait, info);
    });
}

}  // namespace hearth::test

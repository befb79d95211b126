// What a format trait needs from "a handful of elements at once": the policy that sets the width of a kernel.
#pragma once

#include <concepts>
#include <cstdint>

namespace hearth::quant {

// A Lanes policy is a struct of static functions over kWidth bytes side by side (1 on the host, 16 or 32 in
// SIMD kernels). Declare it in an anonymous namespace: every function of a trait is a template over it, so
// whatever the compiler does not inline has internal linkage, and objects built for different CPUs cannot
// share it by accident. For the same reason the trait headers define no plain inline function and use nothing
// of std.
//
//   load(p)             lane k = p[k]
//   nibbles(p, i)       p: [16] holds 32 codes, low nibbles first: lane k = code i + k    (i + kWidth <= 32)
//   bits(p, i)          p: [4] holds 32 bits, lowest first:         lane k = bit i + k, 0 or 1 (i + kWidth <=
//   32) field(b, s, mask)   lane k = (b[k] >> s) & mask join(low, high, s)  lane k = low[k] | high[k] << s
//   lookup(table, b)    lane k = table[b[k]], table: [16], b[k] < 16
//   half(bits)          the float that the 16 bits of an IEEE half stand for
template <class L>
concept Lanes = requires(const uint8_t* p, typename L::Bytes b, const int8_t* table, int i) {
    { L::load(p) } -> std::same_as<typename L::Bytes>;
    { L::nibbles(p, i) } -> std::same_as<typename L::Bytes>;
    { L::bits(p, i) } -> std::same_as<typename L::Bytes>;
    { L::field(b, i, i) } -> std::same_as<typename L::Bytes>;
    { L::join(b, b, i) } -> std::same_as<typename L::Bytes>;
    { L::lookup(table, b) } -> std::same_as<typename L::Bytes>;
    { L::half(uint16_t{}) } -> std::same_as<float>;
    requires L::kWidth >= 1 && L::kWidth <= 32;
};

// What every block format offers (the plain ones: see plain.hpp). Element i of a block, with g = i / kGroup,
// is
//
//   value = step * scale(g) * (code(i) - kZero) - min_step * min(g)          (the last term only if kHasMin)
//
//   kElements, kGroup   elements per block, and elements that share scale(g)
//   kZero               the code that stands for 0 where there is no min
//   kSigned             codes are int8_t in two's complement, otherwise 0..255
//   codes<L>(b, i)      the codes of elements i .. i + L::kWidth as bytes; i is a multiple of L::kWidth
//   step<L>(b)          the block's float factor;  scale<L>(b, g): the group's integer factor (1 if there is
//   none) min_step<L>(b), min<L>(b, g)    the same for the minimum
//
// Layouts are those of GGUF tensors of the same name (ggml-common.h, ggml-quants.c of ggml; MXFP4 also the
// OCP Microscaling specification 1.0). Halves and 16-bit words are little-endian.

}  // namespace hearth::quant

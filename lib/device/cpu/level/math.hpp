// exp and tanh on vectors of floats, within about 2 ulp of the exact value.
#pragma once

#include "device/cpu/level/lanes.hpp"

namespace {

// A polynomial of x, the coefficient of the highest power first.
template <class... Rest>
HEARTH_INLINE inline Floats horner(Floats x, float first, Rest... rest) {
    Floats p = splat(first);
    ((p = fma(p, x, splat(rest))), ...);
    return p;
}

// exp(x): x = n ln2 + r with |r| <= ln2/2, a degree-6 polynomial for exp(r), 2^n in two factors so that subnormal
// results and the largest finite ones come out right. Below -104 the result is 0, above 89 infinity.
inline Floats exp(Floats x) {
    const Floats clamped = min(max(x, splat(-104.0f)), splat(89.0f));
    const Ints n = round_to_ints(clamped * 1.44269504088896341f);
    const Floats nf = to_floats(n);
    Floats r = fma(nf, splat(-0.693359375f), clamped);  // ln2 in two pieces: the first has few bits
    r = fma(nf, splat(2.12194440054690583e-4f), r);
    Floats p = horner(r, 1.9875691500e-4f, 1.3981999507e-3f, 8.3334519073e-3f, 4.1665795894e-2f, 1.6666665459e-1f, 5.0000001201e-1f);
    p = fma(p, r * r, r) + 1.0f;
    const Ints half = n >> 1;
    const Floats result = p * bits_to_floats((half + 127) << 23) * bits_to_floats((n - half + 127) << 23);
    return x == x ? result : x;  // NaN stays NaN
}

// 2^x of x <= 0, 0 below -127: what a softmax needs of it, in half the operations of exp(). NaN stays NaN.
inline Floats exp2_of_negative(Floats x) {
    const Floats clamped = max(splat(-127.0f), x);  // the second where either is NaN
    const Floats shift = splat(12582912.0f + 127);  // 1.5 * 2^23: adding it leaves the rounded integer, and 127, in the low bits
    const Floats n = clamped + shift, r = clamped - (n - shift);
    const Floats p = horner(r, 1.535336188319500e-4f, 1.339887440266574e-3f, 9.618437357674640e-3f, 5.550332471162809e-2f,
                            2.402264791363012e-1f, 6.931472028550421e-1f, 1.0f);
    return p * bits_to_floats(floats_to_bits(n) << 23);  // n = -127: times 0
}

inline Floats tanh(Floats x) {
    const Floats a = abs(x), z = x * x;
    const Floats p = horner(z, -5.70498872745e-3f, 2.06390887954e-2f, -5.37397155531e-2f, 1.33314422036e-1f, -3.33332819422e-1f);
    const Floats small = fma(p * z, x, x);  // |x| < 0.625
    const Floats e = exp(a + a);
    const Floats large = 1.0f - 2.0f / (e + 1.0f);
    const Floats signed_large = bits_to_floats(floats_to_bits(large) | (floats_to_bits(x) & static_cast<int32_t>(0x80000000)));
    return a < 0.625f ? small : signed_large;
}

inline Floats sigmoid(Floats x) { return 1.0f / (1.0f + exp(-x)); }

}  // namespace

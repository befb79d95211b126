// Decoding of every tensor format, one element after the other, in double precision.
#include "device/ref/decode.hpp"

#include <hearth/backend.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "quant/traits.hpp"

namespace hearth::ref {

namespace {

using namespace hearth::quant;

double half(uint16_t h) {
    const int exponent = (h >> 10) & 31, mantissa = h & 1023;
    const double sign = h & 0x8000 ? -1.0 : 1.0;
    if (exponent == 31) return mantissa ? std::nan("") : sign * HUGE_VAL;
    return sign * (exponent ? std::ldexp(1024 + mantissa, exponent - 25) : std::ldexp(mantissa, -24));
}

double bf16(uint16_t h) {
    const uint32_t bits = static_cast<uint32_t>(h) << 16;
    float f;
    std::memcpy(&f, &bits, 4);
    return f;
}

// Nearest half, ties to even, by searching the representable neighbours of the right exponent.
uint16_t to_half(float value) {
    const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
    const double x = std::fabs(static_cast<double>(value));
    if (std::isnan(value)) return static_cast<uint16_t>(sign | 0x7e00);
    if (x >= 65520.0) return static_cast<uint16_t>(sign | 0x7c00);
    int exponent = x < std::ldexp(1, -14) ? -14 : std::ilogb(x);
    const auto steps = static_cast<uint32_t>(std::nearbyint(std::ldexp(x, 10 - exponent)));
    // 1024..2048 steps of a normal number; the carry into the next exponent falls out of the addition.
    const uint32_t magnitude = exponent == -14 ? steps : (static_cast<uint32_t>(exponent + 14) << 10) + steps;
    return static_cast<uint16_t>(sign | magnitude);
}

uint16_t to_bf16(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    if (std::isnan(value)) return static_cast<uint16_t>((bits >> 16) | 64);
    const uint32_t low = bits & 0xffff, high = bits >> 16;
    return static_cast<uint16_t>(high + (low > 0x8000 || (low == 0x8000 && (high & 1))));
}

int nibble(const uint8_t* qs, int j, int half_size) { return j < half_size ? qs[j] & 15 : qs[j - half_size] >> 4; }

double element(const Q4_0::Block& b, int i) { return half(b.d) * (nibble(b.qs, i, 16) - 8); }
double element(const Q4_1::Block& b, int i) { return half(b.d) * nibble(b.qs, i, 16) + half(b.m); }

int fifth(const uint8_t* qh, int i) { return (qh[i / 8] >> (i % 8)) & 1; }
double element(const Q5_0::Block& b, int i) { return half(b.d) * ((nibble(b.qs, i, 16) | fifth(b.qh, i) << 4) - 16); }
double element(const Q5_1::Block& b, int i) { return half(b.d) * (nibble(b.qs, i, 16) | fifth(b.qh, i) << 4) + half(b.m); }
double element(const Q8_0::Block& b, int i) { return half(b.d) * b.qs[i]; }

double element(const Q2_K::Block& b, int i) {
    const int q = (b.qs[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2)) & 3, s = b.scales[i / 16];
    return half(b.d) * (s & 15) * q - half(b.dmin) * (s >> 4);
}

// 16 scales of 6 bits in 12 bytes: low nibbles in bytes 0-7 (g and g + 8), high pairs in bytes 8-11 (g % 4, pair g / 4).
double element(const Q3_K::Block& b, int i) {
    const int g = i / 16;
    const int low = g < 8 ? b.scales[g] & 15 : b.scales[g - 8] >> 4, high = (b.scales[8 + g % 4] >> (g / 4 * 2)) & 3;
    const int q = ((b.qs[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2)) & 3) | ((b.hmask[i % 32] >> (i / 32)) & 1) << 2;
    return half(b.d) * ((low | high << 4) - 32) * (q - 4);
}

struct ScaleMin {
    int scale, min;
};
ScaleMin scale_min(const uint8_t* s, int g) {
    if (g < 4) return {s[g] & 63, s[g + 4] & 63};
    return {(s[g + 4] & 15) | (s[g - 4] >> 6) << 4, (s[g + 4] >> 4) | (s[g] >> 6) << 4};
}

double element(const Q4_K::Block& b, int i) {
    const ScaleMin s = scale_min(b.scales.bytes, i / 32);
    const int q = (b.qs[i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4)) & 15;
    return half(b.d) * s.scale * q - half(b.dmin) * s.min;
}

double element(const Q5_K::Block& b, int i) {
    const ScaleMin s = scale_min(b.scales.bytes, i / 32);
    const int q = ((b.qs[i / 64 * 32 + i % 32] >> (i % 64 / 32 * 4)) & 15) | ((b.qh[i % 32] >> (i / 32)) & 1) << 4;
    return half(b.d) * s.scale * q - half(b.dmin) * s.min;
}

double element(const Q6_K::Block& b, int i) {
    const int n = i / 128, r = i % 128;
    const int low = (b.ql[n * 64 + r % 64] >> (r / 64 * 4)) & 15, high = (b.qh[n * 32 + r % 32] >> (r / 32 * 2)) & 3;
    return half(b.d) * b.scales[i / 16] * ((low | high << 4) - 32);
}

constexpr double kIq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
double element(const IQ4_NL::Block& b, int i) { return half(b.d) * kIq4[nibble(b.qs, i, 16)]; }
double element(const IQ4_XS::Block& b, int i) {
    const int g = i / 32, low = (b.scales_l[g / 2] >> (g % 2 * 4)) & 15, high = (b.scales_h >> (2 * g)) & 3;
    return half(b.d) * ((low | high << 4) - 32) * kIq4[nibble(b.qs + g * 16, i % 32, 16)];
}

constexpr double kFp4[16] = {0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6};
double element(const MXFP4::Block& b, int i) { return std::ldexp(kFp4[nibble(b.qs, i, 16)], b.e - 127); }

template <class Format>
void decode_blocks(const void* row, std::size_t n, double* out) {
    const auto* block = static_cast<const typename Format::Block*>(row);
    for (std::size_t i = 0; i < n; ++i)
        out[i] = element(block[i / Format::kElements], static_cast<int>(i % Format::kElements));
}

}  // namespace

double load_element(int32_t format, const void* row, int64_t i) {
    const auto at = static_cast<std::size_t>(i);
    if (format == HEARTH_FORMAT_F32) {
        float f;
        std::memcpy(&f, static_cast<const std::byte*>(row) + 4 * at, 4);
        return f;
    }
    uint16_t bits;
    std::memcpy(&bits, static_cast<const std::byte*>(row) + 2 * at, 2);
    return format == HEARTH_FORMAT_F16 ? half(bits) : bf16(bits);
}

void store_element(int32_t format, void* row, int64_t i, float value) {
    const auto at = static_cast<std::size_t>(i);
    if (format == HEARTH_FORMAT_F32) {
        std::memcpy(static_cast<std::byte*>(row) + 4 * at, &value, 4);
        return;
    }
    const uint16_t bits = format == HEARTH_FORMAT_F16 ? to_half(value) : to_bf16(value);
    std::memcpy(static_cast<std::byte*>(row) + 2 * at, &bits, 2);
}

namespace {

// One block of 32: the largest size becomes 127, or -8; the scale is stored as a half.
void encode_q8_0(const float* x, quant::Q8_0::Block* block) {
    float top = 0;
    for (int i = 0; i < 32; ++i) top = std::max(top, std::abs(x[i]));
    const float d = top / 127, inverse = d != 0 ? 1 / d : 0;
    for (int i = 0; i < 32; ++i) block->qs[i] = static_cast<int8_t>(std::nearbyint(x[i] * inverse));
    const uint16_t bits = to_half(d);
    std::memcpy(&block->d, &bits, sizeof bits);
}

void encode_q4_0(const float* x, quant::Q4_0::Block* block) {
    const float extreme = *std::max_element(x, x + 32, [](float a, float b) { return std::abs(a) < std::abs(b); });
    const float d = extreme / -8, inverse = d != 0 ? 1 / d : 0;
    const auto code = [&](int i) { return std::min(15, static_cast<int>(std::nearbyint(x[i] * inverse)) + 8); };
    for (int i = 0; i < 16; ++i) block->qs[i] = static_cast<uint8_t>(code(i) | code(i + 16) << 4);
    const uint16_t bits = to_half(d);
    std::memcpy(&block->d, &bits, sizeof bits);
}

}  // namespace

void encode_row(int32_t format, const float* values, std::size_t n, void* row) {
    if (format == HEARTH_FORMAT_Q8_0)
        for (std::size_t b = 0; b < n / 32; ++b) encode_q8_0(values + 32 * b, static_cast<quant::Q8_0::Block*>(row) + b);
    else if (format == HEARTH_FORMAT_Q4_0)
        for (std::size_t b = 0; b < n / 32; ++b) encode_q4_0(values + 32 * b, static_cast<quant::Q4_0::Block*>(row) + b);
    else
        for (std::size_t i = 0; i < n; ++i) store_element(format, row, static_cast<int64_t>(i), values[i]);
}

bool plain(int32_t format) { return format == HEARTH_FORMAT_F32 || format == HEARTH_FORMAT_F16 || format == HEARTH_FORMAT_BF16; }
bool storable(int32_t format) { return plain(format) || format == HEARTH_FORMAT_Q8_0 || format == HEARTH_FORMAT_Q4_0; }

bool knows_format(int32_t format) { return format_row_bytes(format, 256) > 0; }

int64_t format_row_bytes(int32_t format, int64_t n) {
    switch (format) {
#define HEARTH_FORMAT(id, name, elements, bytes) \
    case id: return n / (elements) * (bytes);
#include <hearth/formats.def>
#undef HEARTH_FORMAT
        default: return 0;
    }
}

void decode_row(int32_t format, const void* row, std::size_t n, double* out) {
    if (plain(format)) {
        for (std::size_t i = 0; i < n; ++i) out[i] = load_element(format, row, static_cast<int64_t>(i));
        return;
    }
    switch (format) {
#define HEARTH_QUANT(name) \
    case HEARTH_FORMAT_##name: return decode_blocks<name>(row, n, out);
        HEARTH_QUANT(Q4_0) HEARTH_QUANT(Q4_1) HEARTH_QUANT(Q5_0) HEARTH_QUANT(Q5_1) HEARTH_QUANT(Q8_0)
        HEARTH_QUANT(Q2_K) HEARTH_QUANT(Q3_K) HEARTH_QUANT(Q4_K) HEARTH_QUANT(Q5_K) HEARTH_QUANT(Q6_K)
        HEARTH_QUANT(IQ4_NL) HEARTH_QUANT(IQ4_XS) HEARTH_QUANT(MXFP4)
#undef HEARTH_QUANT
        default: break;
    }
}

}  // namespace hearth::ref

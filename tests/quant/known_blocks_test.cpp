// Hand-written blocks of every format and the values that the layout descriptions give them.
#include <cstring>
#include <functional>
#include <vector>

#include "quant_support.hpp"
#include "support/catch.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

constexpr uint16_t kOne = 0x3c00, kHalf = 0x3800, kQuarter = 0x3400, kMinusTwo = 0xc000;  // as IEEE halves

// Decodes one block and compares it with want(i), exactly: every value below is a short binary fraction.
template <class Block>
void expect(Format format, const Block& block, const std::function<float(int)>& want) {
    const FormatInfo& info = *find_format(static_cast<int32_t>(format));
    std::vector<float> got(info.block_elements);
    decode(format, &block, got.data(), got.size());
    INFO(info.name);
    for (int i = 0; i < info.block_elements; ++i) {
        INFO(i);
        REQUIRE(got[i] == want(i));
    }
}

// 16 bytes with 0..15 in the low nibbles and 15..0 in the high ones: element i has nibble(i).
void count_up_and_down(uint8_t* qs) {
    for (int j = 0; j < 16; ++j) qs[j] = static_cast<uint8_t>(j | (15 - j) << 4);
}
int nibble(int i) { return i < 16 ? i : 31 - i; }

constexpr int kIq4[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};

}  // namespace

TEST_CASE("hand-written plain values decode") {
    const uint16_t half[5] = {kOne, kMinusTwo, 0x7bff, 0x0001, 0x8000};
    float got[5];
    decode(Format::F16, half, got, 5);
    CHECK(std::vector<float>(got, got + 5) == std::vector<float>{1, -2, 65504, 0x1p-24f, 0});
    const uint16_t bf16[2] = {0x3f80, 0xc040};
    decode(Format::BF16, bf16, got, 2);
    CHECK(std::vector<float>(got, got + 2) == std::vector<float>{1, -3});
    const float f32[2] = {0.1f, -7};
    decode(Format::F32, f32, got, 2);
    CHECK(std::memcmp(got, f32, sizeof f32) == 0);
}

TEST_CASE("hand-written blocks of 32 decode") {
    quant::Q4_0::Block q40 = {kHalf, {}};
    count_up_and_down(q40.qs);
    expect(Format::Q4_0, q40, [](int i) { return 0.5f * static_cast<float>(nibble(i) - 8); });

    quant::Q4_1::Block q41 = {kHalf, kMinusTwo, {}};
    count_up_and_down(q41.qs);
    expect(Format::Q4_1, q41, [](int i) { return 0.5f * static_cast<float>(nibble(i)) - 2; });

    // Fifth bits of elements 0..7 (byte 0) and 25 (byte 3, bit 1).
    const auto code5 = [](int i) { return nibble(i) + (i < 8 || i == 25 ? 16 : 0); };
    quant::Q5_0::Block q50 = {kQuarter, {0xff, 0, 0, 0x02}, {}};
    count_up_and_down(q50.qs);
    expect(Format::Q5_0, q50, [=](int i) { return 0.25f * static_cast<float>(code5(i) - 16); });

    quant::Q5_1::Block q51 = {kQuarter, kOne, {0xff, 0, 0, 0x02}, {}};
    count_up_and_down(q51.qs);
    expect(Format::Q5_1, q51, [=](int i) { return 0.25f * static_cast<float>(code5(i)) + 1; });

    quant::Q8_0::Block q80 = {kMinusTwo, {}};
    for (int i = 0; i < 32; ++i) q80.qs[i] = static_cast<int8_t>(8 * i - 128);
    expect(Format::Q8_0, q80, [](int i) { return -2.0f * static_cast<float>(8 * i - 128); });

    quant::IQ4_NL::Block iq4 = {kHalf, {}};
    count_up_and_down(iq4.qs);
    expect(Format::IQ4_NL, iq4, [](int i) { return 0.5f * static_cast<float>(kIq4[nibble(i)]); });

    quant::MXFP4::Block mx = {127, {}};  // 2^0
    count_up_and_down(mx.qs);
    expect(Format::MXFP4, mx, [](int i) {
        constexpr float kFp4[8] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
        return nibble(i) < 8 ? kFp4[nibble(i)] : -kFp4[nibble(i) - 8];
    });
    mx.e = 0;  // 2^-127
    expect(Format::MXFP4, mx, [](int i) {
        constexpr float kFp4[8] = {0,         0x1p-128f, 0x2p-128f, 0x3p-128f,
                                   0x4p-128f, 0x6p-128f, 0x8p-128f, 0xcp-128f};
        return nibble(i) < 8 ? kFp4[nibble(i)] : -kFp4[nibble(i) - 8];
    });
}

TEST_CASE("hand-written blocks of 2 and 3 bits decode") {
    // 0xe4 = 3 2 1 0: the code is the number of the 32-run within 128; byte 37 (second half, l = 5) counts
    // down.
    const auto code2 = [](int i) { return i >= 128 && i % 32 == 5 ? 3 - i % 128 / 32 : i % 128 / 32; };
    quant::Q2_K::Block q2 = {};
    std::memset(q2.qs, 0xe4, sizeof q2.qs);
    q2.qs[37] = 0x1b;
    for (int g = 0; g < 16; ++g) q2.scales[g] = static_cast<uint8_t>(g | (15 - g) << 4);
    q2.d = kHalf;
    q2.dmin = kQuarter;
    expect(Format::Q2_K, q2, [=](int i) {
        return 0.5f * static_cast<float>(i / 16 * code2(i)) - 0.25f * static_cast<float>(15 - i / 16);
    });

    // Third bits of every odd 32-run; the scales in 6 bits, plus 32, are those of kScales.
    constexpr int kScales[16] = {0, 1, 2, 3, 17, 18, 19, 20, 37, 38, 39, 40, 60, 61, 62, 63};
    quant::Q3_K::Block q3 = {
        {}, {}, {0x50, 0x61, 0x72, 0x83, 0xc1, 0xd2, 0xe3, 0xf4, 0xe4, 0xe4, 0xe4, 0xe4}, kHalf};
    std::memset(q3.qs, 0xe4, sizeof q3.qs);
    q3.qs[37] = 0x1b;
    std::memset(q3.hmask, 0xaa, sizeof q3.hmask);
    q3.hmask[7] = 0x01;
    expect(Format::Q3_K, q3, [=](int i) {
        const bool third = i % 32 == 7 ? i / 32 == 0 : i / 32 % 2 == 1;
        return 0.5f * static_cast<float>((kScales[i / 16] - 32) * (code2(i) + (third ? 4 : 0) - 4));
    });
}

TEST_CASE("hand-written blocks of 4, 5 and 6 bits under 256 decode") {
    constexpr int kScale[8] = {1, 2, 3, 63, 17, 34, 51, 60}, kMin[8] = {4, 5, 6, 62, 16, 33, 50, 59};
    constexpr quant::Scales6 kPacked = {
        {0x41, 0x82, 0xc3, 0xff, 0x44, 0x85, 0xc6, 0xfe, 0x01, 0x12, 0x23, 0xbc}};
    // 0x21: code 1 in even 32-runs and 2 in odd ones; byte 33 (second 64, l = 1) has 7 and 15.
    const auto code4 = [](int i) { return i == 65 ? 7 : i == 97 ? 15 : 1 + i / 32 % 2; };
    quant::Q4_K::Block q4 = {kOne, kHalf, kPacked, {}};
    std::memset(q4.qs, 0x21, sizeof q4.qs);
    q4.qs[33] = 0xf7;
    expect(Format::Q4_K, q4, [=](int i) {
        return static_cast<float>(kScale[i / 32] * code4(i)) - 0.5f * static_cast<float>(kMin[i / 32]);
    });

    // Fifth bits of the first 128 elements; byte 3 has that of element 5 * 32 + 3 alone.
    quant::Q5_K::Block q5 = {kOne, kHalf, kPacked, {}, {}};
    std::memcpy(q5.qs, q4.qs, sizeof q5.qs);
    std::memset(q5.qh, 0x0f, sizeof q5.qh);
    q5.qh[3] = 0x20;
    expect(Format::Q5_K, q5, [=](int i) {
        const bool fifth = i % 32 == 3 ? i / 32 == 5 : i < 128;
        return static_cast<float>(kScale[i / 32] * (code4(i) + (fifth ? 16 : 0))) -
               0.5f * static_cast<float>(kMin[i / 32]);
    });

    // 0xb4: low bits 4 in even 64-runs and 11 in odd ones; 0xe4: high bits count the 32-runs of each 128.
    quant::Q6_K::Block q6 = {};
    std::memset(q6.ql, 0xb4, sizeof q6.ql);
    std::memset(q6.qh, 0xe4, sizeof q6.qh);
    q6.ql[70] = 0x19;  // elements 128 + 6 and 128 + 70
    for (int g = 0; g < 16; ++g) q6.scales[g] = static_cast<int8_t>(g == 15 ? -128 : g - 8);
    q6.d = kQuarter;
    expect(Format::Q6_K, q6, [](int i) {
        const int low = i == 134 ? 9 : i == 198 ? 1 : i % 128 < 64 ? 4 : 11;
        const int scale = i / 16 == 15 ? -128 : i / 16 - 8;
        return 0.25f * static_cast<float>(scale * (low + i % 128 / 32 * 16 - 32));
    });

    quant::IQ4_XS::Block xs = {kHalf, 0xe4e4, {0x10, 0x32, 0x54, 0x76}, {}};
    for (int g = 0; g < 8; ++g) count_up_and_down(xs.qs + 16 * g);
    expect(Format::IQ4_XS, xs, [](int i) {
        const int g = i / 32, scale = g + 16 * (g % 4) - 32;
        return 0.5f * static_cast<float>(scale * kIq4[nibble(i % 32)]);
    });
}

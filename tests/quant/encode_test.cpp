// Encoding: error bounds, exactness on the grid, determinism, importance, hostile numbers.
#include <bit>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <limits>

#include "quant_support.hpp"
#include "support/catch.hpp"
#include "support/support.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

std::vector<uint8_t> encoded(const FormatInfo& info, const std::vector<float>& x,
                             const float* weight = nullptr) {
    std::vector<uint8_t> out(row_bytes(info, x.size()));
    encode(info.format, x.data(), out.data(), x.size(), weight);
    return out;
}

std::vector<float> there_and_back(const FormatInfo& info, const std::vector<float>& x,
                                  const float* weight = nullptr) {
    const auto blocks = encoded(info, x, weight);
    std::vector<float> out(x.size());
    decode(info.format, blocks.data(), out.data(), out.size());
    return out;
}

double squared_error(const std::vector<float>& a, const std::vector<float>& b,
                     const float* weight = nullptr) {
    double out = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const double d = double{a[i]} - b[i];
        out += (weight ? weight[i] : 1) * d * d;
    }
    return out;
}

// What each format promises of an encoder that searches no further than rounding to the nearest code.
struct Promise {
    Format format;
    // Half the widest gap between neighbouring codes when a block's largest magnitude just fits, relative to
    // that magnitude, plus what rounding the integer scale (and min) of a group adds.
    double worst;
    // Mean squared error over variance on normal values: 1.05 times that of ggml's encoder
    // (docs/numerics.md).
    double normal;
};
constexpr double kMargin = 1.05 / 4e-4;  // the figures below were measured at a standard deviation of 0.02
constexpr Promise kPromises[] = {
    {Format::Q4_0, 1.0 / 14, kMargin * 2.944e-6},
    {Format::Q4_1, 1.0 / 15, kMargin * 2.436e-6},
    {Format::Q5_0, 1.0 / 30, kMargin * 7.264e-7},
    {Format::Q5_1, 1.0 / 31, kMargin * 5.727e-7},
    {Format::Q8_0, 1.0 / 254, kMargin * 1.142e-8},
    {Format::Q2_K, 1.0 / 3 + 3.0 / 30 + 1.0 / 30, kMargin * 3.497e-5},
    {Format::Q3_K, 1.0 / 6 + 4.0 / 64 / 3, kMargin * 9.093e-6},
    {Format::Q4_K, 1.0 / 15 + 2.0 / 126 + 1.0 / 126, kMargin * 2.027e-6},
    {Format::Q5_K, 1.0 / 31 + 2.0 / 126 + 1.0 / 126, kMargin * 5.212e-7},
    {Format::Q6_K, 1.0 / 62 + 1.0 / 256, kMargin * 1.259e-7},
    {Format::IQ4_NL, 12.0 / 113, kMargin * 2.312e-6},
    {Format::IQ4_XS, 12.0 / 113 + 1.0 / 64, kMargin * 2.348e-6},
    {Format::MXFP4, 4.0 / 16, kMargin * 5.212e-6},
};

}  // namespace

TEST_CASE("plain formats keep what they can represent and round the rest to nearest") {
    const std::vector<float> x = {0, 1, -2.5f, 1e-3f, 65504, INFINITY, -INFINITY};
    CHECK(there_and_back(*find_format("F32"), x) == x);
    const auto half = there_and_back(*find_format("F16"), x), bf16 = there_and_back(*find_format("BF16"), x);
    for (std::size_t i = 0; i < 5; ++i) {
        CHECK(std::abs(half[i] - x[i]) <= 0x1p-11f * std::abs(x[i]));
        CHECK(std::abs(bf16[i] - x[i]) <= 0x1p-8f * std::abs(x[i]));
    }
    CHECK(std::isinf(half[5]));
    CHECK(bf16[6] == -INFINITY);
    for (const char* name : {"F32", "F16", "BF16"})
        CHECK(std::isnan(there_and_back(*find_format(name), {NAN})[0]));
}

TEST_CASE("no block is encoded worse than its format's step allows") {
    Random random(seed());
    for (const Promise& promise : kPromises) {
        const FormatInfo& info = *find_format(static_cast<int32_t>(promise.format));
        INFO(info.name);
        for (int round = 0; round < 60; ++round) {
            auto x = random.normals(info.block_elements, std::exp2(random.uniform(-8, 8)));
            if (round % 3 == 1) x[random.below(x.size())] *= 30;  // one outlier
            if (round % 3 == 2)
                for (float& v : x) v = std::abs(v) + 1e-3f;  // one sign only
            float most = 0;
            for (float v : x) most = std::max(most, std::abs(v));
            const double rms =
                std::sqrt(squared_error(x, there_and_back(info, x)) / static_cast<double>(x.size()));
            // The scale, a half, is off by at most 2^-11; a second such error comes with the minimum.
            CHECK(rms <= most * (promise.worst + 0x2p-11));
        }
    }
}

TEST_CASE("on normal values every format loses no more than the documented bar") {
    Random random(seed());
    const auto x = random.normals(256 * 256);
    double variance = 0;
    for (float v : x) variance += double{v} * v;
    for (const Promise& promise : kPromises) {
        const FormatInfo& info = *find_format(static_cast<int32_t>(promise.format));
        INFO(info.name);
        CHECK(squared_error(x, there_and_back(info, x)) / variance <= promise.normal);
    }
}

TEST_CASE("encoding is deterministic and goes block by block") {
    Random random(seed());
    const auto x = random.normals(1024);
    for_each_format([&](auto, const FormatInfo& info) {
        INFO(info.name);
        const auto all = encoded(info, x);
        CHECK(encoded(info, x) == all);
        std::vector<uint8_t> apart;
        for (std::size_t i = 0; i < x.size(); i += 256) {
            const auto part = encoded(info, std::vector<float>(x.begin() + i, x.begin() + i + 256));
            for (uint8_t byte : part) apart.push_back(byte);
        }
        CHECK(apart == all);
    });
}

TEST_CASE("values on the grid of a 32-element block come back exactly") {
    Random random(seed());
    for_each_block_format([&](auto trait, const FormatInfo& info) {
        using T = decltype(trait);
        if constexpr (T::kElements == 32) {
            INFO(info.name);
            for (int round = 0; round < 50; ++round) {
                typename T::Block b;
                uint8_t raw[sizeof b];
                for (uint8_t& byte : raw) byte = static_cast<uint8_t>(random.next());
                std::memcpy(&b, raw, sizeof b);
                if constexpr (requires { b.d; }) b.d = to_half(std::exp2(random.uniform(-10, 3))).bits;
                // A base far below the step is lost in the rounding of x = d * code + m itself.
                if constexpr (requires { b.m; })
                    b.m = to_half((random.below(2) ? 1 : -1) * random.uniform(0.5f, 8) * to_float(Half{b.d}))
                              .bits;
                if constexpr (requires { b.e; })
                    b.e = static_cast<uint8_t>(random.below(253));  // past it: inf
                constexpr uint8_t kEnds = 0xf0;
                std::memcpy(&b.qs[3], &kEnds, 1);  // both ends of the grid: codes 0 and 15 of 4-bit formats
                b.qs[4] = 0x0f;
                if constexpr (requires { b.qh; }) b.qh[0] = 0xaa, b.qh[2] = 0xaa;
                if constexpr (sizeof b == 34) {
                    for (auto& code : b.qs) code = static_cast<int8_t>(code == -128 ? -127 : code);
                    b.qs[5] = -127;
                }
                std::vector<float> x(32);
                decode(info.format, &b, x.data(), 32);
                CHECK(there_and_back(info, x) == x);
            }
        }
    });
}

TEST_CASE("importance lowers the error where it says that it matters") {
    Random random(seed());
    const auto x = random.normals(64 * 256);
    std::vector<float> weight(x.size());
    for (float& w : weight) w = -std::log(random.uniform(1e-6f, 1));
    for (const Promise& promise : kPromises) {
        const FormatInfo& info = *find_format(static_cast<int32_t>(promise.format));
        INFO(info.name);
        const double without = squared_error(x, there_and_back(info, x), weight.data());
        const double with = squared_error(x, there_and_back(info, x, weight.data()), weight.data());
        if (promise.format == Format::Q8_0)
            CHECK(with == without);  // its scale is not searched
        else
            CHECK(with < without);
    }
}

TEST_CASE("hostile numbers encode to something finite") {
    Random random(seed());
    constexpr float kWild[] = {NAN,    -NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, FLT_MIN,
                               1e-45f, 0,    -0.0f,    1e30f,     -1e-30f, 1};
    const auto wild = [&] {
        if (random.below(2)) return kWild[random.below(std::size(kWild))];
        return std::bit_cast<float>(static_cast<uint32_t>(random.next()));
    };
    for_each_block_format([&](auto, const FormatInfo& info) {
        INFO(info.name);
        std::vector<float> x(info.block_elements), weight(x.size());
        int n_infinite = 0;
        for (int round = 0; round < 300; ++round) {
            const float all = wild();
            for (float& v : x) v = round % 3 == 0 ? all : round % 3 == 1 ? wild() : random.normal();
            for (float& w : weight) w = wild();
            if (round % 3 != 2) x[random.below(x.size())] = kWild[random.below(std::size(kWild))];
            for (float v : there_and_back(info, x)) n_infinite += !std::isfinite(v);
            for (float v : there_and_back(info, x, weight.data())) n_infinite += !std::isfinite(v);
        }
        CHECK(n_infinite == 0);
    });
}

TEST_CASE("zeros, and values too small for the scale, encode to zeros") {
    for_each_format([&](auto, const FormatInfo& info) {
        INFO(info.name);
        const std::vector<float> zeros(info.block_elements, 0.0f);
        CHECK(there_and_back(info, zeros) == zeros);
        if (info.format == Format::MXFP4 || info.block_elements == 1) return;
        CHECK(there_and_back(info, std::vector<float>(zeros.size(), 1e-12f)) == zeros);
    });
}

TEST_CASE("infinities encode to the side that they lie on") {
    for_each_block_format([&](auto, const FormatInfo& info) {
        INFO(info.name);
        std::vector<float> x(info.block_elements, 0.0f);
        x[1] = INFINITY;
        x[2] = -INFINITY;
        const auto y = there_and_back(info, x);
        CHECK(y[1] > 1000);
        CHECK(y[2] < -1000);
    });
}

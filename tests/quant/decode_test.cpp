// Decoding: fixture values, agreement of every lane width, the format list.
#include <array>
#include <cfloat>
#include <cmath>
#include <cstring>
#include <string>

#include "quant_support.hpp"
#include "support/catch.hpp"
#include "support/support.hpp"

using namespace hearth;
using namespace hearth::test;

TEST_CASE("formats are found by id and by name without regard to case") {
    CHECK(find_format(12)->name == "Q4_K");
    CHECK(find_format("iq4_nl")->format == Format::IQ4_NL);
    CHECK(find_format(5) == nullptr);
    CHECK(find_format("Q4_") == nullptr);
    CHECK(find_format("") == nullptr);
}

TEST_CASE("every format decodes the fixture blocks to the fixture values") {
    for_each_format([](auto, const FormatInfo& info) {
        std::string stem = "quant/";
        stem += info.name;
        const std::string path = fixture(stem + ".blocks");
        if (path.empty()) return skip("no fixture " + stem + ".blocks");
        const auto blocks = read_bytes(path), bytes = read_bytes(fixture(stem + ".f32"));
        std::vector<float> want(bytes.size() / 4), got(want.size());
        std::memcpy(want.data(), bytes.data(), bytes.size());
        INFO(info.name);
        REQUIRE(row_bytes(info, want.size()) == blocks.size());
        decode(info.format, blocks.data(), got.data(), got.size());
        int n_wrong = 0;
        for (std::size_t i = 0; i < want.size(); ++i)
            n_wrong += !(std::abs(got[i] - want[i]) <= 1e-6f * std::abs(want[i]));
        CHECK(n_wrong == 0);
    });
}

namespace {

// Codes of a whole block, W at a time.
template <class T, int W>
std::array<uint8_t, T::kElements> all_codes(const typename T::Block& b) {
    std::array<uint8_t, T::kElements> out;
    for (int i = 0; i < T::kElements; i += W) {
        const auto part = T::template codes<ArrayLanes<W>>(b, i);
        for (int k = 0; k < W; ++k) out[i + k] = part.v[k];
    }
    return out;
}

}  // namespace

TEST_CASE("codes are the same at every lane width") {
    Random random(seed());
    for_each_block_format([&](auto trait, const FormatInfo& info) {
        using T = decltype(trait);
        INFO(info.name);
        for (int round = 0; round < 20; ++round) {
            typename T::Block b;
            uint8_t raw[sizeof b];
            for (uint8_t& byte : raw) byte = static_cast<uint8_t>(random.next());
            std::memcpy(&b, raw, sizeof b);
            const auto want = all_codes<T, 1>(b);
            CHECK(all_codes<T, 4>(b) == want);
            CHECK(all_codes<T, 16>(b) == want);
            CHECK(all_codes<T, 32>(b) == want);
        }
    });
}

TEST_CASE("decoding is scale times code less the minimum, at any alignment") {
    Random random(seed());
    for_each_block_format([&](auto trait, const FormatInfo& info) {
        using T = decltype(trait);
        INFO(info.name);
        constexpr int kBlocks = 3;
        std::vector<uint8_t> raw(1 + kBlocks * sizeof(typename T::Block));
        for (uint8_t& byte : raw) byte = static_cast<uint8_t>(random.next());
        std::vector<float> got(kBlocks * T::kElements);
        decode(info.format, raw.data() + 1, got.data(), got.size());
        int n_wrong = 0;
        for (int k = 0; k < kBlocks; ++k) {
            using L = ArrayLanes<1>;
            typename T::Block b;
            std::memcpy(&b, raw.data() + 1 + k * sizeof b, sizeof b);
            const auto codes = all_codes<T, 1>(b);
            for (int i = 0; i < T::kElements; ++i) {
                const int g = i / T::kGroup;
                const int code = (T::kSigned ? static_cast<int8_t>(codes[i]) : codes[i]) - T::kZero;
                double want = double{T::template step<L>(b)} * T::template scale<L>(b, g) * code,
                       magnitude = std::abs(want);
                if constexpr (T::kHasMin) {
                    const double min = double{T::template min_step<L>(b)} * T::template min<L>(b, g);
                    want -= min;
                    magnitude += std::abs(min);
                }
                const float value = got[k * T::kElements + i];
                // Four float operations, each within half a unit in the last place of a term.
                const bool close = std::abs(value - want) <= 4 * 0x1p-24 * magnitude + 0x1p-149;
                // Infinite scales and minima, and products past the largest float, are not numbers to
                // compare.
                n_wrong += !(close || !(std::abs(want) <= FLT_MAX));
            }
        }
        CHECK(n_wrong == 0);
    });
}

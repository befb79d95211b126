// Matmuls by bf16 tiles, at the levels that have them: ragged edges, and what does not depend on the number of rows.
#include "ops/matmul_support.hpp"
#include "support/catch.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

// Some of every edge: of panels and their pairs, of tiles of tokens and their pairs, of pieces and slabs of inputs.
std::vector<Shape> ragged(const FormatInfo& info) {
    if (info.block_elements == 256) return {{1, 256, 16}, {47, 512, 17}, {130, 256, 33}, {33, 1280, 49}, {160, 512, 64}, {16, 256, 531}};
    const int64_t b = info.block_elements == 1 ? 1 : 32, few = b == 1 ? 5 : 32;
    return {{1, few, 16}, {17, 31 * b, 17}, {130, 32 * few, 32}, {33, 8 * few, 48}, {48, 33 * few, 65}, {16, 9 * few, 531}};
}

}  // namespace

TEST_CASE("tiles give the sums of weights and rows in bf16, for every format and edge", "[ops]") {
    Random random(seed());
    const std::vector<Candidate> levels = tile_levels();
    for (const FormatInfo& info : kFormats)
        for (const Shape& s : ragged(info)) {
            const LinearData d = linear_data(info, 1, s, random);
            const OpCase c = linear(info, d, s);
            for (const Candidate& candidate : levels) {
                const Outcome out = candidate.run(c, {.n_thread = 2, .stop_everywhere = s.n_token == 65});
                const std::string what = described(candidate, info, s);
                INFO(what << " seed " << seed());
                REQUIRE(out.error == "");
                const Expected e = dot_all(info, d.decoded, d.x, s, sees(candidate, info, s.n_token));
                check_close(what, out.value.at(1), e.value, e.bound);
            }
        }
}

TEST_CASE("tiles take every number of tokens from one to two pairs of tiles and one more", "[ops]") {
    Random random(seed());
    const FormatInfo& info = *find_format(HEARTH_FORMAT_Q5_0);
    const Shape s{37, 64, 65};
    const LinearData d = linear_data(info, 1, s, random);
    for (const Candidate& candidate : tile_levels())
        for (int32_t n = 1; n <= s.n_token; ++n) {
            INFO(candidate.name << " tokens " << n << " seed " << seed());
            const Outcome out = candidate.run(linear(info, d, s, 0, n));
            REQUIRE(out.error == "");
            const Expected e = dot_all(info, d.decoded, d.x, {s.n_out, s.n_in, n}, sees(candidate, info, n));
            check_close(candidate.name, out.value.at(1), e.value, e.bound);
        }
}

TEST_CASE("weights of MXFP4 are what their blocks say up to the largest scales", "[ops]") {
    Random random(seed());
    const FormatInfo& info = *find_format(HEARTH_FORMAT_MXFP4);
    const Shape s{40, 64, 20};
    for (const int exponent : {120, 246, 247, 248, 249, 251}) {  // of 2^(e - 128), and codes reach 12: above, a float ends
        LinearData d;
        d.x = random.normals(static_cast<std::size_t>(s.n_token * s.n_in), 0x1p-30f);
        d.bytes.resize(row_bytes(info, static_cast<uint64_t>(s.n_out * s.n_in)));
        for (std::size_t i = 0; i < d.bytes.size(); ++i)
            d.bytes[i] = static_cast<uint8_t>(i % 17 == 0 ? static_cast<uint64_t>(exponent) : random.below(256));
        d.decoded.resize(static_cast<std::size_t>(s.n_out * s.n_in));
        decode(info.format, d.bytes.data(), d.decoded.data(), d.decoded.size());
        for (const Candidate& candidate : all_backends()) {
            INFO(candidate.name << " exponent " << exponent << " seed " << seed());
            const Outcome out = candidate.run(linear(info, d, s));
            REQUIRE(out.error == "");
            const Expected e = dot_all(info, d.decoded, d.x, s, sees(candidate, info, s.n_token));
            check_close(candidate.name, out.value.at(1), e.value, e.bound);
        }
    }
}

TEST_CASE("a weight or an input that is no number makes its outputs none, and no others", "[ops]") {
    Random random(seed());
    for (const auto& [format, bits] :
         {std::pair<Format, uint16_t>{Format::F16, 0x7fff}, {Format::F16, 0xfc01}, {Format::BF16, 0x7fff}, {Format::BF16, 0xff81}}) {
        const FormatInfo& info = *find_format(static_cast<int32_t>(format));
        const Shape s{40, 70, 20};
        LinearData d = linear_data(info, 1, s, random);
        std::memcpy(d.bytes.data() + 2 * (5 * s.n_in + 11), &bits, 2);
        constexpr uint32_t kNone[] = {0x7fffffff, 0xff800001};
        for (std::size_t i = 0; i < 2; ++i) std::memcpy(d.x.data() + (3 + 14 * i) * static_cast<std::size_t>(s.n_in) + 7, kNone + i, 4);
        for (const Candidate& candidate : all_backends()) {
            const Outcome out = candidate.run(linear(info, d, s));
            REQUIRE(out.error == "");
            std::size_t n_wrong = 0;
            for (int64_t t = 0; t < s.n_token; ++t)
                for (int64_t o = 0; o < s.n_out; ++o)
                    n_wrong += std::isnan(out.value.at(1)[static_cast<std::size_t>(t * s.n_out + o)]) != (t == 3 || t == 17 || o == 5);
            INFO(candidate.name << " " << info.name << " bits " << bits << " seed " << seed());
            CHECK(n_wrong == 0);
        }
    }
}

TEST_CASE("a row on tiles does not depend on how many rows are computed with it, nor on threads", "[ops][thread]") {
    Random random(seed());
    for (const Format format : {Format::BF16, Format::Q4_0, Format::Q6_K}) {
        const FormatInfo& info = *find_format(static_cast<int32_t>(format));
        const Shape s{70, 512, 150};
        const LinearData d = linear_data(info, 1, s, random);
        for (const Candidate& candidate : tile_levels()) check_rows_alone(candidate, info, d, s, false, {16, 17, 40}, random);
    }
}

TEST_CASE("a deterministic graph gives at a level with tiles what the level without them gives", "[ops]") {
    Random random(seed());
    const FormatInfo& info = *find_format(HEARTH_FORMAT_Q4_K);
    const Shape s{40, 512, 40};
    const LinearData d = linear_data(info, 1, s, random);
    for (const Candidate& tiles : tile_levels())
        for (const Candidate& plain : cpu_levels()) {
            if (plain.name == "sim" || plain.has_tiles() || tiles.level.rfind(plain.level + "-", 0) != 0) continue;
            INFO(tiles.name << " and " << plain.name << " seed " << seed());
            const std::vector<float> want = plain.run(linear(info, d, s)).value.at(1);
            CHECK(tiles.run(linear(info, d, s, 0, s.n_token, true)).value.at(1) == want);
            CHECK(tiles.run(linear(info, d, s)).value.at(1) != want);
        }
}

TEST_CASE("matmuls of one input share its rows, whichever way each goes", "[ops]") {
    Random random(seed());
    const FormatInfo &codes = *find_format(HEARTH_FORMAT_Q8_0), &halves = *find_format(HEARTH_FORMAT_F16),
                     &floats = *find_format(HEARTH_FORMAT_F32);
    for (const int32_t n : {3, 5, 15, 16, 40}) {  // below both bounds, between them, above both
        const Shape s{40, 96, 40};
        const LinearData a = linear_data(codes, 1, s, random), b = linear_data(halves, 1, s, random), f = linear_data(floats, 1, s, random);
        OpCase c(s.n_token);
        c.n_run_token = n;
        const int32_t x = c.input({.n_group = 3, .group_width = 32, .group_gap = 4}, a.x);
        std::vector<int32_t> out;
        for (const auto& [info, d] : {std::pair{&codes, &a}, {&halves, &b}, {&floats, &f}}) {
            out.push_back(c.output({.group_width = 40}));
            const int32_t w = c.weight_bytes(static_cast<int32_t>(info->format), HEARTH_USE_MATMUL, {40, 96}, d->bytes);
            c.node(HEARTH_OP_LINEAR, {x}, {out.back()}, {w}).p.scale.scale = 1;
        }
        for (const Candidate& candidate : tile_levels()) {
            INFO(candidate.name << " tokens " << n << " seed " << seed());
            const Outcome got = candidate.run(c, {.n_thread = 2});
            REQUIRE(got.error == "");
            std::size_t i = 0;
            for (const auto& [info, d] : {std::pair{&codes, &a}, {&halves, &b}, {&floats, &f}}) {
                const Expected e = dot_all(*info, d->decoded, a.x, {s.n_out, s.n_in, n}, sees(candidate, *info, n));
                std::vector<float> rows = got.value.at(out[i++]);
                rows.resize(e.value.size());
                check_close(candidate.name + " " + std::string(info->name), rows, e.value, e.bound);
            }
        }
    }
}

// Attention where it is easy to get wrong: scores that are no numbers, queries that see nothing, slots that nobody wrote; and
// that a query's bits are its own, whatever is computed beside it.
#include <limits>

#include "ops/attention_support.hpp"
#include "support/catch.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

constexpr int32_t kPlain[] = {HEARTH_FORMAT_F32, HEARTH_FORMAT_F16, HEARTH_FORMAT_BF16};
constexpr int32_t kTypes[] = {HEARTH_FORMAT_F32, HEARTH_FORMAT_F16, HEARTH_FORMAT_BF16, HEARTH_FORMAT_Q8_0, HEARTH_FORMAT_Q4_0};
constexpr float kInfinity = std::numeric_limits<float>::infinity();

void put(int32_t type, std::vector<uint8_t>& rows, int64_t i, float x) {
    const uint16_t half = type == HEARTH_FORMAT_F16 ? to_half(x).bits : to_bf16(x).bits;
    if (type == HEARTH_FORMAT_F32)
        std::memcpy(rows.data() + 4 * i, &x, 4);
    else
        std::memcpy(rows.data() + 2 * i, &half, 2);
}

// A decode step of one sequence and a prompt of another, so that few and many queries meet what follows. The first element of the
// keys at some places (or at all) is infinite; that of every query says what comes of it: 1 infinity, -1 minus infinity, 0 NaN.
OpCase infinite_keys(AttentionSpec s, int32_t type, float sign, bool all, Random& random) {
    s.k_type = s.v_type = type;
    s.past = {70, 0};
    s.fresh = {1, 40};
    OpCase c = attention_case(s, random);
    std::vector<float>&q = c.inputs.at(kQueries), &k = c.inputs.at(kKeys);
    for (std::size_t i = 0; i < q.size(); i += static_cast<std::size_t>(s.k_width)) q[i] = sign;
    const int64_t row = int64_t{s.n_head_kv} * s.k_width;
    const auto spoil = [&](int64_t place) { return all || place == 10 || place == 33; };
    for (int64_t place = 0; place < 70; ++place)
        for (int64_t head = 0; spoil(place) && head < s.n_head_kv; ++head)
            put(type, c.pages[0][2 * c.tables[0].page[static_cast<std::size_t>(place / 32)] + 1].k, place % 32 * row + head * s.k_width,
                kInfinity);
    for (int64_t t = 0; t < 41; ++t)
        for (int64_t head = 0; (t == 0 ? all : spoil(t - 1)) && head < s.n_head_kv; ++head)
            k[static_cast<std::size_t>(t * row + head * s.k_width)] = kInfinity;
    return c;
}

std::size_t n_not_number(const std::vector<float>& values) {
    return static_cast<std::size_t>(std::count_if(values.begin(), values.end(), [](float x) { return std::isnan(x); }));
}

std::vector<float> of_reference(const OpCase& c) { return Candidate{"ref", hearth_backend_ref(), ""}.output(c); }

// How many tokens come together decides how many queries share what they load (1 to 6), which pages come together and whether those are
// unpacked; each token's row must be the one that it has alone. (Tiles are for many queries only, and `deterministic` turns them off.)
void check_alone(const std::string& what, AttentionSpec s, const std::vector<int32_t>& counts, Random& random, int32_t past = 45) {
    s.past = {past};
    s.fresh = {14};
    const OpCase whole = attention_case(s, random);
    const auto row = static_cast<std::ptrdiff_t>(s.n_head * s.v_width);
    for (const Candidate& candidate : cpu_levels()) {
        if (candidate.name == "sim") continue;
        INFO(candidate.name << " " << what << " types " << s.k_type << " " << s.v_type << " seed " << seed());
        const Outcome done = candidate.run(whole);
        REQUIRE(done.error == "");
        std::vector<float> alone;
        for (int32_t t = 0; t < 14; ++t) {
            const Outcome one = candidate.run(part_of(whole, done, s, t, 1, candidate.has_tiles()));
            REQUIRE(one.error == "");
            const std::vector<float>& got = one.value.begin()->second;
            alone.insert(alone.end(), got.begin(), got.end());
        }
        for (const int32_t n : counts) {
            const auto first = static_cast<int32_t>(random.below(static_cast<uint64_t>(15 - n)));
            INFO("tokens " << first << ".." << first + n - 1);
            const std::vector<float> want(alone.begin() + first * row, alone.begin() + (first + n) * row);
            CHECK(candidate.run(part_of(whole, done, s, first, n, candidate.has_tiles())).value.begin()->second == want);
        }
    }
}

}  // namespace

TEST_CASE("keys whose score is minus infinity have no weight; infinity and NaN make rows NaN, and no others", "[ops]") {
    Random random(seed());
    for (const int32_t type : kPlain)
        for (const float sign : {1.0f, -1.0f, 0.0f})
            for (const AttentionSpec& s : {AttentionSpec{}, AttentionSpec{.softcap = 3}, AttentionSpec{.alibi = 8, .sink = true}}) {
                const OpCase c = infinite_keys(s, type, sign, false, random);
                const std::vector<float> want = of_reference(c);
                // Of 41 tokens those that see place 10 or 33: the first, and 30 of the prompt. A softcap bounds what is infinite.
                const std::size_t n_spoilt = sign == 0 || (sign > 0 && s.softcap == 0) ? 31u : 0u;
                CHECK(n_not_number(want) == n_spoilt * static_cast<std::size_t>(s.n_head * s.v_width));
                compare("infinite keys, type " + std::to_string(type) + " sign " + std::to_string(sign), c, kAttentionBound, false);
            }
}

TEST_CASE("values in codes that are no numbers make NaN of what sees them, and of nothing else", "[ops]") {
    Random random(seed());
    for (const int32_t type : {HEARTH_FORMAT_Q8_0, HEARTH_FORMAT_Q4_0})
        for (const int32_t n_token : {1, 2, 3, 33})
            for (const int32_t place : {5, 40}) {
                OpCase c = attention_case(
                    {.v_type = type, .n_head = 2, .n_head_kv = 1, .k_width = 32, .v_width = 64, .past = {70}, .fresh = {n_token}},
                    random);
                c.deterministic = true;
                for (int32_t t = 1; t < n_token; t += 2)
                    c.attend[static_cast<std::size_t>(t)].end = place;  // every second token does not see it
                std::vector<uint8_t>& rows = c.pages[0][2 * c.tables[0].page[static_cast<std::size_t>(place / 32)] + 1].v;
                const auto block = static_cast<std::ptrdiff_t>(row_bytes(*find_format(type), 32));
                std::fill_n(rows.begin() + (place % 32 * 2 + 1) * block, 2, 0x7e);  // the scale of its row's second block
                CHECK(n_not_number(of_reference(c)) == static_cast<std::size_t>((n_token + 1) / 2 * 2 * 32));
                compare("type " + std::to_string(type) + " tokens " + std::to_string(n_token), c, 4 * kAttentionBound, false);
            }
}

TEST_CASE("scores far beyond what 2^x holds leave the largest key's value", "[ops]") {
    Random random(seed());
    for (const int32_t type : kTypes)
        for (const int32_t n_token : {1, 2, 33}) {
            OpCase c = attention_case({.k_type = HEARTH_FORMAT_F32,
                                       .v_type = type,
                                       .n_head = 2,
                                       .n_head_kv = 1,
                                       .k_width = 32,
                                       .v_width = 32,
                                       .past = {70},
                                       .fresh = {n_token}},
                                      random);
            c.nodes[1].p.attention.scale = 1e11f;
            compare("type " + std::to_string(type) + " tokens " + std::to_string(n_token), c, kAttentionBound, false);
        }
}

TEST_CASE("where no key has any weight a row is zeros, with a sink too", "[ops]") {
    Random random(seed());
    for (const bool sink : {false, true}) {
        for (const int32_t type : kPlain) {
            const OpCase c = infinite_keys({.sink = sink}, type, -1, true, random);
            const std::vector<float> want = of_reference(c);
            CHECK(want == std::vector<float>(want.size(), 0.0f));
            compare("every score minus infinity", c, 0, false);
        }
        for (const int32_t kind : {HEARTH_CACHE_FULL, HEARTH_CACHE_LATENT})
            for (const bool every : {false, true}) {
                AttentionSpec s{.kind = kind,
                                .n_head_kv = 1,
                                .k_width = 24,
                                .v_width = 16,
                                .sink = sink,
                                .past = {40, 0},
                                .fresh = {6, 14},
                                .dirty = true};
                OpCase c = attention_case(s, random);
                std::size_t n_blind = 0;
                for (std::size_t t = 0; t < c.attend.size(); ++t)
                    if (every || t % 3 == 0) c.attend[t].begin = c.attend[t].end = (t % 2 ? 0 : c.attend[t].end), ++n_blind;
                const std::vector<float> want = of_reference(c);
                CHECK(static_cast<std::size_t>(std::count(want.begin(), want.end(), 0.0f)) == n_blind * 4 * 16);
                compare("no key seen", c, kAttentionBound, false);
            }
    }
}

TEST_CASE("a sink that is no number makes its head's rows none", "[ops]") {
    Random random(seed());
    for (const float bad : {kInfinity, std::numeric_limits<float>::quiet_NaN()}) {
        OpCase c = attention_case({.sink = true}, random);
        std::memcpy(c.weight_data[0].data() + 4, &bad, 4);
        CHECK(n_not_number(of_reference(c)) == 17 * 24);
        compare("sink", c, kAttentionBound, false);
    }
}

TEST_CASE("what nobody wrote into a page does not matter, whatever was there before", "[ops]") {
    Random random(seed());
    const auto check = [&](const std::string& what, AttentionSpec s) {
        s.dirty = true;
        for (const bool prompt : {false, true}) {
            if (prompt) s.past = {0, 40}, s.fresh = {33, 2};
            compare(what + " " + std::to_string(s.k_type) + " " + std::to_string(s.v_type), attention_case(s, random),
                    4 * kAttentionBound, true);
        }
    };
    for (const int32_t k_type : kTypes)
        for (const int32_t v_type : kTypes) {
            check("full", {.k_type = k_type, .v_type = v_type, .k_width = 32, .v_width = 64});
            check("window", {.kind = HEARTH_CACHE_WINDOW, .k_type = k_type, .v_type = v_type, .k_width = 32, .v_width = 32, .window = 20});
            check("chunk", {.kind = HEARTH_CACHE_CHUNK, .k_type = k_type, .v_type = v_type, .k_width = 32, .v_width = 32, .window = 24});
        }
    for (const int32_t type : kPlain)
        for (const int32_t n_head : {1, 2, 4, 13})
            check("latent", {.kind = HEARTH_CACHE_LATENT,
                             .k_type = type,
                             .v_type = type,
                             .n_head = n_head,
                             .n_head_kv = 1,
                             .k_width = 40,
                             .v_width = 24});
}

TEST_CASE("what is cached and is no number stays none", "[ops]") {
    Random random(seed());
    constexpr uint32_t kBits[] = {0x7f800001, 0x7fc00000, 0x7fffffff, 0xff800001, 0xffffffff};
    for (const int32_t type : kPlain) {
        OpCase c = attention_case({.n_head_kv = 1, .past = {0}, .fresh = {1}}, random);
        c.caches[0].k_type = c.caches[0].v_type = type;
        c.pages[0].clear();
        std::memcpy(c.inputs.at(kKeys).data(), kBits, sizeof kBits);
        for (const Candidate& candidate : all_backends()) {
            INFO(candidate.name << " type " << type);
            const Outcome out = candidate.run(c);
            REQUIRE(out.error == "");
            std::vector<float> row(16);
            decode(static_cast<Format>(type), out.pages[0].at(2 * c.tables[0].page[0] + 1).k.data(), row.data(), row.size());
            CHECK(n_not_number({row.begin(), row.begin() + 5}) == 5);
            CHECK(n_not_number(row) == 5);
        }
    }
}

TEST_CASE("a query's bits do not depend on how many are computed with it", "[ops]") {
    Random random(seed());
    const std::vector<int32_t> all = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14}, some = {3, 7, 12};
    for (const int32_t type : kTypes)
        check_alone("one head", {.k_type = type, .v_type = type, .n_head = 1, .n_head_kv = 1, .k_width = 64, .v_width = 32}, all, random);
    for (const int32_t past : {20, 57})  // a page begins among them, and a pair of pages
        for (const int32_t type : kTypes) {
            check_alone("pages", {.k_type = type, .v_type = type, .n_head = 1, .n_head_kv = 1, .k_width = 32, .v_width = 32}, some,
                        random, past);
            check_alone("pages",
                        {.k_type = type, .v_type = type, .n_head = 1, .n_head_kv = 1, .k_width = 32, .v_width = 32, .softcap = 3}, some,
                        random, past);
        }
    for (const int32_t type : kPlain) {
        check_alone(
            "latent",
            {.kind = HEARTH_CACHE_LATENT, .k_type = type, .v_type = type, .n_head = 1, .n_head_kv = 1, .k_width = 40, .v_width = 24}, all,
            random);
        check_alone("odd widths", {.k_type = type, .v_type = type, .n_head = 2, .n_head_kv = 1, .k_width = 5, .v_width = 19}, some, random);
    }
    check_alone("two types",
                {.k_type = HEARTH_FORMAT_Q8_0, .v_type = HEARTH_FORMAT_F16, .n_head = 2, .n_head_kv = 1, .k_width = 32, .v_width = 32},
                some, random);
    check_alone("two types",
                {.k_type = HEARTH_FORMAT_F16, .v_type = HEARTH_FORMAT_Q4_0, .n_head = 2, .n_head_kv = 1, .k_width = 32, .v_width = 32},
                some, random);
    check_alone("softcap, alibi, sinks", {.softcap = 3, .alibi = 8, .sink = true}, some, random);
    for (const int32_t past : {507, 3578}) {  // a second stretch begins, stretches become longer
        check_alone("stretches", {.n_head = 1, .n_head_kv = 1, .k_width = 8, .v_width = 8}, some, random, past);
        check_alone("stretches", {.k_type = HEARTH_FORMAT_Q8_0, .v_type = HEARTH_FORMAT_F16, .k_width = 32, .v_width = 8}, some, random,
                    past);
    }
    check_alone("window", {.kind = HEARTH_CACHE_WINDOW, .k_type = HEARTH_FORMAT_F16, .v_type = HEARTH_FORMAT_F16, .window = 20}, some,
                random);
}

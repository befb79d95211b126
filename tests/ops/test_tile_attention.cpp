// Attention by bf16 tiles, at the levels that have them: edges of tiles and pages, what decides whether tiles are used, and what does
// not depend on how many queries are computed together.
#include "ops/attention_support.hpp"
#include "support/catch.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

constexpr int32_t kTiled[] = {HEARTH_FORMAT_F16, HEARTH_FORMAT_BF16, HEARTH_FORMAT_Q8_0, HEARTH_FORMAT_Q4_0};

// With numbers that bf16 holds only the weights are rounded: each of them by 2^-8 of itself, which moves their mean of values by as much
// of what a value can be away from it, |value| <= 2. The rest is float32.
void check_exact(const std::string& what, const OpCase& c) {
    INFO(what << " seed " << seed());
    const std::vector<float> want = Candidate{"ref", hearth_backend_ref(), ""}.output(c);
    std::vector<double> bound;
    for (const float x : want) bound.push_back(0x1p-8 * (2 + std::abs(static_cast<double>(x))) + 4 * kAttentionBound);
    OpCase by_vectors = c;
    by_vectors.deterministic = true;
    for (const Candidate& candidate : tile_levels()) {
        const std::vector<float> got = candidate.output(c, {.n_thread = 2});
        check_close(candidate.name + " " + what, got, want, bound);
        CHECK(got != candidate.output(by_vectors));
    }
}

AttentionSpec of_types(AttentionSpec s, int32_t k_type, int32_t v_type) {
    s.k_type = k_type, s.v_type = v_type;
    s.exact = true;
    return s;
}

}  // namespace

TEST_CASE("many queries by tiles agree with the reference, for every type, width and kind of cache", "[ops]") {
    Random random(seed());
    const auto check = [&](const std::string& what, const AttentionSpec& s, bool dirty) {
        AttentionSpec each = s;
        each.dirty = dirty;
        check_exact(what + " " + std::to_string(s.k_type) + " " + std::to_string(s.v_type), attention_case(each, random));
    };
    const std::vector<int32_t> past = {70, 0, 31}, fresh = {40, 17, 9};
    for (const int32_t k : kTiled)
        for (const int32_t v : kTiled) {
            check("plain", of_types({.k_width = 64, .v_width = 32, .past = past, .fresh = fresh}, k, v), false);
            check(
                "window",
                of_types(
                    {.kind = HEARTH_CACHE_WINDOW, .n_head = 6, .k_width = 32, .v_width = 96, .window = 20, .past = past, .fresh = fresh},
                    k, v),
                true);
        }
    for (const int32_t type : kTiled) {
        const auto both = [&](AttentionSpec s) { return s.past = past, s.fresh = fresh, of_types(s, type, type); };
        check("what nobody wrote", both({.n_head = 8, .n_head_kv = 1, .k_width = 32, .v_width = 32}), true);
        check("chunk", both({.kind = HEARTH_CACHE_CHUNK, .k_width = 32, .v_width = 32, .window = 24}), true);
        check("sinks", both({.k_width = 96, .v_width = 64, .sink = true}), false);
        check("softcap", both({.k_width = 32, .v_width = 32, .softcap = 3}), false);
        check("alibi", both({.n_head = 6, .k_width = 32, .v_width = 32, .alibi = 8}), true);
        check("softcap, alibi, sinks", both({.k_width = 32, .v_width = 32, .softcap = 3, .alibi = 8, .sink = true}), false);
    }
    for (const int32_t type : {HEARTH_FORMAT_F16, HEARTH_FORMAT_BF16}) {
        const auto both = [&](AttentionSpec s) { return s.past = past, s.fresh = fresh, of_types(s, type, type); };
        check("odd widths", both({.k_width = 5, .v_width = 3}), true);
        check("odd widths", both({.k_width = 40, .v_width = 88}), true);
        check("wide", both({.k_width = 80, .v_width = 160}), false);
        for (const bool dirty : {false, true}) {
            check("latent", both({.kind = HEARTH_CACHE_LATENT, .n_head = 6, .n_head_kv = 1, .k_width = 40, .v_width = 24}), dirty);
            check("odd latent", both({.kind = HEARTH_CACHE_LATENT, .n_head = 6, .n_head_kv = 1, .k_width = 25, .v_width = 9}), dirty);
            check("wide latent", both({.kind = HEARTH_CACHE_LATENT, .n_head = 9, .n_head_kv = 1, .k_width = 576, .v_width = 512}), dirty);
        }
    }
}

TEST_CASE("tiles take any number of queries, over chunks of pages that begin anywhere", "[ops]") {
    Random random(seed());
    for (const int32_t n : {16, 17, 31, 33, 48, 63, 100, 101})  // one head each: as many queries in a part, but for the last
        for (const int32_t past : {0, 97, 290}) {
            const AttentionSpec s{.n_head = 64, .n_head_kv = 64, .k_width = 32, .v_width = 16, .past = {past}, .fresh = {n}};
            check_exact("queries " + std::to_string(n) + " after " + std::to_string(past),
                        attention_case(of_types(s, HEARTH_FORMAT_F16, HEARTH_FORMAT_BF16), random));
        }
    OpCase ahead = attention_case(of_types({.past = {140}, .fresh = {30}}, HEARTH_FORMAT_F16, HEARTH_FORMAT_F16), random);
    for (std::size_t t = 0; t < ahead.attend.size(); ++t)
        ahead.attend[t] = {static_cast<int32_t>(5 * t), t % 7 == 3 ? static_cast<int32_t>(5 * t) : 170};
    check_exact("spans ahead, and some empty", ahead);
}

TEST_CASE("a query's bits by tiles do not depend on how many are computed with it, nor on threads", "[ops][thread]") {
    Random random(seed());
    for (const AttentionSpec& spec :
         {AttentionSpec{}, AttentionSpec{.kind = HEARTH_CACHE_WINDOW, .window = 40}, AttentionSpec{.alibi = 8, .sink = true}}) {
        AttentionSpec s = spec;
        s.n_head = 4, s.n_head_kv = 1, s.k_width = 24, s.v_width = 40;
        s.k_type = HEARTH_FORMAT_BF16, s.v_type = HEARTH_FORMAT_F16;
        s.past = {245}, s.fresh = {48};
        const OpCase whole = attention_case(s, random);
        const auto row = static_cast<std::ptrdiff_t>(s.n_head * s.v_width);
        for (const Candidate& candidate : tile_levels()) {
            const Outcome done = candidate.run(whole, {.n_thread = 3});
            REQUIRE(done.error == "");
            const std::vector<float>& all = done.value.at(whole.outputs[0]);
            for (const int32_t n : {4, 5, 7, 11, 12, 16, 24, 36}) {
                const auto first = static_cast<int32_t>(random.below(static_cast<uint64_t>(49 - n)));
                INFO(candidate.name << " tokens " << first << ".." << first + n - 1 << " seed " << seed());
                const std::vector<float> want(all.begin() + first * row, all.begin() + (first + n) * row);
                CHECK(candidate.run(part_of(whole, done, s, first, n, false)).value.begin()->second == want);
            }
        }
    }
}

TEST_CASE("float32 caches, few queries and deterministic graphs do not go by tiles", "[ops]") {
    Random random(seed());
    const AttentionSpec many{.k_type = HEARTH_FORMAT_F16, .v_type = HEARTH_FORMAT_F16, .past = {50}, .fresh = {12}};
    AttentionSpec few = many, keys = many, values = many;
    few.fresh = {7};
    keys.k_type = HEARTH_FORMAT_F32, values.v_type = HEARTH_FORMAT_F32;
    for (const Candidate& tiles : tile_levels())
        for (const Candidate& plain : cpu_levels()) {
            if (plain.name == "sim" || plain.has_tiles() || tiles.level.rfind(plain.level + "-", 0) != 0) continue;
            INFO(tiles.name << " and " << plain.name << " seed " << seed());
            for (const AttentionSpec& s : {few, keys, values}) {
                const OpCase c = attention_case(s, random);
                CHECK(tiles.output(c) == plain.output(c));
            }
            OpCase c = attention_case(many, random);
            CHECK(tiles.output(c) != plain.output(c));
            c.deterministic = true;
            CHECK(tiles.output(c) == plain.output(c));
        }
}

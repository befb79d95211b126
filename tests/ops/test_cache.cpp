// Operators on the cache (store, attention, short convolution) at every level against the reference, over ragged page
// tables; and the promises about stopping and threads.
#include "ops/attention_support.hpp"
#include "support/catch.hpp"

using namespace hearth;
using namespace hearth::test;

TEST_CASE("CACHE_STORE and ATTENTION agree with the reference over ragged page tables", "[ops]") {
    Random random(seed());
    for (const int32_t type : {HEARTH_FORMAT_F32, HEARTH_FORMAT_F16, HEARTH_FORMAT_BF16}) {
        const auto check = [&](const std::string& what, AttentionSpec s) {
            s.k_type = s.v_type = type;
            compare(what, attention_case(s, random), kAttentionBound, true);
        };
        check("plain", {});
        check("one head, odd widths", {.n_head = 1, .n_head_kv = 1, .k_width = 5, .v_width = 3});
        check("many heads per key", {.n_head = 20, .n_head_kv = 1, .k_width = 64, .v_width = 40});
        check("window", {.kind = HEARTH_CACHE_WINDOW, .window = 20});
        check("window of one", {.kind = HEARTH_CACHE_WINDOW, .window = 1});
        check("chunk", {.kind = HEARTH_CACHE_CHUNK, .window = 24});
        check("sinks", {.sink = true});
        check("softcap", {.softcap = 3});
        check("alibi", {.n_head = 6, .alibi = 8});
        check("latent", {.kind = HEARTH_CACHE_LATENT, .n_head = 12, .n_head_kv = 1, .k_width = 72, .v_width = 64});
        check("long prompt", {.past = {0, 40}, .fresh = {75, 1}});
    }
}

TEST_CASE("keys and values are cached in any two types", "[ops]") {
    Random random(seed());
    constexpr int32_t kTypes[] = {HEARTH_FORMAT_F32, HEARTH_FORMAT_F16, HEARTH_FORMAT_BF16, HEARTH_FORMAT_Q8_0, HEARTH_FORMAT_Q4_0};
    for (const int32_t k_type : kTypes)
        for (const int32_t v_type : kTypes) {
            const auto check = [&](const std::string& what, AttentionSpec s) {
                s.k_type = k_type, s.v_type = v_type;
                // Scores of queries up to 2 are up to sqrt(width) times those of normal ones: so is their rounding.
                compare(what + " " + std::to_string(k_type) + " " + std::to_string(v_type), attention_case(s, random),
                        4 * kAttentionBound, true);
            };
            check("plain", {.k_width = 64, .v_width = 32});
            check("many heads per key", {.n_head = 21, .n_head_kv = 3, .k_width = 96, .v_width = 128});
            check("window", {.kind = HEARTH_CACHE_WINDOW, .k_width = 32, .v_width = 64, .window = 20});
            check("sinks and softcap", {.k_width = 32, .v_width = 32, .softcap = 3, .sink = true});
        }
}

TEST_CASE("queries that meet keys in codes are rounded to 127 steps of their blocks' largest", "[ops]") {
    Random random(seed());
    OpCase c = attention_case({.k_type = HEARTH_FORMAT_Q8_0, .k_width = 64, .v_width = 32}, random);
    for (float& x : c.inputs.begin()->second) x = random.normal();
    // Half a step of about 3.5/127 in each of 64 products with keys of about 1, at random, over sqrt(64): 0.008; six times that in
    // a score moves a mean of values of up to 4.5 by twice its product.
    compare("rounded queries", c, 2 * 6 * 0.008 * 4.5, false);
}

TEST_CASE("caches in blocks are refused where heads have no whole blocks, or keys are values", "[ops]") {
    Random random(seed());
    for (const Candidate& candidate : all_backends()) {
        INFO(candidate.name);
        OpCase odd = attention_case({.k_width = 64, .v_width = 64}, random), latent = odd;
        odd.caches[0].v_type = HEARTH_FORMAT_Q8_0, odd.caches[0].v_width = 40;
        latent.caches[0].k_type = HEARTH_FORMAT_Q8_0, latent.caches[0].kind = HEARTH_CACHE_LATENT;
        CHECK(candidate.run(odd).error.find("cache") != std::string::npos);
        CHECK(candidate.run(latent).error.find("cache") != std::string::npos);
    }
}

TEST_CASE("ATTENTION sees the span that a token brings, ahead of it too", "[ops]") {
    Random random(seed());
    OpCase c = attention_case({.past = {10}, .fresh = {30}}, random);
    for (hearth_span& s : c.attend) s = {3, 40};
    compare("span", c, kAttentionBound, false);
}

TEST_CASE("SHORT_CONV agrees with the reference and carries its state", "[ops]") {
    Random random(seed());
    for (const int32_t n_tap : {1, 3, 4}) {
        const int32_t width = 300, n_token = 8;
        OpCase c(n_token, 1, 3);
        c.seq = {0, 0, 0, 0, 0, 1, 2, 2};
        c.index = {40, 41, 42, 43, 44, 0, 7, 8};
        c.cache({HEARTH_CACHE_RECURRENT, 2, 0, 0, 0, 0, 0, 0, std::max(1, (n_tap - 1) * width)}, 6);
        c.tables[0].state_read = {2, -1, 0};
        c.tables[0].state_write = {3, 4, 5};
        for (int32_t slot = 0; slot < 12; ++slot) c.pages[0][slot].k = random_rows(random, HEARTH_FORMAT_F32, c.caches[0].state_width);
        const int32_t x = c.input({.n_group = 3, .group_width = width}, random.normals(static_cast<std::size_t>(n_token * 3 * width)));
        const int32_t y = c.output({.group_width = width});
        const int32_t w = c.weight(Format::F32, HEARTH_USE_VECTOR, {width, n_tap}, random.normals(static_cast<std::size_t>(width * n_tap)));
        hearth_node& node = c.node(HEARTH_OP_SHORT_CONV, {x}, {y}, {w});
        node.cache_group = 0, node.cache_layer = 1;
        compare("taps " + std::to_string(n_tap), c, 40 * 0x1p-24, true);
    }
}

TEST_CASE("stopping after every part and any number of threads give the same bits", "[ops][thread]") {
    Random random(seed());
    const AttentionSpec s{.n_head = 8, .n_head_kv = 2, .k_width = 32, .v_width = 32, .past = {40, 3}, .fresh = {30, 3}};
    OpCase c = attention_case(s, random);
    const int32_t attended = c.outputs[0];
    const auto matrix = [&](Format format, int64_t out, int64_t in) {
        return c.weight(format, HEARTH_USE_MATMUL, {out, in}, random.normals(static_cast<std::size_t>(out * in), 0.1f));
    };
    const int32_t a = c.output({.group_width = 300}), b = c.output({.group_width = 300}), d = c.output({.group_width = 300});
    const int32_t e = c.output({.n_group = 2, .group_width = 128});
    const int32_t w1 = matrix(Format::Q4_0, 300, 256), w2 = matrix(Format::Q4_K, 300, 256), w3 = matrix(Format::F32, 256, 300);
    c.node(HEARTH_OP_LINEAR, {attended}, {a}, {w1}).p.scale.scale = 1;
    c.node(HEARTH_OP_LINEAR, {attended}, {b}, {w2}).p.scale.scale = 1;
    c.node(HEARTH_OP_GLU, {a, b}, {d}).p.act = {HEARTH_ACT_SILU, 0, 0};
    c.node(HEARTH_OP_LINEAR, {d}, {e}, {w3}).p.scale.scale = 1;
    c.node(HEARTH_OP_ROPE, {e}, {e}).p.rope = {HEARTH_ROPE_HALVES, 64, 0, {}, 10000, 1, 0, 1, 0, 0};
    c.node(HEARTH_OP_NORM, {e}, {e}).p.norm = {HEARTH_NORM_RMS, 1e-6f, 0};
    for (const Candidate& candidate : cpu_levels()) {
        INFO(candidate.name << " seed " << seed());
        const Outcome once = candidate.run(c);
        REQUIRE(once.error == "");
        CHECK(once.n_pause == 0);
        for (const int32_t n_thread : {1, 2, 3})
            for (const bool stop : {false, true}) {
                const Outcome again = candidate.run(c, {n_thread, stop && n_thread == 1});
                REQUIRE(again.error == "");
                CHECK(again.value == once.value);
                // 21 parts (20 or more where tiles take larger ones), and every run does at least one
                if (stop && n_thread == 1) CHECK(again.n_pause >= (candidate.has_tiles() ? 19 : 20));
            }
    }
}

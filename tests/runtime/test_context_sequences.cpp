// Editing sequences (copy, remove, shift, keep, windows) leaves exactly the tokens that it says it leaves.
#include "runtime/context_support.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {
Ids slice(const Ids& t, std::size_t begin, std::size_t end) {
    return {t.begin() + static_cast<std::ptrdiff_t>(begin), t.begin() + static_cast<std::ptrdiff_t>(end)};
}
Ids join(Ids a, const Ids& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}
}  // namespace

TEST_CASE("a copied sequence and its source diverge without touching each other") {
    const char* device = GENERATE("ref", "cpu");
    const char* kind = GENERATE("full", "window", "recurrent");
    const std::string name = kind;
    INFO(kind << " on " << device << ", HEARTH_TEST_SEED=" << seed());
    const Loaded loaded = load_model(name == "window" ? tiny_window(20) : name == "full" ? tiny_llama() : tiny_recurrent(), device);
    const Ids prefix = random_tokens(45, 1), a = random_tokens(30, 2), b = random_tokens(30, 3);
    const auto context = loaded.context(256, 2);
    test::decode(*context, prefix);
    REQUIRE(context->copy(0, 1, 0, -1));
    CHECK(*context->n_token(1) == 45);
    const Logits got_b = test::decode(*context, b, 1);
    const Logits got_a = test::decode(*context, a, 0);
    check_close(got_b, test::decode(*loaded.context(), join(prefix, b)));
    check_close(got_a, test::decode(*loaded.context(), join(prefix, a)));
    REQUIRE(context->copy(1, 0, 0, -1));  // over an existing sequence
    const Ids more = random_tokens(3, 4);
    check_close(test::decode(*context, more, 0), test::decode(*loaded.context(), join(join(prefix, b), more)));
}

TEST_CASE("a copy of the first tokens only is a sequence of those tokens") {
    const char* device = GENERATE("ref", "cpu");
    const Loaded loaded = load_model(tiny_llama(), device);
    const Ids prefix = random_tokens(70, 1), more = random_tokens(9, 2);
    const auto context = loaded.context(256, 2);
    test::decode(*context, prefix);
    REQUIRE(context->copy(0, 1, 0, 37));
    check_close(test::decode(*context, more, 1), test::decode(*loaded.context(), join(slice(prefix, 0, 37), more)));
    check_close(test::decode(*context, more, 0), test::decode(*loaded.context(), join(prefix, more)));
    CHECK_FALSE(context->copy(0, 1, 5, -1));
    refused_with("beginning");
}

TEST_CASE("a copy that would need tokens that the window has dropped is refused and changes nothing") {
    const Loaded loaded = load_model(tiny_window(8), "cpu");
    const auto context = loaded.context(256, 2);
    const Ids prefix = random_tokens(100, 1), other = random_tokens(5, 2), more = random_tokens(2, 3);
    test::decode(*context, prefix);
    test::decode(*context, other, 1);
    CHECK_FALSE(context->copy(0, 1, 0, 20));
    refused_with("window");
    check_close(test::decode(*context, more, 1), test::decode(*loaded.context(), join(other, more)));
    CHECK_FALSE(context->remove(0, 20, -1));
    refused_with("window");
    check_close(test::decode(*context, more, 0), test::decode(*loaded.context(), join(prefix, more)));
}

TEST_CASE("removing the tail and decoding again equals a fresh context") {
    const char* device = GENERATE("ref", "cpu");
    const bool window = GENERATE(false, true);
    const Loaded loaded = load_model(window ? tiny_window(60) : tiny_llama(), device);
    const Ids first = random_tokens(66, 1), again = random_tokens(20, 2);
    const auto context = loaded.context();
    test::decode(*context, first);
    REQUIRE(context->remove(0, 40, -1));
    CHECK(*context->n_token(0) == 40);
    CHECK(*context->positions(0) == std::pair{0, 39});
    check_close(test::decode(*context, again), test::decode(*loaded.context(), join(slice(first, 0, 40), again)));
}

TEST_CASE("a recurrent model refuses to forget a part, and forgets the whole") {
    const Loaded loaded = load_model(tiny_recurrent(), "cpu");
    const auto context = loaded.context();
    const Ids tokens = random_tokens(20, 1), more = random_tokens(4, 2);
    test::decode(*context, tokens);
    CHECK_FALSE(context->remove(0, 10, -1));
    refused_with("recurrent");
    CHECK_FALSE(context->remove(0, 3, 5));
    refused_with("recurrent");
    CHECK(*context->n_token(0) == 20);
    check_close(test::decode(*context, more), test::decode(*loaded.context(), join(tokens, more)));
    REQUIRE(context->remove(0, 0, -1));
    CHECK(*context->positions(0) == std::pair{-1, -1});
    check_close(test::decode(*context, tokens), test::decode(*loaded.context(), tokens));
}

// In a model of one layer keys and values depend on nothing but their own token and position, so what stays after a removal is
// what a fresh context would hold at the same positions. Turned keys differ by the rounding of angles: at most 256 radians,
// rounded twice, move a key by 2 * 256 roundings, a score by twice that. Under YaRN a key has a length that it keeps when it turns.
TEST_CASE("removing from the middle, with or without a shift, equals a fresh context of one layer") {
    const char* device = GENERATE("ref", "cpu");
    INFO(device << ", HEARTH_TEST_SEED=" << seed());
    const Loaded loaded = load_model(tiny_llama(1), device);
    const Ids tokens = random_tokens(100, 1), more = random_tokens(5, 2);
    const Ids left = join(slice(tokens, 0, 13), slice(tokens, 50, 100));
    const bool shared = GENERATE(false, true), yarn = GENERATE(false, true);
    ContextOptions options;
    options.n_ctx = 256;
    options.n_seq_max = 2;
    if (yarn) {
        options.rope.scaling_type = 2;
        options.rope.freq_scale = 0.25;
        options.rope.yarn_orig_ctx = 64;
    }
    const auto context = loaded.context(options);
    test::decode(*context, tokens);
    if (shared) REQUIRE(context->copy(0, 1, 0, -1));
    REQUIRE(context->remove(0, 13, 50));
    CHECK(*context->n_token(0) == 63);
    Ids pos;
    for (int32_t i = 0; i < 13; ++i) pos.push_back(i);
    for (int32_t i = 50; i < 105; ++i) pos.push_back(i);
    SECTION("positions stay") {
        check_close(test::decode(*context, more), test::decode(*loaded.context(options), join(left, more), 0, pos));
    }
    SECTION("positions close up") {
        REQUIRE(context->shift(0, 13, -1, -37));
        CHECK(*context->positions(0) == std::pair{0, 62});
        check_close(test::decode(*context, more), test::decode(*loaded.context(options), join(left, more)), 4 * 256);
    }
    if (shared) check_close(test::decode(*context, more, 1), test::decode(*loaded.context(options), join(tokens, more)));
}

TEST_CASE("rotary attention sees distances only: a sequence shifted as a whole answers as before") {
    const char* device = GENERATE("ref", "cpu");
    const bool shared = GENERATE(false, true);
    INFO(device << ", HEARTH_TEST_SEED=" << seed());
    const Loaded loaded = load_model(tiny_llama(), device);
    const Ids tokens = random_tokens(70, 1), more = random_tokens(3, 2);
    const auto context = loaded.context(256, 2);
    test::decode(*context, tokens);
    if (shared) REQUIRE(context->copy(0, 1, 0, -1));
    REQUIRE(context->shift(0, 0, -1, 55));
    CHECK(*context->positions(0) == std::pair{55, 124});
    const Logits expected = test::decode(*loaded.context(), join(tokens, more));
    check_close(test::decode(*context, more), expected, 4 * 256);
    if (shared) check_close(test::decode(*context, more, 1), expected);
}

TEST_CASE("a shift that would mix up positions is refused and changes nothing") {
    const Loaded loaded = load_model(tiny_llama(), "cpu");
    const auto context = loaded.context();
    const Ids tokens = random_tokens(40, 1), more = random_tokens(3, 2);
    test::decode(*context, tokens);
    CHECK_FALSE(context->shift(0, 0, -1, -1));
    CHECK_FALSE(context->shift(0, 10, -1, -1));
    refused_with("order");
    CHECK_FALSE(context->shift(0, 0, 10, 1));
    CHECK_FALSE(context->shift(0, 10, -1, INT32_MAX));
    CHECK_FALSE(context->shift(0, 10, -1, INT32_MIN));
    CHECK(*context->positions(0) == std::pair{0, 39});
    check_close(test::decode(*context, more), test::decode(*loaded.context(), join(tokens, more)));
}

TEST_CASE("keep forgets every other sequence and frees their places") {
    const Loaded loaded = load_model(tiny_llama(), "cpu");
    const auto context = loaded.context(128, 3);
    const Ids tokens = random_tokens(60, 1), more = random_tokens(60, 2);
    for (int32_t seq : {0, 1}) test::decode(*context, tokens, seq);
    REQUIRE(context->keep(1));
    CHECK(*context->n_token(0) == 0);
    CHECK(*context->n_token(1) == 60);
    check_close(test::decode(*context, more, 1), test::decode(*loaded.context(), join(tokens, more)));
}

TEST_CASE("a window model answers right far beyond its window, in a pool of a few pages") {
    const char* device = GENERATE("ref", "cpu");
    INFO(device << ", HEARTH_TEST_SEED=" << seed());
    const Loaded loaded = load_model(tiny_window(24), device);
    const Ids tokens = random_tokens(250, 1);
    const auto context = loaded.context(256, 1, 16);  // the window group: ceil((24 + 16) / 32) + 1 = 3 of 8 pages
    const auto whole = loaded.context(256, 1, 256);
    CHECK(context->bytes().sum().cache_bytes < whole->bytes().sum().cache_bytes);
    check_close(test::decode(*context, tokens), test::decode(*whole, tokens));
    for (int32_t token : random_tokens(6, 2)) check_close(test::decode(*context, {token}), test::decode(*whole, {token}));
}

// Pages leave a window group between steps, so steps of one token meet every place where one may leave too early.
TEST_CASE("a window model gives every token of a prompt the same logits one by one as all at once") {
    const char* device = GENERATE("ref", "cpu");
    const int64_t window = GENERATE(20, 33);
    INFO(device << ", window " << window << ", HEARTH_TEST_SEED=" << seed());
    const Loaded loaded = load_model(tiny_window(window), device);
    const Ids tokens = random_tokens(110, 1);
    ContextOptions options;
    options.n_ctx = options.n_batch = options.n_output_max = 128;
    const auto whole = loaded.context(options), single = loaded.context(options);
    const std::vector<uint8_t> want(tokens.size(), 1);
    Batch batch;
    batch.n_token = static_cast<int32_t>(tokens.size());
    batch.token = tokens.data();
    batch.want_logits = want.data();
    REQUIRE(whole->decode(batch));
    for (std::size_t i = 0; i < tokens.size(); ++i)
        check_close(test::decode(*single, {tokens[i]}), row(*whole, static_cast<int32_t>(i)));
}

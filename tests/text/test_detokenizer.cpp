// Streaming gives the same text as detokenizing at once, and never half a character.
#include "small_vocabs.hpp"
#include "support/catch.hpp"
#include "support/support.hpp"
#include "text/detokenizer.hpp"
#include "text/utf8.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

std::string stream(Detokenizer& out, const std::vector<std::int32_t>& ids) {
    std::string text;
    for (const std::int32_t id : ids) {
        const auto piece = out.feed(id);
        REQUIRE(piece);
        CHECK(is_utf8(*piece));
        CHECK(out.held_bytes() <= 3);
        text += *piece;
    }
    text += out.flush();
    CHECK(out.held_bytes() == 0);
    return text;
}

constexpr std::string_view kMixed = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z\xED\x9E\xA3\xF4\x8F\xBF\xBF";

}  // namespace

TEST_CASE("a character split over byte tokens comes out whole, at its last byte") {
    const auto vocab = small_spm().make();
    Detokenizer out(*vocab);
    for (const std::string text : {"\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"}) {
        for (std::size_t i = 0; i < text.size(); ++i) {
            const auto piece = out.feed(3 + static_cast<std::uint8_t>(text[i]));
            REQUIRE(piece);
            CHECK(*piece == (i + 1 == text.size() ? text : ""));
        }
    }
}

TEST_CASE("every way to cut a text into two tokens streams to the same text") {
    for (std::size_t cut = 1; cut < kMixed.size(); ++cut) {
        SmallVocab small;
        small.base.model = "gpt2";
        small.base.pre = "gpt-2";
        std::string halves[2];
        const std::string_view bytes[2] = {kMixed.substr(0, cut), kMixed.substr(cut)};
        for (int i = 0; i < 2; ++i) {
            const auto alphabet = small_bpe().make();
            for (const char c : bytes[i]) halves[i] += alphabet->token_text(static_cast<std::uint8_t>(c));
            small.add(halves[i]);
        }
        small.merge("a b");
        const auto vocab = small.make();
        Detokenizer out(*vocab);
        INFO("cut " << cut);
        CHECK(stream(out, {0, 1}) == kMixed);
    }
}

TEST_CASE("broken bytes become U+FFFD, once per broken sequence, and do not eat what follows") {
    const auto vocab = small_bpe().make();
    Detokenizer out(*vocab);
    const auto bytes = [](std::string_view text) {
        std::vector<std::int32_t> ids;
        for (const char c : text) ids.push_back(static_cast<std::uint8_t>(c));
        return ids;
    };
    const std::string bad = "\xEF\xBF\xBD";
    CHECK(stream(out, bytes("\xF0\x9F\x98")) == bad);
    CHECK(stream(out, bytes("\xE2\x82z")) == bad + "z");
    CHECK(stream(out, bytes("\x80\x80")) == bad + bad);
    CHECK(stream(out, bytes("\xC3\xC3\xA9")) == bad + "\xC3\xA9");
    CHECK(stream(out, bytes("\xC0\xAF")) == bad + bad);
    CHECK(stream(out, bytes("\xED\xA0\x80")) == bad + bad + bad);
}

TEST_CASE("streaming random tokens equals repairing the whole") {
    const auto vocab = GENERATE(0, 1) == 0 ? small_spm().make() : small_bpe().make();
    Random random(seed());
    for (int round = 0; round < 200; ++round) {
        std::vector<std::int32_t> ids;
        for (std::uint64_t i = random.below(40); i > 0; --i)
            ids.push_back(
                static_cast<std::int32_t>(random.below(static_cast<std::uint64_t>(vocab->n_token()))));
        const auto whole = vocab->detokenize(ids);
        REQUIRE(whole);
        Detokenizer out(*vocab);
        CHECK(stream(out, ids) == to_utf8(*whole, Replace::each_sequence));
    }
}

TEST_CASE("the space that SPM puts in front is taken away once, and only when asked") {
    const auto vocab = small_spm().make();
    const auto ids = ids_of(*vocab, "hello hello", {true, false});
    CHECK(ids.front() == vocab->bos());
    Detokenizer out(*vocab);
    CHECK(stream(out, ids) == "hello hello");
    CHECK(stream(out, ids) == "hello hello");
    Detokenizer kept(*vocab, {false, false});
    CHECK(stream(kept, ids) == " hello hello");
    Detokenizer shown(*vocab, {true, true});
    CHECK(stream(shown, ids) == "<s>hello hello");
}

TEST_CASE("an id outside the vocabulary is an error in both detokenizers and empty as a piece") {
    const auto vocab = small_bpe().make();
    Detokenizer out(*vocab);
    for (const std::int32_t id : {-1, vocab->n_token(), INT32_MAX, INT32_MIN}) {
        CHECK_FALSE(out.feed(id));
        CHECK_FALSE(vocab->detokenize({id}));
        CHECK(vocab->piece(id).empty());
        CHECK(vocab->token_text(id).empty());
        CHECK(vocab->attributes(id) == 0);
        CHECK_FALSE(vocab->is_eog(id));
    }
}

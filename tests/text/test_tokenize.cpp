// What each algorithm does with vocabularies that one can follow by hand.
#include "small_vocabs.hpp"
#include "support/catch.hpp"
#include "support/support.hpp"

using namespace hearth;
using namespace hearth::test;
using Words = std::vector<std::string>;

TEST_CASE("SPM merges the highest score first and falls back to bytes") {
    const auto vocab = small_spm().make();
    const std::string mark = "\xE2\x96\x81";
    CHECK(words_of(*vocab, "hello") == Words{mark + "hello"});
    CHECK(words_of(*vocab, "hell") == Words{mark, "hell"});
    CHECK(words_of(*vocab, "lll") == Words{mark, "ll", "l"});
    CHECK(words_of(*vocab, "\xC3\xA9") == Words{mark, "<0xC3>", "<0xA9>"});
    CHECK(words_of(*vocab, "\xFF") == Words{mark, "<0xFF>"});
    CHECK(ids_of(*vocab, "").empty());
    CHECK(ids_of(*vocab, "", {true, false}) == std::vector<std::int32_t>{1});
}

TEST_CASE("SPM without byte tokens gives one unknown per character") {
    SmallVocab small;
    small.base.model = "llama";
    small.base.add_space_prefix = false;
    const auto vocab =
        small.add("<unk>", kUnknown).add("<s>", kControl).add("</s>", kControl).add("a").make();
    CHECK(words_of(*vocab,
                   "a\xE2\x82\xAC"
                   "a") == Words{"a", "<unk>", "a"});
}

TEST_CASE("SPM tokenizes any bytes and gives them back") {
    const auto vocab = small_spm().make();
    Random random(seed());
    for (int round = 0; round < 200; ++round) {
        std::string text;
        for (std::uint64_t i = random.below(60); i > 0; --i)
            text += random.below(3) ? "helo wrd"[random.below(8)] : static_cast<char>(random.below(256));
        const auto back = vocab->detokenize(ids_of(*vocab, text));
        REQUIRE(back);
        CHECK(*back == text);
    }
}

TEST_CASE("BPE follows merge ranks inside words, and words come from the pre-tokenizer") {
    const auto vocab = small_bpe().make();
    const std::string space = "\xC4\xA0";
    CHECK(words_of(*vocab, "hello world") == Words{"hello", space + "world"});
    CHECK(words_of(*vocab, "hell world") == Words{"hell", space + "world"});
    CHECK(words_of(*vocab, "hello  world") == Words{"hello", space, space + "world"});
    CHECK(words_of(*vocab, "lll") == Words{"ll", "l"});
}

TEST_CASE("ignore_merges keeps a word that is a token") {
    SmallVocab small = small_bpe("llama3");
    small.add("xyz");
    CHECK(words_of(*small.make(), "xyz") == Words{"xyz"});
    SmallVocab other = small_bpe("gpt-2");
    other.add("xyz");
    CHECK(words_of(*other.make(), "xyz") == Words{"x", "y", "z"});
}

TEST_CASE("byte-level BPE gives valid text back exactly and replaces each stray byte") {
    const auto vocab = small_bpe().make();
    const std::string text = "h\xC3\xA9llo \xF0\x9F\x98\x80\r\n\t world\xE3\x80\x80";
    CHECK(*vocab->detokenize(ids_of(*vocab, text)) == text);
    CHECK(*vocab->detokenize(ids_of(*vocab,
                                    "a\xE2\x82"
                                    "b")) ==
          "a\xEF\xBF\xBD\xEF\xBF\xBD"
          "b");
}

TEST_CASE("special tokens are parsed only on request, user-defined ones always, the longest first") {
    const auto vocab = small_bpe().make();
    const std::string text = "hello<|end|><tool><tool>er";
    CHECK(words_of(*vocab, text, {false, true}) == Words{"hello", "<|end|>", "<tool>", "<tool>er"});
    const auto plain = words_of(*vocab, text);
    CHECK(std::count(plain.begin(), plain.end(), "<|end|>") == 0);
    CHECK(std::count(plain.begin(), plain.end(), "<tool>") == 1);
    CHECK(plain.back() == "<tool>er");
    CHECK(vocab->is_eog(vocab->find("<|end|>")));
    CHECK(*vocab->detokenize(ids_of(*vocab, text, {false, true})) == "hello<tool><tool>er");
    CHECK(*vocab->detokenize(ids_of(*vocab, text, {false, true}), {true, true}) == text);
}

TEST_CASE("phi-3 special tokens take the white space after them") {
    SmallVocab small = small_spm();
    small.base.name = "Phi3";
    small.add("<|user|>", kControl);
    const auto vocab = small.make();
    CHECK(words_of(*vocab, "<|user|> \n hello", {false, true}) == Words{"<|user|>", "\xE2\x96\x81hello"});
    CHECK(words_of(*vocab, "<s> h", {false, true}).size() > 2);
}

TEST_CASE("WordPiece lowercases, strips accents, splits and matches greedily") {
    const auto vocab = small_wordpiece().make();
    const std::string mark = "\xE2\x96\x81";
    CHECK(words_of(*vocab, "Undone.", {true, false}) ==
          Words{"[CLS]", mark + "un", "do", "ne", mark + ".", "[SEP]"});
    CHECK(words_of(*vocab,
                   "CAF\xC3\x89 \xE4\xB8\xAD"
                   "do") == Words{mark + "cafe", mark + "\xE4\xB8\xAD", mark + "do"});
    CHECK(words_of(*vocab, "unx done") == Words{"[UNK]", mark + "do", "ne"});
    CHECK(words_of(*vocab, std::string(101, 's')) == Words{"[UNK]"});
    CHECK(*vocab->detokenize(ids_of(*vocab, "undone undo")) == "undone undo");
}

TEST_CASE("a bad vocabulary is refused with a sentence that says where") {
    const auto message = [](const VocabSource& source) {
        return make_vocab(source) ? std::string("accepted") : std::string(error_record().message);
    };
    const SmallVocab small = small_bpe();
    VocabSource source = small.source();
    source.scores.pop_back();
    CHECK_THAT(message(source), contains("scores"));
    source = small.source();
    source.types.pop_back();
    CHECK_THAT(message(source), contains("token_type"));
    source = small.source();
    source.scores[7] = std::numeric_limits<float>::quiet_NaN();
    CHECK_THAT(message(source), contains("entry 7"));
    for (const std::string_view merge : {"", "ab", "ab ", " ab"}) {
        source = small.source();
        source.merges[3] = merge;
        CHECK_THAT(message(source), contains("entry 3"));
    }
    source = small.source();
    source.merges.clear();
    CHECK_THAT(message(source), contains("merges"));
    source = small.source();
    source.tokens.clear();
    CHECK_THAT(message(source), contains("no tokens"));
    source = small.source();
    source.model = "rwkv";
    CHECK_THAT(message(source), contains("'rwkv'") && contains("llama"));
}

TEST_CASE("an unknown pre-tokenizer is an error that lists the known ones, and can be overridden") {
    const SmallVocab small = small_bpe("brand-new");
    CHECK_FALSE(make_vocab(small.source()));
    CHECK_THAT(error_record().message,
               contains("'brand-new'") && contains("pre_tokenizer") && contains("qwen2"));
    VocabSource source = small.source();
    source.pre_override = "gpt-2";
    const auto vocab = make_vocab(source);
    REQUIRE(vocab);
    CHECK((*vocab)->pre_tokenizer() == "gpt-2");
}

TEST_CASE("special ids out of range are ignored with a warning, all ones means none") {
    SmallVocab small = small_bpe("llama3");
    small.base.role[static_cast<std::size_t>(Role::bos)] = 1'000'000;
    small.base.role[static_cast<std::size_t>(Role::pad)] = UINT32_MAX;
    const auto vocab = small.make();
    CHECK(vocab->bos() == -1);
    CHECK_FALSE(vocab->add_bos());
    CHECK(vocab->warnings().size() == 2);
    CHECK(ids_of(*vocab, "", {true, true}).empty());
}

TEST_CASE("a model without a tokenizer says so") {
    VocabSource source;
    source.model = "none";
    const auto vocab = make_vocab(source);
    REQUIRE(vocab);
    CHECK((*vocab)->n_token() == 0);
    CHECK_FALSE((*vocab)->tokenize("x"));
    CHECK((*vocab)->piece(0).empty());
}

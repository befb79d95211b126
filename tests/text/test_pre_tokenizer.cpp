// The rules cut known texts as the models' own tokenizers do, and cut any text completely and in bounded
// time.
#include "support/catch.hpp"
#include "support/support.hpp"
#include "text/pre_tokenizer.hpp"
#include "text/utf8.hpp"

#include <chrono>

using namespace hearth;
using namespace hearth::test;
using Words = std::vector<std::string>;

namespace {

std::unique_ptr<PreTokenizer> make(std::string_view name) {
    const auto rule = find_pre_rule(name);
    REQUIRE(rule);
    auto pre = PreTokenizer::make(**rule);
    if (!pre) FAIL(error_record().message);
    return *std::move(pre);
}

Words cut(std::string_view name, std::string_view text) {
    std::vector<std::size_t> ends;
    if (!make(name)->split(text, ends)) FAIL(error_record().message);
    Words words;
    std::size_t begin = 0;
    for (const std::size_t end : ends) {
        words.emplace_back(text.substr(begin, end - begin));
        begin = end;
    }
    return words;
}

}  // namespace

TEST_CASE("each family cuts words, digits and spaces its own way") {
    CHECK(cut("gpt-2", "I'm 12345  ok") == Words{"I", "'m", " 12345", " ", " ok"});
    CHECK(cut("gpt-2", "I'M") == Words{"I", "'", "M"});
    CHECK(cut("llama3", "I'M 12345  ok") == Words{"I", "'M", " ", "123", "45", " ", " ok"});
    CHECK(cut("llama3", "a!!\n\n b") == Words{"a", "!!\n\n", " b"});
    CHECK(cut("qwen2", "a12") == Words{"a", "1", "2"});
    CHECK(cut("starcoder", "x 12") == Words{"x", " ", "1", "2"});
    CHECK(cut("tekken", "camelCase XMLFile") == Words{"camel", "Case", " XMLFile"});
    CHECK(cut("gpt-4o", "camelCase's/\n") == Words{"camel", "Case's", "/\n"});
    CHECK(cut("deepseek-v3", "1234 .word.x") == Words{"123", "4", " .", "word", ".x"});
    CHECK(cut("deepseek-llm", "ab  12\ncd  ") == Words{"ab", "  ", "12", "\n", "cd", "  "});
    CHECK(cut("superbpe", "a1234567b") == Words{"a", "1", "234", "567", "b"});
    CHECK(cut("tiny_aya", "1234567 1234a") == Words{"1", "234", "567", " ", "123", "4", "a"});
    CHECK(cut("gemma4", "a b\n\nc") == Words{"a b", "\n\n", "c"});
    CHECK(cut("falcon", "a+1234") == Words{"a", "+", "123", "4"});
    CHECK(cut("bloom", "hi, you") == Words{"hi", ",", " you"});
    CHECK(cut("viking", "hi 12") == Words{"hi", " ", "1", "2"});
    CHECK(cut("kimi-k2", "ab\xE4\xB8\xAD\xE6\x96\x87 c") == Words{"ab", "\xE4\xB8\xAD\xE6\x96\x87", " c"});
    CHECK(cut("exaone-moe", "a b c1") == Words{"a b c", "1"});
    // A combining mark stays with its letter only where the pattern says so.
    CHECK(cut("qwen2", "e\xCC\x81") == Words{"e", "\xCC\x81"});
    CHECK(cut("qwen35", "e\xCC\x81") == Words{"e\xCC\x81"});
    // Unicode spaces and digits count.
    CHECK(cut("gpt-2",
              "a\xE3\x80\x80\xE3\x80\x80"
              "b") == Words{"a", "\xE3\x80\x80", "\xE3\x80\x80", "b"});
    CHECK(cut("llama3", "\xD9\xA1\xD9\xA2\xD9\xA3\xD9\xA4") == Words{"\xD9\xA1\xD9\xA2\xD9\xA3", "\xD9\xA4"});
}

TEST_CASE("every rule cuts random text into words that add up to it") {
    Random random(seed());
    for (const std::string_view name : pre_tokenizer_names()) {
        const auto pre = make(name);
        for (int round = 0; round < 20; ++round) {
            std::string text;
            for (std::uint64_t i = random.below(200); i > 0; --i) {
                const bool plain = random.below(2);
                const auto code =
                    static_cast<std::uint32_t>(plain ? random.below(128) : random.below(0x2FFFF));
                if (code < 0xD800 || code > 0xDFFF) append_utf8(text, code);
            }
            std::vector<std::size_t> ends;
            INFO(name);
            REQUIRE(pre->split(text, ends));
            CHECK(std::is_sorted(ends.begin(), ends.end(), std::less_equal<>()));
            CHECK((ends.empty() ? 0 : ends.back()) == text.size());
            for (const std::size_t end : ends)
                CHECK((end == text.size() || (static_cast<std::uint8_t>(text[end]) & 0xC0) != 0x80));
        }
    }
}

TEST_CASE("no rule takes quadratic time on long runs") {
    // A few steps per character take well under a second even on a busy machine; half the square of this
    // length is 1e10 steps, which at two nanoseconds each is 20 s.
    constexpr std::size_t n = 150'000;
    constexpr std::chrono::seconds kLimit(10);
    const auto repeat = [](std::string_view unit) {
        std::string text;
        while (text.size() < n) text += unit;
        return text;
    };
    const std::string texts[] = {repeat(" ") + "x",  repeat("\n") + "x",     repeat("7") + "x",
                                 repeat("A") + "1",  repeat("a "),           repeat(" \n "),
                                 repeat("'"),        repeat("\xE4\xB8\xAD"), repeat("7"),
                                 repeat("a\xCC\x81")};
    std::vector<std::size_t> ends;
    for (const std::string_view name :
         {"llama3",         "gpt-2",       "qwen35",  "gpt-4o",   "tekken",     "tiny_aya",   "deepseek-llm",
          "deepseek-coder", "deepseek-v3", "afmoe",   "youtu",    "starcoder",  "falcon",     "bloom",
          "viking",         "gemma4",      "kimi-k2", "superbpe", "bailingmoe", "seed-coder", "exaone-moe",
          "jais-2",         "chameleon",   "default", "minicpm5", "laguna"}) {
        const auto pre = make(name);
        for (const std::string& text : texts) {
            const auto start = std::chrono::steady_clock::now();
            INFO(name << " on " << text.substr(0, 6) << "...");
            if (!pre->split(text, ends)) FAIL(error_record().message);
            CHECK(ends.back() == text.size());
            CHECK((std::chrono::steady_clock::now() - start < kLimit));
        }
    }
}

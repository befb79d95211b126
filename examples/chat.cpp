// A conversation in C++: lines from stdin, answers on stdout. Usage: chat MODEL.gguf
#include <hearth/hearth.hpp>

#include <iostream>
#include <nlohmann/json.hpp>

namespace {

// One answer: what the context does not hold yet is run, then tokens come until the model ends its turn.
hearth::Result<std::string> answer(const hearth::Model& model, hearth::Context& context,
                                   hearth::Sampler& sampler, const nlohmann::json& messages) {
    const nlohmann::json chat = {{"messages", messages}, {"add_generation_prompt", true}};
    const auto prompt = model.render_chat(chat.dump());
    if (!prompt) return prompt.error();
    auto tokens = model.tokenize(*prompt, HEARTH_TOKENIZE_PARSE);
    if (!tokens) return tokens.error();
    if (auto cleared = context.clear(); !cleared) return cleared.error();
    auto stream = hearth::Detokenizer::create(model);
    if (!stream) return stream.error();
    std::string text;
    for (uint64_t position = tokens->size();; ++position) {
        if (auto done = context.decode(*tokens); !done) return done.error();
        const auto logits = context.logits();
        if (!logits) return logits.error();
        const auto token = sampler.sample(*logits, position);
        if (!token) return token.error();
        if (auto end = model.is_eog(*token); !end || *end) return text;
        const auto piece = stream->feed(*token);  // whole characters only
        if (!piece) return piece.error();
        std::cout << *piece << std::flush;
        text += *piece;
        *tokens = {*token};
    }
}

int failed(const hearth::Error& error) { return std::cerr << "chat: " << error.message << '\n', 1; }

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2) return std::cerr << "usage: chat MODEL.gguf\n", 2;
    const auto runtime = hearth::Runtime::create();
    if (!runtime) return failed(runtime.error());
    const auto model = hearth::Model::load(*runtime, argv[1]);
    if (!model) return failed(model.error());
    hearth::ContextOptions options;
    options.n_ctx = options.n_batch = 2048;
    auto context = hearth::Context::create(*model, options);
    if (!context) return failed(context.error());
    auto sampler = hearth::Sampler::create(*model, {.preset = "llama.cpp", .options = "temperature=0.7"});
    if (!sampler) return failed(sampler.error());
    nlohmann::json messages = nlohmann::json::array();
    for (std::string line; std::cout << "> " << std::flush && std::getline(std::cin, line);) {
        messages.push_back({{"role", "user"}, {"content", line}});
        auto text = answer(*model, *context, *sampler, messages);
        if (!text) return failed(text.error());
        std::cout << '\n';
        messages.push_back({{"role", "assistant"}, {"content", *text}});
    }
}

// hearth run: generates text from a prompt, answers one message, or holds a conversation.
#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "generate.hpp"
#include "terminal.hpp"

namespace cli {

namespace {

constexpr int32_t kDefaultContext = 4096;

using Json = nlohmann::json;

Json message(const char* role, const std::string& content) { return {{"role", role}, {"content", content}}; }

// The tokens of a conversation through the model's chat template; with BOS in front where the model wants
// one, whether or not the template writes it.
Result<std::vector<int32_t>> chat_tokens(const hearth::Model& model, const Json& messages) {
    const Json context = {{"messages", messages}, {"add_generation_prompt", true}};
    const auto text = model.render_chat(context.dump(-1, ' ', false, Json::error_handler_t::replace));
    if (!text) return text.error();
    auto tokens = model.tokenize(*text, HEARTH_TOKENIZE_PARSE);
    if (!tokens) return tokens;
    const auto vocab = model.vocab();
    if (!vocab) return vocab.error();
    if (vocab->add_bos && vocab->bos >= 0 && (tokens->empty() || tokens->front() != vocab->bos))
        tokens->insert(tokens->begin(), vocab->bos);
    return tokens;
}

int report(const Answer& answer, bool interactive) {
    if (answer.full) say("the context is full: use a larger --ctx");
    say(speed_text(answer));
    if (!answer.interrupted || interactive) return kOk;
    say("hearth: stopped by Ctrl-C");
    return kFailed;
}

// Reads messages until the input ends; each answer joins the conversation, also one that Ctrl-C cut short.
int converse(const RunOptions& o, const hearth::Model& model, Generator& generator, Json messages) {
    CLI_TRY(std::string line, read_text(o.prompt));  // the first message, if -p or -f gives one
    bool ready = o.prompt.given;
    for (;;) {
        if (!ready && stdin_is_terminal()) std::cerr << "> " << std::flush;
        if (!ready && !std::getline(std::cin, line)) break;
        ready = false;
        if (line.empty()) continue;
        messages.push_back(message("user", line));
        CLI_TRY(const auto prompt, chat_tokens(model, messages));
        CLI_TRY(const Answer answer, generator.answer(prompt, o.n_predict));
        std::cout << std::endl;
        messages.push_back(message("assistant", answer.text));
        report(answer, true);
    }
    return kOk;
}

Result<hearth::Context> make_context(const RunOptions& o, const hearth::Model& model) {
    auto options = context_options(o.context);
    if (!options) return options.error();
    const auto info = model.info();
    if (!info) return info.error();
    if (options->n_ctx == 0) {
        options->n_ctx =
            info->n_ctx_train > 0 ? std::min(info->n_ctx_train, kDefaultContext) : kDefaultContext;
    }
    return hearth::Context::create(model, *options);
}

int generate(const RunOptions& o, const hearth::Model& model, Generator& generator) {
    Json messages = Json::array();
    if (!o.system.empty()) messages.push_back(message("system", o.system));
    if (o.interactive) return converse(o, model, generator, std::move(messages));
    CLI_TRY(const std::string text, read_text(o.prompt));
    std::vector<int32_t> prompt;
    if (o.chat) {
        messages.push_back(message("user", text));
        CLI_TRY(prompt, chat_tokens(model, messages));
    } else {
        CLI_TRY(prompt, model.tokenize(text));
    }
    CLI_TRY(const Answer answer, generator.answer(prompt, o.n_predict));
    std::cout << std::endl;
    return report(answer, false);
}

}  // namespace

int run(const RunOptions& o) {
    if (!o.interactive && !o.prompt.given)
        return usage("run needs a prompt: -p TEXT, -f FILE, or -i for a conversation");
    CLI_TRY(const auto runtime, make_runtime(o.model));
    CLI_TRY(const auto wanted, context_options(o.context));
    CLI_TRY(const auto model, load_model(runtime, o.model, false, &wanted));
    hearth::SamplerOptions sampling;
    sampling.preset = o.preset;
    sampling.options = o.sampling;
    sampling.seed = o.seed;
    auto sampler = hearth::Sampler::create(model, sampling);
    if (!sampler) return usage(sampler.error().message);
    CLI_TRY(auto context, make_context(o, model));
    CLI_TRY(auto generator,
            Generator::create(model, std::move(context), *std::move(sampler), o.context.n_batch, o.special));
    return generate(o, model, generator);
}

}  // namespace cli

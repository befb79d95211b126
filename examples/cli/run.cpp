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
    if (answer.full) say("the context is full, so the answer was cut off: use a larger --ctx");
    say(speed_text(answer));
    if (!answer.interrupted || interactive) return kOk;
    say("hearth: stopped by Ctrl-C");
    return kFailed;
}

// The conversation as tokens. Where it leaves less than a quarter of the context for the answer, its oldest exchanges are
// forgotten, down to half of the context, but never the system message. Fails, with nothing forgotten, where the last
// message does not even fit alone.
Result<std::vector<int32_t>> fitting_tokens(const hearth::Model& model, Json& messages, int32_t n_ctx) {
    auto tokens = chat_tokens(model, messages);
    if (!tokens || std::ssize(*tokens) <= n_ctx - n_ctx / 4) return tokens;
    Json kept = messages;
    const int first = kept[0]["role"] == "system" ? 1 : 0;
    while (tokens && std::ssize(*tokens) > n_ctx / 2 && std::ssize(kept) >= first + 3) {
        kept.erase(kept.begin() + first, kept.begin() + first + 2);  // a message and its answer
        tokens = chat_tokens(model, kept);
    }
    if (!tokens) return tokens;
    if (std::ssize(*tokens) > n_ctx)
        return Error{HEARTH_E_CONTEXT_FULL, "the message needs " + std::to_string(tokens->size()) + " tokens, but the context holds " +
                                                std::to_string(n_ctx) + ": shorten it or use a larger --ctx"};
    if (kept.size() < messages.size())
        say("the context is full: the oldest " + std::to_string(messages.size() - kept.size()) + " messages are forgotten");
    messages = std::move(kept);
    return tokens;
}

// Reads messages until the input ends; each answer joins the conversation, also one that was cut short. A message that
// is too long is left out, and the conversation goes on.
int converse(const RunOptions& o, const hearth::Model& model, Generator& generator, int32_t n_ctx, Json messages) {
    CLI_TRY(std::string line, read_text(o.prompt));  // the first message, if -p or -f gives one
    bool ready = o.prompt.given;
    int code = kOk;
    for (;;) {
        if (!ready && stdin_is_terminal()) std::cerr << "> " << std::flush;
        if (!ready && !std::getline(std::cin, line)) break;
        ready = false;
        if (line.empty()) continue;
        messages.push_back(message("user", line));
        const auto prompt = fitting_tokens(model, messages, n_ctx);
        if (!prompt && prompt.status() == HEARTH_E_CONTEXT_FULL) {
            code = failed(prompt.error());
            messages.erase(messages.size() - 1);
            continue;
        }
        if (!prompt) return failed(prompt.error());
        CLI_TRY(const Answer answer, generator.answer(*prompt, o.n_predict));
        std::cout << std::endl;
        messages.push_back(message("assistant", answer.text));
        report(answer, true);
    }
    return code;
}

// n_ctx is filled in.
Result<hearth::ContextOptions> run_context(const RunOptions& o, const hearth::Model& model) {
    auto options = context_options(o.context);
    if (!options || options->n_ctx > 0) return options;
    const auto info = model.info();
    if (!info) return info.error();
    options->n_ctx = info->n_ctx_train > 0 ? std::min(info->n_ctx_train, kDefaultContext) : kDefaultContext;
    return options;
}

int generate(const RunOptions& o, const hearth::Model& model, Generator& generator, int32_t n_ctx) {
    Json messages = Json::array();
    if (!o.system.empty()) messages.push_back(message("system", o.system));
    if (o.interactive) return converse(o, model, generator, n_ctx, std::move(messages));
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
    CLI_TRY(const auto options, run_context(o, model));
    CLI_TRY(auto context, hearth::Context::create(model, options));
    CLI_TRY(auto generator,
            Generator::create(model, std::move(context), *std::move(sampler), o.context.n_batch, o.special));
    return generate(o, model, generator, options.n_ctx);
}

}  // namespace cli

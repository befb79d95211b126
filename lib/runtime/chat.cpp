// Completes the template's variables with what the model knows, and renders.
#include "runtime/chat.hpp"

#include <nlohmann/json.hpp>

#include "text/chat.hpp"

namespace hearth {

Result<std::string> render_chat(const Model& model, std::string_view source, std::string_view context_json) {
    const std::string_view text = source.empty() ? std::string_view(model.chat_template()) : source;
    if (text.empty())
        return fail(Code::not_found, "{}: the model has no chat template; give one", model.source().name());
    auto context = nlohmann::ordered_json::parse(context_json, nullptr, false);
    if (context.is_discarded() || !context.is_object())
        return fail(Code::invalid_argument, "the variables of a chat template must be a JSON object");
    if (const Vocab* vocab = model.vocab()) {
        if (!context.contains("bos_token")) context["bos_token"] = vocab->token_text(vocab->bos());
        if (!context.contains("eos_token")) context["eos_token"] = vocab->token_text(vocab->eos());
    }
    HEARTH_TRY(const ChatTemplate chat, ChatTemplate::parse(text));
    return chat.render_json(context.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

}  // namespace hearth

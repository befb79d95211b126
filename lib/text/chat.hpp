// From messages to the prompt that a model was trained on, through the template that its file brings.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace hearth {

namespace jinja {
struct Program;
}

struct ChatMessage {
    std::string role, content;
};

// What a template can make use of, found by rendering small conversations with it.
struct ChatAbilities {
    bool system_role = false;      // a system message reaches the prompt
    bool tools = false;            // tool definitions reach the prompt
    bool tool_calls = false;       // calls in assistant messages reach the prompt
    bool typed_content = false;    // content may be a list of {"type": "text", "text": ...} parts
    bool thinking_switch = false;  // `enable_thinking` changes the prompt
};

struct ChatOptions {
    std::string_view bos_token, eos_token;
    bool add_generation_prompt = true;
    std::optional<int64_t>
        now;  // seconds since 1970-01-01 00:00 in local time, for strftime_now; unset: the clock
};

// A compiled template: immutable, any thread may render with it.
class ChatTemplate {
  public:
    // `name` is what errors call it. Syntax errors are Code::template_error with line and column.
    static Result<ChatTemplate> parse(std::string_view source, std::string_view name = "chat template");

    Result<std::string> render(const std::vector<ChatMessage>& messages,
                               const ChatOptions& options = {}) const;

    // `context` is a JSON object whose members become the template's variables: messages, tools, documents,
    // add_generation_prompt, bos_token, eos_token and any other. Members keep their order.
    Result<std::string> render_json(std::string_view context, std::optional<int64_t> now = {}) const;

    ChatAbilities probe() const;

  private:
    explicit ChatTemplate(std::shared_ptr<const jinja::Program> program) : program_(std::move(program)) {}
    std::shared_ptr<const jinja::Program> program_;
};

}  // namespace hearth

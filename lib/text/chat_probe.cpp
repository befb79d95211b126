// Finds out what a chat template can do by rendering small conversations with it.
#include <string>

#include "text/chat.hpp"

namespace hearth {

namespace {

constexpr int64_t kAnyTime = 1700000000;
constexpr std::string_view kUser = R"({"role":"user","content":"hi-probe"})";

std::string conversation(std::string_view messages, std::string_view more = "") {
    return format_text(R"({{"messages":[{}],"bos_token":"","eos_token":"","add_generation_prompt":true{}}})",
                       messages, more);
}

}  // namespace

ChatAbilities ChatTemplate::probe() const {
    const ErrorRecord before = error_record();  // a probe that fails is an answer, not an error
    const auto text = [&](const std::string& context) {
        auto result = render_json(context, kAnyTime);
        return result ? *std::move(result) : std::string();
    };
    const auto holds = [&](const std::string& context, std::string_view mark) {
        return text(context).find(mark) != std::string::npos;
    };
    ChatAbilities can;
    can.system_role = holds(
        conversation(format_text(R"({{"role":"system","content":"sys-probe"}},{})", kUser)), "sys-probe");
    can.tools =
        holds(conversation(
                  kUser, R"(,"tools":[{"type":"function","function":{"name":"tool_probe","description":"d",)"
                         R"("parameters":{"type":"object","properties":{}}}}])"),
              "tool_probe");
    can.tool_calls = holds(
        conversation(format_text(
            R"({},{{"role":"assistant","content":"","tool_calls":[{{"id":"call_0000","type":"function",)"
            R"("function":{{"name":"call_probe","arguments":{{"a":1}}}}}}]}})",
            kUser)),
        "call_probe");
    const std::string typed =
        text(conversation(R"({"role":"user","content":[{"type":"text","text":"part-probe"}]})"));
    can.typed_content =
        typed.find("part-probe") != std::string::npos && typed.find("'type'") == std::string::npos &&
        typed.find("\"type\"") == std::string::npos;  // a list that was merely printed does not count
    const std::string thinking = text(conversation(kUser, R"(,"enable_thinking":true)"));
    can.thinking_switch =
        !thinking.empty() && thinking != text(conversation(kUser, R"(,"enable_thinking":false)"));
    error_record() = before;
    return can;
}

}  // namespace hearth

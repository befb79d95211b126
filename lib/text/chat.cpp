// Renders chat templates and probes what they can do.
#include "text/chat.hpp"

#include "base/platform.hpp"
#include "text/jinja/format.hpp"
#include "text/jinja/program.hpp"
#include "text/jinja/unicode.hpp"
#include "text/jinja/value.hpp"
#include "text/jinja/vm.hpp"

namespace hearth {

Result<ChatTemplate> ChatTemplate::parse(std::string_view source, std::string_view name) {
    HEARTH_TRY(auto program, jinja::compile(source, name));
    return ChatTemplate(std::make_shared<const jinja::Program>(std::move(program)));
}

Result<std::string> ChatTemplate::render(const std::vector<ChatMessage>& messages,
                                         const ChatOptions& options) const {
    jinja::Vm vm(*program_, {}, options.now ? *options.now : os::local_seconds());
    jinja::Heap& heap = vm.heap;
    auto* context = new jinja::Dict(heap);
    const jinja::Value keep(context);
    std::vector<jinja::Value> list;
    for (const ChatMessage& message : messages) {
        if (!jinja::valid_utf8(message.role) || !jinja::valid_utf8(message.content))
            return fail(Code::invalid_argument, "message {} is not UTF-8", list.size());
        auto* each = new jinja::Dict(heap);
        list.emplace_back(each);
        each->set(heap.string("role"), heap.string(message.role));
        each->set(heap.string("content"), heap.string(message.content));
    }
    context->set(heap.string("messages"), heap.list(std::move(list)));
    context->set(heap.string("bos_token"), heap.string(std::string(options.bos_token)));
    context->set(heap.string("eos_token"), heap.string(std::string(options.eos_token)));
    context->set(heap.string("add_generation_prompt"), jinja::Value::of(options.add_generation_prompt));
    return vm.run(*context);
}

Result<std::string> ChatTemplate::render_json(std::string_view context, std::optional<int64_t> now) const {
    jinja::Vm vm(*program_, {}, now ? *now : os::local_seconds());
    HEARTH_TRY(const jinja::Value value, jinja::parse_json(vm.heap, context, "template context"));
    if (!value.is(jinja::Type::dict))
        return fail(Code::invalid_argument, "the template context must be a JSON object");
    return vm.run(value.dict());
}

}  // namespace hearth

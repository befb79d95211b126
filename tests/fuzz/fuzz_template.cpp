// Any bytes as a chat template: parsing and rendering them ends in text or in an error that names a place.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "text/chat.hpp"

namespace {

constexpr std::string_view kContext =
    R"({"messages":[{"role":"system","content":"s"},{"role":"user","content":"a\nb"},
{"role":"assistant","content":"","tool_calls":[{"function":{"name":"f","arguments":{"x":[1,2.5,null,true]}}}]}],
"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{}}}}],
"bos_token":"<s>","eos_token":"</s>","add_generation_prompt":true,"l":[3,1,2],"d":{"a":{"b":[]}},"s":"text","n":7})";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t n_byte) {
    const auto parsed = hearth::ChatTemplate::parse({reinterpret_cast<const char*>(data), n_byte}, "fuzz");
    hearth::Result<std::string> text = parsed ? parsed->render_json(kContext, 1700000000) : parsed.failure();
    if (text) return 0;
    const hearth::ErrorRecord& record = hearth::error_record();
    if (text.code() != hearth::Code::template_error || record.line == 0 || record.column == 0 ||
        !record.message[0])
        std::abort();
    return 0;
}

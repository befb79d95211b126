// Chat prompts of a loaded model: its template, its special tokens.
#pragma once

#include <string>
#include <string_view>

#include "runtime/model.hpp"

namespace hearth {

// Renders the model's template, or `source` where it is not empty, with a JSON object of variables; bos_token and eos_token
// are the model's unless the object has them.
Result<std::string> render_chat(const Model& model, std::string_view source, std::string_view context_json);

}  // namespace hearth

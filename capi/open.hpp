// From the C parameter structs to the core's options.
#pragma once

#include <hearth/hearth.h>

#include <memory>
#include <string>

#include "runtime/chat.hpp"
#include "runtime/context.hpp"
#include "runtime/model.hpp"
#include "runtime/open.hpp"
#include "runtime/plan.hpp"
#include "runtime/quantize.hpp"

namespace hearth::capi {

Result<std::unique_ptr<TensorSource>> open_source(const hearth_source* source);
Result<ModelOptions> model_options(const hearth_model_params* params, const hearth_source* source);
Result<ContextOptions> context_options(const hearth_context_params* params);
std::string meta_text(const MetaValue& value);  // arrays are cut after 16 entries

}  // namespace hearth::capi

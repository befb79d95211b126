// Opens a model wherever it comes from: a path, a memory block, read callbacks.
#pragma once

#include <memory>
#include <string_view>

#include "base/source.hpp"
#include "format/tensor_source.hpp"

namespace hearth {

Result<std::unique_ptr<TensorSource>> open_model_path(std::string_view path, FileMode mode);
Result<std::unique_ptr<TensorSource>> open_model_memory(const void* data, std::size_t n);
Result<std::unique_ptr<TensorSource>> open_model_callbacks(const ReadCallbacks& callbacks);

}  // namespace hearth

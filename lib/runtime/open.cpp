// Chooses the reader for a model source.
#include "runtime/open.hpp"

#include "format/gguf.hpp"

namespace hearth {

Result<std::unique_ptr<TensorSource>> open_model_path(std::string_view path, FileMode mode) {
    HEARTH_TRY(std::unique_ptr<TensorSource> file, GgufFile::open(path, mode));
    return file;
}

Result<std::unique_ptr<TensorSource>> open_model_memory(const void* data, std::size_t n) {
    HEARTH_TRY(auto source, memory_source(data, n));
    HEARTH_TRY(std::unique_ptr<TensorSource> file, GgufFile::parse(std::move(source)));
    return file;
}

Result<std::unique_ptr<TensorSource>> open_model_callbacks(const ReadCallbacks& callbacks) {
    HEARTH_TRY(auto source, callback_source(callbacks));
    HEARTH_TRY(std::unique_ptr<TensorSource> file, GgufFile::parse(std::move(source)));
    return file;
}

}  // namespace hearth

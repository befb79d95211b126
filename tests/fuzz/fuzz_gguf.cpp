// Fuzz target: any bytes as a GGUF file give an error, or a model that can be read in full and written again.
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "format/gguf.hpp"
#include "format/gguf_writer.hpp"

using namespace hearth;

namespace {

Status read_tensor(const GgufFile& file, const TensorInfo& tensor, std::vector<char>* bytes) {
    bytes->resize(tensor.bytes);  // inside the file, so no larger than the input
    return file.read_rows(tensor, 0, tensor.n_row(), bytes->data());
}

// Whatever the reader accepts, the writer accepts, and the reader accepts that too.
bool survives_writing(const GgufFile& file) {
    GgufContent content;
    content.metadata = file.metadata();
    content.tensors = file.tensors();
    const auto* alignment = file.find("general.alignment");
    if (alignment && std::get<int64_t>(*alignment) > 4096) return true;  // padding of up to 1 GiB proves nothing
    std::string bytes;
    const TensorData data = [&](const TensorInfo& tensor, const ByteSink& out) -> Status {
        std::vector<char> content_bytes;
        HEARTH_CHECK(read_tensor(file, *file.find_tensor(tensor.name), &content_bytes));
        return out(content_bytes.data(), content_bytes.size());
    };
    const ByteSink out = [&](const void* src, std::size_t n) {
        bytes.append(static_cast<const char*>(src), n);
        return Status();
    };
    if (!write_gguf(content, data, out)) return false;
    auto source = memory_source(bytes.data(), bytes.size());
    auto again = GgufFile::parse(*std::move(source));
    return again && (*again)->tensors().size() == file.tensors().size() &&
           (*again)->metadata().size() == file.metadata().size();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    auto source = memory_source(data, size);
    auto file = GgufFile::parse(*std::move(source));
    if (!file) return 0;
    std::vector<char> bytes;
    for (const TensorInfo& tensor : (*file)->tensors())
        if (!read_tensor(**file, tensor, &bytes)) __builtin_trap();
    if (!survives_writing(**file)) __builtin_trap();
    return 0;
}

// Puts the parts of a GGUF model together and reads tensors from them.
#include "format/gguf.hpp"

#include "format/gguf_part.hpp"

namespace hearth {

namespace {

// An integer of this part's metadata, or the fallback.
int64_t integer(const GgufPart& part, std::string_view key, int64_t fallback) {
    const auto found = part.metadata.find(key);
    const int64_t* value = found == part.metadata.end() ? nullptr : std::get_if<int64_t>(&found->second);
    return value ? *value : fallback;
}

constexpr int64_t kMaxPart = 65535;  // split.no is stored in 16 bits

Result<int> count_parts(const Source& source, const GgufPart& part) {
    const int64_t n = integer(part, "split.count", 1);
    if (n < 0 || n > kMaxPart) return fail(Code::bad_file, "{}: the key split.count is {}", source.name(), n);
    return n == 0 ? 1 : static_cast<int>(n);  // 0 = was split once and merged again
}

std::string numbered(int index, int n_part) { return format_text("-{:05}-of-{:05}.gguf", index + 1, n_part); }

}  // namespace

std::string gguf_part_path(std::string_view first, int index, int n_part) {
    const std::string ending = numbered(0, n_part);
    if (!first.ends_with(ending)) return "";
    return std::string(first.substr(0, first.size() - ending.size())) + numbered(index, n_part);
}

Status GgufFile::add_part(const Source& source, int index, int n_part) {
    HEARTH_TRY(GgufPart part, read_gguf_part(source));
    HEARTH_TRY(const int n_claimed, count_parts(source, part));
    const int64_t number = integer(part, "split.no", 0);
    if (n_claimed > 1 && number != index)
        return fail(Code::bad_file, "{}: is part {} of {}, where part {} is expected (open the first part)", source.name(),
                    number + 1, n_claimed, index + 1);
    if (n_claimed != n_part)
        return fail(Code::bad_file, "{}: says that the model has {} parts, where {} are given", source.name(), n_claimed, n_part);
    for (TensorInfo& tensor : part.tensors) {
        tensor.part = index;
        if (!tensor_index_.emplace(tensor.name, tensors_.size()).second)
            return fail(Code::bad_file, "{}: tensor {} occurs in an earlier part too", source.name(), tensor.name);
        tensors_.push_back(std::move(tensor));
    }
    if (index > 0) return {};
    version_ = static_cast<int>(part.version);
    metadata_ = std::move(part.metadata);
    return {};
}

Result<std::unique_ptr<GgufFile>> GgufFile::parse(std::vector<std::unique_ptr<Source>> parts) {
    if (parts.empty()) return fail(Code::invalid_argument, "a GGUF model needs at least one source");
    for (const auto& part : parts)
        if (!part) return fail(Code::invalid_argument, "a source of a GGUF model is null");
    std::unique_ptr<GgufFile> file(new GgufFile);
    file->parts_ = std::move(parts);
    for (int i = 0; i < file->n_part(); ++i)
        HEARTH_CHECK(file->add_part(*file->parts_[static_cast<std::size_t>(i)], i, file->n_part()));
    const MetaValue* total = file->find("split.tensors.count");
    const int64_t* n = total ? std::get_if<int64_t>(total) : nullptr;
    if (n && file->n_part() > 1 && *n != static_cast<int64_t>(file->tensors_.size()))
        return fail(Code::bad_file, "{}: its parts hold {} tensors, but {} are announced", file->name(), file->tensors_.size(), *n);
    return file;
}

Result<std::unique_ptr<GgufFile>> GgufFile::parse(std::unique_ptr<Source> whole) {
    std::vector<std::unique_ptr<Source>> parts;
    parts.push_back(std::move(whole));
    return parse(std::move(parts));
}

Result<std::unique_ptr<GgufFile>> GgufFile::open(std::string_view path, FileMode mode) {
    HEARTH_TRY(auto first, open_file(path, mode));
    int n_part = 1;
    if (path.ends_with(".gguf") && path.find("-of-") != std::string_view::npos) {  // else parse() finds what is wrong
        HEARTH_TRY(const GgufPart header, read_gguf_part(*first));
        HEARTH_TRY(n_part, count_parts(*first, header));
    }
    std::vector<std::unique_ptr<Source>> parts;
    parts.push_back(std::move(first));
    for (int i = 1; i < n_part; ++i) {
        const std::string next = gguf_part_path(path, i, n_part);
        if (next.empty()) break;
        auto source = open_file(next, mode);
        if (!source && source.code() == Code::not_found)
            return fail(Code::not_found, "{}: part {} of {} is missing: {}", path, i + 1, n_part, next);
        if (!source) return source.failure();
        parts.push_back(*std::move(source));
    }
    return parse(std::move(parts));
}

uint64_t GgufFile::size_bytes() const {
    uint64_t n = 0;
    for (const auto& part : parts_) n += part->size();
    return n;
}

Status GgufFile::read_rows(const TensorInfo& tensor, int64_t row_begin, int64_t n_row, void* dst) const {
    if (row_begin < 0 || n_row < 0 || row_begin > tensor.n_row() || n_row > tensor.n_row() - row_begin)
        return fail(Code::invalid_argument, "{}: {} rows from row {} on of tensor {}, which has {}", name(),
                    n_row, row_begin, tensor.name, tensor.n_row());
    const uint64_t row = tensor.bytes / static_cast<uint64_t>(tensor.n_row());
    const Source& source = *parts_[static_cast<std::size_t>(tensor.part)];
    return source.read_at(tensor.offset + static_cast<uint64_t>(row_begin) * row, dst, static_cast<uint64_t>(n_row) * row);
}

const std::byte* GgufFile::data(const TensorInfo& tensor) const {
    const std::byte* begin = parts_[static_cast<std::size_t>(tensor.part)]->data();
    return begin ? begin + tensor.offset : nullptr;
}

}  // namespace hearth

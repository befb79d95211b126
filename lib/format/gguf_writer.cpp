// The GGUF writer.
#include "format/gguf_writer.hpp"

#include <algorithm>
#include <limits>
#include <set>

#include "base/checked.hpp"
#include "base/file_writer.hpp"
#include "format/gguf_part.hpp"

namespace hearth {

namespace {

template <class T>
void put(std::string* out, T number) {
    out->append(reinterpret_cast<const char*>(&number), sizeof number);
}

void put(std::string* out, std::string_view text) {
    put(out, uint64_t{text.size()});
    out->append(text);
}

template <class T>
bool fits(int64_t value) {
    return value >= int64_t{std::numeric_limits<T>::min()} && value <= int64_t{std::numeric_limits<T>::max()};
}

bool is_float(double value) {
    return static_cast<double>(static_cast<float>(value)) == value || value != value;
}

// Writes the type and the value of each kind of metadata.
struct ValueWriter {
    std::string* out;

    void type(GgufType t) const { put(out, static_cast<uint32_t>(t)); }
    void list(GgufType t, std::size_t n) const {
        type(GgufType::array);
        type(t);
        put(out, uint64_t{n});
    }
    void operator()(bool value) const {
        type(GgufType::boolean);
        put(out, static_cast<uint8_t>(value));
    }
    void operator()(int64_t value) const {
        if (fits<uint32_t>(value)) {
            type(GgufType::u32);
            put(out, static_cast<uint32_t>(value));
        } else if (fits<int32_t>(value)) {
            type(GgufType::i32);
            put(out, static_cast<int32_t>(value));
        } else {
            type(value > 0 ? GgufType::u64 : GgufType::i64);
            put(out, value);
        }
    }
    void operator()(double value) const {
        if (is_float(value)) {
            type(GgufType::f32);
            put(out, static_cast<float>(value));
        } else {
            type(GgufType::f64);
            put(out, value);
        }
    }
    void operator()(const std::string& value) const {
        type(GgufType::string);
        put(out, std::string_view(value));
    }
    void operator()(const std::vector<int64_t>& values) const {
        const bool narrow = std::all_of(values.begin(), values.end(), fits<int32_t>);
        list(narrow ? GgufType::i32 : GgufType::i64, values.size());
        for (const int64_t value : values) narrow ? put(out, static_cast<int32_t>(value)) : put(out, value);
    }
    void operator()(const std::vector<double>& values) const {
        const bool narrow = std::all_of(values.begin(), values.end(), is_float);
        list(narrow ? GgufType::f32 : GgufType::f64, values.size());
        for (const double value : values) narrow ? put(out, static_cast<float>(value)) : put(out, value);
    }
    void operator()(const std::vector<std::string>& values) const {
        list(GgufType::string, values.size());
        for (const std::string& value : values) put(out, std::string_view(value));
    }
};

Result<uint64_t> alignment_of(const GgufContent& content) {
    const auto found = content.metadata.find("general.alignment");
    if (found == content.metadata.end()) return kGgufDefaultAlignment;
    const auto* value = std::get_if<int64_t>(&found->second);
    if (!value || *value <= 0 || (*value & (*value - 1)) != 0 || *value > kGgufMaxAlignment)
        return fail(Code::invalid_argument, "general.alignment is not a power of two up to {}", kGgufMaxAlignment);
    return static_cast<uint64_t>(*value);
}

// Works out bytes; whatever the reader would refuse is refused here.
Status set_bytes(TensorInfo* tensor) {
    const FormatInfo* info = find_format(static_cast<int32_t>(tensor->format));
    if (tensor->name.empty() || tensor->name.size() > kGgufMaxTensorName || tensor->name.find('\0') != std::string::npos)
        return fail(Code::invalid_argument, "a tensor to write has a name of {} bytes or with a NUL", tensor->name.size());
    if (!info || tensor->n_dim < 0 || tensor->n_dim > 4)
        return fail(Code::invalid_argument, "tensor {} to write has an unknown format or {} dimensions", tensor->name, tensor->n_dim);
    uint64_t n = 1;
    for (int i = 0; i < tensor->n_dim; ++i)
        if (tensor->shape[i] <= 0 || !checked_mul(n, static_cast<uint64_t>(tensor->shape[i]), &n) || n > kGgufMaxElements)
            return fail(Code::invalid_argument, "tensor {} to write has the size {} in dimension {}", tensor->name, tensor->shape[i], i);
    if (tensor->row_width() % info->block_elements != 0)
        return fail(Code::invalid_argument, "tensor {} to write has rows of {} elements, not a multiple of the {} of {}",
                    tensor->name, tensor->row_width(), info->block_elements, info->name);
    tensor->bytes = row_bytes(*info, n);
    return {};
}

Result<std::vector<TensorInfo>> lay_out(const GgufContent& content, uint64_t alignment) {
    std::vector<TensorInfo> tensors = content.tensors;
    std::set<std::string_view> names;
    uint64_t offset = 0;
    for (TensorInfo& tensor : tensors) {
        HEARTH_CHECK(set_bytes(&tensor));
        if (!names.insert(tensor.name).second)
            return fail(Code::invalid_argument, "tensor {} to write occurs twice", tensor.name);
        tensor.part = 0;
        tensor.offset = offset;
        if (!checked_add(offset, tensor.bytes, &offset) || !checked_add(offset, alignment - 1, &offset))
            return fail(Code::invalid_argument, "tensor {} to write makes the file too large", tensor.name);
        offset &= ~(alignment - 1);
    }
    return tensors;
}

Result<std::string> header(const GgufContent& content, const std::vector<TensorInfo>& tensors) {
    std::string out = "GGUF";
    put(&out, kGgufVersion);
    put(&out, uint64_t{tensors.size()});
    put(&out, uint64_t{content.metadata.size()});
    for (const auto& [key, value] : content.metadata) {
        if (key.empty() || key.size() > kGgufMaxKey)
            return fail(Code::invalid_argument, "a key to write has a name of {} bytes", key.size());
        put(&out, std::string_view(key));
        std::visit(ValueWriter{&out}, value);
    }
    for (const TensorInfo& tensor : tensors) {
        put(&out, std::string_view(tensor.name));
        put(&out, static_cast<uint32_t>(tensor.n_dim));
        for (int i = tensor.n_dim - 1; i >= 0; --i) put(&out, tensor.shape[i]);
        put(&out, static_cast<int32_t>(tensor.format));
        put(&out, tensor.offset);
    }
    return out;
}

// Zeroes up to the next multiple of the alignment.
Status pad(uint64_t at, uint64_t alignment, const ByteSink& out) {
    const std::string zeroes((alignment - at % alignment) % alignment, '\0');
    return zeroes.empty() ? Status() : out(zeroes.data(), zeroes.size());
}

}  // namespace

Status write_gguf(const GgufContent& content, const TensorData& data, const ByteSink& out) {
    HEARTH_TRY(const uint64_t alignment, alignment_of(content));
    HEARTH_TRY(const std::vector<TensorInfo> tensors, lay_out(content, alignment));
    HEARTH_TRY(const std::string head, header(content, tensors));
    HEARTH_CHECK(out(head.data(), head.size()));
    HEARTH_CHECK(pad(head.size(), alignment, out));
    for (const TensorInfo& tensor : tensors) {
        uint64_t n = 0;
        const ByteSink counted = [&](const void* src, std::size_t n_here) {
            n += n_here;
            return out(src, n_here);
        };
        HEARTH_CHECK(data(tensor, counted));
        if (n != tensor.bytes)
            return fail(Code::internal, "tensor {} to write has {} bytes, but {} were given", tensor.name, tensor.bytes, n);
        HEARTH_CHECK(pad(n, alignment, out));
    }
    return {};
}

Status write_gguf_file(std::string_view path, const GgufContent& content, const TensorData& data) {
    HEARTH_TRY(FileWriter file, FileWriter::create(path));
    HEARTH_CHECK(write_gguf(content, data, [&](const void* src, std::size_t n) { return file.write(src, n); }));
    return file.commit();
}

}  // namespace hearth

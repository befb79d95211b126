// Typed access to the metadata of a model file.
#include "format/tensor_source.hpp"

namespace hearth {

namespace {

// The value as T, where an integer also reads as a float and a bool (GGUF writers disagree on both).
template <class T>
std::optional<T> scalar(const MetaValue& value) {
    if (const auto* exact = std::get_if<T>(&value)) return *exact;
    if constexpr (std::is_same_v<T, double>)
        if (const auto* i = std::get_if<int64_t>(&value)) return static_cast<double>(*i);
    if constexpr (std::is_same_v<T, bool>)
        if (const auto* i = std::get_if<int64_t>(&value)) return *i != 0;
    if constexpr (std::is_same_v<T, int64_t>)
        if (const auto* b = std::get_if<bool>(&value)) return *b ? 1 : 0;
    return {};
}

template <class T>
Result<T> get(const TensorSource& source, std::string_view key, std::optional<T> fallback, const char* type) {
    const MetaValue* value = source.find(key);
    if (!value) {
        if (fallback) return *std::move(fallback);
        return fail(Code::bad_file, "{}: the key {} is missing", source.name(), key);
    }
    if (std::optional<T> result = scalar<T>(*value)) return *std::move(result);
    return fail(Code::bad_file, "{}: the key {} is not {}", source.name(), key, type);
}

}  // namespace

const TensorInfo* TensorSource::find_tensor(std::string_view name) const {
    auto it = tensor_index_.find(name);
    return it == tensor_index_.end() ? nullptr : &tensors_[it->second];
}

const MetaValue* TensorSource::find(std::string_view key) const {
    auto it = metadata_.find(key);
    return it == metadata_.end() ? nullptr : &it->second;
}

Result<int64_t> TensorSource::get_int(std::string_view key, std::optional<int64_t> fallback) const {
    return get<int64_t>(*this, key, fallback, "an integer");
}

Result<double> TensorSource::get_float(std::string_view key, std::optional<double> fallback) const {
    return get<double>(*this, key, fallback, "a number");
}

Result<bool> TensorSource::get_bool(std::string_view key, std::optional<bool> fallback) const {
    return get<bool>(*this, key, fallback, "a boolean");
}

Result<std::string> TensorSource::get_string(std::string_view key, std::optional<std::string> fallback) const {
    return get<std::string>(*this, key, std::move(fallback), "a string");
}

Result<std::vector<int64_t>> TensorSource::get_ints(std::string_view key, int64_t n,
                                                    std::optional<int64_t> fallback) const {
    const MetaValue* value = find(key);
    if (value) {
        if (const auto* list = std::get_if<std::vector<int64_t>>(value)) {
            if (static_cast<int64_t>(list->size()) == n) return *list;
            return fail(Code::bad_file, "{}: the key {} has {} entries, {} are needed", name(), key, list->size(), n);
        }
    }
    HEARTH_TRY(const int64_t single, get_int(key, fallback));
    return std::vector<int64_t>(static_cast<std::size_t>(n), single);
}

}  // namespace hearth

// What a model file says, whatever its container: metadata under GGUF key names, and tensors that can be read by rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.hpp"
#include "quant/format.hpp"

namespace hearth {

// Integers of every width are int64_t (uint64_t values above its range are refused), floats are double.
using MetaValue = std::variant<bool, int64_t, double, std::string, std::vector<int64_t>, std::vector<double>,
                               std::vector<std::string>>;

struct TensorInfo {
    std::string name;
    Format format = Format::F32;
    int32_t n_dim = 0;
    int64_t shape[4] = {1, 1, 1, 1};  // slowest first: [out, in], [n_expert, out, in]; unused entries are 1
    uint64_t bytes = 0;
    uint64_t offset = 0;  // within its part
    int32_t part = 0;     // which file of a split model

    int64_t row_width() const { return shape[n_dim > 0 ? n_dim - 1 : 0]; }  // elements of one row (fastest dimension)
    int64_t n_row() const {                                                 // all rows of all matrices
        int64_t n = 1;
        for (int i = 0; i + 1 < n_dim; ++i) n *= shape[i];
        return n;
    }
};

class TensorSource {
  public:
    virtual ~TensorSource() = default;
    // What errors call it: the path of the (first) file.
    virtual const std::string& name() const = 0;
    // Rows [row_begin, row_begin + n_row) as stored, n_row * row_bytes bytes. Thread-safe.
    virtual Status read_rows(const TensorInfo& tensor, int64_t row_begin, int64_t n_row, void* dst) const = 0;
    // The whole tensor as stored where the source lies in memory (mapped, memory block), else nullptr.
    virtual const std::byte* data(const TensorInfo&) const { return nullptr; }

    const std::vector<TensorInfo>& tensors() const { return tensors_; }
    const TensorInfo* find_tensor(std::string_view name) const;  // nullptr if absent
    const std::map<std::string, MetaValue, std::less<>>& metadata() const { return metadata_; }
    const MetaValue* find(std::string_view key) const;  // nullptr if absent

    // Absent key = the fallback, or an error that names the key where there is none; a wrong type is an error.
    Result<int64_t> get_int(std::string_view key, std::optional<int64_t> fallback = {}) const;
    Result<double> get_float(std::string_view key, std::optional<double> fallback = {}) const;
    Result<bool> get_bool(std::string_view key, std::optional<bool> fallback = {}) const;
    Result<std::string> get_string(std::string_view key, std::optional<std::string> fallback = {}) const;
    // A scalar counts for every layer, an array must have n entries.
    Result<std::vector<int64_t>> get_ints(std::string_view key, int64_t n, std::optional<int64_t> fallback = {}) const;

  protected:
    std::vector<TensorInfo> tensors_;
    std::map<std::string, std::size_t, std::less<>> tensor_index_;
    std::map<std::string, MetaValue, std::less<>> metadata_;
};

}  // namespace hearth

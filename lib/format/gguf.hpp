// GGUF model files, versions 2 and 3, in one file or split over several.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/source.hpp"
#include "format/tensor_source.hpp"

namespace hearth {

class GgufFile final : public TensorSource {
  public:
    // The first file of a split model (NAME-00001-of-00003.gguf) brings the others, which lie beside it.
    static Result<std::unique_ptr<GgufFile>> open(std::string_view path, FileMode mode = FileMode::pread);
    // All parts, in order. Sources that borrow memory must stay valid as long as the file.
    static Result<std::unique_ptr<GgufFile>> parse(std::vector<std::unique_ptr<Source>> parts);
    static Result<std::unique_ptr<GgufFile>> parse(std::unique_ptr<Source> whole);

    const std::string& name() const override { return parts_[0]->name(); }
    Status read_rows(const TensorInfo& tensor, int64_t row_begin, int64_t n_row, void* dst) const override;
    const std::byte* data(const TensorInfo& tensor) const override;
    int n_part() const { return static_cast<int>(parts_.size()); }
    int version() const { return version_; }
    uint64_t size_bytes() const;  // of all parts

  private:
    GgufFile() = default;
    Status add_part(const Source& source, int index, int n_part);

    std::vector<std::unique_ptr<Source>> parts_;
    int version_ = 0;
};

// The path of part `index` (0-based) of a split whose first part is at `first`; "" where `first` is not named like one.
std::string gguf_part_path(std::string_view first, int index, int n_part);

}  // namespace hearth

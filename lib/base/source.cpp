// Sources over a file (read or mapped), a memory block and the host's read callbacks.
#include "base/source.hpp"

#include <cstring>

#include "base/platform.hpp"

namespace hearth {

Status Source::check_range(uint64_t offset, std::size_t n) const {
    if (offset <= size_ && n <= size_ - offset) return {};
    return fail(Code::bad_file, "{}: {} bytes are needed at offset {}, but it ends at {} (truncated download?)", name_, n,
                offset, size_);
}

namespace {

class FileSource final : public Source {
  public:
    FileSource(std::string path, os::File file) : Source(std::move(path), file.size()), file_(std::move(file)) {}
    Status read_at(uint64_t offset, void* dst, std::size_t n) const override {
        HEARTH_CHECK(check_range(offset, n));
        return file_.read_at(offset, dst, n, name());
    }

  private:
    os::File file_;
};

class MemorySource final : public Source {
  public:
    MemorySource(std::string name, const std::byte* data, uint64_t n) : Source(std::move(name), n), data_(data) {}
    ~MemorySource() override {
        if (mapped_) os::unmap(data_, size());
    }
    Status map(const os::File& file) {
        HEARTH_TRY(data_, file.map(name()));
        mapped_ = true;
        return {};
    }
    Status read_at(uint64_t offset, void* dst, std::size_t n) const override {
        HEARTH_CHECK(check_range(offset, n));
        if (n > 0) std::memcpy(dst, data_ + offset, n);
        return {};
    }
    const std::byte* data() const override { return data_; }

  private:
    const std::byte* data_;
    bool mapped_ = false;
};

class CallbackSource final : public Source {
  public:
    CallbackSource(std::string name, const ReadCallbacks& callbacks)
        : Source(std::move(name), callbacks.size), callbacks_(callbacks) {}
    Status read_at(uint64_t offset, void* dst, std::size_t n) const override {
        HEARTH_CHECK(check_range(offset, n));
        const int32_t error = n > 0 ? callbacks_.read(callbacks_.user, offset, dst, n) : 0;
        if (error == 0) return {};
        Failure failure = fail(Code::io, "{}: reading {} bytes at offset {} failed with {}", name(), n, offset, error);
        error_record().subcode = error;
        return failure;
    }

  private:
    ReadCallbacks callbacks_;
};

}  // namespace

Result<std::unique_ptr<Source>> open_file(std::string_view path, FileMode mode) {
    if (path.find('\0') != std::string_view::npos) return fail(Code::invalid_argument, "the path contains a NUL byte");
    std::string name(path);
    HEARTH_TRY(os::File file, os::File::open_read(name));
    if (mode == FileMode::pread || file.size() == 0)
        return std::unique_ptr<Source>(new FileSource(std::move(name), std::move(file)));
    auto source = std::make_unique<MemorySource>(std::move(name), nullptr, file.size());
    HEARTH_CHECK(source->map(file));  // last: memory for the owner of a mapping may be missing
    return std::unique_ptr<Source>(std::move(source));
}

Result<std::unique_ptr<Source>> memory_source(const void* data, std::size_t n, std::string_view name) {
    if (!data && n > 0) return fail(Code::invalid_argument, "{}: {} bytes at a null pointer", name, n);
    return std::unique_ptr<Source>(new MemorySource(std::string(name), static_cast<const std::byte*>(data), n));
}

Result<std::unique_ptr<Source>> callback_source(const ReadCallbacks& callbacks, std::string_view name) {
    if (!callbacks.read) return fail(Code::invalid_argument, "{}: the read callback is null", name);
    return std::unique_ptr<Source>(new CallbackSource(std::string(name), callbacks));
}

}  // namespace hearth

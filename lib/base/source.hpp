// Random-access bytes to read a model from: a file, a memory block, or the host's read callbacks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace hearth {

class Source {
  public:
    virtual ~Source() = default;
    // Fills dst with bytes [offset, offset + n). Reading past the end is Code::bad_file and names the source.
    // Thread-safe: several threads may read one source at once.
    virtual Status read_at(uint64_t offset, void* dst, std::size_t n) const = 0;
    // The whole content as memory, or nullptr where it is not in memory (pread files, callbacks).
    virtual const std::byte* data() const { return nullptr; }
    uint64_t size() const { return size_; }
    const std::string& name() const { return name_; }

  protected:
    Source(std::string name, uint64_t size) : name_(std::move(name)), size_(size) {}
    Status check_range(uint64_t offset, std::size_t n) const;

  private:
    std::string name_;  // what errors call it: the path, or "memory block"
    uint64_t size_;
};

enum class FileMode {
    pread,  // default: a file truncated while it is read is an error
    mmap,   // shares the page cache; a file truncated under the mapping kills the process (SIGBUS)
};

Result<std::unique_ptr<Source>> open_file(std::string_view path, FileMode mode = FileMode::pread);

// Borrows [data, data + n) until the source is destroyed.
Result<std::unique_ptr<Source>> memory_source(const void* data, std::size_t n, std::string_view name = "memory block");

// read returns 0 for success; anything else becomes the error's subcode.
struct ReadCallbacks {
    void* user = nullptr;
    uint64_t size = 0;
    int32_t (*read)(void* user, uint64_t offset, void* dst, std::size_t n) = nullptr;
};
Result<std::unique_ptr<Source>> callback_source(const ReadCallbacks& callbacks, std::string_view name = "read callbacks");

}  // namespace hearth

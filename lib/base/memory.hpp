// Large planned buffers: every byte of weights, KV cache, arena and scratch on the host comes from here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/result.hpp"

namespace hearth {

// The host's allocator, or all null for the default (anonymous pages, touched when reserved, returned at once).
struct AllocatorHooks {
    void* user = nullptr;
    void* (*allocate)(void* user, std::size_t bytes, std::size_t align) = nullptr;  // nullptr = out of memory
    void (*free)(void* user, void* p, std::size_t bytes, std::size_t align) = nullptr;
};

class Buffer {
  public:
    Buffer() = default;
    Buffer(Buffer&& other) noexcept;
    Buffer& operator=(Buffer&& other) noexcept;
    ~Buffer();
    // Zero-filled; `what` names it in the error ("weights", "KV cache").
    static Result<Buffer> make(const AllocatorHooks& hooks, std::size_t bytes, std::size_t align, const char* what);
    std::byte* data() const { return data_; }
    std::size_t size() const { return bytes_; }

  private:
    AllocatorHooks hooks_;
    std::byte* data_ = nullptr;
    std::size_t bytes_ = 0, align_ = 0;
};

// Bytes that this process can still take: min(MemAvailable, cgroup headroom, RLIMIT_AS/DATA headroom). 0 = unknown.
uint64_t available_host_bytes();

}  // namespace hearth

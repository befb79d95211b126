// Buffer: pages of our own, or memory from the host's allocator hooks.
#include "base/memory.hpp"

#include <cstring>
#include <utility>

#include "base/platform.hpp"

namespace hearth {

Buffer::Buffer(Buffer&& other) noexcept { *this = std::move(other); }

Buffer& Buffer::operator=(Buffer&& other) noexcept {
    std::swap(hooks_, other.hooks_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(align_, other.align_);
    return *this;
}

Buffer::~Buffer() {
    if (!data_) return;
    if (!hooks_.allocate)
        os::release_pages(data_, bytes_);
    else if (hooks_.free)
        hooks_.free(hooks_.user, data_, bytes_, align_);
}

Result<Buffer> Buffer::make(const AllocatorHooks& hooks, std::size_t bytes, std::size_t align, const char* what) {
    if (align == 0 || (align & (align - 1)) != 0)
        return fail(Code::invalid_argument, "{}: alignment {} is not a power of two", what, align);
    Buffer buffer;
    if (bytes == 0) return buffer;
    buffer.hooks_ = hooks;
    buffer.align_ = align;
    if (hooks.allocate) {
        void* p = hooks.allocate(hooks.user, bytes, align);
        if (!p) return fail_oom(Code::oom_host, what, bytes, 0);
        buffer.data_ = static_cast<std::byte*>(p);
        buffer.bytes_ = bytes;
        if (reinterpret_cast<std::uintptr_t>(p) % align != 0)
            return fail(Code::invalid_argument, "{}: the allocator hook returned memory that is not aligned to {} bytes",
                        what, align);
        std::memset(p, 0, bytes);
        return buffer;
    }
    // Asked first, because Linux grants what it does not have and kills the process that touches it.
    const uint64_t available = os::available_bytes();
    if (available != 0 && bytes > available) return fail_oom(Code::oom_host, what, bytes, available);
    buffer.data_ = os::reserve_pages(bytes, align);
    if (!buffer.data_) return fail_oom(Code::oom_host, what, bytes, available);
    buffer.bytes_ = bytes;
    return buffer;
}

uint64_t available_host_bytes() { return os::available_bytes(); }

}  // namespace hearth

// The host's allocator, which every byte of weights, KV cache, arena and scratch on the host comes from where there is one.
#pragma once

#include <cstddef>

namespace hearth {

// Or all null for pages of our own, returned to the system at once.
struct AllocatorHooks {
    void* user = nullptr;
    void* (*allocate)(void* user, std::size_t bytes, std::size_t align) = nullptr;  // nullptr = out of memory
    void (*free)(void* user, void* p, std::size_t bytes, std::size_t align) = nullptr;
};

}  // namespace hearth

// operator new and delete of the test program, counted.
#include "fault/counting_memory.hpp"

#include <atomic>
#include <cstdlib>
#include <new>

namespace {

std::atomic<int64_t> g_outstanding{0}, g_count{0}, g_fail_at{-1};

void* take(std::size_t bytes, std::size_t align) noexcept {
    if (g_count.fetch_add(1) == g_fail_at.load()) return nullptr;
    const std::size_t rounded = (bytes + align - 1) / align * align;
    void* p = align > alignof(std::max_align_t) ? std::aligned_alloc(align, rounded) : std::malloc(bytes ? bytes : 1);
    if (p) g_outstanding.fetch_add(1);
    return p;
}

void give_back(void* p) noexcept {
    if (!p) return;
    g_outstanding.fetch_sub(1);
    std::free(p);
}

void* take_or_throw(std::size_t bytes, std::size_t align) {
    if (void* p = take(bytes, align)) return p;
    throw std::bad_alloc();
}

}  // namespace

namespace hearth::test {

int64_t n_outstanding() { return g_outstanding.load(); }
int64_t n_allocation() { return g_count.load(); }
void fail_allocation(int64_t n) {
    g_count.store(0);
    g_fail_at.store(n);
}
void* hook_allocate(void*, std::size_t bytes, std::size_t align) { return take(bytes, align); }
void hook_free(void*, void* p, std::size_t, std::size_t) { give_back(p); }

}  // namespace hearth::test

void* operator new(std::size_t n) { return take_or_throw(n, 1); }
void* operator new[](std::size_t n) { return take_or_throw(n, 1); }
void* operator new(std::size_t n, std::align_val_t a) { return take_or_throw(n, static_cast<std::size_t>(a)); }
void* operator new[](std::size_t n, std::align_val_t a) { return take_or_throw(n, static_cast<std::size_t>(a)); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return take(n, 1); }
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept { return take(n, 1); }
void* operator new(std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept {
    return take(n, static_cast<std::size_t>(a));
}
void operator delete(void* p) noexcept { give_back(p); }
void operator delete[](void* p) noexcept { give_back(p); }
void operator delete(void* p, std::size_t) noexcept { give_back(p); }
void operator delete[](void* p, std::size_t) noexcept { give_back(p); }
void operator delete(void* p, std::align_val_t) noexcept { give_back(p); }
void operator delete[](void* p, std::align_val_t) noexcept { give_back(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { give_back(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { give_back(p); }
void operator delete(void* p, const std::nothrow_t&) noexcept { give_back(p); }

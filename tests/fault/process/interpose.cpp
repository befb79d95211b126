// malloc, mmap and their kin of the whole process: a program's own definitions come before those of every library it loads,
// libhearth.so, libstdc++ (whose operator new calls malloc) and the C library's own calls from stdio included.
#include "fault/process/interpose.hpp"

#if defined(__linux__) && defined(__GLIBC__) && !defined(HEARTH_TEST_NOT_INTERPOSED)
#pragma GCC visibility push(default)  // a hidden definition would serve this program alone
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>

extern "C" {
void* __libc_malloc(std::size_t n);
void* __libc_calloc(std::size_t n, std::size_t size);
void* __libc_realloc(void* p, std::size_t n);
void* __libc_memalign(std::size_t align, std::size_t n);
void __libc_free(void* p);
}

namespace {

constinit std::atomic<bool> g_armed{false};
constinit std::atomic<int64_t> g_count{0}, g_fail_at{-1}, g_n_block{0}, g_mapped{0}, g_refused{0};

// Is it this allocation's turn to fail? mapping_bytes: of mmap, else 0.
bool fails(std::size_t mapping_bytes = 0) {
    if (!g_armed.load(std::memory_order_relaxed)) return false;
    if (g_count.fetch_add(1, std::memory_order_relaxed) != g_fail_at.load(std::memory_order_relaxed)) return false;
    g_refused = static_cast<int64_t>(mapping_bytes);
    errno = ENOMEM;
    return true;
}

void* counted(void* p) {
    if (p) g_n_block.fetch_add(1, std::memory_order_relaxed);
    return p;
}

int64_t whole_pages(std::size_t n) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    return static_cast<int64_t>((n + page - 1) / page * page);
}

}  // namespace

extern "C" {

void* malloc(std::size_t n) { return fails() ? nullptr : counted(__libc_malloc(n)); }
void* calloc(std::size_t n, std::size_t size) { return fails() ? nullptr : counted(__libc_calloc(n, size)); }
void free(void* p) {
    if (p) g_n_block.fetch_sub(1, std::memory_order_relaxed);
    __libc_free(p);
}
void* realloc(void* p, std::size_t n) {
    if (n > 0 && fails()) return nullptr;
    void* const moved = __libc_realloc(p, n);
    if (!p) return counted(moved);
    if (n == 0) g_n_block.fetch_sub(1, std::memory_order_relaxed);
    return moved;
}
void* memalign(std::size_t align, std::size_t n) { return fails() ? nullptr : counted(__libc_memalign(align, n)); }
void* aligned_alloc(std::size_t align, std::size_t n) { return fails() ? nullptr : counted(__libc_memalign(align, n)); }
int posix_memalign(void** out, std::size_t align, std::size_t n) {
    const int before = errno;
    void* const p = aligned_alloc(align, n);
    errno = before;
    if (!p) return ENOMEM;
    *out = p;
    return 0;
}

void* mmap(void* address, std::size_t n, int protection, int flags, int file, off_t offset) noexcept {
    if (fails(n)) return MAP_FAILED;
    const long p = syscall(SYS_mmap, address, n, protection, flags, file, offset);
    if (p == -1) return MAP_FAILED;
    g_mapped.fetch_add(whole_pages(n), std::memory_order_relaxed);
    return reinterpret_cast<void*>(p);
}
void* mmap64(void* address, std::size_t n, int protection, int flags, int file, off64_t offset) noexcept {
    return mmap(address, n, protection, flags, file, offset);
}
int munmap(void* p, std::size_t n) noexcept {
    const int result = static_cast<int>(syscall(SYS_munmap, p, n));
    if (result == 0) g_mapped.fetch_sub(whole_pages(n), std::memory_order_relaxed);
    return result;
}

}  // extern "C"

namespace hearth::test {

std::string not_interposed() { return {}; }
Live live() { return {g_n_block.load(), g_mapped.load()}; }
void arm(int64_t n) {
    g_count = g_refused = 0;
    g_fail_at = n;
    g_armed = true;
}
int64_t disarm() {
    g_armed = false;
    return g_count;
}
int64_t refused_mapping_bytes() { return g_refused; }

}  // namespace hearth::test

#else

namespace hearth::test {

std::string not_interposed() { return "malloc belongs to a sanitizer, or this C library is not glibc"; }
Live live() { return {}; }
void arm(int64_t) {}
int64_t disarm() { return 0; }
int64_t refused_mapping_bytes() { return 0; }

}  // namespace hearth::test

#endif

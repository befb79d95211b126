// The runtime: threads, memory and the services of the host that backends call.
#include "runtime/runtime.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>

#include "base/platform.hpp"

namespace hearth {

namespace {
constexpr std::size_t kHostAlign = 64;
}  // namespace

Result<std::shared_ptr<Runtime>> Runtime::make(const RuntimeOptions& options) {
    constexpr int32_t kMaxThreads = 1024;
    if (options.n_thread < 0 || options.n_thread > kMaxThreads)
        return fail(Code::invalid_argument, "n_threads is {}, outside 0..{}", options.n_thread, kMaxThreads);
    std::shared_ptr<Runtime> runtime(new Runtime(options));
    const int n_thread = options.n_thread ? options.n_thread : default_thread_count();
    HEARTH_TRY(runtime->pool_, ThreadPool::make(n_thread, options.jobs.submit ? &options.jobs : nullptr));
    runtime->fill_host();
    return runtime;
}

Runtime::~Runtime() = default;

void Runtime::fill_host() {
    host_.size = sizeof host_;
    host_.user = this;
    host_.allocate = host_allocate;
    host_.free = host_free;
    host_.log = host_log;
    host_.now_ns = host_now;
    host_.n_thread = pool_->n_thread();
    host_.parallel = host_parallel;
    host_.burst = host_burst;
}

// Calls f(begin, bytes) for all of the memory, by all threads where it is much: a good part of a load is pages being cleared.
bool Runtime::in_pieces(std::byte* data, std::size_t bytes, bool (*f)(std::byte*, std::size_t)) {
    static constexpr std::size_t kPieceBytes = 8 * os::kTouchBytes;
    if (bytes < 4 * kPieceBytes) return f(data, bytes);
    struct Pieces {
        std::byte* data;
        std::size_t bytes;
        bool (*f)(std::byte*, std::size_t);
        std::atomic<bool> good{true};
    } pieces{data, bytes, f};
    const auto piece = [](void* context, int64_t part, int) {
        auto& all = *static_cast<Pieces*>(context);
        const std::size_t begin = static_cast<std::size_t>(part) * kPieceBytes;
        if (!all.f(all.data + begin, std::min<std::size_t>(kPieceBytes, all.bytes - begin))) all.good = false;
    };
    std::lock_guard lock(pool_mutex_);
    pool_->run(static_cast<int64_t>((bytes + kPieceBytes - 1) / kPieceBytes), piece, &pieces);
    return pieces.good;
}

// Zero-filled, whatever the host's allocator returns.
std::byte* Runtime::allocate(std::size_t bytes, std::size_t align) {
    const AllocatorHooks& hooks = options_.allocator;
    if (!hooks.allocate) {
        std::byte* pages = os::map_pages(bytes, align);
        if (!pages || in_pieces(pages, bytes, os::touch_pages)) return pages;
        os::release_pages(pages, bytes);
        return nullptr;
    }
    auto* data = static_cast<std::byte*>(hooks.allocate(hooks.user, bytes, align));
    if (!data) return nullptr;
    if (reinterpret_cast<std::uintptr_t>(data) % align != 0) {
        hooks.free(hooks.user, data, bytes, align);
        options_.log(LogLevel::error, "the host's allocator returned memory that is not aligned to the {} bytes asked for: not used",
                     align);
        return nullptr;
    }
    const auto clear = [](std::byte* begin, std::size_t n) {
        std::memset(begin, 0, n);
        return true;
    };
    in_pieces(data, bytes, clear);
    return data;
}

void* Runtime::host_allocate(void* user, std::size_t bytes, std::size_t align) {
    auto* self = static_cast<Runtime*>(user);
    void* p = self->allocate(bytes, align);
    if (!p) return nullptr;
    const uint64_t now = self->memory_.now.fetch_add(bytes) + bytes;
    uint64_t peak = self->memory_.peak.load();
    while (peak < now && !self->memory_.peak.compare_exchange_weak(peak, now)) {
    }
    return p;
}

void Runtime::host_free(void* user, void* p, std::size_t bytes, std::size_t align) {
    auto* self = static_cast<Runtime*>(user);
    const AllocatorHooks& hooks = self->options_.allocator;
    if (hooks.allocate)
        hooks.free(hooks.user, p, bytes, align);
    else
        os::release_pages(static_cast<std::byte*>(p), bytes);
    self->memory_.now.fetch_sub(bytes);
}

HostMemory& HostMemory::operator=(HostMemory&& other) noexcept {
    std::swap(runtime_, other.runtime_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
}

HostMemory::~HostMemory() {
    if (data_) Runtime::host_free(runtime_, data_, bytes_, kHostAlign);
}

Result<HostMemory> Runtime::host_memory(std::size_t bytes, const char* what) {
    HostMemory memory;
    if (bytes == 0) return memory;
    void* p = host_allocate(this, bytes, kHostAlign);
    if (!p) return fail_oom(Code::oom_host, what, bytes, 0);
    memory.runtime_ = this;
    memory.data_ = static_cast<std::byte*>(p);
    memory.bytes_ = bytes;
    return memory;
}

void Runtime::host_log(void* user, int32_t level, const char* message) {
    static_cast<Runtime*>(user)->options_.log(static_cast<LogLevel>(level), "{}", message);
}

int64_t Runtime::host_now(void*) { return os::now_ns(); }

int64_t Runtime::host_parallel(void* user, int64_t n_part, void (*fn)(void*, int64_t, int32_t), void* context,
                               int32_t (*stop)(void*)) {
    ThreadPool& pool = *static_cast<Runtime*>(user)->pool_;
    if (!stop) return pool.run(n_part, fn, context, nullptr);
    const std::function<bool()> asked = [&] { return stop(context) != 0; };
    return pool.run(n_part, fn, context, &asked);
}

void Runtime::host_burst(void* user, int32_t on) { static_cast<Runtime*>(user)->pool_->burst(on != 0); }

}  // namespace hearth

// What models share in one process: threads, memory hooks, the log and the opened devices.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.hpp"
#include "base/memory.hpp"
#include "base/platform.hpp"
#include "base/thread_pool.hpp"
#include "runtime/device.hpp"

namespace hearth {

struct RuntimeOptions {
    int32_t n_thread = 0;  // 0 = default_thread_count(); ignored with a job system of its own width
    JobSystem jobs;        // submit == nullptr: own threads
    AllocatorHooks allocator;
    LogSink log;
    std::vector<const hearth_backend*> extra_backends;  // registered by pointer
};

// One line of `hearth devices`: usable, or why not.
struct DeviceInfo {
    std::string spec, name, detail, unavailable;  // unavailable: empty = usable
    uint64_t total_bytes = 0, free_bytes = 0;
};

// Every byte of planned memory that is allocated now and was allocated at most, counted where it is allocated.
struct MemoryCount {
    std::atomic<uint64_t> now{0}, peak{0};
};

class Runtime;

// Planned memory of the host from the allocator hooks; counted like a device's. The runtime must outlive it.
class HostMemory {
  public:
    HostMemory() = default;
    HostMemory(HostMemory&& other) noexcept { *this = std::move(other); }
    HostMemory& operator=(HostMemory&& other) noexcept;
    ~HostMemory();
    std::byte* data() const { return data_; }
    std::size_t size() const { return bytes_; }

  private:
    friend class Runtime;
    Runtime* runtime_ = nullptr;
    std::byte* data_ = nullptr;
    std::size_t bytes_ = 0;
};

class Runtime {
  public:
    static Result<std::shared_ptr<Runtime>> make(const RuntimeOptions& options);
    ~Runtime();
    Runtime(const Runtime&) = delete;
    Runtime& operator=(const Runtime&) = delete;

    // Opens (once) the device that a spec names: "cpu", "ref" or "auto". An unknown word is an error that lists the known.
    Result<Device*> device(std::string_view spec);
    std::vector<DeviceInfo> devices();

    int32_t n_thread() const { return pool_->n_thread(); }
    const LogSink& log() const { return options_.log; }
    const MemoryCount& memory() const { return memory_; }
    // Zero-filled, aligned for any use; `what` names it in the error.
    Result<HostMemory> host_memory(std::size_t bytes, const char* what);
    bool forked() const { return fork_guard_.forked(); }  // this process is a child of the one that made the runtime
    ThreadPool& pool() { return *pool_; }
    // The pool serves one run at a time.
    std::mutex& pool_mutex() { return pool_mutex_; }

  private:
    friend class HostMemory;
    explicit Runtime(const RuntimeOptions& options) : options_(options) {}
    void fill_host();
    std::vector<const hearth_backend*> backends() const;
    static void* host_allocate(void* user, std::size_t bytes, std::size_t align);
    static void host_free(void* user, void* p, std::size_t bytes, std::size_t align);
    static void host_log(void* user, int32_t level, const char* message);
    static int64_t host_now(void* user);
    static int64_t host_parallel(void* user, int64_t n_part, void (*fn)(void*, int64_t, int32_t), void* context,
                                 int32_t (*stop)(void*));
    static void host_burst(void* user, int32_t on);

    RuntimeOptions options_;
    os::ForkGuard fork_guard_;
    MemoryCount memory_;
    std::unique_ptr<ThreadPool> pool_;
    std::mutex pool_mutex_, devices_mutex_;
    hearth_host host_{};
    std::map<std::string, std::unique_ptr<Device>, std::less<>> devices_;
};

}  // namespace hearth

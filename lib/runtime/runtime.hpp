// What models share in one process: threads, memory hooks, the log and the opened devices.
#pragma once

#include <atomic>
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
#include "runtime/device_spec.hpp"
#include "runtime/ledger.hpp"
#include "runtime/plugins.hpp"
#include "runtime/residents.hpp"

namespace hearth {

struct RuntimeOptions {
    int32_t n_thread = 0;  // 0 = default_thread_count(); ignored with a job system of its own width
    JobSystem jobs;        // submit == nullptr: own threads
    AllocatorHooks allocator;
    LogSink log;
    std::vector<const hearth_backend*> extra_backends;  // registered by pointer
    std::string plugin_path;  // folders or files of plugins, before those of HEARTH_PLUGIN_PATH
    bool unload_unused = false;  // weights of models without a context give way where memory is short
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

    // Opens a device, once per (backend, index, options); it stays open with the runtime. Of plugins only the one that is named
    // is opened, and none for a backend that is built in or registered.
    Result<Device*> device(const DeviceRef& ref);
    // The same for a spec that comes down to one device, and to nothing that needs a plan.
    Result<Device*> device(std::string_view spec);
    // The devices of a spec; for "auto" the accelerators, or the CPU where there is none and no number of layers is asked for.
    Result<std::vector<DeviceRef>> resolve(const DeviceSpec& spec);
    // What "auto" chooses from, the best backend first: registered backends and plugins, but no host-side ones.
    Result<std::vector<DeviceRef>> accelerators();

    // Every device of every backend, and every plugin that cannot be used, with the reason. Opens all plugins; devices that are
    // not in use are closed again.
    Result<std::vector<DeviceInfo>> devices();
    // The i-th of them; NOT_FOUND past the last. The built-in ones come first, and for those no plugin is opened.
    Result<DeviceInfo> device_info(std::size_t index);

    int32_t n_thread() const { return pool_->n_thread(); }
    const LogSink& log() const { return options_.log; }
    const MemoryCount& memory() const { return memory_; }
    // Zero-filled, aligned for any use; `what` names it in the error.
    Result<HostMemory> host_memory(std::size_t bytes, const char* what);
    bool forked() const { return fork_guard_.forked(); }  // this process is a child of the one that made the runtime
    ThreadPool& pool() { return *pool_; }
    Ledger& ledger() { return ledger_; }
    Residents& residents() { return residents_; }
    // What weights that would give way take of a device; 0 unless they may.
    uint64_t unused_bytes(const Device* device, const Model* except) const {
        return options_.unload_unused ? residents_.unused_bytes(device, except) : 0;
    }
    // The pool serves one run at a time.
    std::mutex& pool_mutex() { return pool_mutex_; }

  private:
    friend class HostMemory;
    explicit Runtime(const RuntimeOptions& options) : options_(options), plugins_(options.plugin_path) {}
    struct Listed {
        DeviceRef ref;
        const hearth_backend* backend = nullptr;  // nullptr: unusable
        std::string spec, reason;
    };
    void fill_host();
    std::vector<const hearth_backend*> backends() const;
    Result<const hearth_backend*> find_backend(const std::string& name);
    std::vector<std::string> known_names(const std::vector<PluginFile>& files) const;
    Failure fail_unknown(const std::string& name, const std::vector<PluginFile>& files) const;
    void list_backend(const hearth_backend& backend, std::vector<Listed>* out) const;
    Result<std::vector<Listed>> list(std::size_t n_wanted);
    DeviceInfo describe(const Listed& entry);
    bool in_pieces(std::byte* data, std::size_t bytes, bool (*f)(std::byte*, std::size_t));
    std::byte* allocate(std::size_t bytes, std::size_t align);
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
    Ledger ledger_;
    Residents residents_;
    std::unique_ptr<ThreadPool> pool_;
    std::mutex pool_mutex_, devices_mutex_;
    hearth_host host_{};
    struct Opened {
        DeviceRef ref;
        std::unique_ptr<Device> device;
    };
    Plugins plugins_;
    std::vector<Opened> devices_;
};

}  // namespace hearth

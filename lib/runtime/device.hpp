// One opened device of a backend, with errors as Results and memory as owners.
#pragma once

#include <hearth/backend.h>

#include <memory>
#include <mutex>
#include <string>

#include "base/result.hpp"

namespace hearth {

class Device;

// Memory of a device; freed with it. The device must outlive it.
class DeviceBuffer {
  public:
    DeviceBuffer() = default;
    DeviceBuffer(Device* device, hearth_buffer* buffer, uint64_t bytes) : device_(device), buffer_(buffer), bytes_(bytes) {}
    DeviceBuffer(DeviceBuffer&& other) noexcept;
    DeviceBuffer& operator=(DeviceBuffer&& other) noexcept;
    ~DeviceBuffer();
    hearth_place at(uint64_t offset) const { return {buffer_, offset}; }
    uint64_t bytes() const { return bytes_; }

  private:
    Device* device_ = nullptr;
    hearth_buffer* buffer_ = nullptr;
    uint64_t bytes_ = 0;
};

class Device {
  public:
    // `host` must outlive the device. options: text after the device's name in a spec, for the backend.
    static Result<std::unique_ptr<Device>> open(const hearth_backend& backend, const hearth_host& host, int32_t index,
                                                const std::string& options);
    ~Device();
    Device(const Device&) = delete;
    Device& operator=(const Device&) = delete;

    const char* backend_name() const { return table_.name; }
    const std::string& spec() const { return spec_; }  // as device_name() says it: "cpu", "cuda:0"
    void name_in_error() const { name_device(spec_, index_); }  // the failure of this thread is about this device
    void name_in_error(const hearth_fault& fault) const;         // and this is what its backend said of it, message and code aside
    Result<hearth_backend_device> describe();

    Result<DeviceBuffer> alloc(uint64_t bytes, const char* what);
    Status upload(hearth_place to, const void* from, uint64_t bytes);
    Status download(hearth_place from, void* to, uint64_t bytes);
    Status copy(hearth_place from, hearth_place to, uint64_t bytes);
    Result<hearth_layout> layout(const hearth_weight& weight);
    // Of a weight that stays in memory of the process; 0 bytes where this device or weight needs a copy.
    Result<hearth_layout> borrowed_layout(const hearth_weight& weight);
    Result<DeviceBuffer> borrow(const void* memory, uint64_t bytes);  // which must stay as long as the buffer
    Status upload_weight(const hearth_weight& weight, const hearth_layout& layout, hearth_place to, int64_t row_begin,
                         int64_t n_row, const void* rows);
    Result<uint64_t> page_bytes(const hearth_cache& cache);
    Status export_page(const hearth_cache& cache, hearth_place pool, int32_t page, int32_t layer, void* k, void* v);
    Status import_page(const hearth_cache& cache, hearth_place pool, int32_t page, int32_t layer, const void* k,
                       const void* v);
    Result<hearth_program_bytes> measure(const hearth_graph& graph);
    Result<hearth_program*> build(const hearth_graph& graph, const hearth_bindings& bindings);
    void free_program(hearth_program* program);
    // HEARTH_RUN_*; *cursor says where it stopped. The work may still be under way, with the arguments, until wait(); what
    // moves memory of the device comes after it.
    Result<int32_t> run(hearth_program* program, const hearth_run_args& args, const hearth_run_options& options,
                        hearth_cursor* cursor);
    Status wait(hearth_program* program);

  private:
    Device(const hearth_backend& table, int32_t index, std::string spec) : table_(table), index_(index), spec_(std::move(spec)) {}
    Status check(int32_t code, const hearth_fault& fault) const;
    friend class DeviceBuffer;

    const hearth_backend& table_;
    hearth_device* handle_ = nullptr;
    const int32_t index_;  // among the backend's
    const std::string spec_;
    std::mutex mutex_;  // a backend sees one call at a time, upload_weight aside, whatever contexts do on other threads
};

// How many devices a backend has.
Result<int32_t> count_devices(const hearth_backend& backend, const hearth_host& host);

}  // namespace hearth

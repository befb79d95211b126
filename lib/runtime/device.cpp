// Calls a backend's function table and turns its faults into this thread's error record.
#include "runtime/device.hpp"

#include <cstddef>
#include <cstdio>
#include <exception>
#include <utility>

#include "runtime/device_spec.hpp"

namespace hearth {
namespace {

// What a backend throws against its contract while it is opened or asked what it is ends here.
template <class Call>
int32_t caught(Call call, hearth_fault* fault) {
    try {
        return call();
    } catch (const std::exception& e) {
        std::snprintf(fault->message, sizeof fault->message, "the backend threw an exception: %s", e.what());
    } catch (...) {
        std::snprintf(fault->message, sizeof fault->message, "the backend threw an exception");
    }
    return static_cast<int32_t>(Code::internal);
}

}  // namespace

DeviceBuffer::DeviceBuffer(DeviceBuffer&& other) noexcept { *this = std::move(other); }

DeviceBuffer& DeviceBuffer::operator=(DeviceBuffer&& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(buffer_, other.buffer_);
    std::swap(bytes_, other.bytes_);
    return *this;
}

DeviceBuffer::~DeviceBuffer() {
    if (!buffer_) return;
    std::lock_guard lock(device_->mutex_);
    device_->table_.free(device_->handle_, buffer_);
}

Result<std::unique_ptr<Device>> Device::open(const hearth_backend& backend, const hearth_host& host, int32_t index,
                                             const std::string& options) {
    std::string spec = device_name({backend.name, index, options});
    std::unique_ptr<Device> device(new Device(backend, index, std::move(spec)));  // first: what is open must have an owner
    hearth_fault fault{};
    const int32_t code =
        caught([&] { return backend.open(&host, index, options.c_str(), &device->handle_, &fault); }, &fault);
    HEARTH_CHECK(device->check(code, fault));
    return device;
}

Device::~Device() {
    if (handle_) table_.close(handle_);
}

Status Device::check(int32_t code, const hearth_fault& fault) const {
    if (code >= 0) return {};
    const Failure failure = fail(static_cast<Code>(code), "{}: {}", spec_, fault.message);
    name_in_error(fault);
    return failure;
}

void Device::name_in_error(const hearth_fault& fault) const {
    error_record().subcode = fault.subcode;
    error_record().bytes_wanted = fault.bytes_wanted;
    error_record().bytes_free = fault.bytes_free;
    name_in_error();
}

Result<hearth_backend_device> Device::describe() {
    std::lock_guard lock(mutex_);
    hearth_backend_device info{};
    info.size = sizeof info;
    hearth_fault fault{};
    HEARTH_CHECK(check(caught([&] { return table_.describe(handle_, &info, &fault); }, &fault), fault));
    return info;
}

Result<int32_t> count_devices(const hearth_backend& backend, const hearth_host& host) {
    hearth_fault fault{};
    int32_t n = 0;
    const int32_t code = caught([&] { return backend.device_count(&host, &n, &fault); }, &fault);
    if (code < 0) return fail(static_cast<Code>(code), "{}: {}", backend.name, fault.message);
    return n;
}

Result<DeviceBuffer> Device::alloc(uint64_t bytes, const char* what) {
    hearth_fault fault{};
    std::lock_guard lock(mutex_);
    hearth_buffer* buffer = nullptr;
    HEARTH_CHECK(check(table_.alloc(handle_, bytes, what, &buffer, &fault), fault));
    return DeviceBuffer(this, buffer, bytes);
}

Status Device::upload(hearth_place to, const void* from, uint64_t bytes) {
    hearth_fault fault{};
    std::lock_guard lock(mutex_);
    return check(table_.upload(handle_, to, from, bytes, &fault), fault);
}

Status Device::download(hearth_place from, void* to, uint64_t bytes) {
    hearth_fault fault{};
    std::lock_guard lock(mutex_);
    return check(table_.download(handle_, from, to, bytes, &fault), fault);
}

Status Device::copy(hearth_place from, hearth_place to, uint64_t bytes) {
    hearth_fault fault{};
    std::lock_guard lock(mutex_);
    return check(table_.copy(handle_, from, to, bytes, &fault), fault);
}

Result<hearth_layout> Device::layout(const hearth_weight& weight) {
    hearth_fault fault{};
    std::lock_guard lock(mutex_);
    hearth_layout layout{};
    HEARTH_CHECK(check(table_.tensor_layout(handle_, &weight, &layout, &fault), fault));
    return layout;
}

Result<hearth_layout> Device::borrowed_layout(const hearth_weight& weight) {
    hearth_layout layout{};
    if (table_.size < offsetof(hearth_backend, borrow) + sizeof table_.borrow || !table_.borrowed_layout || !table_.borrow) return layout;
    hearth_fault fault{};
    std::lock_guard lock(mutex_);
    HEARTH_CHECK(check(table_.borrowed_layout(handle_, &weight, &layout, &fault), fault));
    return layout;
}

Result<DeviceBuffer> Device::borrow(const void* memory, uint64_t bytes) {
    hearth_fault fault{};
    std::lock_guard lock(mutex_);
    hearth_buffer* buffer = nullptr;
    HEARTH_CHECK(check(table_.borrow(handle_, memory, bytes, &buffer, &fault), fault));
    return DeviceBuffer(this, buffer, bytes);
}

Status Device::upload_weight(const hearth_weight& weight, const hearth_layout& layout, hearth_place to,
                             int64_t row_begin, int64_t n_row, const void* rows) {
    hearth_fault fault{};
    return check(table_.upload_weight(handle_, &weight, &layout, to, row_begin, n_row, rows, &fault), fault);
}

Result<uint64_t> Device::page_bytes(const hearth_cache& cache) {
    hearth_fault fault{};
    std::lock_guard lock(mutex_);
    uint64_t bytes = 0;
    HEARTH_CHECK(check(table_.page_bytes(handle_, &cache, &bytes, &fault), fault));
    return bytes;
}

Status Device::export_page(const hearth_cache& cache, hearth_place pool, int32_t page, int32_t layer, void* k, void* v) {
    hearth_fault fault{};
    std::lock_guard lock(mutex_);
    return check(table_.export_page(handle_, &cache, pool, page, layer, k, v, &fault), fault);
}

Status Device::import_page(const hearth_cache& cache, hearth_place pool, int32_t page, int32_t layer, const void* k,
                           const void* v) {
    hearth_fault fault{};
    std::lock_guard lock(mutex_);
    return check(table_.import_page(handle_, &cache, pool, page, layer, k, v, &fault), fault);
}

Result<hearth_program_bytes> Device::measure(const hearth_graph& graph) {
    hearth_fault fault{};
    std::lock_guard lock(mutex_);
    hearth_program_bytes bytes{};
    HEARTH_CHECK(check(table_.compile(handle_, &graph, nullptr, &bytes, nullptr, &fault), fault));
    return bytes;
}

Result<hearth_program*> Device::build(const hearth_graph& graph, const hearth_bindings& bindings) {
    hearth_fault fault{};
    std::lock_guard lock(mutex_);
    hearth_program_bytes bytes{};
    hearth_program* program = nullptr;
    HEARTH_CHECK(check(table_.compile(handle_, &graph, &bindings, &bytes, &program, &fault), fault));
    return program;
}

void Device::free_program(hearth_program* program) {
    if (!program) return;
    std::lock_guard lock(mutex_);
    table_.free_program(handle_, program);
}

Result<int32_t> Device::run(hearth_program* program, const hearth_run_args& args, const hearth_run_options& options,
                            hearth_cursor* cursor) {
    hearth_fault fault{};
    std::lock_guard lock(mutex_);
    const int32_t outcome = table_.run(handle_, program, &args, &options, cursor, &fault);
    HEARTH_CHECK(check(outcome, fault));
    return outcome;
}

Status Device::wait(hearth_program* program) {
    hearth_fault fault{};
    std::lock_guard lock(mutex_);
    return check(table_.wait(handle_, program, &fault), fault);
}

}  // namespace hearth

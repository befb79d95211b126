// The sim backend: devices that are CPU memory and CPU kernels behind the contract, with the limits of an accelerator.
#include "device/sim/sim.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

#include "base/platform.hpp"
#include "device/sim/memory.hpp"
#include "device/sim/options.hpp"
#include "quant/format.hpp"

extern "C" const hearth_backend* hearth_backend_cpu(void);

namespace hearth::sim {
namespace {

// What a hearth_device of this backend is. Buffers are those of the CPU backend, on memory of ours.
struct Device {
    Device(const hearth_host& h, const Options& o, int32_t i) : host(h), options(o), index(i), memory(o) {}
    const hearth_host host;
    const Options options;
    const int32_t index;
    hearth_host inner_host{};        // what the CPU backend sees
    hearth_device* inner = nullptr;  // its device
    Memory memory;
    Block* pending = nullptr;  // taken for the alloc() in progress
    std::atomic<uint64_t> uploaded{0}, downloaded{0}, copied{0}, n_run{0};
    std::mutex link_mutex;
    int64_t link_free_ns = 0;  // when all that was sent so far is through
    std::atomic<int64_t> busy_until_ns{0};  // with compute=: when the runs so far are through
    std::atomic<int64_t> busy_ns{0};        // all that runs took
};

struct Program {
    hearth_program* inner = nullptr;
    std::vector<Block*> blocks;  // what it is bound to
};

Device& device_of(hearth_device* device) { return *reinterpret_cast<Device*>(device); }
Program& program_of(hearth_program* program) { return *reinterpret_cast<Program*>(program); }
const hearth_backend& cpu() { return *hearth_backend_cpu(); }

// Runs f() -> Result<int32_t>; a failure or an exception fills *fault. What the CPU backend returns is a value here: its
// fault is filled already.
template <class F>
int32_t guard(hearth_fault* fault, F f) noexcept {
    try {
        const Result<int32_t> result = f();
        if (result) return *result;
        const ErrorRecord& e = error_record();
        fault->code = static_cast<int32_t>(e.code);
        fault->subcode = e.subcode;
        fault->bytes_wanted = e.bytes_wanted;
        fault->bytes_free = e.bytes_free;
        std::snprintf(fault->message, sizeof fault->message, "%.*s", static_cast<int>(sizeof fault->message - 1), e.message);
    } catch (const std::bad_alloc&) {
        *fault = {static_cast<int32_t>(Code::oom_host), 0, 0, 0, "out of memory in the sim backend"};
    } catch (...) {
        *fault = {static_cast<int32_t>(Code::internal), 0, 0, 0, "unexpected exception in the sim backend"};
    }
    return fault->code;
}

// ---- time ----
void wait_until(int64_t time_ns) {
    constexpr int64_t kSpin = 100000;  // sleeping is no more exact than this
    for (int64_t left = time_ns - os::now_ns(); left > 0; left = time_ns - os::now_ns())
        left > kSpin ? std::this_thread::sleep_for(std::chrono::nanoseconds(left - kSpin)) : std::this_thread::yield();
}

// Waits as long as the link needs for the bytes; calls at the same time share it.
void send(Device& d, uint64_t bytes) {
    double needed = d.options.latency_ns;
    if (d.options.link_bytes_per_second > 0) needed += static_cast<double>(bytes) * 1e9 / d.options.link_bytes_per_second;
    if (needed == 0) return;
    needed = std::min(needed, 0x1p50);  // half a month: sums fit 64 bits
    int64_t end = 0;
    {
        std::lock_guard lock(d.link_mutex);
        end = d.link_free_ns = std::max(d.link_free_ns, os::now_ns()) + static_cast<int64_t>(needed);
    }
    wait_until(end);
}

// ---- devices ----
int32_t sim_score() { return 1; }  // never better than what is real

int32_t sim_device_count(const hearth_host*, int32_t* n, hearth_fault*) {
    *n = 1;  // without options; "2x4GiB" opens as two
    return 0;
}

// The CPU backend asks for memory in alloc() alone, where it gets the block that was taken for it.
void* inner_allocate(void* user, std::size_t, std::size_t) { return static_cast<Device*>(user)->pending->data; }
void inner_free(void*, void*, std::size_t, std::size_t) {}
void inner_log(void* user, int32_t level, const char* message) {
    const hearth_host& host = static_cast<Device*>(user)->host;
    host.log(host.user, level, message);
}
int64_t inner_now(void* user) {
    const hearth_host& host = static_cast<Device*>(user)->host;
    return host.now_ns(host.user);
}
int64_t inner_parallel(void* user, int64_t n_part, void (*fn)(void*, int64_t, int32_t), void* context, int32_t (*stop)(void*)) {
    const hearth_host& host = static_cast<Device*>(user)->host;
    return host.parallel(host.user, n_part, fn, context, stop);
}
void inner_burst(void* user, int32_t on) {
    const hearth_host& host = static_cast<Device*>(user)->host;
    host.burst(host.user, on);
}

int32_t sim_open(const hearth_host* host, int32_t index, const char* text, hearth_device** out, hearth_fault* fault) {
    return guard(fault, [&]() -> Result<int32_t> {
        HEARTH_TRY(const Options options, parse_options(text ? text : "", index));
        if (index < 0 || index >= options.n_device)
            return fail(Code::not_found, "there is no sim device {}: the options '{}' make {}", index, text ? text : "",
                        options.n_device);
        auto device = std::make_unique<Device>(*host, options, index);
        device->inner_host = {sizeof(hearth_host), device.get(), inner_allocate, inner_free,  inner_log,
                              inner_now,           host->n_thread, inner_parallel, inner_burst};
        const int32_t code = cpu().open(&device->inner_host, 0, "", &device->inner, fault);
        if (code >= 0) *out = reinterpret_cast<hearth_device*>(device.release());
        return code;
    });
}

void sim_free(hearth_device* device, hearth_buffer* buffer) {
    Device& d = device_of(device);
    const Result<Block*> block = d.memory.find(buffer);
    if (!block) return;
    cpu().free(d.inner, buffer);
    d.memory.give_back(*block);
}

void sim_close(hearth_device* device) {
    Device& d = device_of(device);
    while (const Block* left = d.memory.any()) sim_free(device, left->buffer);
    cpu().close(d.inner);
    delete &d;
}

int32_t sim_describe(hearth_device* device, hearth_backend_device* out, hearth_fault* fault) {
    const Device& d = device_of(device);
    hearth_backend_device inner{};
    if (const int32_t code = cpu().describe(d.inner, &inner, fault); code < 0) return code;
    *out = {};
    out->size = sizeof *out;
    std::snprintf(out->name, sizeof out->name, "sim device %d of %d, %s", d.index, d.options.n_device,
                  size_text(d.memory.total_bytes()).c_str());
    std::snprintf(out->id, sizeof out->id, "sim:%d", d.index);
    const Counters n = counters(device);
    const auto u = [](uint64_t x) { return static_cast<unsigned long long>(x); };
    std::snprintf(out->detail, sizeof out->detail, "%.20s up %llu down %llu copied %llu allocs %llu runs %llu busy %llu us",
                  inner.detail, u(n.uploaded_bytes), u(n.downloaded_bytes), u(n.copied_bytes), u(n.n_alloc), u(n.n_run), u(n.busy_us));
    out->total_bytes = d.memory.total_bytes();
    out->free_bytes = d.memory.free_bytes();
    out->bytes_per_second = d.options.memory_bytes_per_second;
    return 0;
}

// ---- memory ----
int32_t sim_alloc(hearth_device* device, uint64_t bytes, const char* what, hearth_buffer** out, hearth_fault* fault) {
    return guard(fault, [&]() -> Result<int32_t> {
        Device& d = device_of(device);
        HEARTH_TRY(d.pending, d.memory.take(bytes, what ? what : "a buffer"));
        const int32_t code = cpu().alloc(d.inner, bytes, what, &d.pending->buffer, fault);
        if (code >= 0)
            *out = d.pending->buffer;
        else
            d.memory.give_back(d.pending);
        d.pending = nullptr;
        return code;
    });
}

// f() with the memory of the places in reach.
template <std::size_t n, class F>
int32_t inside(hearth_device* device, const hearth_place (&places)[n], hearth_fault* fault, F f) {
    return guard(fault, [&]() -> Result<int32_t> {
        Device& d = device_of(device);
        wait_until(d.busy_until_ns);
        Block* blocks[n] = {};
        for (std::size_t i = 0; i < n; ++i) {
            HEARTH_TRY(blocks[i], d.memory.find(places[i].buffer));
        }
        Inside access(d.memory);
        HEARTH_CHECK(access.enter(blocks));
        return f(d.inner);
    });
}

// What a call moved, once it is done: counted, and as slow as the link.
int32_t moved(hearth_device* device, int32_t code, std::atomic<uint64_t> Device::* count, uint64_t bytes) {
    if (code < 0) return code;
    device_of(device).*count += bytes;
    send(device_of(device), bytes);
    return code;
}

int32_t sim_upload(hearth_device* device, hearth_place to, const void* from, uint64_t bytes, hearth_fault* fault) {
    const int32_t code =
        inside(device, {to}, fault, [&](hearth_device* inner) { return cpu().upload(inner, to, from, bytes, fault); });
    return moved(device, code, &Device::uploaded, bytes);
}

int32_t sim_download(hearth_device* device, hearth_place from, void* to, uint64_t bytes, hearth_fault* fault) {
    const int32_t code =
        inside(device, {from}, fault, [&](hearth_device* inner) { return cpu().download(inner, from, to, bytes, fault); });
    return moved(device, code, &Device::downloaded, bytes);
}

int32_t sim_copy(hearth_device* device, hearth_place from, hearth_place to, uint64_t bytes, hearth_fault* fault) {
    const int32_t code =
        inside(device, {from, to}, fault, [&](hearth_device* inner) { return cpu().copy(inner, from, to, bytes, fault); });
    return moved(device, code, &Device::copied, bytes);
}

int32_t sim_tensor_layout(hearth_device* device, const hearth_weight* weight, hearth_layout* out, hearth_fault* fault) {
    return cpu().tensor_layout(device_of(device).inner, weight, out, fault);
}

int32_t sim_upload_weight(hearth_device* device, const hearth_weight* weight, const hearth_layout* layout, hearth_place to,
                          int64_t row_begin, int64_t n_row, const void* rows, hearth_fault* fault) {
    const int32_t code = inside(device, {to}, fault, [&](hearth_device* inner) {
        return cpu().upload_weight(inner, weight, layout, to, row_begin, n_row, rows, fault);
    });
    const FormatInfo* format = find_format(weight->format);
    if (code < 0 || !format) return code;
    const uint64_t per_row = row_bytes(*format, static_cast<uint64_t>(weight->shape[weight->n_dim - 1]));
    return moved(device, code, &Device::uploaded, static_cast<uint64_t>(n_row) * per_row);
}

// ---- cache ----
int32_t sim_page_bytes(hearth_device* device, const hearth_cache* cache, uint64_t* bytes, hearth_fault* fault) {
    return cpu().page_bytes(device_of(device).inner, cache, bytes, fault);
}

// Bytes of one layer of a page, or 0 where the CPU backend does not know the cache.
uint64_t layer_bytes(hearth_device* device, const hearth_cache& cache) {
    uint64_t bytes = 0;
    hearth_fault ignored{};
    if (sim_page_bytes(device, &cache, &bytes, &ignored) < 0) return 0;
    return bytes / static_cast<uint64_t>(std::max(cache.n_layer, 1));
}

int32_t sim_export_page(hearth_device* device, const hearth_cache* cache, hearth_place pool, int32_t page, int32_t layer,
                        void* k, void* v, hearth_fault* fault) {
    const int32_t code = inside(device, {pool}, fault, [&](hearth_device* inner) {
        return cpu().export_page(inner, cache, pool, page, layer, k, v, fault);
    });
    return moved(device, code, &Device::downloaded, layer_bytes(device, *cache));
}

int32_t sim_import_page(hearth_device* device, const hearth_cache* cache, hearth_place pool, int32_t page, int32_t layer,
                        const void* k, const void* v, hearth_fault* fault) {
    const int32_t code = inside(device, {pool}, fault, [&](hearth_device* inner) {
        return cpu().import_page(inner, cache, pool, page, layer, k, v, fault);
    });
    return moved(device, code, &Device::uploaded, layer_bytes(device, *cache));
}

// ---- programs ----
Status bind(const Memory& memory, const hearth_graph& graph, const hearth_bindings& bindings, std::vector<Block*>* blocks) {
    const auto add = [&](hearth_place place) -> Status {
        if (!place.buffer) return {};  // empty, as the scratch of a program that needs none
        HEARTH_TRY(Block* const block, memory.find(place.buffer));
        if (std::find(blocks->begin(), blocks->end(), block) == blocks->end()) blocks->push_back(block);
        return {};
    };
    for (int32_t i = 0; i < graph.n_weight; ++i) HEARTH_CHECK(add(bindings.weight[i]));
    for (int32_t i = 0; i < graph.n_cache; ++i) HEARTH_CHECK(add(bindings.cache[i]));
    HEARTH_CHECK(add(bindings.arena));
    return add(bindings.scratch);
}

int32_t sim_compile(hearth_device* device, const hearth_graph* graph, const hearth_bindings* bindings,
                    hearth_program_bytes* bytes, hearth_program** out, hearth_fault* fault) {
    return guard(fault, [&]() -> Result<int32_t> {
        Device& d = device_of(device);
        if (!bindings) return cpu().compile(d.inner, graph, nullptr, bytes, nullptr, fault);
        auto program = std::make_unique<Program>();
        HEARTH_CHECK(bind(d.memory, *graph, *bindings, &program->blocks));
        Inside access(d.memory);
        HEARTH_CHECK(access.enter(program->blocks));
        const int32_t code = cpu().compile(d.inner, graph, bindings, bytes, &program->inner, fault);
        if (code >= 0) *out = reinterpret_cast<hearth_program*>(program.release());
        return code;
    });
}

void sim_free_program(hearth_device* device, hearth_program* program) {
    const std::unique_ptr<Program> owned(&program_of(program));
    cpu().free_program(device_of(device).inner, owned->inner);
}

int32_t sim_run(hearth_device* device, hearth_program* program, const hearth_run_args* args, const hearth_run_options* options,
                hearth_cursor* cursor, hearth_fault* fault) {
    return guard(fault, [&]() -> Result<int32_t> {
        Device& d = device_of(device);
        if (d.options.lost_at > 0 && d.n_run + 1 >= d.options.lost_at)
            return fail(Code::device_lost, "the device is lost at run {}, as lost={} asks", d.n_run + 1, d.options.lost_at);
        const int64_t begin = os::now_ns();
        int32_t code = 0;
        {
            Inside access(d.memory);
            HEARTH_CHECK(access.enter(program_of(program).blocks));
            code = cpu().run(d.inner, program_of(program).inner, args, options, cursor, fault);
        }
        if (code >= 0) ++d.n_run;
        const auto took = static_cast<int64_t>(static_cast<double>(os::now_ns() - begin) / d.options.compute);
        d.busy_ns += took;
        if (d.options.compute < 1) d.busy_until_ns = std::max(begin, d.busy_until_ns.load()) + took;
        return code;
    });
}

int32_t sim_wait(hearth_device* device, hearth_program* program, hearth_fault* fault) {
    wait_until(device_of(device).busy_until_ns);
    return cpu().wait(device_of(device).inner, program_of(program).inner, fault);
}

constexpr hearth_backend kBackend = {
    HEARTH_BACKEND_ABI, sizeof(hearth_backend), "sim",             sim_score,      sim_device_count, sim_open,
    sim_close,          sim_describe,           sim_alloc,         sim_free,       sim_upload,       sim_download,
    sim_copy,           sim_tensor_layout,      sim_upload_weight, sim_page_bytes, sim_export_page,  sim_import_page,
    sim_compile,        sim_free_program,       sim_run,           sim_wait,       nullptr,          nullptr};  // every weight is copied

}  // namespace

Counters counters(const hearth_device* device) {
    const Device& d = *reinterpret_cast<const Device*>(device);
    return {d.uploaded, d.downloaded, d.copied, d.memory.n_alloc(), d.n_run, static_cast<uint64_t>(d.busy_ns / 1000)};
}

const void* host_address(hearth_device* device, hearth_place place) {
    const Result<Block*> block = device_of(device).memory.find(place.buffer);
    return block ? (*block)->data + place.offset : nullptr;
}

}  // namespace hearth::sim

extern "C" const hearth_backend* hearth_backend_sim(void) { return &hearth::sim::kBackend; }

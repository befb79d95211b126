// The oneDNN backend's table, the one symbol of the plugin, and the edge where exceptions become faults.
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <string>

#include "device/onednn/program.hpp"
#include "device/onednn/threads.hpp"
#include "device/onednn/weights.hpp"

struct hearth_device {
    const hearth_host* host;
    hearth::onednn::OpenMp omp;
    bool has_bf16;
    dnnl::engine engine;
    dnnl::stream stream;
};
struct hearth_buffer {
    std::byte* data;
    size_t bytes;
};
struct hearth_program {
    hearth::onednn::Program program;
};

namespace hearth::onednn {

namespace {

constexpr int32_t kUnsupportedType = -6, kOomHost = -8, kPlacement = -11, kInternal = -21;  // as in hearth.h
constexpr size_t kAlign = 64;

int32_t fault_with(hearth_fault* fault, int32_t code, const std::string& sentence, uint64_t bytes = 0) {
    fault->code = code;
    fault->subcode = 0;
    fault->bytes_wanted = bytes;
    fault->bytes_free = 0;
    std::snprintf(fault->message, sizeof fault->message, "%s", sentence.c_str());
    return code;
}

int32_t fault_of(hearth_fault* fault, const dnnl::error& error) {
    const std::string sentence = "oneDNN failed with status " + std::to_string(error.status) + ": " + error.what();
    if (error.status == dnnl_out_of_memory) return fault_with(fault, kOomHost, sentence);
    return fault_with(fault, error.status == dnnl_unimplemented ? kUnsupportedType : kInternal, sentence);
}

// Stops exceptions at the edge of the table: oneDNN's C++ interface reports by throwing.
template <class F>
int32_t guarded(hearth_fault* fault, F f) {
    try {
        return f();
    } catch (const dnnl::error& error) {
        return fault_of(fault, error);
    } catch (const std::bad_alloc&) {
        return fault_with(fault, kOomHost, "out of memory");
    } catch (...) {
        return fault_with(fault, kInternal, "unexpected exception");
    }
}

// oneDNN lists instruction sets as sets of bits; everything with bf16 units holds those of this one.
bool multiplies_bf16() {
#if defined(__x86_64__)
    const auto have = static_cast<unsigned>(dnnl_get_effective_cpu_isa());
    constexpr auto kWanted = static_cast<unsigned>(dnnl_cpu_isa_avx512_core_bf16);
    return (have & kWanted) == kWanted;
#else
    return false;
#endif
}

int32_t score() { return 1; }
int32_t device_count(const hearth_host*, int32_t* n, hearth_fault*) {
    *n = 1;
    return 0;
}

int32_t open(const hearth_host* host, int32_t, const char*, hearth_device** device, hearth_fault* fault) {
    return guarded(fault, [&] {
        const OpenMp omp = find_open_mp();
        const ThreadScope scope(omp, host->n_thread);
        const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
        *device = new hearth_device{host, omp, multiplies_bf16(), engine, dnnl::stream(engine)};
        return 0;
    });
}
void close(hearth_device* device) { delete device; }

int32_t describe(hearth_device* device, hearth_backend_device* out, hearth_fault*) {
    const dnnl_version_t* v = dnnl_version();
    std::snprintf(out->name, sizeof out->name, "oneDNN %d.%d.%d", v->major, v->minor, v->patch);
    std::snprintf(out->id, sizeof out->id, "onednn");
    std::snprintf(out->detail, sizeof out->detail, "LINEAR alone; F16 weights kept as float32, BF16 weights %s",
                  device->has_bf16 ? "as bf16 (activations rounded to bf16)" : "as float32 (no bf16 units)");
    return 0;
}

int32_t alloc(hearth_device* device, uint64_t bytes, const char* what, hearth_buffer** out, hearth_fault* fault) {
    return guarded(fault, [&] {
        const hearth_host& host = *device->host;
        auto buffer = std::make_unique<hearth_buffer>(hearth_buffer{nullptr, bytes});
        buffer->data = static_cast<std::byte*>(host.allocate(host.user, bytes, kAlign));
        if (!buffer->data)
            return fault_with(fault, kOomHost, "out of memory while reserving " + std::to_string(bytes) + " bytes for " + what, bytes);
        *out = buffer.release();
        return 0;
    });
}
void free_buffer(hearth_device* device, hearth_buffer* buffer) {
    device->host->free(device->host->user, buffer->data, buffer->bytes, kAlign);
    delete buffer;
}

std::byte* address(hearth_place place) { return place.buffer ? place.buffer->data + place.offset : nullptr; }

int32_t upload(hearth_device*, hearth_place to, const void* from, uint64_t bytes, hearth_fault*) {
    std::memcpy(address(to), from, bytes);
    return 0;
}
int32_t download(hearth_device*, hearth_place from, void* to, uint64_t bytes, hearth_fault*) {
    std::memcpy(to, address(from), bytes);
    return 0;
}
int32_t copy(hearth_device*, hearth_place from, hearth_place to, uint64_t bytes, hearth_fault*) {
    std::memmove(address(to), address(from), bytes);
    return 0;
}

int32_t tensor_layout(hearth_device* device, const hearth_weight* w, hearth_layout* out, hearth_fault* fault) {
    return guarded(fault, [&] {
        if (!serves_format(w->format))
            return fault_with(fault, kUnsupportedType, std::string("tensor format ") + format_name(w->format) +
                                                           " is not supported by the oneDNN backend, which takes F32, F16 and BF16");
        if (w->uses != HEARTH_USE_VECTOR && (w->uses != HEARTH_USE_MATMUL || w->n_dim != 2))
            return fault_with(fault, kUnsupportedType, "the oneDNN backend takes vectors and matrices of LINEAR, "
                                                       "not weights that are looked up by row or hold experts or heads");
        const Layout layout = layout_of(*w, device->has_bf16);
        *out = {static_cast<int32_t>(layout), static_cast<uint64_t>(n_element(*w) * element_bytes(layout)), kAlign};
        return 0;
    });
}

int32_t upload_weight(hearth_device*, const hearth_weight* w, const hearth_layout* layout, hearth_place to, int64_t row_begin,
                      int64_t n_row, const void* rows, hearth_fault*) {
    const auto kind = static_cast<Layout>(layout->id);
    const bool vector = w->uses == HEARTH_USE_VECTOR;  // comes whole, whatever its dimensions
    const int64_t width = w->shape[w->n_dim - 1];
    std::byte* at = address(to) + (vector ? 0 : row_begin * width * element_bytes(kind));
    convert(w->format, kind, rows, at, vector ? n_element(*w) : n_row * width);
    return 0;
}

constexpr char kNoCache[] = "the oneDNN backend keeps no cache; it does LINEAR alone";
int32_t page_bytes(hearth_device*, const hearth_cache*, uint64_t*, hearth_fault* fault) {
    return guarded(fault, [&] { return fault_with(fault, kUnsupportedType, kNoCache); });
}
int32_t export_page(hearth_device*, const hearth_cache*, hearth_place, int32_t, int32_t, void*, void*, hearth_fault* fault) {
    return guarded(fault, [&] { return fault_with(fault, kUnsupportedType, kNoCache); });
}
int32_t import_page(hearth_device*, const hearth_cache*, hearth_place, int32_t, int32_t, const void*, const void*,
                    hearth_fault* fault) {
    return guarded(fault, [&] { return fault_with(fault, kUnsupportedType, kNoCache); });
}

// Primitives are chosen for a number of threads: compile and run must see the same one.
int32_t compile(hearth_device* device, const hearth_graph* graph, const hearth_bindings* b, hearth_program_bytes* bytes,
                hearth_program** program, hearth_fault* fault) {
    return guarded(fault, [&] {
        if (const std::string why = refusal(*graph); !why.empty()) return fault_with(fault, kUnsupportedType, why);
        if (graph->deterministic)
            return fault_with(fault, kPlacement, "deterministic: in oneDNN what a row becomes may depend on the rows beside it");
        const ThreadScope scope(device->omp, device->host->n_thread);
        Bound bound;
        if (b) {
            bound.arena = address(b->arena), bound.scratch = address(b->scratch);
            for (int32_t i = 0; i < graph->n_weight; ++i) bound.weight.push_back(address(b->weight[i]));
        }
        auto made = std::make_unique<hearth_program>(
            hearth_program{Program(*graph, device->engine, device->has_bf16, std::move(bound))});
        *bytes = {made->program.scratch_bytes(), 0};
        if (b) *program = made.release();
        return 0;
    });
}
void free_program(hearth_device*, hearth_program* program) { delete program; }

int32_t run(hearth_device* device, hearth_program* handle, const hearth_run_args* args, const hearth_run_options* options,
            hearth_cursor* cursor, hearth_fault* fault) {
    return guarded(fault, [&]() -> int32_t {
        const ThreadScope scope(device->omp, device->host->n_thread);
        Program& program = handle->program;
        bool worked = false;  // each call does at least one part
        for (; cursor->node < program.n_node(); ++cursor->node, cursor->part = 0)
            for (; cursor->part < program.n_part(cursor->node, *args); ++cursor->part) {
                if (options->cancel && __atomic_load_n(options->cancel, __ATOMIC_RELAXED)) return HEARTH_RUN_CANCELLED;
                const bool late = options->deadline_ns && device->host->now_ns(device->host->user) > options->deadline_ns;
                if (late && worked) return HEARTH_RUN_PAUSED;
                program.run_part(device->stream, cursor->node, cursor->part, *args);
                worked = true;
            }
        return HEARTH_RUN_DONE;
    });
}
int32_t wait(hearth_device*, hearth_program*, hearth_fault*) { return 0; }

constexpr hearth_backend kBackend = {
    HEARTH_BACKEND_ABI, sizeof(hearth_backend), "onednn", score,        device_count, open,          close,         describe,
    alloc,              free_buffer,            upload,   download,     copy,         tensor_layout, upload_weight, page_bytes,
    export_page,        import_page,            compile,  free_program, run,          wait,
    nullptr,            nullptr,  // every weight is copied
};

}  // namespace

}  // namespace hearth::onednn

extern "C" __attribute__((visibility("default"))) const hearth_backend* hearth_backend_v1(uint32_t abi);
extern "C" const hearth_backend* hearth_backend_v1(uint32_t abi) {
    return abi == HEARTH_BACKEND_ABI ? &hearth::onednn::kBackend : nullptr;
}

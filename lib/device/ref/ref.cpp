// The reference backend: every operator as the plainest correct loop, behind the same table as all others.
#include "device/ref/ref.hpp"

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <new>

#include "device/ref/decode.hpp"

struct hearth_device {
    const hearth_host* host;
};
struct hearth_buffer {
    std::byte* data;
    size_t bytes;
};
struct hearth_program {
    hearth::ref::Program program;
};

namespace hearth::ref {

namespace {

constexpr int32_t kUnsupportedType = -6, kOomHost = -8, kInternal = -21;  // as in hearth.h
constexpr size_t kAlign = 64;

struct OpEntry {
    int32_t op;
    OpFn fn;
};
constexpr OpEntry kOps[] = {
    {HEARTH_OP_EMBED, op_embed},
    {HEARTH_OP_ADD_POSITION, op_add_position},
    {HEARTH_OP_NORM, op_norm},
    {HEARTH_OP_LINEAR, op_linear},
    {HEARTH_OP_LINEAR_HEADS, op_linear_heads},
    {HEARTH_OP_LINEAR_EXPERTS, op_linear_experts},
    {HEARTH_OP_ROUTE, op_route},
    {HEARTH_OP_EXPERT_SUM, op_expert_sum},
    {HEARTH_OP_ROPE, op_rope},
    {HEARTH_OP_CACHE_STORE, op_cache_store},
    {HEARTH_OP_ATTENTION, op_attention},
    {HEARTH_OP_GLU, op_glu},
    {HEARTH_OP_ACT, op_act},
    {HEARTH_OP_ADD, op_add},
    {HEARTH_OP_SCALE, op_scale},
    {HEARTH_OP_SOFTCAP, op_softcap},
    {HEARTH_OP_SELECT_ROWS, op_select_rows},
    {HEARTH_OP_SHORT_CONV, op_short_conv},
    {HEARTH_OP_SCALE_BY_POSITION, op_scale_by_position},
};

int32_t fault_with(hearth_fault* fault, int32_t code, const char* format, long long number, uint64_t bytes = 0) {
    fault->code = code;
    fault->subcode = 0;
    fault->bytes_wanted = bytes;
    fault->bytes_free = 0;
    std::snprintf(fault->message, sizeof fault->message, format, number);
    return code;
}

// Stops exceptions (bad_alloc) at the edge of the table.
template <class F>
int32_t guarded(hearth_fault* fault, F f) {
    try {
        return f();
    } catch (const std::bad_alloc&) {
        return fault_with(fault, kOomHost, "out of memory", 0);
    } catch (...) {
        return fault_with(fault, kInternal, "unexpected exception", 0);
    }
}

int64_t n_element(const hearth_weight& w) {
    int64_t n = 1;
    for (int32_t i = 0; i < w.n_dim; ++i) n *= w.shape[i];
    return n;
}
int64_t row_width(const hearth_weight& w) { return w.shape[w.n_dim - 1]; }

int32_t score() { return 1; }
int32_t device_count(const hearth_host*, int32_t* n, hearth_fault*) {
    *n = 1;
    return 0;
}

int32_t open(const hearth_host* host, int32_t, const char*, hearth_device** device, hearth_fault* fault) {
    return guarded(fault, [&] {
        *device = new hearth_device{host};
        return 0;
    });
}
void close(hearth_device* device) { delete device; }

int32_t describe(hearth_device*, hearth_backend_device* out, hearth_fault*) {
    std::snprintf(out->name, sizeof out->name, "reference");
    std::snprintf(out->id, sizeof out->id, "ref");
    std::snprintf(out->detail, sizeof out->detail, "slow and obvious, for comparison");
    return 0;
}

int32_t alloc(hearth_device* device, uint64_t bytes, const char*, hearth_buffer** out, hearth_fault* fault) {
    return guarded(fault, [&] {
        void* data = device->host->allocate(device->host->user, bytes, kAlign);
        if (!data) return fault_with(fault, kOomHost, "out of memory while reserving %lld bytes", static_cast<long long>(bytes), bytes);
        hearth_buffer* buffer = new (std::nothrow) hearth_buffer{static_cast<std::byte*>(data), bytes};
        if (!buffer) {
            device->host->free(device->host->user, data, bytes, kAlign);
            return fault_with(fault, kOomHost, "out of memory", 0);
        }
        *out = buffer;
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
    std::memcpy(address(to), address(from), bytes);
    return 0;
}

// Vectors are kept as float32, matrices as they are in the file.
int32_t tensor_layout(hearth_device*, const hearth_weight* w, hearth_layout* out, hearth_fault* fault) {
    if (!knows_format(w->format)) return fault_with(fault, kUnsupportedType, "tensor format %lld is not supported", w->format);
    const int64_t n = n_element(*w);
    const bool vector = w->uses == HEARTH_USE_VECTOR;
    out->id = 0;
    out->align = kAlign;
    out->bytes = static_cast<uint64_t>(vector ? 4 * n : n / row_width(*w) * format_row_bytes(w->format, row_width(*w)));
    return 0;
}

int32_t upload_weight(hearth_device*, const hearth_weight* w, const hearth_layout*, hearth_place to, int64_t row_begin,
                      int64_t n_row, const void* rows, hearth_fault* fault) {
    return guarded(fault, [&] {
        if (w->uses == HEARTH_USE_VECTOR) {
            const int64_t width = row_width(*w);
            std::vector<double> values(static_cast<size_t>(n_row * width));
            decode_row(w->format, rows, values.size(), values.data());
            std::transform(values.begin(), values.end(), reinterpret_cast<float*>(address(to)) + row_begin * width,
                           [](double v) { return static_cast<float>(v); });
            return 0;
        }
        const auto bytes = static_cast<size_t>(format_row_bytes(w->format, row_width(*w)));
        std::memcpy(address(to) + static_cast<size_t>(row_begin) * bytes, rows, static_cast<size_t>(n_row) * bytes);
        return 0;
    });
}

int32_t page_bytes(hearth_device*, const hearth_cache* c, uint64_t* bytes, hearth_fault* fault) {
    if (!storable(c->k_type) || !storable(c->v_type))
        return fault_with(fault, kUnsupportedType, "a cache of tensor format %lld is not supported",
                          storable(c->k_type) ? c->v_type : c->k_type);
    const auto whole = [&](int32_t type, int32_t width) { return plain(type) || (c->kind != HEARTH_CACHE_LATENT && width % 32 == 0); };
    if (c->kind != HEARTH_CACHE_RECURRENT && (!whole(c->k_type, c->k_width) || !whole(c->v_type, c->v_width)))
        return fault_with(fault, kUnsupportedType, "heads of %lld elements cannot be cached in blocks", c->k_width);
    *bytes = static_cast<uint64_t>(page_layout(*c).page_bytes);
    return 0;
}

// The stored rows are the plain rows: a page of one layer goes out and in as it is.
std::byte* layer_of(const hearth_cache& c, hearth_place pool, int32_t page, int32_t layer) {
    const PageLayout p = page_layout(c);
    return address(pool) + page * p.page_bytes + layer * p.layer_bytes;
}
struct LayerBytes {
    size_t k, v;
};
LayerBytes layer_bytes(const hearth_cache& c) {
    const PageLayout p = page_layout(c);
    const auto v = static_cast<size_t>(HEARTH_PAGE_TOKENS * p.v_row_bytes);
    return {static_cast<size_t>(p.layer_bytes) - v, v};
}

int32_t export_page(hearth_device*, const hearth_cache* c, hearth_place pool, int32_t page, int32_t layer, void* k, void* v,
                    hearth_fault*) {
    const LayerBytes n = layer_bytes(*c);
    const std::byte* from = layer_of(*c, pool, page, layer);
    std::memcpy(k, from, n.k);
    if (n.v) std::memcpy(v, from + n.k, n.v);
    return 0;
}
int32_t import_page(hearth_device*, const hearth_cache* c, hearth_place pool, int32_t page, int32_t layer, const void* k,
                    const void* v, hearth_fault*) {
    const LayerBytes n = layer_bytes(*c);
    std::byte* to = layer_of(*c, pool, page, layer);
    std::memcpy(to, k, n.k);
    if (n.v) std::memcpy(to + n.k, v, n.v);
    return 0;
}

int32_t compile(hearth_device*, const hearth_graph* graph, const hearth_bindings* b, hearth_program_bytes* bytes,
                hearth_program** program, hearth_fault* fault) {
    return guarded(fault, [&] {
        for (int32_t i = 0; i < graph->n_node; ++i)
            if (!find_op(graph->node[i].op))
                return fault_with(fault, kUnsupportedType, "operator %lld is not supported", graph->node[i].op);
        *bytes = {0, 0};
        if (!b) return 0;
        auto made = new hearth_program{{*graph, {}, {}, address(b->arena)}};
        *program = made;
        for (int32_t i = 0; i < graph->n_weight; ++i) made->program.weight.push_back(address(b->weight[i]));
        for (int32_t i = 0; i < graph->n_cache; ++i) made->program.cache.push_back(address(b->cache[i]));
        return 0;
    });
}
void free_program(hearth_device*, hearth_program* program) { delete program; }

// A node is one part here.
int32_t run(hearth_device* device, hearth_program* program, const hearth_run_args* args, const hearth_run_options* options,
            hearth_cursor* cursor, hearth_fault* fault) {
    return guarded(fault, [&]() -> int32_t {
        const hearth_graph& graph = program->program.graph;
        const uint32_t first = cursor->node;  // each call does at least one node
        for (; cursor->node < static_cast<uint32_t>(graph.n_node); ++cursor->node) {
            if (options->cancel && __atomic_load_n(options->cancel, __ATOMIC_RELAXED)) return HEARTH_RUN_CANCELLED;
            const bool late = options->deadline_ns && device->host->now_ns(device->host->user) > options->deadline_ns;
            if (late && cursor->node > first) return HEARTH_RUN_PAUSED;
            const hearth_node& node = graph.node[cursor->node];
            find_op(node.op)(Work{program->program, node, *args});
        }
        return HEARTH_RUN_DONE;
    });
}
int32_t wait(hearth_device*, hearth_program*, hearth_fault*) { return 0; }

constexpr hearth_backend kBackend = {
    HEARTH_BACKEND_ABI, sizeof(hearth_backend), "ref",  score,     device_count,  open,        close,       describe,
    alloc,              free_buffer,            upload, download,  copy,          tensor_layout, upload_weight, page_bytes,
    export_page,        import_page,            compile, free_program, run,       wait,
    nullptr,            nullptr,  // every weight is copied
};

}  // namespace

OpFn find_op(int32_t op) {
    for (const OpEntry& entry : kOps)
        if (entry.op == op) return entry.fn;
    return nullptr;
}

}  // namespace hearth::ref

extern "C" const hearth_backend* hearth_backend_ref(void);
extern "C" const hearth_backend* hearth_backend_ref(void) { return &hearth::ref::kBackend; }

// The CPU backend as the contract's table of functions: the one place where errors and exceptions become faults.
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>

#include "device/cpu/cpu_level.hpp"
#include "device/cpu/program.hpp"

namespace {

using namespace hearth;
using namespace hearth::cpu;

// Runs f() -> Status; a failure or an exception fills *fault and becomes a negative status.
template <class F>
int32_t guard(hearth_fault* fault, F f) noexcept {
    try {
        const Status status = f();
        if (status) return 0;
        const ErrorRecord& e = error_record();
        fault->code = static_cast<int32_t>(e.code);
        fault->subcode = e.subcode;
        fault->bytes_wanted = e.bytes_wanted;
        fault->bytes_free = e.bytes_free;
        std::snprintf(fault->message, sizeof fault->message, "%.*s", static_cast<int>(sizeof fault->message - 1), e.message);
        return fault->code;
    } catch (const std::bad_alloc&) {
        *fault = {static_cast<int32_t>(Code::oom_host), 0, 0, 0, "cpu: out of memory"};
    } catch (...) {
        *fault = {static_cast<int32_t>(Code::internal), 0, 0, 0, "cpu: unexpected exception"};
    }
    return fault->code;
}

uint8_t* at(hearth_place place) { return place.buffer->data + place.offset; }

Status check_range(hearth_place place, uint64_t bytes) {
    if (place.offset > place.buffer->bytes || bytes > place.buffer->bytes - place.offset)
        return fail(Code::invalid_argument, "cpu: {} bytes at {} of a buffer of {}", bytes, place.offset, place.buffer->bytes);
    return {};
}

int32_t cpu_score() { return 10; }

int32_t cpu_device_count(const hearth_host*, int32_t* n, hearth_fault*) {
    *n = 1;
    return 0;
}

int32_t cpu_open(const hearth_host* host, int32_t index, const char* options, hearth_device** device, hearth_fault* fault) {
    return guard(fault, [&]() -> Status {
        if (index != 0) return fail(Code::not_found, "cpu:{}: there is one CPU device, cpu:0", index);
        if (options && *options) return fail(Code::invalid_argument, "cpu: unknown option '{}'", options);
        HEARTH_TRY(Choice level, choose_level());
        const char* profile = std::getenv("HEARTH_CPU_PROFILE");
        *device = new hearth_device{*host, level.kernels, std::move(level.detail), profile && *profile == '1'};
        return {};
    });
}

void cpu_close(hearth_device* device) { delete device; }

int32_t cpu_describe(hearth_device* device, hearth_backend_device* out, hearth_fault*) {
    *out = {};
    out->size = sizeof *out;
    std::snprintf(out->name, sizeof out->name, "CPU");
    std::snprintf(out->id, sizeof out->id, "cpu:0");
    std::snprintf(out->detail, sizeof out->detail, "level %s%s%s", device->kernels.name, device->refused.empty() ? "" : ", not ",
                  device->refused.c_str());
    return 0;
}

int32_t cpu_alloc(hearth_device* device, uint64_t bytes, const char* what, hearth_buffer** out, hearth_fault* fault) {
    return guard(fault, [&]() -> Status {
        auto buffer = std::make_unique<hearth_buffer>();
        buffer->bytes = bytes;
        buffer->data = static_cast<uint8_t*>(device->host.allocate(device->host.user, std::max<uint64_t>(bytes, 64), 64));
        if (!buffer->data) return fail_oom(Code::oom_host, what ? what : "buffer", bytes, 0);
        *out = buffer.release();
        return {};
    });
}

void cpu_free(hearth_device* device, hearth_buffer* buffer) {
    if (!buffer) return;
    if (!buffer->borrowed) device->host.free(device->host.user, buffer->data, std::max<uint64_t>(buffer->bytes, 64), 64);
    delete buffer;
}

int32_t cpu_upload(hearth_device*, hearth_place to, const void* from, uint64_t bytes, hearth_fault* fault) {
    return guard(fault, [&]() -> Status {
        HEARTH_CHECK(check_range(to, bytes));
        std::memcpy(at(to), from, bytes);
        return {};
    });
}

int32_t cpu_download(hearth_device*, hearth_place from, void* to, uint64_t bytes, hearth_fault* fault) {
    return guard(fault, [&]() -> Status {
        HEARTH_CHECK(check_range(from, bytes));
        std::memcpy(to, at(from), bytes);
        return {};
    });
}

int32_t cpu_copy(hearth_device*, hearth_place from, hearth_place to, uint64_t bytes, hearth_fault* fault) {
    return guard(fault, [&]() -> Status {
        HEARTH_CHECK(check_range(from, bytes));
        HEARTH_CHECK(check_range(to, bytes));
        std::memmove(at(to), at(from), bytes);
        return {};
    });
}

int32_t cpu_tensor_layout(hearth_device* device, const hearth_weight* weight, hearth_layout* out, hearth_fault* fault) {
    return guard(fault, [&]() -> Status {
        HEARTH_TRY(*out, weight_layout(device->kernels, *weight));
        return {};
    });
}

int32_t cpu_upload_weight(hearth_device*, const hearth_weight* weight, const hearth_layout* layout, hearth_place to,
                          int64_t row_begin, int64_t n_row, const void* rows, hearth_fault* fault) {
    return guard(fault, [&]() -> Status {
        HEARTH_CHECK(check_range(to, layout->bytes));
        return upload_rows(*weight, static_cast<Layout>(layout->id), at(to), row_begin, n_row, rows);
    });
}

// Moves one key between a page's head and its plain row; see KeyKernel for the layout of a head.
template <class Move>
void move_key(const FormatInfo& info, uint8_t* head, uint8_t* row, int64_t width, int64_t slot, Move move) {
    if (info.block_elements == 1) {
        for (int64_t d = 0; d < width; ++d)
            move(head + (d * kPageTokens + slot) * info.block_bytes, row + d * info.block_bytes, info.block_bytes);
        return;
    }
    constexpr int64_t kScaleBytes = 2, kUnit = 4;
    for (int64_t b = 0; b < width / info.block_elements; ++b, head += kPageTokens * info.block_bytes, row += info.block_bytes) {
        move(head + slot * kScaleBytes, row, kScaleBytes);
        for (int64_t at = 0; at < info.block_bytes - kScaleBytes; at += kUnit)
            move(head + kPageTokens * (kScaleBytes + at) + slot * kUnit, row + kScaleBytes + at, kUnit);
    }
}

// Moves one layer of one page between the pool and plain rows [32, n_head * width].
void move_page(const hearth_cache& c, uint8_t* layer, uint8_t* k, uint8_t* v, bool to_pool) {
    const auto move = [to_pool](uint8_t* pool, uint8_t* plain, int64_t bytes) {
        std::memcpy(to_pool ? pool : plain, to_pool ? plain : pool, static_cast<std::size_t>(bytes));
    };
    const int64_t k_row = k_head_bytes(c) / kPageTokens, v_row = v_head_bytes(c) / kPageTokens;
    for (int64_t h = 0; h < c.n_head_kv; ++h)
        for (int64_t t = 0; t < kPageTokens; ++t) {
            move_key(*find_format(c.k_type), layer + h * k_head_bytes(c), k + (t * c.n_head_kv + h) * k_row, c.k_width, t, move);
            if (c.kind == HEARTH_CACHE_LATENT) continue;
            move(layer + c.n_head_kv * k_head_bytes(c) + h * v_head_bytes(c) + t * v_row, v + (t * c.n_head_kv + h) * v_row, v_row);
        }
}

Status check_page(const hearth_cache& cache, hearth_place pool, int32_t page, int32_t layer) {
    if (page < 0 || layer < 0 || layer >= cache.n_layer)
        return fail(Code::invalid_argument, "cpu: page {} layer {} of a cache of {} layers", page, layer, cache.n_layer);
    return check_range(pool, (static_cast<uint64_t>(page) + 1) * static_cast<uint64_t>(cache_page_bytes(cache)));
}

int32_t cpu_borrowed_layout(hearth_device* device, const hearth_weight* weight, hearth_layout* out, hearth_fault* fault) {
    return guard(fault, [&]() -> Status {
        HEARTH_TRY(*out, borrowed_layout(device->kernels, *weight));
        return {};
    });
}

int32_t cpu_borrow(hearth_device*, const void* memory, uint64_t bytes, hearth_buffer** out, hearth_fault* fault) {
    return guard(fault, [&]() -> Status {
        *out = new hearth_buffer{static_cast<uint8_t*>(const_cast<void*>(memory)), bytes, true};
        return {};
    });
}

int32_t cpu_page_bytes(hearth_device*, const hearth_cache* cache, uint64_t* bytes, hearth_fault* fault) {
    return guard(fault, [&]() -> Status {
        HEARTH_CHECK(check_cache_types(*cache));
        *bytes = static_cast<uint64_t>(cache_page_bytes(*cache));
        return {};
    });
}

uint8_t* layer_of(const hearth_cache& cache, hearth_place pool, int32_t page, int32_t layer) {
    return at(pool) + page * cache_page_bytes(cache) + layer * cache_layer_bytes(cache);
}

int32_t cpu_export_page(hearth_device*, const hearth_cache* cache, hearth_place pool, int32_t page, int32_t layer, void* k,
                        void* v, hearth_fault* fault) {
    return guard(fault, [&]() -> Status {
        HEARTH_CHECK(check_cache_types(*cache));
        HEARTH_CHECK(check_page(*cache, pool, page, layer));
        uint8_t* from = layer_of(*cache, pool, page, layer);
        if (cache->kind == HEARTH_CACHE_RECURRENT)
            std::memcpy(k, from, static_cast<std::size_t>(cache->state_width) * 4);
        else
            move_page(*cache, from, static_cast<uint8_t*>(k), static_cast<uint8_t*>(v), false);
        return {};
    });
}

int32_t cpu_import_page(hearth_device*, const hearth_cache* cache, hearth_place pool, int32_t page, int32_t layer,
                        const void* k, const void* v, hearth_fault* fault) {
    return guard(fault, [&]() -> Status {
        HEARTH_CHECK(check_cache_types(*cache));
        HEARTH_CHECK(check_page(*cache, pool, page, layer));
        uint8_t* to = layer_of(*cache, pool, page, layer);
        if (cache->kind == HEARTH_CACHE_RECURRENT)
            std::memcpy(to, k, static_cast<std::size_t>(cache->state_width) * 4);
        else
            move_page(*cache, to, static_cast<uint8_t*>(const_cast<void*>(k)), static_cast<uint8_t*>(const_cast<void*>(v)), true);
        return {};
    });
}

int32_t cpu_compile(hearth_device* device, const hearth_graph* graph, const hearth_bindings* bindings,
                    hearth_program_bytes* bytes, hearth_program** program, hearth_fault* fault) {
    return guard(fault, [&]() -> Status {
        Builder builder(*device, *graph, bindings);
        HEARTH_CHECK(builder.build());
        *bytes = {static_cast<uint64_t>(builder.scratch_bytes), 0};
        if (!bindings) return {};
        auto made = std::make_unique<hearth_program>(hearth_program{std::move(builder.steps), {}});
        if (device->profile) made->times.resize(made->steps.size());
        *program = made.release();
        return {};
    });
}

void cpu_free_program(hearth_device* device, hearth_program* program) {
    if (program && !program->times.empty()) {
        hearth_fault fault{};
        guard(&fault, [&]() -> Status {
            constexpr int32_t kInfo = 3;
            for (const std::string& line : profile_table(*program)) device->host.log(device->host.user, kInfo, line.c_str());
            return {};
        });
    }
    delete program;
}

// ---- run ----
struct Work {  // steps of one run that go together, seen by the host's threads
    const Step* step;
    int64_t n_part[kMaxJoined];  // of each
    Run run;
    const hearth_host* host;
    const hearth_run_options* options;
    int64_t first_part;
    bool progressed;  // each run does at least one part before it looks at the clock
};

bool cancelled(const hearth_run_options* o) {
    return o && o->cancel && std::atomic_ref<int32_t>(*const_cast<int32_t*>(o->cancel)).load(std::memory_order_relaxed) != 0;
}
bool late(const Work& w) {
    return w.progressed && w.options && w.options->deadline_ns != 0 && w.host->now_ns(w.host->user) >= w.options->deadline_ns;
}

void work_part(void* context, int64_t part, int32_t thread) {
    const Work& w = *static_cast<const Work*>(context);
    part += w.first_part;
    int32_t i = 0;
    for (; part >= w.n_part[i]; ++i) part -= w.n_part[i];
    w.step[i].fn(w.step[i], w.run, part, thread);
}
int32_t work_stop(void* context) {
    const Work& w = *static_cast<const Work*>(context);
    return cancelled(w.options) || late(w);
}

// Does the parts of a step, and of those that go with it, from cursor->part on; false = stopped before the last.
bool run_step(Work& work, const Step& step, hearth_cursor* cursor) {
    work.step = &step;
    work.first_part = cursor->part;
    int64_t n = -work.first_part;
    for (int32_t i = 0; i <= step.n_more; ++i) n += work.n_part[i] = (&step)[i].count((&step)[i], work.run);
    if (n > 1 && !work.progressed && work.options && work.options->deadline_ns != 0 && !cancelled(work.options)) {
        work_part(&work, 0, 0);
        ++cursor->part;
        ++work.first_part;
        --n;
        work.progressed = true;
    }
    if (n > 0) {
        int64_t done = 0;
        if (n == 1) {  // not worth waking anybody
            if (!work_stop(&work)) work_part(&work, 0, 0), done = 1, work.progressed = true;
        } else {
            done = work.host->parallel(work.host->user, n, work_part, &work, work_stop);
        }
        if (done < n) {
            cursor->part += static_cast<uint32_t>(done);
            return false;
        }
    }
    cursor->part = 0;
    cursor->node += 1 + static_cast<uint32_t>(step.n_more);
    return true;
}

// The same, with the time that it takes on its account.
bool run_timed(Work& work, hearth_program& program, hearth_cursor* cursor) {
    const std::size_t i = cursor->node;
    const int64_t begin = work.host->now_ns(work.host->user);
    const bool done = run_step(work, program.steps[i], cursor);
    program.times[i].ns += work.host->now_ns(work.host->user) - begin;
    program.times[i].n_token += done ? work.run.args->n_token : 0;
    program.times[i].n_output += done ? work.run.args->n_output : 0;
    program.times[i].n_run += done;
    return done;
}

int32_t cpu_run(hearth_device* device, hearth_program* program, const hearth_run_args* args, const hearth_run_options* options,
                hearth_cursor* cursor, hearth_fault* fault) {
    int32_t result = HEARTH_RUN_DONE;
    const int32_t status = guard(fault, [&]() -> Status {
        if (args->tree) return fail(Code::unsupported_type, "cpu: speculative trees are not supported yet");
        Work work{nullptr, {}, {args, &device->kernels}, &device->host, options, 0, false};
        device->host.burst(device->host.user, 1);
        while (result == HEARTH_RUN_DONE && cursor->node < program->steps.size()) {
            const bool done = program->times.empty() ? run_step(work, program->steps[cursor->node], cursor)
                                                     : run_timed(work, *program, cursor);
            if (!done) result = cancelled(options) ? HEARTH_RUN_CANCELLED : HEARTH_RUN_PAUSED;
        }
        device->host.burst(device->host.user, 0);
        return {};
    });
    return status < 0 ? status : result;
}

int32_t cpu_wait(hearth_device*, hearth_program*, hearth_fault*) { return 0; }

constexpr hearth_backend kBackend = {
    HEARTH_BACKEND_ABI, sizeof(hearth_backend), "cpu",           cpu_score,       cpu_device_count, cpu_open,
    cpu_close,          cpu_describe,           cpu_alloc,       cpu_free,        cpu_upload,       cpu_download,
    cpu_copy,           cpu_tensor_layout,      cpu_upload_weight, cpu_page_bytes, cpu_export_page, cpu_import_page,
    cpu_compile,        cpu_free_program,       cpu_run,         cpu_wait,         cpu_borrowed_layout, cpu_borrow};

}  // namespace

extern "C" const hearth_backend* hearth_backend_cpu(void);
extern "C" const hearth_backend* hearth_backend_cpu(void) { return &kBackend; }

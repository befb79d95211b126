// The C ABI: contexts and sequences.
#include <hearth/hearth.h>

#include "guard.hpp"
#include "handles.hpp"
#include "open.hpp"

using namespace hearth;
using namespace hearth::capi;

namespace {

// f(Context&) with the handle checked and held.
template <class F>
hearth_status with_context(hearth_context* context, F f) {
    return guarded([&]() -> Status {
        HEARTH_TRY(const auto c, borrow<ContextObject>(context));
        return f(*c->context);
    });
}

Status read_batch(const hearth_batch* in, Batch* out) {
    HEARTH_CHECK(need(in, "the batch"));
    hearth_batch b;
    HEARTH_CHECK(read_struct(in, "hearth_batch", &b));
    *out = {b.n_token, b.token, b.embedding, b.seq, b.pos, b.want_logits};
    return {};
}

int64_t deadline(uint64_t budget_us) {
    constexpr uint64_t kYear = uint64_t{365} * 24 * 3600 * 1000000;
    return os::now_ns() + static_cast<int64_t>(std::min(budget_us, kYear)) * 1000;
}

}  // namespace

hearth_status hearth_context_create(hearth_model* model, const hearth_context_params* params, hearth_context** out) {
    return guarded([&]() -> Status {
        HEARTH_CHECK(need(out, "the output"));
        HEARTH_TRY(const auto m, borrow<ModelObject>(model));
        HEARTH_TRY(const ContextOptions options, context_options(params));
        auto object = std::make_unique<ContextObject>();
        object->runtime = m->runtime;
        HEARTH_TRY(object->context, make_context(m->model, options));
        Context& made = *object->context;
        HEARTH_TRY(void* handle, add_handle(std::move(object), ContextObject::kKind));
        made.use_cancel_flag(cancel_flag(handle, ContextObject::kKind));
        *out = static_cast<hearth_context*>(handle);
        return {};
    });
}
hearth_status hearth_context_retain(hearth_context* context) {
    return guarded([&] { return retain_handle(context, ContextObject::kKind, ContextObject::kName); });
}
hearth_status hearth_context_release(hearth_context* context) {
    return guarded([&] { return release_handle(context, ContextObject::kKind, ContextObject::kName); });
}

hearth_status hearth_context_decode(hearth_context* context, const hearth_batch* batch) {
    return with_context(context, [&](Context& c) -> Status {
        Batch b;
        HEARTH_CHECK(read_batch(batch, &b));
        const Result<Outcome> outcome = c.decode(b);
        return outcome ? Status() : Status(outcome.failure());
    });
}

hearth_status hearth_context_decode_for(hearth_context* context, const hearth_batch* batch, uint64_t budget_us, int32_t* paused) {
    return with_context(context, [&](Context& c) -> Status {
        Batch b;
        HEARTH_CHECK(need(paused, "the output paused"));
        HEARTH_CHECK(read_batch(batch, &b));
        HEARTH_TRY(const Outcome outcome, c.decode(b, deadline(budget_us)));
        *paused = outcome == Outcome::paused;
        return {};
    });
}

hearth_status hearth_context_resume(hearth_context* context, uint64_t budget_us, int32_t* paused) {
    return with_context(context, [&](Context& c) -> Status {
        HEARTH_CHECK(need(paused, "the output paused"));
        HEARTH_TRY(const Outcome outcome, c.resume(deadline(budget_us)));
        *paused = outcome == Outcome::paused;
        return {};
    });
}

hearth_status hearth_context_abandon(hearth_context* context) {
    return with_context(context, [](Context& c) -> Status {
        c.abandon();
        return {};
    });
}

hearth_status hearth_context_cancel(hearth_context* context) {
    std::atomic<int32_t>* flag = cancel_flag(context, ContextObject::kKind);
    if (!flag) return HEARTH_E_INVALID_ARGUMENT;  // no sentence: a signal handler may be at work
    flag->store(1);
    return HEARTH_OK;
}

hearth_status hearth_context_logits(hearth_context* context, int32_t batch_index, const float** out) {
    return with_context(context, [&](Context& c) -> Status {
        HEARTH_CHECK(need(out, "the output"));
        const int32_t row = batch_index < 0 ? c.n_output() - 1 : c.output_of_token(batch_index);
        const float* logits = c.logits(row);
        if (!logits) return fail(Code::not_found, "the last decode made no logits for token {}", batch_index);
        *out = logits;
        return {};
    });
}

hearth_status hearth_sequence_remove(hearth_context* context, int32_t seq, int32_t begin, int32_t end) {
    return with_context(context, [&](Context& c) { return c.remove(seq, begin, end); });
}
hearth_status hearth_sequence_copy(hearth_context* context, int32_t src, int32_t dst, int32_t begin, int32_t end) {
    return with_context(context, [&](Context& c) { return c.copy(src, dst, begin, end); });
}
hearth_status hearth_sequence_keep(hearth_context* context, int32_t seq) {
    return with_context(context, [&](Context& c) { return c.keep(seq); });
}
hearth_status hearth_sequence_shift(hearth_context* context, int32_t seq, int32_t begin, int32_t end, int32_t delta) {
    return with_context(context, [&](Context& c) { return c.shift(seq, begin, end, delta); });
}

hearth_status hearth_sequence_range(hearth_context* context, int32_t seq, int32_t* n_token, int32_t* first, int32_t* last) {
    return with_context(context, [&](Context& c) -> Status {
        HEARTH_TRY(const int32_t n, c.n_token(seq));
        HEARTH_TRY(const auto range, c.positions(seq));
        if (n_token) *n_token = n;
        if (first) *first = range.first;
        if (last) *last = range.second;
        return {};
    });
}

hearth_status hearth_context_clear(hearth_context* context) {
    return with_context(context, [](Context& c) -> Status {
        c.clear();
        return {};
    });
}

hearth_status hearth_sequence_save(hearth_context* context, int32_t seq, void* buf, size_t cap, size_t* size) {
    return with_context(context, [&](Context& c) -> Status {
        HEARTH_CHECK(need(size, "the output size"));
        HEARTH_TRY(const auto state, c.save(seq));
        if (buf && cap < state.size())
            return fail(Code::invalid_argument, "the buffer has room for {} bytes, {} are needed", cap, state.size());
        if (buf) std::memcpy(buf, state.data(), state.size());
        *size = state.size();
        return {};
    });
}

hearth_status hearth_sequence_load(hearth_context* context, int32_t seq, const void* data, size_t size) {
    return with_context(context, [&](Context& c) -> Status {
        HEARTH_CHECK(need(data, "the data"));
        return c.load(seq, static_cast<const std::byte*>(data), size);
    });
}

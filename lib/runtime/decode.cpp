// One step of a context: check, stage, run, commit - or leave everything as it was.
#include <algorithm>
#include <numeric>

#include "runtime/context.hpp"

namespace hearth {

namespace {

int32_t seq_of(const Batch& batch, int32_t i) { return batch.seq ? batch.seq[i] : 0; }

// Takes a step back unless it was kept: on every failure, an exception included.
class StepGuard {
  public:
    explicit StepGuard(Context* context) : context_(context) {}
    ~StepGuard() {
        if (context_) context_->abandon();
    }
    StepGuard(const StepGuard&) = delete;
    StepGuard& operator=(const StepGuard&) = delete;
    void keep() { context_ = nullptr; }

  private:
    Context* context_;
};

}  // namespace

Status Context::check_idle() const {
    if (suspended_) return fail(Code::busy, "a paused decode owns this context: resume or abandon it first");
    return {};
}

Status Context::check_seq(int32_t seq) const {
    if (seq >= 0 && seq < options_.n_seq_max) return {};
    return fail(Code::invalid_argument, "sequence {} is outside 0..{} (n_seq_max)", seq, options_.n_seq_max - 1);
}

Status Context::check_batch(const Batch& batch) const {
    if (batch.n_token < 1 || !batch.token) return fail(Code::invalid_argument, "the batch has no tokens");
    if (batch.n_token > options_.n_batch)
        return fail(Code::invalid_argument, "the batch has {} tokens, more than n_batch = {}", batch.n_token, options_.n_batch);
    const int32_t n_vocab = model_->hparams().n_vocab;
    for (int32_t i = 0; i < batch.n_token; ++i) {
        HEARTH_CHECK(check_seq(seq_of(batch, i)));
        if (batch.token[i] >= n_vocab || batch.token[i] < (batch.embedding ? -1 : 0))
            return fail(Code::invalid_argument, "token {} of the batch is {}, outside 0..{}", i, batch.token[i], n_vocab - 1);
    }
    return {};
}

// Tokens of one sequence become neighbours, in the batch's order.
void Context::order(const Batch& batch) {
    source_.resize(static_cast<std::size_t>(batch.n_token));
    std::iota(source_.begin(), source_.end(), 0);
    if (batch.seq)
        std::stable_sort(source_.begin(), source_.end(), [&](int32_t a, int32_t b) { return batch.seq[a] < batch.seq[b]; });
}

Status Context::fill(const Batch& batch) {
    const int32_t n_axis = model_->hparams().n_pos_axis(), n_embd = model_->hparams().n_embd;
    for (auto* list : {&token_, &seq_, &index_, &pos_, &output_row_, &run_begin_}) list->clear();
    attend_.clear();
    embedding_.clear();
    output_of_.assign(static_cast<std::size_t>(batch.n_token), -1);
    std::vector<int32_t> embedding_row(static_cast<std::size_t>(batch.n_token), -1);
    for (int32_t i = 0, row = 0; i < batch.n_token; ++i)
        if (batch.token[i] < 0) embedding_row[static_cast<std::size_t>(i)] = row++;
    const bool learned = model_->hparams().arch->has(kLearnedPositions);
    const int32_t most = learned ? model_->hparams().n_ctx_train - 1 : kMaxPosition;
    int32_t place = 0, next_pos = 0;
    for (int32_t t = 0; t < batch.n_token; ++t) {
        const int32_t i = source_[static_cast<std::size_t>(t)], seq = seq_of(batch, i);
        if (t == 0 || seq != seq_.back()) {
            run_begin_.push_back(t);
            place = cache_->sequence(seq).n_place();
            next_pos = cache_->sequence(seq).next_pos();
        }
        token_.push_back(batch.token[i]);
        seq_.push_back(seq);
        index_.push_back(place);
        attend_.push_back({0, place + 1});
        const int32_t first = batch.pos ? batch.pos[i * n_axis] : next_pos;
        if (first < next_pos && !(n_axis > 1 && first >= 0))
            return fail(Code::invalid_argument, "token {} of the batch has position {}, but sequence {} goes on at {}", i, first,
                        seq, next_pos);
        if (first > most)
            return fail(Code::invalid_argument, "token {} of the batch has position {}, more than {}", i, first, most);
        // The fourth axis of M-RoPE is unused by text and stays 0 there.
        for (int32_t axis = 0; axis < n_axis; ++axis)
            pos_.push_back(batch.pos ? batch.pos[i * n_axis + axis] : axis < 3 ? first : 0);
        if (batch.token[i] < 0) {
            const float* row = batch.embedding + int64_t{embedding_row[static_cast<std::size_t>(i)]} * n_embd;
            embedding_.insert(embedding_.end(), row, row + n_embd);
        }
        ++place;
        next_pos = first + 1;
    }
    run_begin_.push_back(batch.n_token);
    // Output rows follow the caller's order.
    std::vector<int32_t> run_of(static_cast<std::size_t>(batch.n_token));
    for (int32_t t = 0; t < batch.n_token; ++t) run_of[static_cast<std::size_t>(source_[static_cast<std::size_t>(t)])] = t;
    for (int32_t i = 0; i < batch.n_token; ++i) {
        const int32_t t = run_of[static_cast<std::size_t>(i)];
        const bool last = std::binary_search(run_begin_.begin() + 1, run_begin_.end(), t + 1);
        if (!(batch.want_logits ? batch.want_logits[i] != 0 : last)) continue;
        output_of_[static_cast<std::size_t>(i)] = static_cast<int32_t>(output_row_.size());
        output_row_.push_back(t);
    }
    if (static_cast<int32_t>(output_row_.size()) > options_.n_output_max)
        return fail(Code::invalid_argument, "the batch wants {} rows of logits, more than n_output_max = {}",
                    output_row_.size(), options_.n_output_max);
    return {};
}

Result<Outcome> Context::decode(const Batch& batch, int64_t deadline_ns) {
    HEARTH_CHECK(check_idle());
    HEARTH_CHECK(check_batch(batch));
    n_output_ = 0;
    order(batch);
    HEARTH_CHECK(fill(batch));
    suspended_ = true;
    StepGuard step(this);
    for (std::size_t run = 0; run + 1 < run_begin_.size(); ++run) {
        const auto first = static_cast<std::size_t>(run_begin_[run]);
        HEARTH_CHECK(cache_->stage(seq_[first], run_begin_[run + 1] - run_begin_[run]));
    }
    bucket_ = &buckets_.back();
    for (Bucket& bucket : buckets_) {
        const hearth_graph g = bucket.split.graph().view();
        if (g.n_token < batch.n_token || g.n_output < static_cast<int32_t>(output_row_.size())) continue;
        bucket_ = &bucket;
        break;
    }
    args_ = {};
    args_.size = sizeof args_;
    args_.n_token = batch.n_token;
    args_.n_output = static_cast<int32_t>(output_row_.size());
    args_.n_seq = options_.n_seq_max;
    args_.n_pos_axis = model_->hparams().n_pos_axis();
    args_.token = token_.data();
    args_.embedding = embedding_.data();
    args_.seq = seq_.data();
    args_.index = index_.data();
    args_.pos = pos_.data();
    args_.output_row = output_row_.data();
    args_.attend = attend_.data();
    args_.cache = cache_->views().data();
    args_.n_run = static_cast<int32_t>(run_begin_.size()) - 1;
    args_.run_begin = run_begin_.data();
    cut_step();
    step.keep();
    return advance(deadline_ns);
}

Result<Outcome> Context::resume(int64_t deadline_ns) {
    if (!suspended_) return fail(Code::state, "there is no paused decode to resume");
    return advance(deadline_ns);
}

void Context::abandon() {
    if (!suspended_) return;
    cache_->abandon();
    suspended_ = false;
}

void Context::cut_step() {
    const int32_t n = n_stretch(bucket_->n_stage, args_.n_token), n_embd = model_->hparams().n_embd;
    const auto place = [&](int64_t i) { return static_cast<int32_t>(args_.n_token * i / n); };
    const auto n_used = static_cast<std::size_t>(n);
    if (stretches_.size() < n_used) stretches_.resize(n_used);  // those that are left over keep their memory for a later step
    for (int64_t i = 0; i < n; ++i) cut_stretch(args_, place(i), place(i + 1), n_embd, &stretches_[static_cast<std::size_t>(i)]);
    wavefront(bucket_->split.segments().size(), n_used, &tasks_);
    cursor_ = {};
    entered_ = false;
}

// All ranks make both calls even where one fails: the next sum finds them in step.
Status Context::add_up(const Collective& collective, const hearth_run_args& args) {
    const auto& ranks = bucket_->split.placed().rank_device;
    hearth_fault first{};
    int32_t first_device = 0;
    const auto note = [&](int32_t code, const hearth_fault& fault, int32_t device) {
        if (code >= 0 || first.code < 0) return;
        first = fault;
        first_device = device;
    };
    for (std::size_t r = 0; r < ranks.size(); ++r) {
        const Extent e = bucket_->split.extent(ranks[r], collective.buffer[r], args.n_token, args.n_output);
        const hearth_comm& comm = comm_->rank(static_cast<int32_t>(r));
        hearth_fault fault{};
        note(comm.all_reduce(comm.user, rooms_[static_cast<std::size_t>(ranks[r])].arena.at(e.offset), e.bytes / 4, collective.adds[r],
                             &fault),
             fault, ranks[r]);
        pace_->lap(ranks[r]);
    }
    for (std::size_t r = 0; r < ranks.size(); ++r) {
        const hearth_comm& comm = comm_->rank(static_cast<int32_t>(r));
        hearth_fault fault{};
        note(comm.wait(comm.user, &fault), fault, ranks[r]);
        pace_->lap(ranks[r]);
    }
    if (first.code >= 0) return {};
    const Failure failure = fail(static_cast<Code>(first.code), "{}", first.message);
    device(first_device).name_in_error(first);
    return failure;
}

// Brings to the segment's device what was computed elsewhere.
Status Context::enter(const Segment& segment, const hearth_run_args& args) {
    const SplitGraph& split = bucket_->split;
    if (segment.collective >= 0) HEARTH_CHECK(add_up(split.placed().collectives[static_cast<std::size_t>(segment.collective)], args));
    for (const Transfer& t : segment.transfers) {
        const Extent from = split.extent(t.from, t.buffer, args.n_token, args.n_output);
        const Extent to = split.extent(segment.device, t.buffer, args.n_token, args.n_output);
        if (to.bytes == 0) continue;
        HEARTH_CHECK(device(t.from).download(rooms_[static_cast<std::size_t>(t.from)].arena.at(from.offset), staging_.data(), from.bytes));
        pace_->lap(t.from);
        HEARTH_CHECK(device(segment.device).upload(rooms_[static_cast<std::size_t>(segment.device)].arena.at(to.offset),
                                                   staging_.data(), to.bytes));
        pace_->lap(segment.device);
    }
    return {};
}

// The logits of a stretch, before the next one takes their place.
Status Context::fetch(const Stretch& stretch) {
    const std::size_t row_bytes = 4 * static_cast<std::size_t>(model_->hparams().n_vocab);
    for (const ResultPiece& piece : bucket_->split.results()) {
        const hearth_value& value = bucket_->split.value(piece.device, piece.value);
        const auto bytes = 4 * static_cast<uint64_t>(value.n_group) * static_cast<uint64_t>(value.group_width);
        for (std::size_t row = 0; row < stretch.output.size(); ++row) {
            const auto offset = static_cast<uint64_t>(value.offset) + 4 * row * static_cast<uint64_t>(value.row_stride);
            std::byte* to =
                output_.data() + static_cast<std::size_t>(stretch.output[row]) * row_bytes + 4 * static_cast<std::size_t>(piece.column);
            HEARTH_CHECK(device(piece.device).download(rooms_[static_cast<std::size_t>(piece.device)].arena.at(offset), to, bytes));
            pace_->lap(piece.device);
        }
    }
    return {};
}

// Waits for all that is under way on any device.
Status Context::settle() {
    Status first;
    std::optional<ErrorRecord> why;  // of the first failure: a later one writes over the thread's
    for (std::size_t i = 0; i < bucket_->programs.size(); ++i) {
        const Status done = device(bucket_->split.segments()[i].device).wait(bucket_->programs[i]);
        pace_->lap(bucket_->split.segments()[i].device);
        if (!first || done) continue;
        first = done;
        why = error_record();
    }
    if (why) error_record() = *why;
    return first;
}

Result<int32_t> Context::run_and_settle(const hearth_run_options& options) {
    std::lock_guard lock(model_->runtime().pool_mutex());
    const bool whole = cursor_.segment == 0 && cursor_.node == 0 && cursor_.part == 0;
    args_.n_token == 1 && whole ? pace_->begin() : pace_->drop();
    const Result<int32_t> ran = run_tasks(options);
    if (!ran) {
        const ErrorRecord why = error_record();
        (void)settle();
        error_record() = why;
        return ran.failure();
    }
    HEARTH_CHECK(settle());
    return *ran;
}

// HEARTH_RUN_* of the last task that ran; the cursor says where it stopped.
Result<int32_t> Context::run_tasks(const hearth_run_options& options) {
    const auto& segments = bucket_->split.segments();
    for (; cursor_.segment < tasks_.size(); cursor_ = {cursor_.segment + 1, 0, 0}, entered_ = false) {
        const Task task = tasks_[cursor_.segment];
        const Segment& segment = segments[task.segment];
        const Stretch& stretch = stretches_[task.stretch];
        if (!entered_) HEARTH_CHECK(enter(segment, stretch.args));
        entered_ = true;
        hearth_cursor here{0, cursor_.node, cursor_.part};
        HEARTH_TRY(const int32_t ran, device(segment.device).run(bucket_->programs[task.segment], stretch.args, options, &here));
        pace_->lap(segment.device);
        cursor_ = {cursor_.segment, here.node, here.part};
        if (ran != HEARTH_RUN_DONE) return ran;
        if (task.segment + 1 == segments.size()) HEARTH_CHECK(fetch(stretch));
    }
    return int32_t{HEARTH_RUN_DONE};
}

Result<Outcome> Context::advance(int64_t deadline_ns) {
    hearth_run_options options{};
    options.size = sizeof options;
    options.deadline_ns = deadline_ns;
    static_assert(sizeof(std::atomic<int32_t>) == sizeof(int32_t) && std::atomic<int32_t>::is_always_lock_free);
    options.cancel = reinterpret_cast<const int32_t*>(cancel_);
    StepGuard step(this);
    const Result<int32_t> ran = run_and_settle(options);
    if (!ran) return ran.failure();
    if (*ran == HEARTH_RUN_PAUSED) {
        step.keep();
        return Outcome::paused;
    }
    if (*ran == HEARTH_RUN_DONE) {
        HEARTH_CHECK(finish());
        return Outcome::done;
    }
    cancel_->store(0);
    return fail(Code::cancelled, "the decode was cancelled; the context is as it was before");
}

// Makes the step visible.
Status Context::finish() {
    const auto n_axis = static_cast<std::size_t>(args_.n_pos_axis);
    std::vector<int32_t> first_axis;
    first_axis.reserve(output_of_.size());  // from here on nothing throws
    for (std::size_t run = 0; run + 1 < run_begin_.size(); ++run) {
        first_axis.clear();
        for (int32_t t = run_begin_[run]; t < run_begin_[run + 1]; ++t)
            first_axis.push_back(pos_[static_cast<std::size_t>(t) * n_axis]);
        cache_->commit(seq_[static_cast<std::size_t>(run_begin_[run])], first_axis.data(),
                       static_cast<int32_t>(first_axis.size()));
    }
    n_output_ = static_cast<int32_t>(output_row_.size());
    suspended_ = false;
    pace_->end(static_cast<double>(attend_[0].end) / options_.n_ctx);
    return {};
}

}  // namespace hearth

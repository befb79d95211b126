// A context: sequences of one model, their cache, and the compiled graphs that extend them.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "runtime/cache.hpp"
#include "runtime/comm.hpp"
#include "runtime/model.hpp"
#include "runtime/pace.hpp"
#include "runtime/pipeline.hpp"

namespace hearth {

// What a context takes of one device.
struct DeviceBytes {
    uint64_t cache_bytes = 0, arena_bytes = 0, scratch_bytes = 0;
    uint64_t total() const { return cache_bytes + arena_bytes + scratch_bytes; }
};

// What a context takes, byte by byte: computed from headers before anything is allocated.
struct ContextBytes {
    std::vector<DeviceBytes> devices;                // those of the model's placement
    uint64_t output_bytes = 0, staging_bytes = 0;    // of the host: logits, and what travels between devices
    DeviceBytes sum() const;                         // over the devices
    uint64_t total() const { return sum().total() + output_bytes + staging_bytes; }
};

struct Batch {
    int32_t n_token = 0;
    const int32_t* token = nullptr;      // [n_token], or -1 where a row of `embedding` is taken
    const float* embedding = nullptr;    // [number of -1, n_embd]
    const int32_t* seq = nullptr;        // [n_token], nullptr = all 0
    const int32_t* pos = nullptr;        // [n_token, n_pos_axis], nullptr = go on from each sequence's last
    const uint8_t* want_logits = nullptr;  // [n_token], nullptr = the last token of each sequence
};

enum class Outcome { done, paused };

class Context {
  public:
    static Result<std::unique_ptr<Context>> make(std::shared_ptr<Model> model, const ContextOptions& options);
    // The same numbers without allocating anything.
    static Result<ContextBytes> plan(const Model& model, const ContextOptions& options);
    static Result<ContextBytes> plan(const Model& model, const Placement& placement, const std::vector<WeightPart>& parts,
                                     const ContextOptions& options);
    ~Context();

    const Model& model() const { return *model_; }
    const ContextOptions& options() const { return options_; }
    ContextBytes bytes() const { return bytes_; }

    // One step, a transaction: on any failure (context full, cancelled, ...) the context is as it was.
    // With a deadline (runtime clock, ns, 0 = none) it may answer paused: call resume() until done, or abandon().
    Result<Outcome> decode(const Batch& batch, int64_t deadline_ns = 0);
    Result<Outcome> resume(int64_t deadline_ns = 0);
    void abandon();
    bool suspended() const { return suspended_; }
    // Stops the decode under way at the next part boundary, or the next one if none is; any thread, also in a signal handler.
    void cancel() { cancel_->store(1); }
    void use_cancel_flag(std::atomic<int32_t>* flag) { cancel_ = flag; }  // outlives the context

    // Row i of the last decode's outputs, [n_vocab]; nullptr out of range. Valid until the next decode.
    const float* logits(int32_t output) const;
    int32_t n_output() const { return n_output_; }
    // The output row of batch token i of the last decode, -1 where none was asked for.
    int32_t output_of_token(int32_t batch_index) const;

    // Sequence operations over positions [begin, end), end < 0 = to the end. All refuse while a decode is suspended.
    Status remove(int32_t seq, int32_t begin, int32_t end);
    Status copy(int32_t src, int32_t dst, int32_t begin, int32_t end);  // begin must be the sequence's first
    Status keep(int32_t seq);                                           // forgets all other sequences
    Status shift(int32_t seq, int32_t begin, int32_t end, int32_t delta);
    Result<int32_t> n_token(int32_t seq) const;
    Result<std::pair<int32_t, int32_t>> positions(int32_t seq) const;  // first and last, (-1, -1) when empty
    void clear();

    // A sequence's state as bytes: versioned, with a checksum, for the same model and cache types on any device.
    Result<std::vector<std::byte>> save(int32_t seq);
    Status load(int32_t seq, const std::byte* data, std::size_t n);

  private:
    struct Bucket {
        SplitGraph split;
        std::vector<hearth_program*> programs;  // [n_segment]
        int32_t n_stage = 1;                    // devices that can work on different stretches of a step at the same time
    };
    struct Room {
        DeviceBuffer arena, scratch;
    };
    Context(std::shared_ptr<Model> model, const ContextOptions& options)
        : model_(std::move(model)), use_(model_.get()), options_(options) {}
    Status reserve();
    Status compile();
    Status check_batch(const Batch& batch) const;
    void order(const Batch& batch);
    Status fill(const Batch& batch);
    Result<Outcome> advance(int64_t deadline_ns);
    Result<int32_t> run_and_settle(const hearth_run_options& options);
    Result<int32_t> run_tasks(const hearth_run_options& options);
    void cut_step();
    Status enter(const Segment& segment, const hearth_run_args& args);
    Status add_up(const Collective& collective, const hearth_run_args& args);
    Status fetch(const Stretch& stretch);
    Status settle();
    Status finish();
    Device& device(int32_t index) const { return *model_->placement().devices[static_cast<std::size_t>(index)]; }
    Status check_idle() const;
    Status check_seq(int32_t seq) const;
    Status rotate_keys(int32_t seq, int32_t begin, int32_t end, int32_t delta);
    Result<uint64_t> fingerprint() const;

    std::shared_ptr<Model> model_;
    ModelUse use_;  // goes before the model
    ContextOptions options_;
    ContextBytes bytes_;
    std::unique_ptr<Cache> cache_;
    std::vector<Room> rooms_;      // [n_device]
    std::vector<Bucket> buckets_;  // smallest first; they must not move once compiled
    HostMemory output_;            // float32 [n_output_max, n_vocab]
    HostMemory staging_;           // the largest transfer between two devices, or a sum over ranks
    std::unique_ptr<SharedMemoryComm> comm_;  // where layers are spread over ranks
    int32_t n_output_ = 0;
    std::unique_ptr<Pace> pace_;

    // The step under way.
    bool suspended_ = false;
    Bucket* bucket_ = nullptr;
    hearth_cursor cursor_{};
    std::vector<Stretch> stretches_;
    std::vector<Task> tasks_;  // the cursor's segment is a number of these
    bool entered_ = false;     // what the cursor's task waits for has been brought to its device
    hearth_run_args args_{};
    std::vector<int32_t> source_;  // [n_token] batch index of each run token
    std::vector<int32_t> token_, seq_, index_, pos_, output_row_, run_begin_, output_of_;
    std::vector<hearth_span> attend_;
    std::vector<float> embedding_;
    std::atomic<int32_t> own_cancel_{0};
    std::atomic<int32_t>* cancel_ = &own_cancel_;
};

}  // namespace hearth

// Streams the weights of a file into their layouts on the devices, many rows at a time, on all threads.
#pragma once

#include <atomic>
#include <functional>
#include <vector>

#include "runtime/model.hpp"

namespace hearth {

class WeightLoader {
  public:
    WeightLoader(Runtime& runtime, const Placement& placement, const TensorSource& source)
        : runtime_(runtime), placement_(placement), source_(source) {}

    // Cancelled by the progress callback: Code::cancelled. On failure nothing is left behind but the target's content.
    Status run(const Weights& weights, const std::vector<WeightPart>& parts, const std::function<bool(const LoadProgress&)>& progress);

  private:
    struct Chunk {
        std::size_t entry;
        int64_t row_begin, n_row;
        uint64_t bytes;
    };
    void cut(const Weights& weights);
    Status copy(const Chunk& chunk, void* staging);
    static void part(void* self, int64_t index, int32_t thread);
    void part_of(int64_t index, int32_t thread);

    Runtime& runtime_;
    const Placement& placement_;
    const TensorSource& source_;
    const Weights* weights_ = nullptr;
    const std::vector<WeightPart>* parts_ = nullptr;
    std::vector<Chunk> chunks_;
    std::size_t first_ = 0;                    // chunk of part 0 of the batch under way
    std::vector<std::vector<std::byte>> staging_;  // [n_thread]
    std::atomic<bool> failed_{false};
    std::mutex error_mutex_;
    ErrorRecord error_;  // of the first part that failed
};

}  // namespace hearth

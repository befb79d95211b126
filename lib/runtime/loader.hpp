// Streams the weights of a file into their layouts on the devices, many rows at a time, on all threads.
#pragma once

#include <atomic>
#include <functional>
#include <vector>

#include "runtime/model.hpp"

namespace hearth {

class WeightLoader {
  public:
    // All must outlive this. parts: what is copied where; their places are needed by run() alone.
    WeightLoader(Runtime& runtime, const Placement& placement, const TensorSource& source, const Weights& weights, const WeightMap& map,
                 const std::vector<WeightPart>& parts);

    uint64_t total_bytes() const { return total_bytes_; }  // to be read
    // Cancelled by the progress callback: Code::cancelled. On failure nothing is left behind but the target's content.
    Status run(const std::function<bool(const LoadProgress&)>& progress);

  private:
    // Rows of one weight, which may be a slice; rows of a whole weight go to all that have the same rows, whole or columns of them.
    struct Chunk {
        std::size_t weight;
        int64_t row_begin, n_row;
        uint64_t bytes;
    };
    struct Staging {
        std::vector<std::byte> rows, columns;
    };
    const TensorInfo& tensor(std::size_t weight) const { return *weights_.entries()[map_.entry(weight)].tensor; }
    uint64_t file_row_bytes(std::size_t weight) const;
    void cut(std::size_t weight);
    Status read(const Chunk& chunk, std::byte* to) const;
    const std::byte* columns_of(std::size_t weight, const Chunk& chunk, Staging& staging) const;
    Status copy(const Chunk& chunk, Staging& staging);
    static void part(void* self, int64_t index, int32_t thread);
    void part_of(int64_t index, int32_t thread);

    Runtime& runtime_;
    const Placement& placement_;
    const TensorSource& source_;
    const Weights& weights_;
    const WeightMap& map_;
    const std::vector<WeightPart>& parts_;
    std::vector<std::vector<std::size_t>> same_rows_;  // [n_weight] of a whole weight: what is filled from its rows
    std::vector<Chunk> chunks_;
    uint64_t total_bytes_ = 0, largest_ = 0;
    std::size_t first_ = 0;         // chunk of part 0 of the batch under way
    std::vector<Staging> staging_;  // [n_thread]
    std::atomic<bool> failed_{false};
    std::mutex error_mutex_;
    ErrorRecord error_;  // of the first part that failed
};

}  // namespace hearth

// The weight loader: chunks of rows, read and converted in parallel, with progress and cancellation between batches.
#include "runtime/loader.hpp"

#include <algorithm>

namespace hearth {

namespace {
constexpr uint64_t kChunkBytes = 4 << 20;
constexpr int64_t kChunksPerBatch = 16;  // between two calls of the progress callback
}  // namespace

// Chunks begin at multiples of HEARTH_UPLOAD_ROWS in their matrix and never cross matrices; vectors are one chunk.
void WeightLoader::cut(const Weights& weights) {
    uint64_t largest = 0;
    for (std::size_t i = 0; i < weights.entries().size(); ++i) {
        const WeightEntry& entry = weights.entries()[i];
        const TensorInfo& tensor = *entry.tensor;
        const uint64_t bytes = row_bytes(*find_format(static_cast<int32_t>(tensor.format)),
                                         static_cast<uint64_t>(tensor.row_width()));
        const bool vector = entry.desc.uses == HEARTH_USE_VECTOR;
        const int64_t n_row = tensor.n_row(), per_matrix = vector || tensor.n_dim < 2 ? n_row : tensor.shape[tensor.n_dim - 2];
        int64_t step = static_cast<int64_t>(kChunkBytes / bytes) / HEARTH_UPLOAD_ROWS * HEARTH_UPLOAD_ROWS;
        step = vector ? n_row : std::max<int64_t>(step, HEARTH_UPLOAD_ROWS);
        for (int64_t matrix = 0; matrix < n_row; matrix += per_matrix)
            for (int64_t row = 0; row < per_matrix; row += step) {
                const int64_t n = std::min(step, per_matrix - row);
                chunks_.push_back({i, matrix + row, n, static_cast<uint64_t>(n) * bytes});
                largest = std::max(largest, chunks_.back().bytes);
            }
    }
    staging_.resize(static_cast<std::size_t>(runtime_.n_thread()));
    for (auto& buffer : staging_) buffer.resize(largest);
}

Status WeightLoader::copy(const Chunk& chunk, void* staging) {
    const WeightEntry& entry = weights_->entries()[chunk.entry];
    HEARTH_CHECK(source_.read_rows(*entry.tensor, chunk.row_begin, chunk.n_row, staging));
    for (std::size_t d = 0; d < parts_->size(); ++d) {
        const WeightPart& part = (*parts_)[d];
        if (part.offsets[chunk.entry] == WeightPart::kAbsent) continue;
        HEARTH_CHECK(placement_.devices[d]->upload_weight(entry.desc, part.layouts[chunk.entry], part.places[chunk.entry],
                                                          chunk.row_begin, chunk.n_row, staging));
    }
    return {};
}

void WeightLoader::part_of(int64_t index, int32_t thread) {
    if (failed_.load(std::memory_order_relaxed)) return;
    if (copy(chunks_[first_ + static_cast<std::size_t>(index)], staging_[static_cast<std::size_t>(thread)].data())) return;
    std::lock_guard lock(error_mutex_);
    if (!failed_.exchange(true)) error_ = error_record();
}

void WeightLoader::part(void* self, int64_t index, int32_t thread) {
    static_cast<WeightLoader*>(self)->part_of(index, thread);
}

Status WeightLoader::run(const Weights& weights, const std::vector<WeightPart>& parts,
                         const std::function<bool(const LoadProgress&)>& progress) {
    weights_ = &weights;
    parts_ = &parts;
    cut(weights);
    LoadProgress state{0, 0};
    for (const Chunk& chunk : chunks_) state.bytes_total += chunk.bytes;
    while (first_ < chunks_.size()) {
        const auto n = std::min<std::size_t>(kChunksPerBatch, chunks_.size() - first_);
        {
            std::lock_guard lock(runtime_.pool_mutex());
            runtime_.pool().run(static_cast<int64_t>(n), part, this, nullptr);
        }
        if (failed_) {
            error_record() = error_;
            return Failure{error_.code};
        }
        for (std::size_t i = 0; i < n; ++i) state.bytes_done += chunks_[first_ + i].bytes;
        first_ += n;
        if (progress && !progress(state)) return fail(Code::cancelled, "{}: the load was cancelled", source_.name());
    }
    return {};
}

}  // namespace hearth

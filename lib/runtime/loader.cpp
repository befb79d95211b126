// The weight loader: chunks of rows, read and converted in parallel, with progress and cancellation between batches.
#include "runtime/loader.hpp"

#include <algorithm>

namespace hearth {

namespace {
constexpr uint64_t kChunkBytes = 512 << 10;
constexpr int64_t kChunksPerBatch = 128;  // between two calls of the progress callback
}  // namespace

WeightLoader::WeightLoader(Runtime& runtime, const Placement& placement, const TensorSource& source, const Weights& weights,
                           const WeightMap& map, const std::vector<WeightPart>& parts)
    : runtime_(runtime),
      placement_(placement),
      source_(source),
      weights_(weights),
      map_(map),
      parts_(parts),
      same_rows_(map.weights.size()) {
    const auto copied = [&](std::size_t weight) {
        return std::any_of(parts.begin(), parts.end(), [&](const WeightPart& part) { return part.offsets[weight] != WeightPart::kAbsent; });
    };
    for (std::size_t i = 0; i < map.weights.size(); ++i) {
        const WeightSlice* slice = map.slice(i);
        const bool rows = slice && (!slice->rows.empty() || slice->matrices.size() > 0);
        if (copied(i)) same_rows_[rows ? i : map.entry(i)].push_back(i);
    }
    for (std::size_t i = 0; i < map.weights.size(); ++i)
        if (!same_rows_[i].empty()) cut(i);
    for (const Chunk& chunk : chunks_) {
        total_bytes_ += chunk.bytes;
        largest_ = std::max(largest_, chunk.bytes);
    }
}

uint64_t WeightLoader::file_row_bytes(std::size_t weight) const {
    const TensorInfo& t = tensor(weight);
    return row_bytes(*find_format(static_cast<int32_t>(t.format)), static_cast<uint64_t>(t.row_width()));
}

// Chunks begin at multiples of HEARTH_UPLOAD_ROWS in their matrix and never cross matrices; vectors are one chunk.
void WeightLoader::cut(std::size_t weight) {
    const hearth_weight& desc = map_.weights[weight];
    const uint64_t bytes = file_row_bytes(weight);
    const bool vector = desc.uses == HEARTH_USE_VECTOR;
    const int64_t n_matrix = desc.n_dim == 3 && !vector ? desc.shape[0] : 1;
    const int64_t n_row = vector ? tensor(weight).n_row() : desc.shape[desc.n_dim == 3 ? 1 : 0];
    int64_t step = static_cast<int64_t>(kChunkBytes / bytes) / HEARTH_UPLOAD_ROWS * HEARTH_UPLOAD_ROWS;
    step = vector ? n_row : std::max<int64_t>(step, HEARTH_UPLOAD_ROWS);
    for (int64_t matrix = 0; matrix < n_matrix; ++matrix)
        for (int64_t row = 0; row < n_row; row += step) {
            const int64_t n = std::min(step, n_row - row);
            chunks_.push_back({weight, matrix * n_row + row, n, static_cast<uint64_t>(n) * bytes});
        }
}

// A slice's rows are stretches of each of its matrices.
Status WeightLoader::read(const Chunk& chunk, std::byte* to) const {
    const WeightSlice* slice = map_.slice(chunk.weight);
    const TensorInfo& from = tensor(chunk.weight);
    if (!slice) return source_.read_rows(from, chunk.row_begin, chunk.n_row, to);
    const hearth_weight &local = map_.weights[chunk.weight], &whole = map_.weights[map_.entry(chunk.weight)];
    const int dim = local.n_dim == 3 ? 1 : 0;
    const int64_t n_local = local.shape[dim], n_whole = whole.shape[dim], matrix = chunk.row_begin / n_local;
    const int64_t file_matrix = (slice->matrices.begin + matrix) * n_whole, wanted = chunk.row_begin - matrix * n_local;
    const std::vector<Range> all{{0, n_whole}};
    int64_t before = 0;  // local rows of the matrix in earlier stretches
    for (const Range& rows : slice->rows.empty() ? all : slice->rows) {
        const int64_t begin = std::max(wanted, before), end = std::min(wanted + chunk.n_row, before + rows.size());
        if (begin < end) {
            std::byte* at = to + static_cast<uint64_t>(begin - wanted) * file_row_bytes(chunk.weight);
            HEARTH_CHECK(source_.read_rows(from, file_matrix + rows.begin + (begin - before), end - begin, at));
        }
        before += rows.size();
    }
    return {};
}

// The chunk's rows as a weight has them: all of each, or the columns of a slice. Those end at whole blocks.
const std::byte* WeightLoader::columns_of(std::size_t weight, const Chunk& chunk, Staging& staging) const {
    const WeightSlice* slice = map_.slice(weight);
    if (!slice || slice->columns.empty()) return staging.rows.data();
    const FormatInfo& format = *find_format(static_cast<int32_t>(tensor(weight).format));
    const uint64_t stride = file_row_bytes(weight);
    std::byte* to = staging.columns.data();
    for (int64_t row = 0; row < chunk.n_row; ++row)
        for (const Range& r : slice->columns) {
            const std::byte* from = staging.rows.data() + static_cast<uint64_t>(row) * stride;
            to = std::copy(from + row_bytes(format, static_cast<uint64_t>(r.begin)),
                           from + row_bytes(format, static_cast<uint64_t>(r.end)), to);
        }
    return staging.columns.data();
}

Status WeightLoader::copy(const Chunk& chunk, Staging& staging) {
    HEARTH_CHECK(read(chunk, staging.rows.data()));
    for (const std::size_t weight : same_rows_[chunk.weight]) {
        const std::byte* rows = columns_of(weight, chunk, staging);
        for (std::size_t d = 0; d < parts_.size(); ++d) {
            const WeightPart& part = parts_[d];
            if (part.offsets[weight] == WeightPart::kAbsent) continue;
            HEARTH_CHECK(placement_.devices[d]->upload_weight(map_.weights[weight], part.layouts[weight], part.places[weight],
                                                              chunk.row_begin, chunk.n_row, rows));
        }
    }
    return {};
}

void WeightLoader::part_of(int64_t index, int32_t thread) {
    if (failed_.load(std::memory_order_relaxed)) return;
    if (copy(chunks_[first_ + static_cast<std::size_t>(index)], staging_[static_cast<std::size_t>(thread)])) return;
    std::lock_guard lock(error_mutex_);
    if (!failed_.exchange(true)) error_ = error_record();
}

void WeightLoader::part(void* self, int64_t index, int32_t thread) {
    static_cast<WeightLoader*>(self)->part_of(index, thread);
}

Status WeightLoader::run(const std::function<bool(const LoadProgress&)>& progress) {
    staging_.resize(static_cast<std::size_t>(runtime_.n_thread()));
    for (Staging& staging : staging_) {
        staging.rows.resize(largest_);
        if (!map_.slices.empty()) staging.columns.resize(largest_);
    }
    LoadProgress state{0, total_bytes_};
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

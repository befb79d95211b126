// Making a context: the graphs of its buckets, what they take of each device, and where they live.
#include "runtime/context.hpp"

#include <algorithm>

namespace hearth {

namespace {

constexpr int32_t kMaxSeq = 4096, kMaxBatch = 1 << 20;

Status check_range(const char* name, int64_t value, int64_t low, int64_t high) {
    if (value >= low && value <= high) return {};
    return fail(Code::invalid_argument, "{} is {}, outside {}..{}", name, value, low, high);
}

// Fills in what was left at zero and checks the rest.
Result<ContextOptions> complete(const Model& model, ContextOptions o) {
    if (o.n_ctx == 0) o.n_ctx = model.hparams().n_ctx_train;
    HEARTH_CHECK(check_range("n_ctx", o.n_ctx, 1, 1 << 28));
    HEARTH_CHECK(check_range("n_seq_max", o.n_seq_max, 1, kMaxSeq));
    HEARTH_CHECK(check_range("n_batch", o.n_batch, 1, kMaxBatch));
    o.n_batch = std::max(std::min(o.n_batch, o.n_ctx), 1);
    if (o.n_output_max == 0) o.n_output_max = std::max(o.n_seq_max, 32);
    HEARTH_CHECK(check_range("n_output_max", o.n_output_max, 1, kMaxBatch));
    o.n_output_max = std::min(o.n_output_max, o.n_batch);
    return o;
}

CacheSizes sizes_of(const ContextOptions& o) { return {o.n_seq_max, o.n_ctx, o.n_batch}; }

// A small bucket for steps of one token per sequence, and one for everything else; both use one arena.
Result<std::vector<SplitGraph>> bucket_graphs(const Model& model, const Placement& placement, const ContextOptions& o) {
    const CacheGroups groups = cache_groups(model.hparams(), o.k_type, o.v_type);
    std::vector<SplitGraph> graphs;
    for (const int32_t n_token : {o.n_seq_max, o.n_batch}) {
        if (!graphs.empty() && n_token <= graphs.back().graph().view().n_token) continue;
        const int32_t n = std::min(n_token, o.n_batch);
        const DecoderOptions decoder{{n, std::min(n, o.n_output_max), o.n_seq_max, o.n_ctx, model.spec().deterministic}, o.rope};
        Graph graph = decoder_graph(model.hparams(), model.weights(), groups, decoder);
        HEARTH_TRY(PlacedGraph placed, placement.place(std::move(graph)));
        graphs.emplace_back(std::move(placed), placement.n_device());
    }
    return graphs;
}

// Bytes that each rank gives to a sum, for a run of these counts.
uint64_t sum_bytes(const SplitGraph& split, const Collective& c, int32_t n_token, int32_t n_output) {
    return split.extent(split.placed().rank_device[0], c.buffer[0], n_token, n_output).bytes;
}

// The largest of those that any graph needs.
uint64_t largest_sum(const std::vector<SplitGraph>& graphs) {
    uint64_t bytes = 0;
    for (const SplitGraph& split : graphs) {
        const hearth_graph whole = split.graph().view();
        for (const Collective& c : split.placed().collectives) bytes = std::max(bytes, sum_bytes(split, c, whole.n_token, whole.n_output));
    }
    return (bytes + 63) / 64 * 64;
}

Status measure_graph(const SplitGraph& split, const Placement& placement, const std::vector<WeightPart>& parts, ContextBytes* bytes) {
    const hearth_graph whole = split.graph().view();
    for (std::size_t i = 0; i < split.segments().size(); ++i) {
        const Segment& segment = split.segments()[i];
        const auto d = static_cast<std::size_t>(segment.device);
        hearth_graph graph = split.view(i);
        graph.weight_layout = parts[d].layouts.data();
        HEARTH_TRY(const hearth_program_bytes program, placement.devices[d]->measure(graph));
        DeviceBytes& here = bytes->devices[d];
        here.arena_bytes = std::max(here.arena_bytes, static_cast<uint64_t>(split.arena_bytes(segment.device)));
        here.scratch_bytes = std::max(here.scratch_bytes, program.scratch_bytes);
        for (const Transfer& t : segment.transfers)
            bytes->staging_bytes = std::max(bytes->staging_bytes,
                                            split.extent(segment.device, t.buffer, whole.n_token, whole.n_output).bytes);
    }
    return {};
}

Result<ContextBytes> measure(const Model& model, const Placement& placement, const std::vector<WeightPart>& parts,
                             const std::vector<SplitGraph>& graphs, const ContextOptions& o) {
    ContextBytes bytes;
    bytes.devices.resize(placement.devices.size());
    for (const SplitGraph& graph : graphs) HEARTH_CHECK(measure_graph(graph, placement, parts, &bytes));
    for (std::size_t d = 0; d < placement.devices.size(); ++d) {
        for (const hearth_cache& cache : graphs[0].caches(static_cast<int32_t>(d))) {
            if (cache.n_layer == 0) continue;
            HEARTH_TRY(const uint64_t unit, placement.devices[d]->page_bytes(cache));
            bytes.devices[d].cache_bytes += unit * static_cast<uint64_t>(cache_units(cache, sizes_of(o)));
        }
    }
    bytes.staging_bytes = std::max<uint64_t>(bytes.staging_bytes, largest_sum(graphs) * placement.ranks.size());
    bytes.output_bytes = uint64_t{4} * static_cast<uint64_t>(o.n_output_max) * static_cast<uint64_t>(model.hparams().n_vocab);
    return bytes;
}

}  // namespace

DeviceBytes ContextBytes::sum() const {
    DeviceBytes sum;
    for (const DeviceBytes& d : devices) {
        sum.cache_bytes += d.cache_bytes;
        sum.arena_bytes += d.arena_bytes;
        sum.scratch_bytes += d.scratch_bytes;
    }
    return sum;
}

Result<ContextBytes> Context::plan(const Model& model, const ContextOptions& options) {
    return plan(model, model.placement(), model.parts(), options);
}

Result<ContextBytes> Context::plan(const Model& model, const Placement& placement, const std::vector<WeightPart>& parts,
                                   const ContextOptions& options) {
    HEARTH_TRY(const ContextOptions o, complete(model, options));
    HEARTH_TRY(const std::vector<SplitGraph> graphs, bucket_graphs(model, placement, o));
    return measure(model, placement, parts, graphs, o);
}

Result<std::unique_ptr<Context>> Context::make(std::shared_ptr<Model> model, const ContextOptions& options) {
    const std::shared_ptr<Model> kept = model;
    const ModelUse use(kept.get());
    if (!model->loaded()) return fail(Code::state, "{}: the model's weights are not loaded", model->source().name());
    HEARTH_TRY(const ContextOptions o, complete(*model, options));
    std::unique_ptr<Context> context(new Context(std::move(model), o));
    HEARTH_TRY(std::vector<SplitGraph> graphs, bucket_graphs(*context->model_, context->model_->placement(), o));
    HEARTH_TRY(context->bytes_, measure(*context->model_, context->model_->placement(), context->model_->parts(), graphs, o));
    const uint64_t sum_bytes = largest_sum(graphs);
    context->buckets_.reserve(graphs.size());
    for (SplitGraph& graph : graphs) {
        const int32_t n_stage = count_stages(graph);
        context->buckets_.push_back({std::move(graph), {}, n_stage});
    }
    HEARTH_CHECK(context->reserve());
    if (sum_bytes > 0) {
        std::vector<Device*> ranks;
        for (const int32_t device : context->model_->placement().ranks) ranks.push_back(&context->device(device));
        context->comm_ = std::make_unique<SharedMemoryComm>(ranks, reinterpret_cast<float*>(context->staging_.data()), sum_bytes / 4);
    }
    HEARTH_CHECK(context->compile());
    std::vector<uint64_t> cache_bytes;
    for (const DeviceBytes& bytes : context->bytes_.devices) cache_bytes.push_back(bytes.cache_bytes);
    context->pace_ = std::make_unique<Pace>(context->model_.get(), std::move(cache_bytes));
    return context;
}

// Everything that a step needs, so that no step allocates.
Status Context::reserve() {
    const Placement& placement = model_->placement();
    HEARTH_TRY(Cache cache, Cache::make(placement.devices, buckets_[0].split, sizes_of(options_)));
    cache_ = std::make_unique<Cache>(std::move(cache));
    rooms_.resize(placement.devices.size());
    for (std::size_t d = 0; d < rooms_.size(); ++d) {
        const DeviceBytes& bytes = bytes_.devices[d];
        Device& device = *placement.devices[d];
        if (bytes.arena_bytes > 0) {
            HEARTH_TRY(rooms_[d].arena, device.alloc(bytes.arena_bytes, "activations"));
        }
        if (bytes.scratch_bytes > 0) {
            HEARTH_TRY(rooms_[d].scratch, device.alloc(bytes.scratch_bytes, "scratch"));
        }
    }
    HEARTH_TRY(output_, model_->runtime().host_memory(bytes_.output_bytes, "logits"));
    HEARTH_TRY(staging_, model_->runtime().host_memory(bytes_.staging_bytes, "staging"));
    const auto n = static_cast<std::size_t>(options_.n_batch);
    for (auto* list : {&token_, &seq_, &index_, &output_row_, &source_, &output_of_}) list->reserve(n);
    pos_.reserve(n * static_cast<std::size_t>(model_->hparams().n_pos_axis()));
    attend_.reserve(n);
    run_begin_.reserve(n + 1);
    return {};
}

Status Context::compile() {
    for (int32_t d = 0; d < model_->placement().n_device(); ++d) {
        const auto index = static_cast<std::size_t>(d);
        const std::vector<hearth_place> pools = cache_->places(d);
        const WeightPart& part = model_->parts()[index];
        const hearth_bindings bindings{sizeof(hearth_bindings), part.places.data(), part.layouts.data(), pools.data(),
                                       rooms_[index].arena.at(0), rooms_[index].scratch.at(0)};
        for (Bucket& bucket : buckets_) {
            const auto& segments = bucket.split.segments();
            bucket.programs.resize(segments.size(), nullptr);
            for (std::size_t i = 0; i < segments.size(); ++i) {
                if (segments[i].device != d) continue;
                HEARTH_TRY(bucket.programs[i], device(d).build(bucket.split.view(i), bindings));
            }
        }
    }
    return {};
}

Context::~Context() {
    for (Bucket& bucket : buckets_)
        for (std::size_t i = 0; i < bucket.programs.size(); ++i)
            if (bucket.programs[i]) device(bucket.split.segments()[i].device).free_program(bucket.programs[i]);
}

const float* Context::logits(int32_t output) const {
    if (output < 0 || output >= n_output_) return nullptr;
    return reinterpret_cast<const float*>(output_.data()) +
           static_cast<std::size_t>(output) * static_cast<std::size_t>(model_->hparams().n_vocab);
}

int32_t Context::output_of_token(int32_t batch_index) const {
    if (batch_index < 0 || batch_index >= static_cast<int32_t>(output_of_.size())) return -1;
    return output_of_[static_cast<std::size_t>(batch_index)];
}

}  // namespace hearth

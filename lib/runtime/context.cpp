// Making a context: the graphs of its buckets, what they take, and where they live.
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
std::vector<Graph> bucket_graphs(const Model& model, const CacheGroups& groups, const ContextOptions& o) {
    std::vector<Graph> graphs;
    for (int32_t n_token : {o.n_seq_max, o.n_batch}) {
        if (!graphs.empty() && n_token <= graphs.back().view().n_token) continue;
        const int32_t n = std::min(n_token, o.n_batch);
        DecoderOptions decoder{{n, std::min(n, o.n_output_max), o.n_seq_max, o.n_ctx}, o.rope};
        graphs.push_back(decoder_graph(model.hparams(), model.weights(), groups, decoder));
    }
    return graphs;
}

Result<ContextBytes> measure(const Model& model, const CacheGroups& groups, const std::vector<Graph>& graphs,
                             const ContextOptions& o) {
    ContextBytes bytes;
    for (const hearth_cache& cache : groups.groups) {
        HEARTH_TRY(const uint64_t unit, model.device().page_bytes(cache));
        bytes.cache_bytes += unit * static_cast<uint64_t>(cache_units(cache, sizes_of(o)));
    }
    for (const Graph& graph : graphs) {
        HEARTH_TRY(const hearth_program_bytes program, model.device().measure(graph.view()));
        bytes.arena_bytes = std::max(bytes.arena_bytes, static_cast<uint64_t>(graph.view().arena_bytes));
        bytes.scratch_bytes = std::max(bytes.scratch_bytes, program.scratch_bytes);
    }
    bytes.output_bytes = uint64_t{4} * static_cast<uint64_t>(o.n_output_max) * static_cast<uint64_t>(model.hparams().n_vocab);
    return bytes;
}

}  // namespace

Result<ContextBytes> Context::plan(const Model& model, const ContextOptions& options) {
    HEARTH_TRY(const ContextOptions o, complete(model, options));
    const CacheGroups groups = cache_groups(model.hparams(), o.k_type, o.v_type);
    return measure(model, groups, bucket_graphs(model, groups, o), o);
}

Result<std::unique_ptr<Context>> Context::make(std::shared_ptr<Model> model, const ContextOptions& options) {
    if (!model->loaded()) return fail(Code::state, "{}: the model's weights are not loaded", model->source().name());
    HEARTH_TRY(const ContextOptions o, complete(*model, options));
    const CacheGroups groups = cache_groups(model->hparams(), o.k_type, o.v_type);
    std::vector<Graph> graphs = bucket_graphs(*model, groups, o);
    HEARTH_TRY(const ContextBytes bytes, measure(*model, groups, graphs, o));
    std::unique_ptr<Context> context(new Context(std::move(model), o));
    Device& device = context->model_->device();
    context->bytes_ = bytes;
    HEARTH_TRY(Cache cache, Cache::make(device, groups, sizes_of(o)));
    context->cache_ = std::make_unique<Cache>(std::move(cache));
    HEARTH_TRY(context->arena_, device.alloc(std::max<uint64_t>(bytes.arena_bytes, 64), "activations"));
    HEARTH_TRY(context->scratch_, device.alloc(std::max<uint64_t>(bytes.scratch_bytes, 64), "scratch"));
    HEARTH_CHECK(context->compile(std::move(graphs)));
    return context;
}

Status Context::compile(std::vector<Graph> graphs) {
    const auto n = static_cast<std::size_t>(options_.n_batch);
    for (auto* list : {&token_, &seq_, &index_, &output_row_, &source_, &output_of_}) list->reserve(n);
    pos_.reserve(n * static_cast<std::size_t>(model_->hparams().n_pos_axis()));
    attend_.reserve(n);
    run_begin_.reserve(n + 1);
    output_.resize(static_cast<std::size_t>(options_.n_output_max) * static_cast<std::size_t>(model_->hparams().n_vocab));
    buckets_.reserve(graphs.size());  // graphs must not move once compiled
    const std::vector<hearth_place> pools = cache_->places();
    for (Graph& graph : graphs) {
        Bucket& bucket = buckets_.emplace_back(Bucket{std::move(graph), nullptr});
        hearth_bindings bindings{};
        bindings.size = sizeof bindings;
        bindings.weight = model_->weight_places().data();
        bindings.weight_layout = model_->weight_layouts().data();
        bindings.cache = pools.data();
        bindings.arena = arena_.at(0);
        bindings.scratch = scratch_.at(0);
        HEARTH_TRY(bucket.program, model_->device().build(bucket.graph.view(), bindings));
    }
    return {};
}

Context::~Context() {
    for (Bucket& bucket : buckets_) model_->device().free_program(bucket.program);
}

const float* Context::logits(int32_t output) const {
    if (output < 0 || output >= n_output_) return nullptr;
    return output_.data() + static_cast<std::size_t>(output) * static_cast<std::size_t>(model_->hparams().n_vocab);
}

int32_t Context::output_of_token(int32_t batch_index) const {
    if (batch_index < 0 || batch_index >= static_cast<int32_t>(output_of_.size())) return -1;
    return output_of_[static_cast<std::size_t>(batch_index)];
}

}  // namespace hearth

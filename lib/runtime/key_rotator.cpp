// A page's keys go out as rows, through the graph that rotates them, and back in.
#include "runtime/key_rotator.hpp"

#include <mutex>

#include "quant/format.hpp"

namespace hearth {

KeyRotator::KeyRotator(Model& model, const Cache::Group& group, int32_t layer, int32_t in_group, int32_t n_ctx,
                       const RopeOptions& rope)
    : model_(model), device_(static_cast<std::size_t>(model.placement().device_of(layer))), group_(group), in_group_(in_group),
      graph_(key_shift_graph(model.hparams(), model.weights(), layer, {{HEARTH_PAGE_TOKENS, 1, 1, n_ctx}, rope})) {
    const hearth_cache& c = group.desc;
    const PageRowBytes size = page_row_bytes(c);
    k_.resize(size.k);
    v_.resize(size.v);
    rows_.resize(std::size_t{HEARTH_PAGE_TOKENS} * static_cast<std::size_t>(c.n_head_kv) * static_cast<std::size_t>(c.k_width));
}

KeyRotator::~KeyRotator() {
    if (program_) model_.placement().devices[device_]->free_program(program_);
}

Status KeyRotator::prepare() {
    Device& device = *model_.placement().devices[device_];
    const WeightPart& part = model_.parts()[device_];
    const hearth_graph graph = graph_.view();
    HEARTH_TRY(const hearth_program_bytes bytes, device.measure(graph));
    HEARTH_TRY(arena_, device.alloc(static_cast<uint64_t>(graph.arena_bytes) + 64, "key shift"));
    HEARTH_TRY(scratch_, device.alloc(bytes.scratch_bytes + 64, "key shift scratch"));
    const hearth_bindings bindings{sizeof(hearth_bindings), part.places.data(), part.layouts.data(),
                                   nullptr, arena_.at(0), scratch_.at(0)};
    HEARTH_TRY(program_, device.build(graph, bindings));
    return {};
}

Result<int32_t> KeyRotator::run(const std::vector<int32_t>& delta) {
    const auto n = static_cast<std::size_t>(HEARTH_PAGE_TOKENS);
    const std::vector<int32_t> token(n, -1), zero(n, 0);
    const std::vector<hearth_span> none(n, hearth_span{0, 0});
    const int32_t runs[] = {0, HEARTH_PAGE_TOKENS};
    hearth_run_args args{};
    args.size = sizeof args;
    args.n_token = HEARTH_PAGE_TOKENS;
    args.n_seq = args.n_pos_axis = args.n_run = 1;
    args.token = token.data();
    args.embedding = rows_.data();
    args.seq = args.index = zero.data();
    args.pos = delta.data();
    args.attend = none.data();
    args.run_begin = runs;
    hearth_run_options options{};
    options.size = sizeof options;
    hearth_cursor cursor{};
    std::lock_guard lock(model_.runtime().pool_mutex());
    Device& device = *model_.placement().devices[device_];
    HEARTH_TRY(const int32_t ran, device.run(program_, args, options, &cursor));
    HEARTH_CHECK(device.wait(program_));
    return ran;
}

Status KeyRotator::turn(int32_t page, const std::vector<int32_t>& delta) {
    const hearth_cache& c = group_.desc;
    const auto format = static_cast<Format>(c.k_type);
    Device& device = *model_.placement().devices[device_];
    HEARTH_CHECK(Cache::export_layer(group_, page, in_group_, k_.data(), v_.data()));
    decode(format, k_.data(), rows_.data(), rows_.size());
    if (const Result<int32_t> ran = run(delta); !ran) return ran.failure();
    const hearth_graph g = graph_.view();
    HEARTH_CHECK(device.download(arena_.at(static_cast<uint64_t>(g.value[g.result].offset)), rows_.data(), 4 * rows_.size()));
    encode(format, rows_.data(), k_.data(), rows_.size());
    return Cache::import_layer(group_, page, in_group_, k_.data(), v_.data());
}

}  // namespace hearth

// The memory plan: sums per device, budgets, and the largest settings that fit them.
#include "runtime/plan.hpp"

#include <algorithm>
#include <numeric>

#include "runtime/planner.hpp"

namespace hearth {

namespace {

double gib(uint64_t bytes) { return static_cast<double>(bytes) / (1 << 30); }

// "5.1 GiB", "340.0 MiB"
std::string size_text(uint64_t bytes) {
    if (bytes >= uint64_t{1} << 30) return format_text("{:.1f} GiB", gib(bytes));
    return bytes >= 1 << 20 ? format_text("{:.1f} MiB", 1024 * gib(bytes)) : format_text("{:.1f} KiB", 1048576 * gib(bytes));
}

Result<bool> fits_with(const Model& model, ContextOptions options, int32_t n_ctx) {
    options.n_ctx = n_ctx;
    HEARTH_TRY(const PlanReport plan, sum_plan(model, model.placement(), model.parts(), options));
    return plan.fits();
}

// The largest n_ctx, in whole pages, that fits: by bisection, because the parts do not all grow in proportion.
Result<int32_t> largest_context(const Model& model, const ContextOptions& options, int32_t most) {
    int32_t low = 0, high = most / HEARTH_PAGE_TOKENS + 1;
    while (low + 1 < high) {
        const int32_t middle = low + (high - low) / 2;
        HEARTH_TRY(const bool fits, fits_with(model, options, middle * HEARTH_PAGE_TOKENS));
        (fits ? low : high) = middle;
    }
    return low * HEARTH_PAGE_TOKENS;
}

std::string advice(const PlanReport& plan, const DevicePlan& device) {
    if (!device.host && plan.n_layer_fits < plan.n_layer)
        return format_text("; {} layers fit; use layers={} or layers=auto", plan.n_layer_fits, plan.n_layer_fits);
    return plan.n_ctx_fits > 0 ? format_text("; use n_ctx={}", plan.n_ctx_fits) : std::string();
}

}  // namespace

uint64_t PlanReport::total() const {
    return std::accumulate(devices.begin(), devices.end(), uint64_t{0}, [](uint64_t sum, const DevicePlan& d) { return sum + d.total(); });
}

bool PlanReport::fits() const {
    return std::all_of(devices.begin(), devices.end(), [](const DevicePlan& d) { return d.fits(); });
}

Result<PlanReport> make_plan(const Model& model, const ContextOptions& options) {
    HEARTH_TRY(PlanReport plan, sum_plan(model, model.placement(), model.parts(), options));
    plan.n_ctx_fits = options.n_ctx ? options.n_ctx : model.hparams().n_ctx_train;
    plan.n_layer_fits = plan.n_layer;
    if (plan.fits()) return plan;
    HEARTH_TRY(plan.n_ctx_fits, largest_context(model, options, plan.n_ctx_fits));
    if (plan.n_layer > 0 && !model.loaded()) {
        HEARTH_TRY(plan.n_layer_fits, largest_layers(model, model.spec(), options));
    }
    return plan;
}

Result<PlanReport> placement_report(const Model& model) {
    if (!model.loaded()) return fail(Code::state, "{}: the model's weights are not loaded", model.source().name());
    ContextOptions least;
    least.n_ctx = least.n_batch = 1;
    HEARTH_TRY(PlanReport plan, sum_plan(model, model.placement(), model.parts(), least));
    for (std::size_t d = 0; d < plan.devices.size(); ++d) {
        DevicePlan& device = plan.devices[d];
        device.weight_bytes = model.parts()[d].bytes;
        device.achieved_rate = model.rate(d).achieved;
        device.slow = model.rate(d).slow;
        device.cache_bytes = device.activation_bytes = device.scratch_bytes = device.host_bytes = 0;
    }
    plan.n_layer_fits = plan.n_layer;
    return plan;
}

Result<PlanReport> make_room(const Model& model, const ContextOptions& options) {
    for (;;) {
        HEARTH_TRY(PlanReport plan, make_plan(model, options));
        HEARTH_CHECK(check_plan(model, plan));
        const auto full = std::find_if(plan.devices.begin(), plan.devices.end(), [](const DevicePlan& d) { return !d.fits_now(); });
        if (full == plan.devices.end()) return plan;
        const Device* device = model.placement().devices[static_cast<std::size_t>(full - plan.devices.begin())];
        const std::string gone = model.runtime().residents().unload_one(device, &model);
        if (gone.empty()) continue;  // another thread began to use the last of them: the next plan does not count it
        model.runtime().log()(LogLevel::info, "{}: unloaded, because it is unused and {} needs memory on {}", gone, model.source().name(),
                              full->spec);
    }
}

Result<std::unique_ptr<Context>> make_context(std::shared_ptr<Model> model, const ContextOptions& options) {
    const ModelUse use(model.get());
    if (use) HEARTH_CHECK(model->load_again(options));
    if (!model->loaded()) return fail(Code::state, "{}: the model's weights are not loaded", model->source().name());
    HEARTH_TRY(const Reservation reservation, model->runtime().ledger().reserve([&]() -> Result<std::vector<Claim>> {
        HEARTH_TRY(const PlanReport plan, make_room(*model, options));
        std::vector<Claim> claims;
        for (std::size_t d = 0; d < plan.devices.size(); ++d) claims.push_back({model->placement().devices[d], plan.devices[d].total()});
        return claims;
    }));
    return Context::make(model, options);
}

Status check_plan(const Model& model, const PlanReport& plan) {
    const auto full = std::find_if(plan.devices.begin(), plan.devices.end(), [](const DevicePlan& d) { return !d.fits(); });
    if (full == plan.devices.end()) return {};
    const uint64_t free = full->available_bytes - std::min(full->available_bytes, full->reserve_bytes);
    const std::string what = full->host ? model.description() : format_text("{} layers", full->n_layer);
    const Failure failure =
        fail(full->host ? Code::oom_host : Code::oom_device, "{}: {} need{} {} (weights {}, KV {}, compute {}) but {} are free{}",
             full->spec, what, full->host ? "s" : "", size_text(full->total()), size_text(full->weight_bytes),
             size_text(full->cache_bytes), size_text(full->activation_bytes + full->scratch_bytes + full->host_bytes), size_text(free),
             advice(plan, *full));
    error_record().bytes_wanted = full->total();
    error_record().bytes_free = full->available_bytes;
    model.placement().devices[static_cast<std::size_t>(full - plan.devices.begin())]->name_in_error();
    return failure;
}

}  // namespace hearth

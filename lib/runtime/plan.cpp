// The memory plan of the CPU: sums, the budget, and the largest context that fits it.
#include "runtime/plan.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hearth {

namespace {

constexpr uint64_t kReserve = 256u << 20;  // left to the rest of the machine

double gib(uint64_t bytes) { return static_cast<double>(bytes) / (1 << 30); }

Result<bool> fits_with(const Model& model, ContextOptions options, int32_t n_ctx, uint64_t budget) {
    options.n_ctx = n_ctx;
    HEARTH_TRY(const ContextBytes bytes, Context::plan(model, options));
    return bytes.total() <= budget;
}

// The largest n_ctx, in whole pages, that fits what the weights leave: by bisection, because the parts do not all grow in proportion.
Result<int32_t> largest_context(const Model& model, const ContextOptions& options, int32_t most, uint64_t budget) {
    int32_t low = 0, high = most / HEARTH_PAGE_TOKENS + 1;
    while (low + 1 < high) {
        const int32_t middle = low + (high - low) / 2;
        HEARTH_TRY(const bool fits, fits_with(model, options, middle * HEARTH_PAGE_TOKENS, budget));
        (fits ? low : high) = middle;
    }
    return low * HEARTH_PAGE_TOKENS;
}

}  // namespace

Result<PlanReport> make_plan(const Model& model, const ContextOptions& options) {
    PlanReport plan;
    HEARTH_TRY(plan.context, Context::plan(model, options));
    plan.weight_bytes = model.loaded() ? 0 : model.weight_bytes();
    plan.total_bytes = plan.weight_bytes + plan.context.total();
    plan.available_bytes = available_host_bytes();
    plan.reserve_bytes = std::min(kReserve, plan.available_bytes / 8);
    const uint64_t budget = plan.available_bytes ? plan.available_bytes - plan.reserve_bytes : UINT64_MAX;
    plan.fits = plan.total_bytes <= budget;
    const int32_t asked = options.n_ctx ? options.n_ctx : model.hparams().n_ctx_train;
    plan.n_ctx_fits = asked;
    if (!plan.fits) {
        HEARTH_TRY(plan.n_ctx_fits, largest_context(model, options, asked, budget - std::min(budget, plan.weight_bytes)));
    }
    return plan;
}

Status check_plan(const Model& model, const PlanReport& plan) {
    if (plan.fits) return {};
    const Failure failure = fail(
        Code::oom_host, "{}: {} needs {:.1f} GiB (weights {:.1f}, KV {:.1f}, compute {:.1f}) but {:.1f} GiB are free{}",
        model.placement().devices[0]->spec(), model.description(), gib(plan.total_bytes), gib(plan.weight_bytes),
        gib(plan.context.sum().cache_bytes), gib(plan.context.total() - plan.context.sum().cache_bytes),
        gib(plan.available_bytes - plan.reserve_bytes),
        plan.n_ctx_fits > 0 ? fmt::format("; use n_ctx={}", plan.n_ctx_fits) : std::string());
    error_record().bytes_wanted = plan.total_bytes;
    error_record().bytes_free = plan.available_bytes;
    return failure;
}

}  // namespace hearth

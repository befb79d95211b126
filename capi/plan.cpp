// The C ABI: memory plans and placement.
#include "runtime/plan.hpp"

#include <hearth/hearth.h>

#include "guard.hpp"
#include "handles.hpp"
#include "open.hpp"

using namespace hearth;
using namespace hearth::capi;

namespace {

struct Planned {
    std::shared_ptr<Model> model;
    PlanReport plan;
};

Result<Planned> plan_of(hearth_runtime* runtime, const hearth_source* source, const hearth_model_params* model_params,
                        const hearth_context_params* context_params) {
    HEARTH_TRY(const auto r, borrow<RuntimeObject>(runtime));
    HEARTH_TRY(ModelOptions options, model_options(model_params, source));
    if (options.vocab_only) return fail(Code::invalid_argument, "vocab_only loads no weights: there is nothing to plan");
    HEARTH_TRY(const ContextOptions context, context_options(context_params));
    options.context = context;
    HEARTH_TRY(auto tensors, open_source(source));
    Planned planned;
    HEARTH_TRY(planned.model, Model::open(r->runtime, std::move(tensors), options));
    HEARTH_TRY(planned.plan, make_plan(*planned.model, context));
    return planned;
}

hearth_device_plan device_info(const DevicePlan& d, const PlanReport& plan) {
    hearth_device_plan info{};
    info.fits = d.fits();
    fill_text(info.device, d.spec);
    info.n_layer = d.n_layer;
    info.n_layer_fits = plan.n_layer_fits;
    info.is_host = d.host;
    info.has_embedding = d.embedding;
    info.has_output = d.output;
    info.has_cache = d.cache;
    info.weight_bytes = d.weight_bytes;
    info.cache_bytes = d.cache_bytes;
    info.activation_bytes = d.activation_bytes;
    info.scratch_bytes = d.scratch_bytes;
    info.host_bytes = d.host_bytes;
    info.total_bytes = d.total();
    info.available_bytes = d.available_bytes;
    info.reserve_bytes = d.reserve_bytes;
    info.token_bytes = d.token_bytes;
    info.mapped_bytes = d.mapped_bytes;
    info.declared_rate = d.declared_rate;
    info.achieved_rate = d.achieved_rate;
    info.is_slow = d.slow;
    return info;
}

// Elements lie struct_size of the first one apart: the caller's compiler knows no other size.
Status write_devices(const PlanReport& plan, hearth_device_plan* out, size_t cap, size_t* n) {
    HEARTH_CHECK(need(n, "the output n"));
    if (cap > 0) HEARTH_CHECK(need(out, "the output"));
    for (std::size_t i = 0; i < std::min(cap, plan.devices.size()); ++i) {
        auto* at = reinterpret_cast<hearth_device_plan*>(reinterpret_cast<char*>(out) + i * out->struct_size);
        at->struct_size = out->struct_size;
        HEARTH_CHECK(write_struct(device_info(plan.devices[i], plan), "hearth_device_plan", at));
    }
    *n = plan.devices.size();
    return {};
}

}  // namespace

hearth_status hearth_plan_make(hearth_runtime* runtime, const hearth_source* source, const hearth_model_params* model_params,
                               const hearth_context_params* context_params, hearth_plan_info* out) {
    return guarded([&]() -> Status {
        HEARTH_TRY(const Planned planned, plan_of(runtime, source, model_params, context_params));
        const PlanReport& plan = planned.plan;
        hearth_plan_info info{};
        info.fits = plan.fits();
        for (const DevicePlan& d : plan.devices) {
            info.weight_bytes += d.weight_bytes;
            info.mapped_bytes += d.mapped_bytes;
            info.cache_bytes += d.cache_bytes;
            info.activation_bytes += d.activation_bytes;
            info.scratch_bytes += d.scratch_bytes;
            info.output_bytes += d.host_bytes;
            info.available_bytes += d.available_bytes;
            info.reserve_bytes += d.reserve_bytes;
        }
        info.total_bytes = plan.total();
        info.n_ctx_fits = plan.n_ctx_fits;
        return write_struct(info, "hearth_plan_info", out);
    });
}

hearth_status hearth_plan_devices(hearth_runtime* runtime, const hearth_source* source, const hearth_model_params* model_params,
                                  const hearth_context_params* context_params, hearth_device_plan* out, size_t cap, size_t* n) {
    return guarded([&]() -> Status {
        HEARTH_TRY(const Planned planned, plan_of(runtime, source, model_params, context_params));
        return write_devices(planned.plan, out, cap, n);
    });
}

hearth_status hearth_model_placement(hearth_model* model, hearth_device_plan* out, size_t cap, size_t* n) {
    return guarded([&]() -> Status {
        HEARTH_TRY(const auto m, borrow<ModelObject>(model));
        HEARTH_TRY(const PlanReport placed, placement_report(*m->model));
        return write_devices(placed, out, cap, n);
    });
}

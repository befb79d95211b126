// What a model and a context will take, from headers alone, and whether it fits.
#pragma once

#include "runtime/context.hpp"

namespace hearth {

struct PlanReport {
    uint64_t weight_bytes = 0;
    ContextBytes context;
    uint64_t total_bytes = 0, available_bytes = 0, reserve_bytes = 0;  // available: 0 = unknown
    bool fits = true;
    int32_t n_ctx_fits = 0;  // the largest that fits, at most the one asked for; 0 = not even one page
};

// The model may be opened only. Nothing is allocated on the device.
Result<PlanReport> make_plan(const Model& model, const ContextOptions& options);

// Code::oom_host with numbers, and the largest context that would fit, where the plan does not fit.
Status check_plan(const Model& model, const PlanReport& plan);

}  // namespace hearth

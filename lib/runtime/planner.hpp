// Inside the plan: sums for any placement, and the search for one that fits.
#pragma once

#include "runtime/plan.hpp"

namespace hearth {

// parts: what Model::measure() says of the placement.
Result<PlanReport> sum_plan(const Model& model, const Placement& placement, const std::vector<WeightPart>& parts,
                            const ContextOptions& options);

// The most layers on the devices of the spec that fit, at most the model's and one for the output.
Result<int32_t> largest_layers(const Model& model, const DeviceSpec& spec, const ContextOptions& options);

// Refuses a placement that deviates from a strict spec, or whose results depend on the split of a deterministic one.
Status check_strict(const Model& model, const DeviceSpec& spec, const Placement& placement);

}  // namespace hearth

// Inside the plan: sums for any placement, and the search for one that fits.
#pragma once

#include <algorithm>

#include "runtime/plan.hpp"

namespace hearth {

// What a device can give to a plan.
struct Budget {
    uint64_t available = 0, reserve = 0, unused = 0;  // available 0 = unknown; unused: the part that would be unloaded
    uint64_t usable() const { return available - std::min(available, reserve); }
};
bool is_host(const Device& device);
Result<Budget> budget_of(const Model& model, Device& device, const DeviceSpec& spec);

// The last n of the model's layers, its output counted as one, on all devices but the first, which is the host and has the rest: one
// stretch per device, or with split=tensor a part of each. As the spec's shares say, in its order; without them as rates and budgets
// do, and where one device is faster than another the fastest stands first.
Result<Placement> spread(const Model& model, const DeviceSpec& spec, const std::vector<Device*>& devices, const ContextOptions& options,
                         int32_t n);

// parts: what Model::measure() says of the placement.
Result<PlanReport> sum_plan(const Model& model, const Placement& placement, const std::vector<WeightPart>& parts,
                            const ContextOptions& options);

// The same of a placement that nobody has measured yet.
Result<PlanReport> plan_of(const Model& model, const Placement& placement, const ContextOptions& options);

// The most layers on the devices of the spec that fit, at most the model's and one for the output.
Result<int32_t> largest_layers(const Model& model, const DeviceSpec& spec, const ContextOptions& options);

// Refuses a placement that deviates from a strict spec, or whose results depend on the split of a deterministic one.
Status check_strict(const Model& model, const DeviceSpec& spec, const Placement& placement);

}  // namespace hearth

// Budgets of devices, sums of what a placement takes of them, and the most layers that fit.
#include "runtime/planner.hpp"

#include <algorithm>

#include "base/platform.hpp"

namespace hearth {

namespace {

constexpr uint64_t kReserve = 256u << 20;  // left to the rest of the machine, at most

// The devices of a spec; for one that names accelerators the host comes first: it has the embedding and what does not fit. A CPU
// among ranks is a device of its own beside that.
Result<std::vector<Device*>> devices_of(Runtime& runtime, const DeviceSpec& spec) {
    std::vector<Device*> devices;
    HEARTH_TRY(const std::vector<DeviceRef> refs, runtime.resolve(spec));
    for (const DeviceRef& ref : refs) {
        HEARTH_TRY(Device* device, runtime.device(ref));
        if (refs.size() > 1 && is_host(*device) && spec.split == SplitMode::layer) continue;
        devices.push_back(device);
    }
    if (devices.size() == 1 && is_host(*devices[0])) return devices;
    HEARTH_TRY(Device* host, runtime.device(DeviceRef{"cpu", 0, ""}));
    devices.insert(devices.begin(), host);
    return devices;
}

// The most layers that fit the devices beside the host. Each of them takes from what the host must hold, so that where the host is
// short it is with those that it has the best chance: it has no say in the search.
Result<int32_t> most_layers(const Model& model, const DeviceSpec& spec, const std::vector<Device*>& devices,
                            const ContextOptions& options, bool* host_fits) {
    const int32_t all = model.hparams().n_layer + 1;
    int32_t low = -1, high = all + 1;
    while (low + 1 < high) {
        const int32_t at = low < 0 ? 0 : low == 0 && high > all ? all : low + (high - low) / 2;  // none, all, then between
        HEARTH_TRY(const Placement placement, spread(model, spec, devices, options, at));
        HEARTH_TRY(const PlanReport plan, plan_of(model, placement, options));
        const bool good =
            at == 0 || std::all_of(plan.devices.begin() + 1, plan.devices.end(), [](const DevicePlan& d) { return d.fits(); });
        if (good) *host_fits = plan.devices[0].fits();
        (good ? low : high) = at;
    }
    return low;
}

}  // namespace

bool is_host(const Device& device) {
    const std::string_view name = device.backend_name();
    return name == "cpu" || name == "ref";
}

Result<Budget> budget_of(const Model& model, Device& device, const DeviceSpec& spec) {
    Budget budget;
    uint64_t total = 0;
    if (is_host(device)) {
        budget.available = total = os::available_bytes();
    } else {
        HEARTH_TRY(const hearth_backend_device info, device.describe());
        budget.available = info.total_bytes > 0 ? std::max<uint64_t>(info.free_bytes, 1) : 0;  // a full device is not an unknown one
        total = info.total_bytes;
    }
    const uint64_t claimed = model.runtime().ledger().claimed(&device);
    if (budget.available > 0) {
        budget.unused = model.runtime().unused_bytes(&device, &model);
        budget.available += budget.unused - std::min(budget.available - 1, claimed);
    }
    budget.reserve = spec.has_reserve ? spec.reserve_bytes : std::min(kReserve, total / (is_host(device) ? 8 : 16));
    return budget;
}

Result<PlanReport> sum_plan(const Model& model, const Placement& placement, const std::vector<WeightPart>& parts,
                            const ContextOptions& options) {
    HEARTH_TRY(const ContextBytes bytes, Context::plan(model, placement, parts, options));
    PlanReport plan;
    const int32_t n_layer = model.hparams().n_layer;
    for (int32_t i = 0; i < placement.n_device(); ++i) {
        const auto d = static_cast<std::size_t>(i);
        Device& device = *placement.devices[d];
        HEARTH_TRY(const Budget budget, budget_of(model, device, model.spec()));
        DevicePlan p;
        p.spec = device.spec();
        p.host = is_host(device);
        p.embedding = placement.device_of(-1) == i;
        p.output = placement.has(i, n_layer);
        p.n_layer = placement.n_layer_on(i);
        p.weight_bytes = model.loaded() ? 0 : parts[d].bytes;
        p.mapped_bytes = parts[d].mapped_bytes;
        p.token_bytes = parts[d].token_bytes;
        p.declared_rate = parts[d].declared_rate;
        p.cache_bytes = bytes.devices[d].cache_bytes;
        p.activation_bytes = bytes.devices[d].arena_bytes;
        p.scratch_bytes = bytes.devices[d].scratch_bytes;
        p.cache = p.cache_bytes > 0;
        if (i == 0) p.host_bytes = bytes.output_bytes + bytes.staging_bytes;
        p.available_bytes = budget.available;
        p.reserve_bytes = budget.reserve;
        for (std::size_t other = 0; other < d && p.available_bytes > 0; ++other)  // the host may be a rank, too
            if (placement.devices[other] == &device) p.available_bytes -= std::min(p.available_bytes - 1, plan.devices[other].total());
        p.unused_bytes = std::min(budget.unused, p.available_bytes - std::min<uint64_t>(p.available_bytes, 1));
        plan.devices.push_back(std::move(p));
    }
    const auto& of = placement.device_of_layer;
    plan.n_layer = static_cast<int32_t>(std::count_if(of.begin() + 1, of.end(), [](int32_t device) { return device != 0; }));
    return plan;
}

Result<PlanReport> plan_of(const Model& model, const Placement& placement, const ContextOptions& options) {
    HEARTH_TRY(const std::vector<WeightPart> parts, model.measure(placement));
    return sum_plan(model, placement, parts, options);
}

Result<int32_t> largest_layers(const Model& model, const DeviceSpec& spec, const ContextOptions& options) {
    HEARTH_TRY(const std::vector<Device*> devices, devices_of(model.runtime(), spec));
    if (devices.size() == 1) return 0;
    bool host_fits = true;
    HEARTH_TRY(const int32_t n, most_layers(model, spec, devices, options, &host_fits));
    return host_fits ? n : 0;
}

Result<Placement> choose_placement(const Model& model, const DeviceSpec& spec, const ContextOptions& options) {
    const int32_t all = model.hparams().n_layer + 1;
    HEARTH_TRY(const std::vector<Device*> devices, devices_of(model.runtime(), spec));
    if (devices.size() == 1) return Placement::whole(devices[0], model.hparams().n_layer);
    int32_t n = spec.n_layer == DeviceSpec::kAllLayers ? all : std::min(spec.n_layer, all);  // more than there are: all
    if (n < 0) {
        bool host_fits = true;
        HEARTH_TRY(n, most_layers(model, spec, devices, options, &host_fits));
    }
    HEARTH_TRY(Placement placement, spread(model, spec, devices, options, n));
    HEARTH_CHECK(check_strict(model, spec, placement));
    return placement;
}

}  // namespace hearth

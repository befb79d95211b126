// Puts the last layers of a model on the devices of a spec, in proportion to their budgets or the shares that were given.
#include "runtime/planner.hpp"

#include <algorithm>
#include <numeric>

namespace hearth {

namespace {

constexpr uint64_t kReserve = 256u << 20;  // left to the rest of the machine, at most

struct Budget {
    uint64_t available = 0, reserve = 0, unused = 0;  // available 0 = unknown; unused: the part that would be unloaded
    uint64_t usable() const { return available - std::min(available, reserve); }
};

bool is_host(const Device& device) {
    const std::string_view name = device.backend_name();
    return name == "cpu" || name == "ref";
}

Result<Budget> budget_of(const Model& model, Device& device, const DeviceSpec& spec) {
    Budget budget;
    uint64_t total = 0;
    if (is_host(device)) {
        budget.available = total = available_host_bytes();
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

// [n_device] of all but the host, which has none.
Result<std::vector<double>> shares_of(const Model& model, const DeviceSpec& spec, const std::vector<Device*>& devices) {
    std::vector<double> shares = spec.shares;
    if (!shares.empty() && shares.size() + 1 != devices.size())
        return fail(Code::placement, "shares names {} devices, the spec {}", shares.size(), devices.size() - 1);
    for (std::size_t d = 1; d < devices.size() && spec.shares.empty(); ++d) {
        HEARTH_TRY(const Budget budget, budget_of(model, *devices[d], spec));
        shares.push_back(std::max<double>(1, static_cast<double>(budget.usable())));
    }
    return shares;
}

// The last n of the model's layers and its output go to devices 1, 2, ..., in stretches in proportion to the shares.
Placement spread(const Model& model, const DeviceSpec& spec, const std::vector<Device*>& devices, const std::vector<double>& shares,
                 int32_t n) {
    Placement placement = Placement::whole(devices[0], model.hparams().n_layer);
    placement.devices = devices;
    const double all = std::accumulate(shares.begin(), shares.end(), 0.0);
    auto& of = placement.device_of_layer;
    for (int32_t i = 0; i < n; ++i) {
        const double at = (i + 0.5) / n * all;
        double sum = 0;
        int32_t device = 0;
        while (device < static_cast<int32_t>(shares.size()) && sum <= at) sum += shares[static_cast<std::size_t>(device++)];
        of[of.size() - static_cast<std::size_t>(n - i)] = device;
    }
    if (spec.split == SplitMode::tensor && shares.size() > 1) {
        placement.shares = shares;
        for (int32_t& device : of) device = std::min(device, 1);
        for (std::size_t d = 1; d < devices.size(); ++d) placement.ranks.push_back(static_cast<int32_t>(d));
    }
    if (!spec.kv_on_device) placement.cache = 0;
    if (!spec.experts_on_device) placement.experts = 0;
    return placement;
}

Result<bool> fits(const Model& model, const Placement& placement, const ContextOptions& options) {
    HEARTH_TRY(const std::vector<WeightPart> parts, model.measure(placement));
    HEARTH_TRY(const PlanReport plan, sum_plan(model, placement, parts, options));
    return plan.fits();
}

}  // namespace

Result<PlanReport> sum_plan(const Model& model, const Placement& placement, const std::vector<WeightPart>& parts,
                            const ContextOptions& options) {
    HEARTH_TRY(const ContextBytes bytes, Context::plan(model, placement, options));
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
        for (int32_t layer = 0; layer <= n_layer; ++layer) p.n_layer += placement.has(i, layer);
        p.weight_bytes = model.loaded() ? 0 : parts[d].bytes;
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

Result<int32_t> largest_layers(const Model& model, const DeviceSpec& spec, const ContextOptions& options) {
    HEARTH_TRY(const std::vector<Device*> devices, devices_of(model.runtime(), spec));
    HEARTH_TRY(const std::vector<double> shares, shares_of(model, spec, devices));
    int32_t low = 0, high = model.hparams().n_layer + 2;
    while (low + 1 < high) {
        const int32_t middle = low + (high - low) / 2;
        HEARTH_TRY(const bool good, fits(model, spread(model, spec, devices, shares, middle), options));
        (good ? low : high) = middle;
    }
    return low;
}

Result<Placement> choose_placement(const Model& model, const DeviceSpec& spec, const ContextOptions& options) {
    const int32_t all = model.hparams().n_layer + 1;
    HEARTH_TRY(const std::vector<Device*> devices, devices_of(model.runtime(), spec));
    if (devices.size() == 1) return Placement::whole(devices[0], model.hparams().n_layer);
    HEARTH_TRY(const std::vector<double> shares, shares_of(model, spec, devices));
    int32_t n = spec.n_layer == DeviceSpec::kAllLayers ? all : std::min(spec.n_layer, all);  // more than there are: all
    if (n < 0) {
        HEARTH_TRY(n, largest_layers(model, spec, options));
    }
    Placement placement = spread(model, spec, devices, shares, n);
    HEARTH_CHECK(check_strict(model, spec, placement));
    return placement;
}

}  // namespace hearth

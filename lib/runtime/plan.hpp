// What a model and a context will take of each device, from headers alone, and whether it fits.
#pragma once

#include "runtime/context.hpp"
#include "runtime/device_spec.hpp"

namespace hearth {

struct DevicePlan {
    std::string spec;      // "sim:1"
    bool host = false;     // memory of the process: its budget is what the process can still take
    int32_t n_layer = 0;   // transformer layers, and one more for the output
    bool embedding = false, output = false, cache = false;  // what else is there
    uint64_t weight_bytes = 0, cache_bytes = 0, activation_bytes = 0, scratch_bytes = 0;
    uint64_t mapped_bytes = 0;  // of weights that stay in the source's memory: no part of weight_bytes, nor of the total
    uint64_t token_bytes = 0;  // of the weights, what one token reads
    uint64_t declared_rate = 0, achieved_rate = 0;  // bytes per second, 0 = unknown; achieved: by steps of one token
    bool slow = false;                              // achieved is far below declared
    uint64_t host_bytes = 0;  // host: logits, and what travels between devices
    uint64_t available_bytes = 0, reserve_bytes = 0;  // available: 0 = unknown
    uint64_t unused_bytes = 0;  // of available: weights of unused models, which would be unloaded
    uint64_t total() const { return weight_bytes + cache_bytes + activation_bytes + scratch_bytes + host_bytes; }
    bool fits() const { return fits_into(available_bytes); }
    bool fits_now() const { return available_bytes == 0 || fits_into(available_bytes - unused_bytes); }  // with nothing unloaded
    // A device that gets nothing may be as full as it likes.
    bool fits_into(uint64_t bytes) const {
        return bytes == 0 || total() == 0 || (total() <= bytes && total() + reserve_bytes <= bytes);
    }
};

struct PlanReport {
    std::vector<DevicePlan> devices;  // those of the placement
    uint64_t total() const;
    bool fits() const;
    int32_t n_layer = 0;       // on devices that are not the host
    int32_t n_layer_fits = 0;  // the most that fit there, at most the model's and one; the same as n_layer where that fits
    int32_t n_ctx_fits = 0;    // the largest that fits, at most the one asked for; 0 = not even one page
};

// The model may be opened only. Nothing is allocated on the devices.
Result<PlanReport> make_plan(const Model& model, const ContextOptions& options);

// What lies where of a loaded model: weights only.
Result<PlanReport> placement_report(const Model& model);

// Code::oom_host or oom_device with numbers, and the largest setting that would fit, where the plan does not fit.
Status check_plan(const Model& model, const PlanReport& plan);

// The plan, checked, and with as many unused models unloaded as it takes; inside Ledger::reserve().
Result<PlanReport> make_room(const Model& model, const ContextOptions& options);

// A context that is planned, reserved and made; the weights are loaded again if they had to give way meanwhile.
Result<std::unique_ptr<Context>> make_context(std::shared_ptr<Model> model, const ContextOptions& options);

// Where a spec puts a model, for such a context. With a number of layers asked for, no matter whether it fits; "as many as fit"
// means what fits now.
Result<Placement> choose_placement(const Model& model, const DeviceSpec& spec, const ContextOptions& options);

}  // namespace hearth

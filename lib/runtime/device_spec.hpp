// The one grammar in which C, C++, Python and the command line say where a model goes: "cuda:0,cuda:1,layers=20,kv=cpu".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace hearth {

struct DeviceRef {
    std::string backend;  // "sim"
    int32_t index = 0;    // 1
    std::string options;  // "2x4GiB": text behind the colon, for the backend

    friend bool operator==(const DeviceRef&, const DeviceRef&) = default;
};

enum class SplitMode { layer, tensor };

struct DeviceSpec {
    static constexpr int32_t kLayersThatFit = -1, kAllLayers = -2;

    bool automatic = false;          // "auto": the planner chooses among all usable devices
    std::vector<DeviceRef> devices;  // accelerators and/or cpu in the order given; "cpu" alone = CPU only
    int32_t n_layer = kLayersThatFit;  // on the devices: one of the two above (all: the default when a device is named), or N >= 0
    SplitMode split = SplitMode::layer;
    std::vector<double> shares;  // one per device, at least one above 0; empty = by free bytes
    bool kv_on_device = true, experts_on_device = true, vision_on_device = true;
    bool strict = false, deterministic = false;
    uint64_t reserve_bytes = 0;  // kept free on each device
    bool has_reserve = false;

    friend bool operator==(const DeviceSpec&, const DeviceSpec&) = default;
};

// Comma-separated words, blanks around them are fine. A word with '=' is an option, any other names a device:
//   auto | cpu | ref | NAME | NAME:INDEX | sim | sim:INDEX | sim:SIZE | sim:NxSIZE;link=8GB/s
// (behind "sim:" all up to the comma is the backend's own, but that a number below 1024 is an index)
//   layers=N|auto|all  split=layer|tensor  shares=3:1  kv=device|cpu  experts=device|cpu  vision=device|cpu
//   reserve=512MiB  strict=on|off  deterministic=on|off
// No device word = auto. Whether a backend of that name exists is for the runtime to say.
Result<DeviceSpec> parse_device_spec(std::string_view text);

std::string to_string(const DeviceSpec& spec);   // canonical: parse_device_spec(to_string(x)) == x
std::string device_name(const DeviceRef& device);  // in reports and errors: "cpu", "cuda:0", "sim:1"

}  // namespace hearth

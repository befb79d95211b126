// What a simulated device is made like: the text "2x4GiB;link=8GB/s;fail=3" as numbers.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.hpp"

namespace hearth::sim {

constexpr int32_t kMaxDevices = 16;

struct Options {
    int32_t n_device = 1;
    uint64_t total_bytes = uint64_t{1} << 30;  // of each device
    uint64_t free_bytes = 0;                   // of each device when opened; parse_options() sets it
    uint64_t memory_bytes_per_second = 0;      // what the device declares; runs take no heed of it. 0 = unknown
    double link_bytes_per_second = 0;          // of uploads, downloads and copies; 0 = as fast as memory
    double latency_ns = 0;                     // of each of them
    double compute = 1;                        // speed of runs, as a fraction of what the CPU does
    uint64_t fail_at = 0;                      // this allocation (counted from 1) fails once; 0 = none
    uint64_t lost_at = 0;                      // from this run (counted from 1) on all fail, as on a device that is gone; 0 = none
};

// Words separated by ';': [<devices>x]<size>, which may only stand first, then in any order and none twice link=<size>/s,
// memory=<size>/s, latency=<time>, compute=<fraction>, free=<size>, fail=<number>, lost=<number>. Each of those has one value for
// all devices, or one per device with ':' between them, where an empty one is the default. What device `index` is made like; empty
// text: the defaults above.
Result<Options> parse_options(std::string_view text, int32_t index);

}  // namespace hearth::sim

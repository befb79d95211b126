// Whether the devices of a context keep up with what they declare: bytes that a step reads of a device's memory over the time that
// the step spends there.
#pragma once

#include <cstdint>
#include <vector>

#include "base/log.hpp"
#include "runtime/model.hpp"

namespace hearth {

class Pace {
  public:
    // cache_bytes: [n_device], what a full context reads of each.
    Pace(Model* model, std::vector<uint64_t> cache_bytes);

    // A step begins: time from here on goes to the device of the next lap().
    void begin();
    void lap(int32_t device);
    void drop() { steady_ = false; }  // the step was interrupted, or is of another kind: it tells nothing
    // The step is over, of one token that sees this part of a full context. Tells log and model when a device turns out slow.
    void end(double context_part);

  private:
    // Steps before there is a verdict: the fastest of them counts, so that what else the machine does is not held against a device.
    static constexpr int32_t kSteps = 4;
    // Kernels, segments and waiting take some time of their own, and not all of a memory's rate can be had.
    static constexpr double kFarBelow = 8, kSlackNs = 1e6;
    struct Lane {
        double cache_bytes = 0, declared = 0;  // declared: bytes per second, 0 = unknown
        int64_t ns = 0;                        // of the step under way
        double best = 0, best_bytes = 0;       // bytes per second of the fastest of the last steps, and what it read
        int32_t n_step = 0;
        bool told = false;
    };
    void judge(std::size_t device, Lane* lane);

    Model* model_;
    std::vector<Lane> lanes_;
    int64_t last_ns_ = 0;
    bool steady_ = false;
};

}  // namespace hearth

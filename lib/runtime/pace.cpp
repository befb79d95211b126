// Sums the time of a step by device, and says once where a device is far slower than it declares to be.
#include "runtime/pace.hpp"

#include <utility>

#include "base/platform.hpp"

namespace hearth {

Pace::Pace(Model* model, std::vector<uint64_t> cache_bytes) : model_(model) {
    for (std::size_t d = 0; d < cache_bytes.size(); ++d) {
        Lane lane;
        lane.cache_bytes = static_cast<double>(cache_bytes[d]);
        lane.declared = static_cast<double>(model->parts()[d].declared_rate);
        lanes_.push_back(lane);
    }
}

void Pace::begin() {
    steady_ = true;
    for (Lane& lane : lanes_) lane.ns = 0;
    last_ns_ = os::now_ns();
}

void Pace::lap(int32_t device) {
    const int64_t now = os::now_ns();
    lanes_[static_cast<std::size_t>(device)].ns += now - last_ns_;
    last_ns_ = now;
}

void Pace::end(double context_part) {
    if (!std::exchange(steady_, false)) return;
    for (std::size_t d = 0; d < lanes_.size(); ++d) {
        Lane& lane = lanes_[d];
        const double bytes = static_cast<double>(model_->parts()[d].token_bytes) + lane.cache_bytes * context_part;
        if (bytes == 0 || lane.ns <= 0) continue;
        const double rate = bytes * 1e9 / static_cast<double>(lane.ns);
        if (rate > lane.best) {
            lane.best = rate;
            lane.best_bytes = bytes;
        }
        if (++lane.n_step < kSteps) continue;
        judge(d, &lane);
        lane.best = 0;
        lane.n_step = 0;
    }
}

void Pace::judge(std::size_t device, Lane* lane) {
    const double ns = lane->best_bytes * 1e9 / lane->best;
    const double planned_ns = lane->declared > 0 ? lane->best_bytes * 1e9 / lane->declared : ns;
    const bool slow = ns > kFarBelow * planned_ns + kSlackNs;
    model_->note_rate(device, static_cast<uint64_t>(lane->best), slow);
    if (!slow || std::exchange(lane->told, true)) return;
    model_->runtime().log()(LogLevel::warning,
                            "{}: a token takes {:.1f} ms here and {:.1f} were planned: {:.2f} of {:.2f} GB/s; its memory spills to "
                            "elsewhere, or its link is slow (fewer layers, or kv=cpu, may be faster)",
                            model_->placement().devices[device]->spec(), ns / 1e6, planned_ns / 1e6, lane->best / 1e9,
                            lane->declared / 1e9);
}

}  // namespace hearth

// Sums over ranks through memory of the host: hearth_comm for devices of one process.
#pragma once

#include <hearth/backend.h>

#include <condition_variable>
#include <mutex>
#include <vector>

#include "runtime/device.hpp"

namespace hearth {

// The ranks may be driven by one thread in turn (all all_reduce() calls, then all wait() calls) or by one thread each.
class SharedMemoryComm {
  public:
    // devices: [n_rank]. memory: n_rank * most floats, aligned to 64 bytes. All must outlive this.
    SharedMemoryComm(std::vector<Device*> devices, float* memory, uint64_t most);
    SharedMemoryComm(const SharedMemoryComm&) = delete;
    SharedMemoryComm& operator=(const SharedMemoryComm&) = delete;

    // Valid while this lives.
    const hearth_comm& rank(int32_t r) const { return ranks_[static_cast<std::size_t>(r)].table; }

  private:
    struct Rank {
        SharedMemoryComm* comm;
        Device* device;
        hearth_comm table;
        hearth_place place{};
        uint64_t n = 0;
        bool adds = false;
        ErrorRecord error{};  // of what it could not contribute
    };
    static int32_t start(void* user, hearth_place place, uint64_t n, int32_t adds, hearth_fault* fault);
    static int32_t wait(void* user, hearth_fault* fault);
    float* slot(const Rank& rank) const { return memory_ + static_cast<uint64_t>(&rank - ranks_.data()) * most_; }
    void arrive(std::unique_lock<std::mutex>& lock);
    void sum();

    std::vector<Rank> ranks_;
    float* memory_;
    uint64_t most_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::size_t n_arrived_ = 0, n_leaving_ = 0;
    const float* sum_ = nullptr;
};

}  // namespace hearth

// The last rank to arrive sums all contributions in the order of the ranks, so that every rank gets the same bits.
#include "runtime/comm.hpp"

#include <algorithm>
#include <cstring>

namespace hearth {

namespace {

int32_t report(const ErrorRecord& error, hearth_fault* fault) {
    fault->code = static_cast<int32_t>(error.code);
    fault->subcode = error.subcode;
    fault->bytes_wanted = error.bytes_wanted;
    fault->bytes_free = error.bytes_free;
    const std::size_t n = std::min(std::strlen(error.message), sizeof fault->message - 1);
    std::memcpy(fault->message, error.message, n);
    fault->message[n] = 0;
    return fault->code;
}

}  // namespace

SharedMemoryComm::SharedMemoryComm(std::vector<Device*> devices, float* memory, uint64_t most) : memory_(memory), most_(most) {
    ranks_.reserve(devices.size());
    for (std::size_t r = 0; r < devices.size(); ++r) {
        ranks_.push_back({this, devices[r], {}});
        ranks_[r].table = {sizeof(hearth_comm), static_cast<int32_t>(r), static_cast<int32_t>(devices.size()), &ranks_[r], start, wait};
    }
}

int32_t SharedMemoryComm::start(void* user, hearth_place place, uint64_t n, int32_t adds, hearth_fault* fault) {
    Rank& self = *static_cast<Rank*>(user);
    SharedMemoryComm& comm = *self.comm;
    {
        std::unique_lock lock(comm.mutex_);  // the sum before this one has been fetched by all
        comm.changed_.wait(lock, [&] { return comm.n_leaving_ == 0; });
    }
    self.place = place;
    self.n = n;
    self.adds = adds != 0;
    self.error = {};
    Status got = n <= comm.most_ ? Status{} : Status(fail(Code::internal, "a sum of {} numbers over ranks, planned for {}", n, comm.most_));
    if (got && self.adds) got = self.device->download(place, comm.slot(self), 4 * n);
    if (!got) self.error = error_record();
    std::unique_lock lock(comm.mutex_);
    if (++comm.n_arrived_ == comm.ranks_.size()) {
        comm.sum();
        comm.n_arrived_ = 0;
        comm.n_leaving_ = comm.ranks_.size();
        comm.changed_.notify_all();
    }
    return got ? 0 : report(self.error, fault);
}

void SharedMemoryComm::sum() {
    float* total = nullptr;
    for (const Rank& rank : ranks_) {
        if (!rank.adds || rank.error.code != Code::ok) continue;
        const float* values = slot(rank);
        if (!total) {
            total = slot(rank);
            continue;
        }
        for (uint64_t i = 0; i < rank.n; ++i) total[i] += values[i];
    }
    if (!total) std::fill_n(total = memory_, std::min(ranks_[0].n, most_), 0.0f);
    sum_ = total;
}

int32_t SharedMemoryComm::wait(void* user, hearth_fault* fault) {
    Rank& self = *static_cast<Rank*>(user);
    SharedMemoryComm& comm = *self.comm;
    {
        std::unique_lock lock(comm.mutex_);
        comm.changed_.wait(lock, [&] { return comm.n_leaving_ > 0; });
    }
    const auto failed = std::find_if(comm.ranks_.begin(), comm.ranks_.end(), [](const Rank& r) { return r.error.code != Code::ok; });
    Status put;
    ErrorRecord error;
    if (failed == comm.ranks_.end()) {
        put = self.device->upload(self.place, comm.sum_, 4 * self.n);
        if (!put) error = error_record();
    } else {
        error = failed->error;
    }
    std::unique_lock lock(comm.mutex_);
    if (--comm.n_leaving_ == 0) comm.changed_.notify_all();
    return error.code == Code::ok ? 0 : report(error, fault);
}

}  // namespace hearth

// Bytes of each device that somebody has planned with and not allocated yet, so that two plans never count the same memory.
#pragma once

#include <map>
#include <mutex>
#include <vector>

#include "runtime/device.hpp"

namespace hearth {

struct Claim {
    Device* device;
    uint64_t bytes;
};

class Ledger;

// Gives its claims back when it goes, which is once everything is allocated (or was given up). The ledger must outlive it.
class Reservation {
  public:
    Reservation() = default;
    Reservation(Reservation&& other) noexcept;
    Reservation& operator=(Reservation&& other) noexcept;
    ~Reservation();

  private:
    friend class Ledger;
    Ledger* ledger_ = nullptr;
    std::vector<Claim> claims_;
};

class Ledger {
  public:
    // f() looks at free memory less claimed(device), and answers with the claims to be made; nobody else plans meanwhile.
    template <class F>
    Result<Reservation> reserve(F f) {
        std::lock_guard lock(mutex_);
        HEARTH_TRY(std::vector<Claim> claims, f());
        return add(std::move(claims));
    }
    uint64_t claimed(const Device* device) const;  // inside reserve(), or as a snapshot

  private:
    friend class Reservation;
    Reservation add(std::vector<Claim> claims);
    void drop(const std::vector<Claim>& claims);

    std::recursive_mutex mutable mutex_;
    std::map<const Device*, uint64_t> claimed_;
};

}  // namespace hearth

// Sums of claims per device.
#include "runtime/ledger.hpp"

#include <utility>

namespace hearth {

Reservation::Reservation(Reservation&& other) noexcept { *this = std::move(other); }

Reservation& Reservation::operator=(Reservation&& other) noexcept {
    std::swap(ledger_, other.ledger_);
    std::swap(claims_, other.claims_);
    return *this;
}

Reservation::~Reservation() {
    if (ledger_) ledger_->drop(claims_);
}

uint64_t Ledger::claimed(const Device* device) const {
    std::lock_guard lock(mutex_);
    const auto found = claimed_.find(device);
    return found == claimed_.end() ? 0 : found->second;
}

Reservation Ledger::add(std::vector<Claim> claims) {
    Reservation reservation;
    for (const Claim& claim : claims) claimed_[claim.device] += 0;  // may throw, and then nothing is claimed
    for (const Claim& claim : claims) claimed_[claim.device] += claim.bytes;
    reservation.claims_ = std::move(claims);
    reservation.ledger_ = this;
    return reservation;
}

void Ledger::drop(const std::vector<Claim>& claims) {
    std::lock_guard lock(mutex_);
    for (const Claim& claim : claims) claimed_[claim.device] -= claim.bytes;
}

}  // namespace hearth

// Random numbers that are a function of (seed, counter): no stream to advance, so that the order in which
// requests are sampled, or how they are batched, never changes a draw.
#pragma once

#include <array>
#include <cstdint>

namespace hearth {

using Philox4 = std::array<uint32_t, 4>;
using Philox2 = std::array<uint32_t, 2>;

// Philox 4x32-10 of Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
constexpr Philox4 philox(Philox4 counter, Philox2 key) {
    for (int round = 0; round < 10; ++round) {
        const uint64_t a = uint64_t{0xD2511F53u} * counter[0], b = uint64_t{0xCD9E8D57u} * counter[2];
        counter = {static_cast<uint32_t>(b >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(b),
                   static_cast<uint32_t>(a >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(a)};
        key = {key[0] + 0x9E3779B9u, key[1] + 0xBB67AE85u};
    }
    return counter;
}

// One draw's address: which answer, which token place in it, which stage asks.
struct DrawPlace {
    uint64_t seed = 0;
    int64_t position = 0;
    uint32_t choice = 0, stage = 0;
};

// Uniform in [0, 1) with 53 random bits.
constexpr double uniform_at(const DrawPlace& place) {
    const auto position = static_cast<uint64_t>(place.position);
    const Philox4 bits = philox(
        {static_cast<uint32_t>(position), static_cast<uint32_t>(position >> 32), place.choice, place.stage},
        {static_cast<uint32_t>(place.seed), static_cast<uint32_t>(place.seed >> 32)});
    return static_cast<double>((uint64_t{bits[0]} << 32 | bits[1]) >> 11) * 0x1p-53;
}

}  // namespace hearth

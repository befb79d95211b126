// What tests may ask of a simulated device beyond the contract: its counts, and where its memory is.
#pragma once

#include <hearth/backend.h>

#include <cstdint>

namespace hearth::sim {

// Since the device was opened; calls that failed are not counted, but for n_alloc (all attempts).
struct Counters {
    uint64_t uploaded_bytes, downloaded_bytes, copied_bytes;  // file rows, plain cache rows, bytes of copies
    uint64_t n_alloc, n_run, busy_us;                         // busy: what the runs took, as slow as the device is
};
Counters counters(const hearth_device* device);

// The host's address of device memory; whoever follows it outside a call of the backend crashes. nullptr = not of this device.
const void* host_address(hearth_device* device, hearth_place place);

}  // namespace hearth::sim

extern "C" const hearth_backend* hearth_backend_sim(void);

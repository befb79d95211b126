// A backend plugin for tests: it can be found, opened and described, and the macros say what is wrong with it.
#include <hearth/backend.h>

#include <cstdio>
#include <stdexcept>

#ifndef PLUGIN_ABI
#define PLUGIN_ABI HEARTH_BACKEND_ABI
#endif
#ifndef PLUGIN_SIZE
#define PLUGIN_SIZE sizeof(hearth_backend)
#endif
#ifndef PLUGIN_SCORE
#define PLUGIN_SCORE 1
#endif
#ifndef PLUGIN_RUN
#define PLUGIN_RUN refuse
#endif
#ifndef PLUGIN_SILENT
#define PLUGIN_SILENT 0
#endif
#ifndef PLUGIN_OPEN
#define PLUGIN_OPEN 0
#endif

namespace {

int32_t score() {
    if (PLUGIN_SCORE > 1000) throw std::runtime_error("no luck with the score");
    return PLUGIN_SCORE;
}

int32_t device_count(const hearth_host*, int32_t* n, hearth_fault*) {
    *n = 2;
    return 0;
}

int32_t open(const hearth_host*, int32_t index, const char*, hearth_device** device, hearth_fault* fault) {
    static int32_t devices[2] = {0, 1};
    if (PLUGIN_OPEN > 0) throw std::runtime_error("no luck with the device");
    if (index > 1) {
        std::snprintf(fault->message, sizeof fault->message, "there are two devices, none with index %d", static_cast<int>(index));
        return -2;
    }
    *device = reinterpret_cast<hearth_device*>(&devices[index]);
    return 0;
}

void close(hearth_device*) {}

int32_t describe(hearth_device* device, hearth_backend_device* out, hearth_fault*) {
    const int32_t index = *reinterpret_cast<int32_t*>(device);
    std::snprintf(out->name, sizeof out->name, "test device %d", static_cast<int>(index));
    out->total_bytes = 1000;
    out->free_bytes = 600;
    return 0;
}

template <class R, class... A>
R refuse(A...) {
    return R(-21);
}
template <class... A>
void ignore(A...) {}

[[maybe_unused]] const hearth_backend kBackend = {
    PLUGIN_ABI,  PLUGIN_SIZE, PLUGIN_NAME, score,  device_count, open,   close,
    describe,    refuse,      ignore,      refuse, refuse,       refuse, refuse,
    refuse,      refuse,      refuse,      refuse, refuse,       ignore, PLUGIN_RUN,
    refuse,      nullptr,     nullptr,
};

}  // namespace

#ifndef PLUGIN_WITHOUT_ENTRY
extern "C" __attribute__((visibility("default"))) const hearth_backend* hearth_backend_v1(uint32_t abi) {
    return abi == HEARTH_BACKEND_ABI && !PLUGIN_SILENT ? &kBackend : nullptr;
}
#endif

// Fuzz target: a device spec; whatever is accepted has a canonical text that means the same.
#include "runtime/device_spec.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t n) {
    const auto spec = hearth::parse_device_spec({reinterpret_cast<const char*>(data), n});
    if (!spec) return 0;
    const std::string text = hearth::to_string(*spec);
    const auto again = hearth::parse_device_spec(text);
    if (!again || !(*again == *spec) || hearth::to_string(*again) != text) __builtin_trap();
    return 0;
}

// The plugin under test, opened once per process.
#pragma once

#include <hearth/backend.h>

namespace hearth::test {

hearth_backend_entry plugin_entry();
const hearth_backend& plugin();  // its table for our ABI
bool plugin_keeps_bf16();        // BF16 weights stay bf16, and activations are rounded to it

}  // namespace hearth::test

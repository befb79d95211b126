// Picks the kernels for this machine: the one place that tests for an instruction set.
#pragma once

#include "base/result.hpp"
#include "device/cpu/kernels.hpp"

namespace hearth::cpu {

// The best level that the CPU and the OS allow, or the one that HEARTH_CPU_LEVEL names; an error lists the levels at hand.
Result<Kernels> choose_level();

}  // namespace hearth::cpu

// Picks the kernels for this machine: the one place that tests for an instruction set.
#pragma once

#include <string>

#include "base/result.hpp"
#include "device/cpu/kernels.hpp"

namespace hearth::cpu {

struct Choice {
    Kernels kernels;
    std::string detail;  // which better level the system refuses, or empty
};
// The best level that the CPU and the OS allow, or the one that HEARTH_CPU_LEVEL names; an error lists the levels at hand.
Result<Choice> choose_level();

}  // namespace hearth::cpu

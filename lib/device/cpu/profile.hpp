// Where the time of a program's runs goes: one row per operator and weight, for `hearth bench --profile`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

struct hearth_program;

namespace hearth::cpu {

struct StepTime {
    int64_t ns = 0, n_run = 0, n_token = 0, n_output = 0;
};

// The lines of a table, the slowest row first; none if nothing ran.
std::vector<std::string> profile_table(const hearth_program& program);

}  // namespace hearth::cpu

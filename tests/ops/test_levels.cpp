// Which CPU level a machine gets when nobody names one.
#include <cstdlib>
#include <string>

#include "device/cpu/cpu_level.hpp"
#include "ops/harness.hpp"
#include "support/catch.hpp"

using namespace hearth;
using namespace hearth::test;

// tests/run_all.sh runs this under emulated processors, with the level that each must get in HEARTH_TEST_LEVEL.
TEST_CASE("the CPU computes at the best level that the machine has, unless one is named", "[ops][levels]") {
    const std::vector<Candidate> found = cpu_levels();
    const auto has = [&](const std::string& level) {
        for (const Candidate& candidate : found)
            if (candidate.level == level) return true;
        return false;
    };
    std::string best;
    for (const char* level : {"v4-amx", "v4", "v3-vnni", "v3", "v2", "neon-i8mm", "neon-dot", "generic"})
        if (best.empty() && has(level)) best = level;
    const auto choice = cpu::choose_level();
    REQUIRE(choice);
    CHECK(best == choice->kernels.name);
    const char* wanted = std::getenv("HEARTH_TEST_LEVEL");
    if (wanted) CHECK(best == wanted);
}

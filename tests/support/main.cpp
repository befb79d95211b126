// The main() of every Catch2 test program; prints what was skipped as its last lines.
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>

#include <cstdio>

#include "support/support.hpp"

int main(int argc, char** argv) {
    const int failed = Catch::Session().run(argc, argv);
    for (const std::string& reason : hearth::test::skipped()) std::printf("SKIPPED: %s\n", reason.c_str());
    std::printf("skipped checks: %zu\n", hearth::test::skipped().size());
    return failed;
}

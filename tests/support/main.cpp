// The main() of every Catch2 test program; ends with what was skipped and one line that counts the test
// cases.
#define CATCH_CONFIG_RUNNER
#include <cstdio>

#include "support/catch.hpp"
#include "support/support.hpp"

namespace {

#if __has_include(<catch2/catch_all.hpp>)
using Listener = Catch::EventListenerBase;
#else
using Listener = Catch::TestEventListenerBase;
#endif

struct Cases {
    std::size_t n_passed = 0, n_failed = 0, n_skipped = 0;
};
Cases g_cases;

// A case that called skip() and asserted nothing was skipped; one that also asserted something counts as run.
class CaseCounter final : public Listener {
  public:
    using Listener::Listener;

    void testCaseStarting(const Catch::TestCaseInfo& info) override {
        Listener::testCaseStarting(info);
        n_skip_before_ = hearth::test::skipped().size();
    }
    void testCaseEnded(const Catch::TestCaseStats& stats) override {
        Listener::testCaseEnded(stats);
        const Catch::Counts& checks = stats.totals.assertions;
        const bool noted_skip = hearth::test::skipped().size() > n_skip_before_;
        if (!checks.allOk() || stats.totals.testCases.failed > 0) {
            ++g_cases.n_failed;
        } else if (noted_skip && checks.total() == 0) {
            ++g_cases.n_skipped;
        } else {
            ++g_cases.n_passed;
        }
    }

  private:
    std::size_t n_skip_before_ = 0;
};
CATCH_REGISTER_LISTENER(CaseCounter)

}  // namespace

int main(int argc, char** argv) {
    const int failed = Catch::Session().run(argc, argv);
    for (const std::string& reason : hearth::test::skipped()) std::printf("SKIPPED: %s\n", reason.c_str());
    std::printf("cases: %zu passed, %zu failed, %zu skipped\n", g_cases.n_passed, g_cases.n_failed,
                g_cases.n_skipped);
    return failed;
}

// The terminal: progress bars and Ctrl-C.
#include "terminal.hpp"

#include <atomic>
#include <csignal>
#include <cstdio>
#include <iostream>

#if defined(_WIN32)
#include <io.h>
#define isatty _isatty
#define fileno _fileno
#else
#include <unistd.h>
#endif

namespace cli {

namespace {

// A signal handler can reach nothing else.
std::atomic<hearth_context*> answering{nullptr};
std::atomic<bool> was_interrupted{false};

void on_interrupt(int number) {
    std::signal(number, on_interrupt);  // some systems forget the handler at each signal
    if (hearth_context* context = answering.load()) {
        was_interrupted.store(true);
        hearth_context_cancel(context);
    } else {
        std::signal(number, SIG_DFL);
        std::raise(number);
    }
}

}  // namespace

bool stderr_is_terminal() { return isatty(fileno(stderr)) != 0; }
bool stdin_is_terminal() { return isatty(fileno(stdin)) != 0; }

ProgressBar::ProgressBar(std::string label) : label_(std::move(label)), visible_(stderr_is_terminal()) {}

ProgressBar::~ProgressBar() {
    if (drawn_) std::cerr << "\r\x1b[K" << std::flush;
}

void ProgressBar::show(uint64_t done, uint64_t total) {
    const uint64_t percent =
        total > 0 ? static_cast<uint64_t>(100.0 * static_cast<double>(done) / static_cast<double>(total)) : 0;
    if (!visible_ || (drawn_ && percent == percent_)) return;
    drawn_ = true;
    percent_ = percent;
    const std::size_t n = static_cast<std::size_t>(percent > 100 ? 100 : percent) * 40 / 100;
    std::cerr << '\r' << label_ << " [" << std::string(n, '#') << std::string(40 - n, ' ') << "] " << percent
              << "%" << std::flush;
}

InterruptGuard::InterruptGuard(const hearth::Context& context) {
    was_interrupted.store(false);
    answering.store(context.get());
    std::signal(SIGINT, on_interrupt);
}
InterruptGuard::~InterruptGuard() { answering.store(nullptr); }
bool InterruptGuard::interrupted() const { return was_interrupted.load(); }

}  // namespace cli

// The terminal: progress bars and Ctrl-C.
#pragma once

#include <hearth/hearth.hpp>

#include <cstdint>
#include <string>

namespace cli {

bool stderr_is_terminal();
bool stdin_is_terminal();

// One line on stderr, redrawn in steps of a percent and wiped at the end; nothing where stderr is no
// terminal.
class ProgressBar {
  public:
    explicit ProgressBar(std::string label);
    ~ProgressBar();
    ProgressBar(const ProgressBar&) = delete;
    ProgressBar& operator=(const ProgressBar&) = delete;
    bool visible() const { return visible_; }
    void show(uint64_t done, uint64_t total);

  private:
    std::string label_;
    bool visible_, drawn_ = false;
    uint64_t percent_ = 0;
};

// While one exists, Ctrl-C cancels the context's decode instead of ending the program.
class InterruptGuard {
  public:
    explicit InterruptGuard(const hearth::Context& context);
    ~InterruptGuard();
    InterruptGuard(const InterruptGuard&) = delete;
    InterruptGuard& operator=(const InterruptGuard&) = delete;
    bool interrupted() const;
};

}  // namespace cli

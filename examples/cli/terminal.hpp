// The terminal: progress bars, Ctrl-C, and text that arrives in pieces of characters.
#pragma once

#include <hearth/hearth.hpp>

#include <cstdint>
#include <string>
#include <string_view>

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

// Writes text to stdout in whole characters: the bytes of one that is not complete wait for the next piece,
// and bytes that are no UTF-8 become U+FFFD.
class Utf8Output {
  public:
    void write(std::string_view bytes);
    void finish();  // what is still incomplete becomes U+FFFD

  private:
    std::string pending_;
};

// Moves the whole characters at the front of `pending` out, bad bytes as U+FFFD; an incomplete tail stays.
std::string take_whole_characters(std::string& pending);

}  // namespace cli

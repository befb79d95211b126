// The terminal: progress bars, Ctrl-C, and text that arrives in pieces of characters.
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

constexpr const char* kReplacement = "\xef\xbf\xbd";

// Bytes of the character that starts with `lead`, 0 for a byte that starts none.
int character_bytes(unsigned char lead) {
    if (lead < 0x80) return 1;
    if (lead >= 0xc2 && lead <= 0xdf) return 2;
    if (lead >= 0xe0 && lead <= 0xef) return 3;
    if (lead >= 0xf0 && lead <= 0xf4) return 4;
    return 0;
}

// Whether byte i (1..3) may follow: surrogates, overlong forms and values past U+10FFFF are refused at
// byte 1.
bool may_follow(unsigned char lead, int i, unsigned char byte) {
    unsigned char low = 0x80, high = 0xbf;
    if (i == 1 && lead == 0xe0) low = 0xa0;
    if (i == 1 && lead == 0xed) high = 0x9f;
    if (i == 1 && lead == 0xf0) low = 0x90;
    if (i == 1 && lead == 0xf4) high = 0x8f;
    return byte >= low && byte <= high;
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

std::string take_whole_characters(std::string& pending) {
    std::string out;
    std::size_t at = 0;
    while (at < pending.size()) {
        const auto lead = static_cast<unsigned char>(pending[at]);
        const int n = character_bytes(lead);
        int good = n > 0 ? 1 : 0;
        while (good > 0 && good < n && at + good < pending.size() &&
               may_follow(lead, good, static_cast<unsigned char>(pending[at + good])))
            ++good;
        if (n > 0 && good == n) {
            out.append(pending, at, static_cast<std::size_t>(n));
        } else if (n > 0 && at + good == pending.size()) {
            break;  // incomplete
        } else {
            out += kReplacement;
        }
        at += static_cast<std::size_t>(good > 0 ? good : 1);
    }
    pending.erase(0, at);
    return out;
}

void Utf8Output::write(std::string_view bytes) {
    pending_ += bytes;
    std::cout << take_whole_characters(pending_) << std::flush;
}

void Utf8Output::finish() {
    if (!pending_.empty()) std::cout << kReplacement << std::flush;
    pending_.clear();
}

}  // namespace cli

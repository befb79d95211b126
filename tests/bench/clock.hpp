// What benchmarks measure with: wall time, and the processor's cycles where it can count them.
#pragma once

#include <time.h>
#ifdef __linux__
#include <linux/perf_event.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

inline double seconds() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
}

// Cycles of this thread outside the kernel, from the processor's counter; 0 where nobody may read it.
inline uint64_t cycles() {
    uint64_t n = 0;
#ifdef __linux__
    static const int counter = [] {
        perf_event_attr wanted{};
        wanted.type = PERF_TYPE_HARDWARE;
        wanted.size = sizeof wanted;
        wanted.config = PERF_COUNT_HW_CPU_CYCLES;
        wanted.exclude_kernel = wanted.exclude_hv = 1;
        return static_cast<int>(syscall(SYS_perf_event_open, &wanted, 0, -1, -1, 0));
    }();
    if (counter >= 0 && ::read(counter, &n, sizeof n) != sizeof n) n = 0;
#endif
    return n;
}

// Cycles a second just now, by a chain of multiplications that take three each; 0 = unknown here.
inline double clock_rate() {
#if defined(__x86_64__) && defined(__GNUC__)
    constexpr int kTurns = 4000;
    const double begin = seconds();
    uint64_t x = 1;
    for (int i = 0; i < kTurns; ++i) __asm__ volatile("imul %0, %0\n\timul %0, %0\n\timul %0, %0\n\timul %0, %0" : "+r"(x));
    return kTurns * 12 / (seconds() - begin);
#else
    return 0;
#endif
}

inline bool can_count_cycles() { return cycles() != 0 || clock_rate() > 0; }

// Of one call of f, at best but for a few. Where the counter may not be read, as in most virtual machines: its time in cycles of the
// clock beside it, which shows what others take of the processor, too.
template <class F>
double good_cycles(F f) {
    const bool counts = cycles() != 0;
    std::vector<double> all;
    for (int i = 0; i < 60; ++i) {
        if (counts) {
            const uint64_t begin = cycles();
            f();
            all.push_back(static_cast<double>(cycles() - begin));
        } else {
            const double rate = clock_rate();
            f();  // wide registers are slow until they have been in use for a while
            const double begin = seconds();
            f();
            all.push_back((seconds() - begin) * rate);
        }
    }
    std::sort(all.begin(), all.end());
    return all[5];
}

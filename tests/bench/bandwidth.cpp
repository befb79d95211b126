// Reads memory as fast as it goes, the floor that decode speeds are held against: bench_bandwidth [THREADS [MIB]].
// The probe is that of `hearth bench`, as a program of its own so that other programs can be measured beside it.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "roofline.hpp"

int main(int argc, char** argv) {
    const int n_thread = argc > 1 ? std::max(1, std::atoi(argv[1])) : static_cast<int>(std::thread::hardware_concurrency());
    const std::size_t mib = argc > 2 ? static_cast<std::size_t>(std::max(16, std::atoi(argv[2]))) : 512;
    const double rate = cli::read_bandwidth(n_thread, mib << 20);
    if (rate == 0) return std::puts("no memory"), 1;
    std::printf("%d threads, %zu MiB: %.1f GB/s\n", n_thread, mib, rate / 1e9);
}

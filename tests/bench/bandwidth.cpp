// Reads memory as fast as it goes, the floor that decode speeds are held against: bench_bandwidth [THREADS [MIB]].
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

namespace {

constexpr int kStreams = 4, kRuns = 10, kAhead = 128;  // words: 16 lines

// Sums [begin, end) in four streams side by side, so that several pages are on their way at any time.
uint64_t read_all(const uint64_t* begin, std::size_t n) {
    const std::size_t part = n / kStreams;
    uint64_t sum[kStreams][8] = {};
    for (std::size_t i = 0; i + 8 <= part; i += 8)
        for (int s = 0; s < kStreams; ++s) {
            const uint64_t* line = begin + static_cast<std::size_t>(s) * part + i;
            __builtin_prefetch(line + kAhead);
            for (std::size_t k = 0; k < 8; ++k) sum[s][k] += line[k];
        }
    uint64_t all = 0;
    for (auto& stream : sum)
        for (const uint64_t value : stream) all += value;
    return all;
}

}  // namespace

int main(int argc, char** argv) {
    const int n_thread = argc > 1 ? std::max(1, std::atoi(argv[1])) : static_cast<int>(std::thread::hardware_concurrency());
    const std::size_t mib = argc > 2 ? static_cast<std::size_t>(std::max(16, std::atoi(argv[2]))) : 1024;
    const std::size_t bytes = mib << 20, share = bytes / 8 / static_cast<std::size_t>(n_thread);
    void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return std::puts("no memory"), 1;
    madvise(memory, bytes, MADV_HUGEPAGE);
    std::memset(memory, 1, bytes);
    double best = 1e30;
    std::vector<uint64_t> sum(static_cast<std::size_t>(n_thread));
    for (int run = 0; run < kRuns; ++run) {
        const auto begin = std::chrono::steady_clock::now();
        std::vector<std::thread> threads;
        for (std::size_t t = 0; t < sum.size(); ++t)
            threads.emplace_back([&, t] { sum[t] = read_all(static_cast<const uint64_t*>(memory) + t * share, share); });
        for (auto& thread : threads) thread.join();
        best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    std::printf("%d threads x %d streams, %zu MiB, best of %d: %.1f GB/s (%llu)\n", n_thread, kStreams, mib, kRuns,
                static_cast<double>(bytes) / best / 1e9, static_cast<unsigned long long>(sum[0]));
}

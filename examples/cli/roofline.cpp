// The roofline's two probes: see roofline.hpp.
#include "roofline.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>
#include <thread>
#include <vector>
#if defined(__unix__)
#include <sys/mman.h>
#endif
#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace cli {

namespace {

constexpr int kStreams = 4, kRuns = 10;
constexpr std::size_t kAhead = 1024, kHugePage = std::size_t{2} << 20;

// Best of kRuns: seconds in which all threads have done work(thread).
template <class F>
double best_seconds(int n_thread, F work) {
    double best = 1e30;
    for (int run = 0; run < kRuns; ++run) {
        const auto begin = std::chrono::steady_clock::now();
        std::vector<std::thread> threads;
        for (int t = 1; t < n_thread; ++t) threads.emplace_back(work, t);
        work(0);
        for (std::thread& thread : threads) thread.join();
        best =
            std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    return best;
}

uint64_t read_all(const std::byte* begin, std::size_t bytes) {
    const std::size_t part = bytes / kStreams / 64 * 64;
    uint64_t sum[kStreams][8] = {};
    for (std::size_t i = 0; i < part; i += 64)
        for (std::size_t s = 0; s < kStreams; ++s) {
            uint64_t line[8];
            std::memcpy(line, begin + s * part + i, sizeof line);
#if defined(__GNUC__)
            __builtin_prefetch(begin + s * part + i + kAhead);
#endif
            for (std::size_t k = 0; k < 8; ++k) sum[s][k] += line[k];
        }
    uint64_t all = 0;
    for (const auto& stream : sum)
        for (const uint64_t value : stream) all += value;
    return all;
}

#if defined(__x86_64__) && defined(__GNUC__)
constexpr int64_t kTurns = 1 << 20;

// Eight products of 32 bytes and their sums a turn, as the kernels of level v3 have them.
__attribute__((target("avx2"))) void multiply_avx2() {
    const __m256i x = _mm256_set1_epi8(1);
    for (int64_t i = 0; i < kTurns; ++i)
        __asm__ volatile(
            "vpmaddubsw %0, %0, %%ymm1\n\tvpaddw %%ymm1, %0, %%ymm1\n\t"
            "vpmaddubsw %0, %0, %%ymm2\n\tvpaddw %%ymm2, %0, %%ymm2\n\t"
            "vpmaddubsw %0, %0, %%ymm3\n\tvpaddw %%ymm3, %0, %%ymm3\n\t"
            "vpmaddubsw %0, %0, %%ymm4\n\tvpaddw %%ymm4, %0, %%ymm4\n\t"
            "vpmaddubsw %0, %0, %%ymm5\n\tvpaddw %%ymm5, %0, %%ymm5\n\t"
            "vpmaddubsw %0, %0, %%ymm6\n\tvpaddw %%ymm6, %0, %%ymm6\n\t"
            "vpmaddubsw %0, %0, %%ymm7\n\tvpaddw %%ymm7, %0, %%ymm7\n\t"
            "vpmaddubsw %0, %0, %%ymm8\n\tvpaddw %%ymm8, %0, %%ymm8"
            :
            : "x"(x)
            : "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8");
}
// Twelve products of 32 bytes a turn, added by the same instruction (level v3-vnni): two a cycle that take
// five cycles each need ten.
__attribute__((target("avx2,avxvnni"))) void multiply_avx_vnni() {
    const __m256i x = _mm256_set1_epi8(1);
    __m256i sum[12] = {};
    for (int64_t i = 0; i < kTurns; ++i)
        for (__m256i& one : sum) {
            one = _mm256_dpbusd_avx_epi32(one, x, x);
            __asm__ volatile("" : "+x"(one));
        }
}
// The same of 64 bytes (level v4).
__attribute__((target("avx512f,avx512vnni"))) void multiply_vnni() {
    const __m512i x = _mm512_set1_epi8(1);
    __m512i sum[12] = {};
    for (int64_t i = 0; i < kTurns; ++i)
        for (__m512i& one : sum) {
            one = _mm512_dpbusd_epi32(one, x, x);
            __asm__ volatile("" : "+v"(one));
        }
}

struct Products {
    std::string_view level;
    void (*multiply)();
    int64_t per_turn;
};
constexpr Products kProducts[] = {
    {"v3", multiply_avx2, 8 * 32},
    {"v3-vnni", multiply_avx_vnni, 12 * 32},
    {"v4", multiply_vnni, 12 * 64},
    {"v4-amx", multiply_vnni, 12 * 64},
};
#endif

}  // namespace

double read_bandwidth(int n_thread, std::size_t bytes) {
    std::vector<std::byte> memory;
    try {
        memory.resize(bytes + kHugePage);
    } catch (const std::bad_alloc&) {
        return 0;
    }
    std::byte* begin =
        memory.data() + (kHugePage - reinterpret_cast<std::uintptr_t>(memory.data()) % kHugePage);
#if defined(MADV_HUGEPAGE)
    // The pages are there already, as small ones: given back, they come again as large ones.
    if (madvise(begin, bytes, MADV_HUGEPAGE) == 0) madvise(begin, bytes, MADV_DONTNEED);
#endif
    std::memset(begin, 1, bytes);
    const std::size_t share = bytes / static_cast<std::size_t>(n_thread);
    std::vector<uint64_t> sum(static_cast<std::size_t>(n_thread));
    const double seconds = best_seconds(n_thread, [&](int t) {
        sum[static_cast<std::size_t>(t)] = read_all(begin + static_cast<std::size_t>(t) * share, share);
    });
    return static_cast<double>(bytes) / seconds;
}

double int8_peak(std::string_view level, int n_thread) {
#if defined(__x86_64__) && defined(__GNUC__)
    for (const Products& products : kProducts) {
        if (products.level != level) continue;
        const double seconds = best_seconds(n_thread, [&](int) { products.multiply(); });
        return static_cast<double>(kTurns * products.per_turn) * n_thread / seconds;
    }
#endif
    static_cast<void>(level), static_cast<void>(n_thread);
    return 0;
}

}  // namespace cli

// Speed of the matmul kernels alone: GB/s of weights for one token, and 10^9 multiply-adds per second for 1 to 128.
//   bench_kernels [-t THREADS] [FORMAT...]
//   bench_kernels -c [FORMAT...]     multiply-adds per cycle of one thread, from the caches: what other work on the machine changes least
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "bench/clock.hpp"
#include "bench/pages.hpp"
#include "device/cpu/cpu_level.hpp"
#include "device/cpu/layout.hpp"
#include "support/support.hpp"

using namespace hearth;
using namespace hearth::cpu;

namespace {

struct Bench {
    const Kernels& kernels;
    const FormatInfo& info;
    hearth_weight weight;
    Pages memory;
    std::vector<uint8_t> act;
    uint8_t* data = nullptr;
    std::size_t data_bytes = 0;
    std::vector<float> out;
    MatmulTask task{};
    const MatmulKernel* kernel;

    Bench(const Kernels& k, const FormatInfo& f, int64_t n_out, int64_t n_in, int64_t n_token)
        : kernels(k), info(f), weight{static_cast<int32_t>(f.format), HEARTH_USE_MATMUL, 2, {n_out, n_in, 0}} {
        kernel = matmul_kernel(kernels, weight.format);
        const hearth_layout layout = *weight_layout(kernels, weight);
        test::Random random(1);
        const std::vector<float> values = random.normals(static_cast<std::size_t>(16 * n_in), 0.1f);
        std::vector<uint8_t> rows(16 * row_bytes(info, static_cast<uint64_t>(n_in)));
        encode(info.format, values.data(), rows.data(), values.size());
        data_bytes = layout.bytes;
        memory = make_pages(data_bytes);
        data = reinterpret_cast<uint8_t*>(memory.get());
        for (int64_t r = 0; r < n_out; r += 16) {
            const auto status = upload_rows(weight, static_cast<Layout>(layout.id), data, r, std::min<int64_t>(16, n_out - r), rows.data());
            if (!status) std::printf("upload failed\n");
        }
        const std::vector<float> x = random.normals(static_cast<std::size_t>(n_in));
        task.act_stride = kernel->act == Act::f32     ? n_in * 4
                          : kernel->act == Act::q8x32 ? n_in / 32 * static_cast<int64_t>(sizeof(Q8Block))
                                                      : n_in / 256 * static_cast<int64_t>(sizeof(Q8SuperBlock));
        act.resize(static_cast<std::size_t>(task.act_stride * n_token));
        for (int64_t t = 0; t < n_token; ++t) {
            uint8_t* to = act.data() + t * task.act_stride;
            if (kernel->act == Act::f32) std::memcpy(to, x.data(), x.size() * 4);
            if (kernel->act == Act::q8x32) kernels.row->quantise32(reinterpret_cast<Q8Block*>(to), x.data(), n_in);
            if (kernel->act == Act::q8x256) kernels.row->quantise256(reinterpret_cast<Q8SuperBlock*>(to), x.data(), n_in);
        }
        out.resize(static_cast<std::size_t>(n_out * n_token));
        const Matrix m = matrix_of(weight, static_cast<Layout>(layout.id));
        task.weight = data, task.n_in = n_in, task.row_bytes = m.row_bytes, task.row_end = n_out;
        task.act = act.data(), task.n_token = n_token, task.out = out.data(), task.out_stride = n_out, task.scale = 1;
    }

    // Parts of kPartRows rows are taken by n_thread threads, as a step's are.
    void run(int64_t n_token, std::atomic<int64_t>& next) {
        MatmulTask t = task;
        t.n_token = n_token;
        constexpr int64_t kPartRows = 256;
        for (int64_t row; (row = next.fetch_add(kPartRows)) < task.out_stride;) {
            t.row_begin = row, t.row_end = std::min(task.out_stride, row + kPartRows);
            kernel->run(t);
        }
    }

    double best_seconds(int64_t n_token, int n_thread, int n) {
        double best = 1e30;
        for (int i = 0; i < n; ++i) {
            std::atomic<int64_t> next{0};
            std::atomic<int> ready{0};
            std::vector<std::thread> others;
            double begin = 0;
            for (int k = 1; k < n_thread; ++k)
                others.emplace_back([&] {
                    for (++ready; ready.load() < n_thread;) {}
                    run(n_token, next);
                });
            while (ready.load() < n_thread - 1) {}
            begin = seconds();  // before anybody can begin
            ++ready;
            run(n_token, next);
            for (std::thread& t : others) t.join();
            best = std::min(best, seconds() - begin);
        }
        return best;
    }

    double cycles_of(int64_t n_token) {
        return good_cycles([&] {
            std::atomic<int64_t> next{0};
            run(n_token, next);
        });
    }
};

bool is_wanted(const FormatInfo& info, int argc, char** argv, int first) {
    return argc <= first || std::any_of(argv + first, argv + argc, [&](const char* name) { return info.name == name; });
}

int count_cycles(const Kernels& kernels, int argc, char** argv) {
    if (!can_count_cycles()) return std::printf("the processor's cycles cannot be counted here\n"), 1;
    constexpr int64_t kTokens[] = {1, 2, 4, 8, 16, 32, 128}, kRows = 64, kWidth = 2048;
    std::printf("level %s, multiply-adds per cycle\n%-8s", kernels.name, "format");
    for (const int64_t n : kTokens) std::printf(" %5dx", static_cast<int>(n));
    for (const FormatInfo& info : kFormats) {
        if (!is_wanted(info, argc, argv, 2)) continue;
        std::printf("\n%-8s", std::string(info.name).c_str());
        Bench bench(kernels, info, kRows, kWidth, 128);
        for (const int64_t n : kTokens) std::printf(" %6.1f", static_cast<double>(kRows * kWidth * n) / bench.cycles_of(n));
    }
    std::printf("\n");
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const auto kernels = choose_level();
    if (!kernels) return 1;
    if (argc > 1 && std::string(argv[1]) == "-c") return count_cycles(kernels->kernels, argc, argv);
    const bool threads_given = argc > 2 && std::string(argv[1]) == "-t";
    const int n_thread = threads_given ? std::max(1, std::atoi(argv[2])) : 1, first_name = threads_given ? 3 : 1;
    constexpr int64_t kTokens[] = {1, 2, 4, 8, 16, 32}, kMany = 128, kRowsLarge = 65536, kWidth = 4096;
    std::printf("level %s, %d threads, best of several\n%-8s %12s %12s", kernels->kernels.name, n_thread, "format", "GB/s cached",
                "GB/s memory");
    for (const int64_t n : kTokens) std::printf(" %5dx", static_cast<int>(n));
    std::printf(" (memory) %6s\n", "128x");
    for (const FormatInfo& info : kFormats) {
        if (!is_wanted(info, argc, argv, first_name)) continue;
        Bench small(kernels->kernels, info, 64, 2048, 1), large(kernels->kernels, info, kRowsLarge, kWidth, 32),
            many(kernels->kernels, info, 256 * n_thread, 2048, kMany);
        const double gb_small = static_cast<double>(small.data_bytes) * 1e-9, gb_large = static_cast<double>(large.data_bytes) * 1e-9;
        std::printf("%-8s %12.2f %12.2f", std::string(info.name).c_str(), gb_small / small.best_seconds(1, 1, 500),
                    gb_large / large.best_seconds(1, n_thread, 5));
        for (const int64_t n : kTokens)
            std::printf(" %6.1f", 1e-9 * kRowsLarge * kWidth * static_cast<double>(n) / large.best_seconds(n, n_thread, 5));
        std::printf(" %15.1f\n", 256e-9 * 2048 * kMany * n_thread / many.best_seconds(kMany, n_thread, 20));
    }
    return 0;
}

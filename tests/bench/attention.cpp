// Cycles that attention takes per query and page of 32 keys (one thread, one key/value head), for queries that share pages.
//   bench_attention [-m] [-w WIDTH] [TYPE...]     -m: pages come from memory, as those of a model with 48 layers and heads do
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "bench/clock.hpp"
#include "bench/pages.hpp"
#include "device/cpu/cpu_level.hpp"
#include "device/cpu/layout.hpp"
#include "support/support.hpp"

using namespace hearth;
using namespace hearth::cpu;

namespace {

constexpr int64_t kPages = 32, kLayers = 48, kQueries[] = {1, 2, 3, 4, 5, 6, 7, 8, 48, 96}, kMost = 96;

struct Bench {
    const KeyKernel& key;
    const ValueKernel& value;
    int64_t n_layer, n_page, layer_bytes;  // of a page
    int64_t turn = 0;
    Pages memory;
    uint8_t* pool;
    std::vector<int32_t> pages, begin, end, stretch;
    std::vector<float> q, out, state, room;
    float* unpacked;  // in `room`, at the start of a cache line, as scratch is
    std::vector<const float*> q_rows;
    std::vector<float*> out_rows;
    std::vector<Q8Block> codes;
    AttentionTask task{};

    Bench(const Kernels& kernels, int32_t type, int64_t width, bool large)
        : key(*key_kernel(kernels, type)),
          value(*value_kernel(kernels, type)),
          n_layer(large ? kLayers : 1),
          n_page(large ? 8 * kPages : kPages) {
        const FormatInfo& info = *find_format(type);
        const int64_t head_bytes = kPageTokens * static_cast<int64_t>(row_bytes(info, static_cast<uint64_t>(width)));
        layer_bytes = 2 * head_bytes;
        memory = make_pages(static_cast<std::size_t>(n_page * n_layer * layer_bytes));
        pool = reinterpret_cast<uint8_t*>(memory.get());
        test::Random random(1);
        for (int64_t i = 0; i < kPages * kPageTokens; ++i) {
            const std::vector<float> row = random.normals(static_cast<std::size_t>(width));
            uint8_t* page = pool + i / kPageTokens * layer_bytes;
            key.store(page, row.data(), width, i % kPageTokens);
            value.store(page + head_bytes, row.data(), width, i % kPageTokens);
        }
        for (int64_t i = kPages; i < n_page * n_layer; i += kPages)
            std::memcpy(pool + i * layer_bytes, pool, static_cast<std::size_t>(kPages * layer_bytes));
        for (int32_t i = 0; i < n_page; ++i) pages.push_back(i);
        const auto n_key = static_cast<int32_t>(n_page * kPageTokens);
        begin.assign(kMost, 0), end.assign(kMost, n_key), stretch.assign(kMost, n_key);
        q = random.normals(static_cast<std::size_t>(kMost * width));
        out.resize(q.size()), state.resize(2 * kMost);
        room.resize(static_cast<std::size_t>(2 * kKeysAtOnce * width + 16));
        unpacked = room.data() + (64 - reinterpret_cast<std::uintptr_t>(room.data()) % 64) % 64 / sizeof(float);
        codes.resize(static_cast<std::size_t>(kMost * width / 32));
        for (int64_t i = 0; i < kMost; ++i) {
            q_rows.push_back(q.data() + i * width), out_rows.push_back(out.data() + i * width);
            kernels.row->quantise32(codes.data() + i * width / 32, q_rows.back(), width);
        }
        task.q = q_rows.data(), task.q8 = codes.data(), task.out = out_rows.data(), task.begin = begin.data(), task.end = end.data();
        task.place = begin.data(), task.stretch = stretch.data(), task.scratch = state.data();
        task.k_width = task.v_width = static_cast<int32_t>(width);
        task.scale = 0.1f, task.page = pages.data(), task.page_bytes = n_layer * layer_bytes,
        task.v_offset = task.k_bytes = task.v_bytes = head_bytes;
    }

    // The next layer.
    void run(const Kernels& kernels) {
        task.pool = pool + turn++ % n_layer * layer_bytes;
        kernels.attention->run(task, key, value);
    }
};

}  // namespace

int main(int argc, char** argv) {
    const auto level = choose_level();
    if (!level) return 1;
    if (!can_count_cycles()) return std::printf("the processor's cycles cannot be counted here\n"), 1;
    int first = 1;
    const bool large = argc > first && std::string(argv[first]) == "-m";
    first += large ? 1 : 0;
    const bool has_width = argc > first + 1 && std::string(argv[first]) == "-w";
    const int64_t width = has_width ? std::atoi(argv[first + 1]) / 32 * 32 : 64;
    first += has_width ? 2 : 0;
    std::printf("level %s, width %d, cycles per query and page (bytes per cycle)\n%-6s", level->kernels.name, static_cast<int>(width),
                "type");
    for (const int64_t n : kQueries) std::printf(" %11dx", static_cast<int>(n));
    for (const int32_t type : {HEARTH_FORMAT_F32, HEARTH_FORMAT_F16, HEARTH_FORMAT_BF16, HEARTH_FORMAT_Q8_0, HEARTH_FORMAT_Q4_0}) {
        const std::string name(find_format(type)->name);
        if (argc > first && std::none_of(argv + first, argv + argc, [&](const char* wanted) { return name == wanted; })) continue;
        std::printf("\n%-6s", name.c_str());
        Bench bench(level->kernels, type, width, large);
        for (const int64_t n : kQueries) {
            bench.task.n_query = static_cast<int32_t>(n);
            bench.task.unpacked = bench.unpacked;
            const double all = good_cycles([&] { bench.run(level->kernels); });
            std::printf(" %6.0f (%3.1f)", all / static_cast<double>(n * bench.n_page),
                        static_cast<double>(bench.n_page * bench.layer_bytes) / all);
        }
    }
    std::printf("\n");
    return 0;
}

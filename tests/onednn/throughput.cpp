// GFLOP/s of LINEAR on the plugin and on the CPU backend, side by side; printed, never judged.
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "onednn/plugin.hpp"
#include "ops/harness.hpp"
#include "runtime/runtime.hpp"
#include "support/catch.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

struct Load {
    Format format;
    int32_t n_token, n_out, n_in, n_thread, n_run;
};

// One device with one LINEAR that is ready to run.
struct Ready {
    std::shared_ptr<Runtime> runtime;
    Device* device;
    std::vector<DeviceBuffer> buffers;
    hearth_graph graph;
    hearth_program* program = nullptr;

    Ready(const char* spec, const OpCase& c, int32_t n_thread) : graph(c.graph()) {
        RuntimeOptions options;
        options.n_thread = n_thread;
        options.extra_backends = {&plugin()};
        runtime = *Runtime::make(options);
        device = *runtime->device(spec);
        const hearth_layout layout = *device->layout(c.weights[0]);
        const hearth_place weight = place(layout.bytes);
        REQUIRE(device->upload_weight(c.weights[0], layout, weight, 0, c.weights[0].shape[0], c.weight_data[0].data()));
        const hearth_bindings bindings{sizeof bindings, &weight, &layout, nullptr, place(static_cast<uint64_t>(graph.arena_bytes)),
                                       place(device->measure(graph)->scratch_bytes + 64)};
        program = *device->build(graph, bindings);
    }
    ~Ready() { device->free_program(program); }
    hearth_place place(uint64_t bytes) {
        buffers.push_back(*device->alloc(bytes, "test"));
        return buffers.back().at(0);
    }
};

double median_gflops(const char* spec, const Load& load) {
    Random random(1);
    OpCase c(load.n_token);
    const int32_t x = c.input({.group_width = load.n_in}, {}), y = c.output({.group_width = load.n_out});
    const auto n_weight = static_cast<std::size_t>(load.n_out) * static_cast<std::size_t>(load.n_in);
    const int32_t w = c.weight(load.format, HEARTH_USE_MATMUL, {load.n_out, load.n_in}, random.normals(n_weight, 0.1f));
    c.node(HEARTH_OP_LINEAR, {x}, {y}, {w}).p.scale.scale = 1;
    Ready ready(spec, c, load.n_thread);
    const hearth_run_args args = c.args();
    const hearth_run_options options{sizeof options, 0, nullptr};
    std::vector<double> seconds;
    for (int32_t i = 0; i <= load.n_run; ++i) {
        hearth_cursor cursor{};
        const auto begin = std::chrono::steady_clock::now();
        REQUIRE(ready.device->run(ready.program, args, options, &cursor));
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
        if (i > 0) seconds.push_back(took.count());  // the first run makes the primitive and touches memory
    }
    std::sort(seconds.begin(), seconds.end());
    return 2e-9 * load.n_token * static_cast<double>(n_weight) / seconds[seconds.size() / 2];
}

void print(const Load& load) {
    std::printf("LINEAR %-4s %dx%dx%d, %d thread(s), median of %d: onednn %.1f GFLOP/s, cpu %.1f GFLOP/s\n",
                std::string(find_format(static_cast<int32_t>(load.format))->name).c_str(), load.n_token, load.n_out, load.n_in,
                load.n_thread, load.n_run, median_gflops("onednn", load), median_gflops("cpu", load));
}

}  // namespace

TEST_CASE("throughput of a small LINEAR can be measured on the plugin", "[onednn]") {
    print({Format::F32, 64, 512, 512, 1, 3});
}

TEST_CASE("throughput of LINEAR as docs/performance.md tells it", "[.bench]") {
    for (Format format : {Format::F32, Format::BF16})
        for (int32_t n_thread : {1, 2}) print({format, 512, 2048, 2048, n_thread, 9});
    print({Format::F32, 1, 2048, 2048, 1, 9});
}

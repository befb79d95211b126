// Whether a device keeps up with its memory is noticed at decode, said once in a sentence, and shown in the placement report.
#include "runtime/context_support.hpp"
#include "runtime/plan.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

struct Run {
    std::string log;
    PlanReport placed;
    int n_line(const char* part) const {
        int n = 0;
        for (std::size_t at = log.find(part); at != std::string::npos; at = log.find(part, at + 1)) ++n;
        return n;
    }
};

// n_step steps of n_token tokens each.
Run run_on(const std::string& device, int n_step, int n_token = 1) {
    Run run;
    RuntimeOptions options;
    options.n_thread = 1;
    options.log.user = &run.log;
    options.log.write = [](void* user, int32_t, const char* message) { *static_cast<std::string*>(user) += std::string(message) + "\n"; };
    auto runtime = Runtime::make(options);
    REQUIRE(runtime);
    const std::string file = tiny_llama(4).file(seed());
    auto source = open_model_memory(file.data(), file.size());
    REQUIRE(source);
    ModelOptions where;
    where.device = device;
    auto model = Model::load(*runtime, std::move(*source), where);
    INFO(error_record().message);
    REQUIRE(model);
    ContextOptions small;
    small.n_ctx = 256;
    small.n_batch = 16;
    auto context = make_context(*model, small);
    REQUIRE(context);
    const Ids tokens = random_tokens(static_cast<std::size_t>(n_token), 1);
    for (int i = 0; i < n_step; ++i) (void)decode(**context, tokens);
    auto placed = placement_report(**model);
    REQUIRE(placed);
    run.placed = *placed;
    return run;
}

}  // namespace

TEST_CASE("a slow link is said once, in a sentence that names the device, and stays in the placement report") {
    // A token's way to the device and back: 128 bytes of activations up, 256 of logits down, 3.8 ms; some 0.1 are planned.
    const Run run = run_on("sim:4MiB;memory=1GB/s;link=100KB/s,layers=3", 9);
    INFO(run.log);
    CHECK(run.n_line("sim:0: a token takes ") == 1);
    CHECK(run.n_line("its link is slow") == 1);
    REQUIRE(run.placed.devices.size() == 2);
    const DevicePlan& device = run.placed.devices[1];
    CHECK(device.slow);
    CHECK(device.declared_rate == 1000000000);
    CHECK(device.achieved_rate > 0);
    CHECK(device.achieved_rate < device.declared_rate / 8);
    CHECK_FALSE(run.placed.devices[0].slow);
}

TEST_CASE("only the device that is slow is said to be") {
    const Run run = run_on("sim:2x4MiB;memory=1GB/s,layers=4", 9);
    INFO(run.log);
    CHECK(run.n_line("a token takes") == 0);
    for (const std::size_t d : {1u, 2u}) {
        CHECK_FALSE(run.placed.devices[d].slow);
        CHECK(run.placed.devices[d].achieved_rate > 0);
    }
}

TEST_CASE("a device that declares no rate, a step of many tokens and too few steps are not judged") {
    CHECK(run_on("sim:4MiB;latency=5ms", 9).n_line("a token takes") == 0);
    const Run prompt = run_on("sim:4MiB;memory=1GB/s;latency=5ms", 9, 5), few = run_on("sim:4MiB;memory=1GB/s;latency=5ms", 3);
    for (const Run* run : {&prompt, &few}) {
        CHECK(run->n_line("a token takes") == 0);
        CHECK(run->placed.devices[1].achieved_rate == 0);
    }
}

TEST_CASE("a token reads a device's matrices, of the embedding one row and of the experts those that are used") {
    const auto runtime = Runtime::make({});
    REQUIRE(runtime);
    struct Bytes {
        uint64_t bytes, token_bytes;
    };
    const auto bytes_of = [&](const TinyModel& tiny) {
        const std::string file = tiny.file(seed());
        auto source = open_model_memory(file.data(), file.size());
        REQUIRE(source);
        ModelOptions options;
        options.device = "cpu";
        const auto model = Model::open(*runtime, std::move(*source), options);
        REQUIRE(model);
        const WeightPart& part = (*model)->parts()[0];
        return Bytes{part.bytes, part.token_bytes};
    };
    const Bytes dense = bytes_of(tiny_llama(2));
    const uint64_t row = 4 * TinyModel::kEmbd, table = row * TinyModel::kVocab;
    CHECK(dense.token_bytes <= dense.bytes - table + row);
    CHECK(dense.token_bytes + table + 64 * 24 >= dense.bytes);  // of 64 bytes of room per tensor at most
    const Bytes experts = bytes_of(tiny_experts());
    const uint64_t all = 2 * 3 * 4 * 4 * TinyModel::kFf * TinyModel::kEmbd;  // layers, matrices, experts, bytes
    CHECK(experts.token_bytes <= experts.bytes - all / 2);
    CHECK(experts.token_bytes > all / 2);
}

// Layers spread over ranks: what the sequences' cache does, what a plan says, where a step stops, and sums over ranks.
#include <thread>

#include "runtime/comm.hpp"
#include "runtime/context_support.hpp"
#include "runtime/plan.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

constexpr const char* kSpread = "sim:3x4MiB,split=tensor";

}  // namespace

TEST_CASE("sequences of a spread model are forked, cut, shifted, saved and loaded as those of a whole one") {
    const char* kind = GENERATE("full", "window", "recurrent", "experts");
    const char* spec = GENERATE("sim:2x4MiB,split=tensor", "sim:3x4MiB,split=tensor", "sim:4x4MiB,split=tensor,layers=2",
                                "sim:4x4MiB,split=tensor", "sim:3x4MiB,split=tensor,kv=cpu", "sim:2x4MiB,split=tensor,experts=cpu",
                                "cpu,sim:4MiB,split=tensor,shares=1:1", "sim:2x4MiB,split=tensor,shares=0:1");
    INFO(kind << " on " << spec << ", HEARTH_TEST_SEED=" << seed());
    check_close(work_out(load_model(tiny(kind), spec)), work_out(load_model(tiny(kind), "cpu")));
}

TEST_CASE("a state saved by a spread model is loaded by a whole one, and the other way round") {
    const char* kind = GENERATE("full", "window", "recurrent");
    INFO(kind << ", HEARTH_TEST_SEED=" << seed());
    const Loaded whole = load_model(tiny(kind), "cpu"), spread = load_model(tiny(kind), kSpread);
    std::vector<std::byte> of_whole, of_spread;
    work_out(whole, &of_whole);
    work_out(spread, &of_spread);
    REQUIRE(of_whole.size() == of_spread.size());
    const auto go_on = [&](const Loaded& loaded, const std::vector<std::byte>& state) {
        const auto context = loaded.context(256, 2, 48);
        REQUIRE(context->load(1, state.data(), state.size()));
        return decode(*context, random_tokens(3, 7), 1);
    };
    const Logits want = go_on(whole, of_whole);
    check_close(go_on(whole, of_spread), want);
    check_close(go_on(spread, of_whole), want);
}

TEST_CASE("a spread model's step that stops anywhere goes on to the same logits, and one cancelled anywhere leaves nothing") {
    const Loaded loaded = load_model(tiny("full"), kSpread);
    const auto context = loaded.context();
    const Ids tokens = random_tokens(40, 1);
    const Logits want = decode(*context, tokens);
    context->clear();
    Batch batch;
    batch.n_token = static_cast<int32_t>(tokens.size());
    batch.token = tokens.data();
    auto outcome = context->decode(batch, 1);  // a deadline long past: it stops at every part
    int n_stop = 0;
    for (; outcome && *outcome == Outcome::paused; ++n_stop) outcome = context->resume(1);
    REQUIRE(outcome);
    CHECK(n_stop > 2 * 3 * 2 * 2);  // in every segment of three ranks: two layers of two sums
    CHECK(row(*context, 0) == want);
    for (int stop = 0; stop < n_stop; stop += 7) {
        context->clear();
        outcome = context->decode(batch, 1);
        for (int i = 0; i < stop; ++i) outcome = context->resume(1);
        REQUIRE((outcome && *outcome == Outcome::paused));
        context->abandon();
        CHECK(*context->n_token(0) == 0);
        CHECK(decode(*context, tokens) == want);
    }
}

TEST_CASE("the bytes that a spread model plans are those that its devices give away") {
    const char* kind = GENERATE("full", "window", "recurrent", "experts");
    const char* spec = GENERATE("sim:2x4MiB,split=tensor", "sim:3x4MiB,split=tensor,kv=cpu", "sim:4x4MiB,split=tensor,layers=2",
                                "sim:3x4MiB,split=tensor,shares=1:5:2", "cpu,sim:4MiB,split=tensor,shares=1:1");
    INFO(kind << " on " << spec);
    const Loaded loaded = load_model(tiny(kind), spec);
    ContextOptions options;
    options.n_ctx = 64;
    options.n_batch = 32;
    const auto alone = placement_report(*loaded.model);
    options.k_type = options.v_type = HEARTH_FORMAT_F32;
    const auto with_context = make_plan(*loaded.model, options);
    REQUIRE((alone && with_context));
    const auto context = loaded.context(options);
    uint64_t host = 0;
    for (std::size_t d = 0; d < alone->devices.size(); ++d) {
        const uint64_t planned = alone->devices[d].weight_bytes + with_context->devices[d].total();
        Device& device = *loaded.model->placement().devices[d];
        INFO(device.spec());
        if (alone->devices[d].host) {
            host += planned;
            continue;
        }
        const auto info = device.describe();
        REQUIRE(info);
        CHECK(planned == info->total_bytes - info->free_bytes);
    }
    CHECK(host == loaded.runtime->memory().now.load());
}

TEST_CASE("ranks share the weights: no rank of four has much more than a quarter of the layers") {
    const Loaded whole = load_model(tiny("full"), "sim:4MiB"), spread = load_model(tiny("full"), "sim:4x4MiB,split=tensor");
    const uint64_t all = whole.model->parts()[1].bytes;
    REQUIRE(spread.model->parts().size() == 5);
    for (std::size_t d = 1; d < 5; ++d)
        CHECK(spread.model->parts()[d].bytes < all * 3 / 8);  // two of four ranks share a KV head; norms are on each
}

TEST_CASE("sums over ranks are the same bits everywhere, in the order of the ranks", "[thread]") {
    constexpr uint64_t kMost = 1000;
    const int n_rank = GENERATE(1, 2, 4);
    const auto runtime = make_runtime();
    std::vector<Device*> devices;
    for (int r = 0; r < n_rank; ++r) {
        auto device = runtime->device(DeviceRef{"sim", r, "4x1MiB"});
        INFO(error_record().message);
        REQUIRE(device);
        devices.push_back(*device);
    }
    std::vector<DeviceBuffer> buffers;
    for (Device* device : devices) {
        auto buffer = device->alloc(4 * kMost, "sum");
        REQUIRE(buffer);
        buffers.push_back(std::move(*buffer));
    }
    std::vector<float> memory(static_cast<std::size_t>(n_rank) * kMost);
    SharedMemoryComm comm(devices, memory.data(), kMost);
    std::vector<std::thread> threads;
    std::vector<int> n_wrong(static_cast<std::size_t>(n_rank), 0);
    for (int r = 0; r < n_rank; ++r)
        threads.emplace_back([&, r] {  // no assertions here: Catch2's are not thread-safe
            const auto rank = static_cast<std::size_t>(r);
            const hearth_comm& c = comm.rank(r);
            std::vector<float> values(kMost), got(kMost);
            for (int round = 0; round < 50; ++round) {
                const uint64_t n = kMost - static_cast<uint64_t>(round);
                const int idle = n_rank > 1 ? round % (n_rank + 1) : n_rank;  // this rank has nothing to add
                const auto value = [&](int who, uint64_t i) { return 1.0f / static_cast<float>(1 + who + static_cast<int>(i) + round); };
                for (uint64_t i = 0; i < n; ++i) values[i] = value(r, i);
                hearth_fault fault{};
                bool good = static_cast<bool>(devices[rank]->upload(buffers[rank].at(0), values.data(), 4 * n));
                good &= c.all_reduce(c.user, buffers[rank].at(0), n, r != idle, &fault) == 0;
                good &= c.wait(c.user, &fault) == 0;
                good &= static_cast<bool>(devices[rank]->download(buffers[rank].at(0), got.data(), 4 * n));
                for (uint64_t i = 0; i < n; ++i) {
                    float want = 0;
                    bool first = true;
                    for (int who = 0; who < n_rank; ++who) {
                        if (who == idle) continue;
                        want = first ? value(who, i) : want + value(who, i);
                        first = false;
                    }
                    good &= got[i] == want;
                }
                n_wrong[rank] += !good;
            }
        });
    for (std::thread& t : threads) t.join();
    for (const int n : n_wrong) CHECK(n == 0);
}

TEST_CASE("a rank that cannot give its part fails the sum for all, and the next sum is whole") {
    const auto runtime = make_runtime();
    std::vector<Device*> devices{*runtime->device(DeviceRef{"sim", 0, "2x1MiB"}), *runtime->device(DeviceRef{"sim", 1, "2x1MiB"})};
    auto a = devices[0]->alloc(64, "sum"), b = devices[1]->alloc(64, "sum");
    REQUIRE((a && b));
    float memory[32] = {};
    SharedMemoryComm comm(devices, memory, 16);
    const auto both = [&](hearth_place second, hearth_fault* fault) {
        int n_failed = 0;
        const hearth_place places[] = {a->at(0), second};
        for (int r : {0, 1}) n_failed += comm.rank(r).all_reduce(comm.rank(r).user, places[r], 16, 1, fault) < 0;
        for (int r : {0, 1}) n_failed += comm.rank(r).wait(comm.rank(r).user, fault) < 0;
        return n_failed;
    };
    const float ones[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    REQUIRE(devices[0]->upload(a->at(0), ones, sizeof ones));
    REQUIRE(devices[1]->upload(b->at(0), ones, sizeof ones));
    hearth_fault fault{};
    CHECK(both(a->at(0), &fault) == 3);  // the other device's memory: refused where it starts, and by both waits
    CHECK(std::string(fault.message).find("sim:1") != std::string::npos);
    fault = {};
    CHECK(both(b->at(0), &fault) == 0);
    float got[16];
    REQUIRE(devices[1]->download(b->at(0), got, sizeof got));
    for (const float x : got) CHECK(x == 2);
}

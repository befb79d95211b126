// Plans over simulated devices: what they promise is what is taken, and where a spec puts a model does not change its logits.
#include <fstream>

#include "runtime/context_support.hpp"
#include "runtime/plan.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

uint64_t used_bytes(Device& device) {
    const auto info = device.describe();
    REQUIRE(info);
    return info->total_bytes - info->free_bytes;
}

}  // namespace

TEST_CASE("at every number of layers, over any devices, the logits are bit for bit those of the CPU") {
    const char* kind = GENERATE("full", "window", "recurrent", "experts");
    INFO(kind << ", HEARTH_TEST_SEED=" << seed());
    const std::string file = tiny(kind).file(seed());
    const Ids tokens = random_tokens(60, 1);
    const auto logits_on = [&](const std::string& spec) {
        INFO(spec);
        const auto runtime = make_runtime();
        const auto model = try_load(runtime, file, spec, small_context());
        INFO(error_record().message);
        REQUIRE(model);
        const Loaded loaded{file, runtime, *model};
        return decode(*loaded.context(small_context()), tokens);
    };
    const Logits want = logits_on("cpu");
    for (const char* devices : {"sim:4MiB", "sim:2x4MiB", "sim:4x4MiB"})
        for (const char* more : {"", ",kv=cpu", ",experts=cpu", ",kv=cpu,experts=cpu"})
            for (int layers = 0; layers <= 3; ++layers) CHECK(logits_on(format_text("{},layers={}{}", devices, layers, more)) == want);
}

// The plan sums what the planner computes from headers; what is used is what each device, and the hook of the host, counted.
TEST_CASE("a plan's bytes are those that each device gives away") {
    const char* spec = GENERATE("cpu", "sim:4MiB", "sim:4MiB,layers=1", "sim:2x4MiB,layers=2", "sim:3x4MiB", "sim:2x4MiB,kv=cpu",
                                "sim:2x4MiB,shares=1:2", "sim:4MiB,layers=auto", "sim:4MiB,experts=cpu");
    const char* kind = GENERATE("full", "window", "recurrent", "experts");
    const int32_t n_ctx = GENERATE(32, 200);
    INFO(spec << " " << kind << " " << n_ctx);
    const auto runtime = make_runtime();
    const std::string file = tiny(kind).file(seed());
    const auto opened = try_open(runtime, file, spec);
    REQUIRE(opened);
    const auto plan = make_plan(**opened, small_context(n_ctx));
    REQUIRE(plan);
    const auto model = try_load(runtime, file, spec);
    INFO(error_record().message);
    REQUIRE(model);
    const Loaded loaded{file, runtime, *model};
    const auto context = loaded.context(small_context(n_ctx));
    REQUIRE(plan->devices.size() == (*model)->placement().devices.size());
    for (std::size_t d = 0; d < plan->devices.size(); ++d) {
        const DevicePlan& planned = plan->devices[d];
        INFO(planned.spec);
        CHECK(planned.total() == (planned.host ? runtime->memory().now.load() : used_bytes(*(*model)->placement().devices[d])));
    }
}

TEST_CASE("layers that do not fit are refused with what would, and auto takes that") {
    const std::string file = tiny_llama(12).file(seed());
    const auto runtime = make_runtime();
    const auto whole = try_load(runtime, file, "sim:64MiB,layers=all", small_context());
    REQUIRE(whole);
    const auto all = placement_report(**whole);
    REQUIRE(all);
    REQUIRE(all->n_layer == 13);
    const uint64_t half = all->devices[1].weight_bytes / 2 + (64 << 10);
    const std::string device = format_text("sim:{}", half);
    CHECK_FALSE(try_load(runtime, file, device + ",layers=13", small_context()));
    CHECK(error_record().code == Code::oom_device);
    CHECK(error_record().bytes_wanted > error_record().bytes_free);
    CHECK(refused_with("sim:0: 13 layers need"));
    CHECK(refused_with("layers fit; use layers="));
    const auto automatic = try_load(runtime, file, device + ",layers=auto", small_context());
    REQUIRE(automatic);
    const auto taken = placement_report(**automatic);
    REQUIRE(taken);
    CHECK(taken->n_layer > 0);
    CHECK(taken->n_layer < 13);
    const Loaded loaded{file, runtime, *automatic};
    CHECK(decode(*loaded.context(small_context()), random_tokens(5, 1)).size() == TinyModel::kVocab);
    // One more does not fit: beside what is loaded now, and on an empty device of that size.
    const auto other = make_runtime();
    CHECK_FALSE(try_load(other, file, format_text("{},layers={}", device, taken->n_layer + 1), small_context()));
    CHECK(try_load(other, file, format_text("{},layers={}", device, taken->n_layer), small_context()));
}

TEST_CASE("a device with less free than the reserve is left empty, and keeps nobody from loading") {
    const std::string file = tiny_llama(12).file(seed());
    const auto model = try_load(make_runtime(), file, "sim:2x4MiB;free=:32KiB,layers=auto,reserve=64KiB", small_context());
    INFO(error_record().message);
    REQUIRE(model);
    const auto plan = placement_report(**model);
    REQUIRE(plan);
    CHECK(plan->n_layer == 13);
    for (const DevicePlan& device : plan->devices)
        if (device.spec == "sim:1") CHECK(device.n_layer == 0);
}

TEST_CASE("two models on one device share its memory, and a released one gives it back") {
    const std::string file = tiny_llama(12).file(seed());
    const auto runtime = make_runtime();
    auto first = try_load(runtime, file, "sim:1MiB,layers=all", small_context());
    REQUIRE(first);
    const auto report = placement_report(**first);
    REQUIRE(report);
    const uint64_t bytes = report->devices[1].weight_bytes;
    const std::string device = format_text("sim:{},layers=all", bytes + bytes / 2);
    auto one = try_load(runtime, file, device);
    INFO(error_record().message);
    REQUIRE(one);
    CHECK_FALSE(try_load(runtime, file, device));
    CHECK(error_record().code == Code::oom_device);
    one->reset();
    CHECK(try_load(runtime, file, device));
}

TEST_CASE("whichever allocation of a device fails, the load or the context is refused with numbers and leaves nothing behind") {
    const std::string file = tiny("full").file(seed());
    int n_failed = 0;
    for (int n = 1;; ++n) {
        REQUIRE(n < 100);
        const auto runtime = make_runtime();
        const std::string spec = format_text("sim:2x4MiB;fail={},layers=3", n);  // of each of the two devices
        auto model = try_load(runtime, file, spec);
        bool failed = !model;
        if (model) {
            auto context = Context::make(*model, small_context());
            failed = !context;
            if (!failed) break;
            model->reset();
        }
        ++n_failed;
        CHECK(error_record().code == Code::oom_device);
        CHECK(error_record().bytes_wanted > 0);
        CHECK(refused_with("sim:"));
        for (int32_t d : {0, 1}) {
            Result<Device*> device = runtime->device(DeviceRef{"sim", d, format_text("2x4MiB;fail={}", n)});
            REQUIRE(device);
            CHECK(used_bytes(**device) == 0);
        }
        CHECK(runtime->memory().now.load() == 0);
        // The other device's turn may still come, once: then it works.
        bool works = false;
        for (int attempt = 0; attempt < 2 && !works; ++attempt) {
            const auto again = try_load(runtime, file, spec);
            if (!again) continue;
            const auto context = Context::make(*again, small_context());
            works = bool(context);
        }
        CHECK(works);
    }
    CHECK(n_failed >= 4);  // weights, cache, activations, scratch
}

TEST_CASE("loading and unloading a thousand times takes no more memory") {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return hearth::test::skip("a thousand loads: a sanitizer keeps what was freed");
#endif
    const std::string file = tiny("full").file(seed());
    const auto runtime = make_runtime();
    const auto resident_pages = [] {
        std::ifstream in("/proc/self/statm");
        int64_t all = 0, resident = 0;
        in >> all >> resident;
        return resident;
    };
    int64_t after_some = 0;
    for (int i = 0; i < 1000; ++i) {
        const auto model = try_load(runtime, file, i % 2 ? "cpu" : "sim:2x4MiB,layers=2");
        REQUIRE(model);
        const Loaded loaded{file, runtime, *model};
        (void)decode(*loaded.context(small_context()), random_tokens(3, 1));
        if (i == 100) after_some = resident_pages();
    }
    CHECK(runtime->memory().now.load() == 0);
    CHECK(resident_pages() <= after_some + 256);  // a megabyte for the allocator's habits; a page a load would be 900
}

TEST_CASE("what is claimed and not allocated yet counts for every other plan") {
    const auto runtime = make_runtime();
    const std::string file = tiny_llama(2).file(seed());
    const auto model = try_load(runtime, file, "sim:1MiB,layers=all");
    REQUIRE(model);
    Device* device = (*model)->placement().devices[1];
    const auto before = make_plan(**model, small_context());
    {
        auto claim = runtime->ledger().reserve([&]() -> Result<std::vector<Claim>> { return std::vector<Claim>{{device, 900 << 10}}; });
        REQUIRE(claim);
        const auto during = make_plan(**model, small_context());
        CHECK(during->devices[1].available_bytes == before->devices[1].available_bytes - (900 << 10));
        CHECK_FALSE(during->fits());
    }
    CHECK(make_plan(**model, small_context())->devices[1].available_bytes == before->devices[1].available_bytes);
}

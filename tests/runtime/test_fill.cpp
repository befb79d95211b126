// Which layers go to which of several devices: the fastest first as far as they fit, parts of layers in proportion to rates. What is
// expected comes from trying all splits and reading what the devices count, or from a calculation by hand.
#include <array>
#include <limits>

#include "plan/sparse_model.hpp"
#include "runtime/context_support.hpp"
#include "runtime/plan.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

constexpr uint64_t kFree = 8 << 20;  // of each device that counts
constexpr int kLayers = 6, kAll = kLayers + 1;  // the output is one
using Counts = std::array<int32_t, 3>;

uint64_t free_bytes(Device& device) {
    const auto info = device.describe();
    REQUIRE(info);
    return info->free_bytes;
}

// What each of three devices holds of one split, of the weights and in all.
struct Held {
    Counts counts{};
    std::array<uint64_t, 3> weights{}, all{};
};

// All splits, each put where it is by explicit shares on devices without limits.
std::vector<Held> all_splits(const std::string& file) {
    std::vector<Held> splits;
    for (int a = 0; a <= kAll; ++a)
        for (int b = 0; a + b <= kAll; ++b)
            for (int c = 0; a + b + c <= kAll; ++c) {
                Held held{{a, b, c}, {}, {}};
                const bool none = a + b + c == 0;
                const auto runtime = make_runtime();
                const auto model = try_load(
                    runtime, file, format_text("sim:3x8MiB,layers={},shares={}:{}:{}", a + b + c, none ? 1 : a, b, c), small_context());
                INFO(error_record().message);
                REQUIRE(model);
                const auto& devices = (*model)->placement().devices;
                REQUIRE(devices.size() == 4);
                for (std::size_t d = 0; d < 3; ++d) held.weights[d] = kFree - free_bytes(*devices[d + 1]);
                const auto context = Context::make(*model, small_context());
                REQUIRE(context);
                for (std::size_t d = 0; d < 3; ++d) held.all[d] = kFree - free_bytes(*devices[d + 1]);
                splits.push_back(held);
            }
    return splits;
}

int32_t sum(const Counts& counts) { return counts[0] + counts[1] + counts[2]; }

// Of n layers (-1: of as many as there is room for) the split that fits with the least time per token. The stretches of layers follow
// each other as the rates do here.
Counts fastest(const std::vector<Held>& splits, const std::array<double, 3>& rates, const std::array<uint64_t, 3>& free, int32_t n) {
    Counts best{-1, -1, -1};
    double least = std::numeric_limits<double>::max();
    int32_t most = n;
    const auto fits = [&](const Held& held) { return held.all[0] <= free[0] && held.all[1] <= free[1] && held.all[2] <= free[2]; };
    for (const Held& held : splits)
        if (n < 0 && fits(held)) most = std::max(most, sum(held.counts));
    for (const Held& held : splits) {
        if (!fits(held) || sum(held.counts) != most) continue;
        double time = 0;
        for (std::size_t d = 0; d < 3; ++d) time += static_cast<double>(held.weights[d]) / rates[d];
        if (time < least) best = held.counts;
        least = std::min(least, time);
    }
    return best;
}

// Layers that sim:0, sim:1 and sim:2 got.
Counts counted(const Model& model) {
    Counts counts{};
    for (int32_t layer = 0; layer < kAll; ++layer) {
        const std::string& spec = model.placement().devices[static_cast<std::size_t>(model.placement().device_of(layer))]->spec();
        for (std::size_t d = 0; d < 3; ++d) counts[d] += spec == "sim:" + std::to_string(d);
    }
    return counts;
}

}  // namespace

TEST_CASE("without shares, layers go where a token takes the least time of all splits that fit") {
    INFO("HEARTH_TEST_SEED=" << seed());
    const std::string file = tiny_llama(kLayers).file(seed());
    const std::vector<Held> splits = all_splits(file);
    const uint64_t some = splits.back().all[0];  // all layers on the first device
    Random random(seed());
    int n_bound = 0, n_partial = 0, n_tried = 0;
    constexpr std::array<double, 3> kRates = {8, 4, 1};
    constexpr std::array<std::size_t, 3> kPlaces[] = {
        {0, 1, 2}, {2, 0, 1}, {1, 2, 0}, {2, 1, 0}};  // of the fastest in the spec, the next, ...
    for (int i = 0; i < 24; ++i) {
        const std::array<std::size_t, 3>& place = kPlaces[i % 4];
        std::array<uint64_t, 3> free{};
        for (uint64_t& f : free) f = random.below(i < 4 ? 2 * some : some) + 1;
        if (i < 4) free = {some, some, some};
        const bool automatic = i % 2 == 0;
        const Counts want = fastest(splits, kRates, free, automatic ? -1 : 5);
        std::array<double, 3> rate{};
        std::array<uint64_t, 3> room{};
        Counts there{};
        for (std::size_t d = 0; d < 3; ++d) rate[place[d]] = kRates[d], room[place[d]] = free[d], there[place[d]] = want[d];
        const std::string spec = format_text("sim:3x8MiB;memory={}GB/s:{}GB/s:{}GB/s;free={}:{}:{},layers={},reserve=0", rate[0], rate[1],
                                             rate[2], room[0], room[1], room[2], automatic ? "auto" : "5");
        INFO(spec);
        if (want[0] < 0) continue;  // no split of 5 layers fits
        const auto model = try_open(make_runtime(), file, spec, small_context());
        INFO(error_record().message);
        REQUIRE(model);
        CHECK(counted(**model) == there);
        ++n_tried;
        n_bound += *std::max_element(want.begin(), want.end()) < sum(want);
        n_partial += sum(want) < kAll;
    }
    CHECK(n_tried >= 12);
    CHECK(n_bound >= 6);  // a budget binds, so that several devices are used
    CHECK(n_partial >= 3);
}

TEST_CASE("a reserve and a context are room that layers do not get, on the fastest device too") {
    const std::string file = tiny_llama(kLayers).file(seed());
    const std::vector<Held> splits = all_splits(file);
    const auto two = std::find_if(splits.begin(), splits.end(), [](const Held& h) { return h.counts == Counts{2, 5, 0}; });
    REQUIRE(two != splits.end());
    const uint64_t room = two->all[0];  // of the first two of seven, to the byte
    const auto first = [&](uint64_t free) {
        const auto model = try_open(make_runtime(), file,
                                    format_text("sim:3x8MiB;memory=9GB/s:1GB/s:1GB/s;free={}::,reserve=64KiB", free), small_context());
        INFO(error_record().message);
        REQUIRE(model);
        return counted(**model)[0];
    };
    CHECK(first(room + (64 << 10)) == 2);
    CHECK(first(room + (64 << 10) - 1) == 1);
}

TEST_CASE("explicit shares win over rates, and rates that are equal or not all declared say nothing") {
    const std::string file = tiny_llama(kLayers).file(seed());
    const auto counts_on = [&](const char* spec) {
        const auto model = try_open(make_runtime(), file, spec, small_context());
        INFO(spec << ": " << error_record().message);
        REQUIRE(model);
        return counted(**model);
    };
    CHECK(counts_on("sim:3x8MiB;memory=9GB/s:2GB/s:1GB/s") == Counts{7, 0, 0});
    CHECK(counts_on("sim:3x8MiB;memory=9GB/s:2GB/s:1GB/s,shares=1:2:4") == Counts{1, 2, 4});
    CHECK(counts_on("sim:3x8MiB;memory=9GB/s:2GB/s:1GB/s,layers=3") == Counts{3, 0, 0});
    // By free bytes, as 1 : 2 : 4.
    for (const char* memory : {"", ";memory=2GB/s", ";memory=9GB/s:2GB/s:", ";memory=2GB/s:2GB/s:2GB/s"})
        CHECK(counts_on(format_text("sim:3x8MiB;free=1MiB:2MiB:4MiB{},reserve=0", memory).c_str()) == Counts{1, 2, 4});
    // The two of the same rate by free bytes, before the third.
    CHECK(counts_on("sim:3x8MiB;free=1MiB:8MiB:6MiB;memory=2GB/s:1GB/s:2GB/s,reserve=0") == Counts{1, 0, 6});
}

TEST_CASE("parts of layers are in proportion to rates, and a full rank leaves its part to the others") {
    SparseModel shape;
    shape.name = "ranks";
    shape.n_layer = 2;
    shape.n_embd = 512;
    shape.n_ff = 4096;
    shape.n_head = 16;
    shape.n_head_kv = 16;
    shape.head_width = 32;
    shape.n_vocab = 4096;
    const std::string path = shape.write();
    const auto weights_on = [&](const std::string& spec) {
        auto source = open_model_path(path, FileMode::pread);
        REQUIRE(source);
        ModelOptions options;
        options.device = spec;
        options.context = small_context();
        const auto model = Model::load(make_runtime(), std::move(*source), options);
        INFO(spec << ": " << error_record().message);
        REQUIRE(model);
        std::vector<double> bytes;
        const auto placed = placement_report(**model);
        REQUIRE(placed);
        for (const DevicePlan& d : placed->devices)
            if (!d.host) bytes.push_back(static_cast<double>(d.weight_bytes));
        return bytes;
    };
    // In F16: heads 4 x 512 x 512, feed-forward 3 x 512 x 4096, twice, and the output: 26.2 MB. A boundary is half a head (of 16) or half
    // of 128 columns (of 4096) from where the share is: of 2.1 MB of heads per layer 1/32, of the 20.9 MB of the rest 1/64.
    const double all = 2 * (2 * (4 * 512 * 512 + 3 * 512 * 4096) + 4096 * 512), grain = 2 * 2.1e6 / 32 + (all - 4.2e6) / 64;
    const std::vector<double> four = weights_on("sim:2x64MiB;memory=4GB/s:1GB/s,split=tensor");
    CHECK(std::abs(four[0] - 0.8 * all) <= grain + 16384);  // norms and vectors are on both
    CHECK(std::abs(four[1] - 0.2 * all) <= grain + 16384);
    const std::vector<double> explicit_shares = weights_on("sim:2x64MiB;memory=4GB/s:1GB/s,split=tensor,shares=1:1");
    CHECK(explicit_shares[0] == explicit_shares[1]);
    const std::vector<double> equal = weights_on("sim:2x64MiB;memory=4GB/s,split=tensor");
    CHECK(equal[0] == equal[1]);
    // The fastest has room for 8 MiB, cache and activations included: it is nearly full, and the rest is 3 : 1 on the others.
    const std::vector<double> full = weights_on("sim:3x64MiB;memory=8GB/s:3GB/s:1GB/s;free=8MiB::,split=tensor,reserve=0");
    const double rest = all - full[0];
    CHECK(full[0] < 8 << 20);
    CHECK(full[0] > 6 << 20);
    CHECK(std::abs(full[1] - 0.75 * rest) <= 2 * grain + 16384);
    CHECK(std::abs(full[2] - 0.25 * rest) <= 2 * grain + 16384);
    unlink(path.c_str());
}

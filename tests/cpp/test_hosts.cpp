// What a C++ host sees: errors that name their device, in C and in C++, and every call of hearth.hpp that nothing else uses.
#include <hearth/hearth.hpp>

#include <cmath>
#include <cstring>

#include "cpp/model_file.hpp"
#include "support/catch.hpp"
#include "support/support.hpp"

using namespace hearth::test;

namespace {

struct Host {
    std::string file = tiny_llama_file();
    hearth::Runtime runtime;
    Host() {
        hearth::RuntimeOptions options;
        options.n_threads = 1;
        auto made = hearth::Runtime::create(options);
        REQUIRE(made);
        runtime = *made;
    }
    hearth::Result<hearth::Model> load(const std::string& device, int32_t n_ctx = 64) const {
        auto source = hearth::detail::sized<hearth_source>();
        source.memory = file.data();
        source.memory_size = file.size();
        hearth::ModelOptions options;
        options.device = device;
        options.context = small(n_ctx);
        return hearth::Model::load(runtime, source, options);
    }
    static hearth::ContextOptions small(int32_t n_ctx = 64) {
        hearth::ContextOptions options;
        options.n_ctx = n_ctx;
        options.n_batch = 16;
        return options;
    }
    // The first failure on the way from the load to a decode.
    hearth::Error first_error(const std::string& device) const {
        const auto model = load(device);
        if (!model) return model.error();
        auto context = hearth::Context::create(*model, small());
        if (!context) return context.error();
        const int32_t tokens[] = {1, 2, 3};
        const auto done = context->decode(tokens);
        if (done) return {};
        CHECK(*context->n_token() == 0);  // as it was
        return done.error();
    }
};

}  // namespace

TEST_CASE("an error of a device names the one of two that failed") {
    struct Row {
        const char* device;
        hearth_status status;
        int32_t index;
        const char* spec;
    };
    const Row row =
        GENERATE(Row{"sim:2x4MiB;fail=:1,layers=3", HEARTH_E_OOM_DEVICE, 1, "sim:1"},
                 Row{"sim:2x4MiB;fail=1:,layers=3", HEARTH_E_OOM_DEVICE, 0, "sim:0"},
                 Row{"sim:2x4MiB;fail=:2,layers=3", HEARTH_E_OOM_DEVICE, 1, "sim:1"},                           // of the context
                 Row{"sim:2x4MiB;free=:32KiB,layers=3,shares=1:2,reserve=0", HEARTH_E_OOM_DEVICE, 1, "sim:1"},  // a plan is refused
                 Row{"sim:2x4MiB;free=32KiB:,layers=3,shares=2:1,reserve=0", HEARTH_E_OOM_DEVICE, 0, "sim:0"},
                 Row{"sim:2x4MiB;lost=:1,layers=3", HEARTH_E_DEVICE_LOST, 1, "sim:1"},
                 Row{"sim:2x4MiB;lost=1:,layers=3", HEARTH_E_DEVICE_LOST, 0, "sim:0"},
                 Row{"sim:2x4MiB;lost=:1,split=tensor", HEARTH_E_DEVICE_LOST, 1, "sim:1"},
                 Row{"sim:2x4MiB,layers=3,shares=1:0.000001,strict=on", HEARTH_E_PLACEMENT, 1, "sim:1"},
                 Row{"cpu,reserve=1000TiB", HEARTH_E_OOM_HOST, 0, "cpu"}, Row{"sim:2x4MiB,layers=x", HEARTH_E_INVALID_ARGUMENT, -1, ""},
                 Row{"no_such_device", HEARTH_E_PLACEMENT, -1, ""});
    const Host host;
    const hearth::Error error = host.first_error(row.device);
    INFO(row.device << ": " << error.message);
    CHECK(error.status == row.status);
    CHECK(error.device == row.index);
    CHECK(error.device_spec == row.spec);
    auto c = hearth::detail::sized<hearth_error>();
    REQUIRE(hearth_last_error(&c) == HEARTH_OK);
    CHECK(c.device == row.index);
    CHECK(std::string(c.device_spec) == row.spec);
}

TEST_CASE("a host that knows no device_spec gets the record that it knows") {
    const Host host;
    CHECK(host.first_error("sim:2x4MiB;fail=:1,layers=3").status == HEARTH_E_OOM_DEVICE);
    hearth_error record;
    std::memset(&record, 0x5a, sizeof record);
    record.struct_size = offsetof(hearth_error, device_spec);
    REQUIRE(hearth_last_error(&record) == HEARTH_OK);
    CHECK(record.device == 1);
    CHECK(record.code == HEARTH_E_OOM_DEVICE);
    for (const char c : record.device_spec) CHECK(c == 0x5a);
}

TEST_CASE("ranges, versions and best tokens are what the C calls say") {
    CHECK(hearth::version() == hearth_version());
    const Host host;
    const auto model = host.load("cpu");
    REQUIRE(model);
    auto context = hearth::Context::create(*model, Host::small());
    REQUIRE(context);
    CHECK(context->range()->n_token == 0);
    CHECK(context->range()->last == -1);
    const int32_t tokens[] = {1, 2, 3};
    REQUIRE(context->decode(tokens));
    REQUIRE(context->remove(0, 0, 1));
    const auto range = context->range();
    REQUIRE(range);
    CHECK(range->n_token == 2);
    CHECK(range->first == 1);
    CHECK(range->last == 2);
    const auto logits = context->logits();
    REQUIRE(logits);
    const auto best = hearth::top_logprobs(*logits, 100);  // more than there are: all
    REQUIRE(best);
    REQUIRE(best->size() == logits->size());
    double sum = 0;
    for (std::size_t i = 0; i < best->size(); ++i) {
        sum += std::exp(double{(*best)[i].second});
        CHECK(*hearth::logprob(*logits, (*best)[i].first) == (*best)[i].second);
        if (i > 0) CHECK((*best)[i].second <= (*best)[i - 1].second);
    }
    CHECK(std::abs(sum - 1) < 64 * 0x1p-22);  // each of 64 is rounded to a float32 near its logarithm, at most some 8 units of 1
    CHECK(hearth::top_logprobs({}, 1).status() == HEARTH_E_INVALID_ARGUMENT);
}

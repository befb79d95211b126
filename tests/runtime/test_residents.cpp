// Several models in one process: what does not fit is refused with numbers, or unused models give way where that was asked for.
#include <atomic>
#include <thread>

#include "runtime/context_support.hpp"
#include "runtime/plan.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

// Models of the same shape and other weights, on one sim device that holds the weights of some of them and a context.
struct Home {
    std::shared_ptr<Runtime> runtime;
    std::vector<std::string> files;
    std::string device;
    std::string log;

    Home(double n_fit, bool unload_unused, int n_file = 4, const char* more = "") {
        RuntimeOptions options;
        options.n_thread = 2;
        options.unload_unused = unload_unused;
        options.log.user = this;
        options.log.write = [](void* user, int32_t, const char* message) { static_cast<Home*>(user)->log += std::string(message) + "\n"; };
        auto made = Runtime::make(options);
        REQUIRE(made);
        runtime = *made;
        for (int i = 0; i < n_file; ++i) files.push_back(tiny_llama(6).file(seed() + static_cast<uint64_t>(i)));
        auto measure = try_load(0, "sim:16MiB");
        REQUIRE(measure);
        const auto plan = make_plan(**measure, small_context());
        REQUIRE(plan);
        const uint64_t weights = (*measure)->parts()[1].bytes, rest = plan->devices[1].total();
        device = format_text("sim:{}{},reserve=0", static_cast<uint64_t>(n_fit * static_cast<double>(weights)) + rest, more);
    }
    Result<std::shared_ptr<Model>> try_load(int file, const std::string& spec) {
        return test::try_load(runtime, files[static_cast<std::size_t>(file)], spec, small_context());
    }
    std::shared_ptr<Model> load(int file) {
        auto model = try_load(file, device);
        INFO(error_record().message);
        REQUIRE(model);
        return *model;
    }
};

Logits logits_of(const std::shared_ptr<Model>& model) {
    auto context = make_context(model, small_context());
    INFO(error_record().message);
    REQUIRE(context);
    return decode(**context, random_tokens(20, 1));
}

std::vector<bool> loaded(const std::vector<std::shared_ptr<Model>>& models) {
    std::vector<bool> all;
    for (const auto& model : models) all.push_back(model->loaded());
    return all;
}

}  // namespace

TEST_CASE("where it was not asked for, a load that does not fit is refused with numbers and no model gives way") {
    Home home(2.5, false);
    const std::vector<std::shared_ptr<Model>> models = {home.load(0), home.load(1)};
    CHECK_FALSE(home.try_load(2, home.device));
    CHECK(error_record().code == Code::oom_device);
    CHECK(error_record().bytes_wanted > error_record().bytes_free);
    CHECK(error_record().bytes_free > 0);
    CHECK(refused_with("but"));
    CHECK(loaded(models) == std::vector<bool>{true, true});
}

TEST_CASE("the model that was in use longest ago gives way, comes back with its next context, and computes the same") {
    INFO("HEARTH_TEST_SEED=" << seed());
    Home home(2.5, true);
    std::vector<Logits> want;
    for (int i = 0; i < 4; ++i) {
        auto model = home.try_load(i, "cpu");
        REQUIRE(model);
        want.push_back(logits_of(*model));
    }
    std::vector<std::shared_ptr<Model>> models = {home.load(0), home.load(1)};
    CHECK(logits_of(models[0]) == want[0]);  // now 1 is the older one
    models.push_back(home.load(2));
    CHECK(loaded(models) == std::vector<bool>{true, false, true});
    CHECK(home.log.find("unloaded, because it is unused and") != std::string::npos);
    CHECK_FALSE(placement_report(*models[1]));
    CHECK(error_record().code == Code::state);
    CHECK(models[1]->vocab() != nullptr);  // all but the weights is still there
    CHECK(logits_of(models[1]) == want[1]);
    CHECK(loaded(models) == std::vector<bool>{false, true, true});
    models.push_back(home.load(3));
    CHECK(loaded(models) == std::vector<bool>{false, true, false, true});
    for (std::size_t i = 0; i < 4; ++i) CHECK(logits_of(models[i]) == want[i]);
}

TEST_CASE("a model with a context never gives way, and nothing does where that would not be enough") {
    Home home(2.2, true);
    const std::vector<std::shared_ptr<Model>> models = {home.load(0), home.load(1)};
    ContextOptions other = small_context();
    auto context = make_context(models[0], other);
    REQUIRE(context);
    const Logits before = decode(**context, random_tokens(20, 1));
    const std::string twice = tiny_llama(11).file(seed());
    const auto try_large = [&] {
        auto source = open_model_memory(twice.data(), twice.size());
        REQUIRE(source);
        ModelOptions options;
        options.device = home.device;
        return bool(Model::load(home.runtime, std::move(*source), options));
    };
    CHECK_FALSE(try_large());  // more than model 1 would free
    CHECK(error_record().code == Code::oom_device);
    CHECK(loaded(models) == std::vector<bool>{true, true});
    (*context)->clear();
    CHECK(decode(**context, random_tokens(20, 1)) == before);
    context->reset();
    const bool fits = try_large();
    INFO(error_record().message);
    CHECK(fits);
    CHECK(loaded(models) == std::vector<bool>{false, false});
}

TEST_CASE("a plan counts what unused models would give up, and auto uses it") {
    Home home(1.2, true);
    const auto first = home.load(0);
    const auto all = placement_report(*first);
    REQUIRE(all);
    const auto second = home.try_load(1, home.device + ",layers=auto");
    REQUIRE(second);
    const auto taken = placement_report(**second);
    REQUIRE(taken);
    CHECK(taken->n_layer == all->n_layer);
    CHECK_FALSE(first->loaded());
}

TEST_CASE("a model that cannot come back says why, and comes back later") {
    // Two devices' worth of allocations are counted: weights of 0, weights of 1, then the third is the one that fails.
    Home home(1.2, true, 2, ";fail=3");
    const auto first = home.load(0), second = home.load(1);
    REQUIRE_FALSE(first->loaded());
    CHECK_FALSE(make_context(first, small_context()));
    CHECK(error_record().code == Code::oom_device);
    CHECK(error_record().bytes_wanted == first->parts()[1].bytes);
    CHECK_FALSE(first->loaded());
    CHECK(logits_of(first).size() == TinyModel::kVocab);
    CHECK(logits_of(second).size() == TinyModel::kVocab);
}

TEST_CASE("threads that use more models than fit get their contexts or a refusal, and right results", "[thread]") {
    Home home(2.5, true);
    std::vector<std::shared_ptr<Model>> models;
    std::vector<Logits> want;
    for (int i = 0; i < 4; ++i) {
        models.push_back(home.load(i));
        want.push_back(logits_of(models.back()));
    }
    std::atomic<int> n_made{0}, n_wrong{0};
    std::vector<std::thread> threads;
    const Ids tokens = random_tokens(20, 1);
    for (int t = 0; t < 3; ++t)
        threads.emplace_back([&, t] {
            for (std::size_t i = 0; i < 30; ++i) {
                const std::size_t m = (i * 7 + static_cast<std::size_t>(t)) % 4;
                const auto context = make_context(models[m], small_context());
                if (!context) {
                    n_wrong += error_record().code != Code::oom_device;
                    continue;
                }
                Batch batch;
                batch.n_token = 16;
                batch.token = tokens.data();
                if (!(*context)->decode(batch)) ++n_wrong;
                batch.n_token = 4;
                batch.token += 16;
                if (!(*context)->decode(batch)) ++n_wrong;
                const float* logits = (*context)->logits(0);
                if (!logits || !std::equal(want[m].begin(), want[m].end(), logits)) ++n_wrong;
                ++n_made;
            }
        });
    for (std::thread& thread : threads) thread.join();
    CHECK(n_wrong == 0);
    CHECK(n_made > 20);
}

// Every allocation of the process fails once, whoever makes it, over load, decode and release: an error with a sentence, no leak,
// and the next load works.
#include <hearth/hearth.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "fault/process/interpose.hpp"
#include "fault/zeroed.hpp"
#include "support/catch.hpp"
#include "support/tiny_model.hpp"

using namespace hearth::test;

namespace {

enum class From { memory, path, mmap };
constexpr int64_t kOpening = 100;  // allocations of the runtime and of opening the file, which every setting does in its way

struct Setting {
    const char* device;
    From from;
    int32_t n_thread;
    bool sampled;  // of the allocations behind kOpening a random part, for what another setting sweeps whole
};

// What one run from runtime to release came to. Holds no memory, so that it can be filled while allocations count.
struct Story {
    hearth_status status = HEARTH_OK;
    hearth_error error;
    const char* stage = "";
    float logits[2][TinyModel::kVocab] = {};
};

struct Teller {
    std::string file, path;
    hearth_source source = zeroed<hearth_source>();
    Setting setting;

    explicit Teller(const Setting& s) : file(tiny_experts_with_vocabulary()), path(temp_path("process.gguf")), setting(s) {
        write_bytes(path, file.data(), file.size());
        if (s.from == From::memory) {
            source.memory = file.data();
            source.memory_size = file.size();
        } else {
            source.path = path.c_str();
            source.use_mmap = s.from == From::mmap ? HEARTH_ON : HEARTH_OFF;
        }
    }
    ~Teller() { unlink(path.c_str()); }
    Teller(const Teller&) = delete;
    Teller& operator=(const Teller&) = delete;

    static std::string tiny_experts_with_vocabulary() {
        TinyModel tiny = tiny_experts();
        tiny.vocabulary();
        return tiny.file(seed());
    }

    hearth_status tell(Story* story) const {
        hearth_runtime* runtime = nullptr;
        hearth_model* model = nullptr;
        hearth_context* context = nullptr;
        hearth_sampler* sampler = nullptr;
        story->status = work(&runtime, &model, &context, &sampler, story);
        story->error = zeroed<hearth_error>();
        hearth_last_error(&story->error);
        // In this order the model lives until its last user goes, and then all of it goes at once.
        for (const hearth_status s : {hearth_runtime_release(runtime), hearth_model_release(model), hearth_sampler_release(sampler),
                                      hearth_context_release(context)})
            if (s != HEARTH_OK) story->stage = "release";
        return story->status;
    }

  private:
    hearth_status work(hearth_runtime** runtime, hearth_model** model, hearth_context** context, hearth_sampler** sampler,
                       Story* story) const {
        auto runtime_params = zeroed<hearth_runtime_params>();
        runtime_params.n_threads = setting.n_thread;
        story->stage = "runtime";
        if (const hearth_status s = hearth_runtime_create(&runtime_params, runtime)) return s;
        auto context_params = zeroed<hearth_context_params>();
        context_params.n_ctx = 64;
        context_params.n_batch = 16;
        context_params.n_seq_max = 2;
        auto model_params = zeroed<hearth_model_params>();
        model_params.device = setting.device;
        model_params.context = &context_params;
        story->stage = "load";
        if (const hearth_status s = hearth_model_load(*runtime, &source, &model_params, model)) return s;
        story->stage = "context";
        if (const hearth_status s = hearth_context_create(*model, &context_params, context)) return s;
        auto sampler_params = zeroed<hearth_sampler_params>();
        sampler_params.has_seed = 1;
        story->stage = "sampler";
        if (const hearth_status s = hearth_sampler_create(*model, &sampler_params, sampler)) return s;
        story->stage = "decode";
        return decode(*context, *sampler, story);
    }

    // A prompt, a fork whose shared page is copied, a token in each of two sequences.
    static hearth_status decode(hearth_context* context, hearth_sampler* sampler, Story* story) {
        static constexpr int32_t kPrompt[] = {1, 7, 9, 30, 12}, kNext[] = {3, 4}, kSeq[] = {0, 1};
        auto batch = zeroed<hearth_batch>();
        batch.n_token = 5;
        batch.token = kPrompt;
        const float* logits = nullptr;
        int32_t token = 0;
        if (const hearth_status s = hearth_context_decode(context, &batch)) return s;
        if (const hearth_status s = hearth_context_logits(context, -1, &logits)) return s;
        if (const hearth_status s = hearth_sampler_sample(sampler, logits, TinyModel::kVocab, 0, &token)) return s;
        if (const hearth_status s = hearth_sampler_accept(sampler, token)) return s;
        if (const hearth_status s = hearth_sequence_copy(context, 0, 1, 0, -1)) return s;
        batch.n_token = 2;
        batch.token = kNext;
        batch.seq = kSeq;
        if (const hearth_status s = hearth_context_decode(context, &batch)) return s;
        for (int32_t i = 0; i < 2; ++i) {
            if (const hearth_status s = hearth_context_logits(context, i, &logits)) return s;
            std::memcpy(story->logits[i], logits, sizeof story->logits[i]);
        }
        return HEARTH_OK;
    }
};

bool same_logits(const Story& a, const Story& b) { return std::memcmp(a.logits, b.logits, sizeof a.logits) == 0; }

// What is planned is mapped, and then the error says how much of what was wanted where; std::bad_alloc tells nobody how much it was.
void check_refusal(const Story& story, const Setting& setting) {
    const int32_t code = story.status;
    const std::string said = story.error.message;
    CHECK((code == HEARTH_E_OOM_HOST || code == HEARTH_E_OOM_DEVICE));
    CHECK(story.error.code == code);
    CHECK(said.find("memory") != std::string::npos);
    if (refused_mapping_bytes() < 4096 || setting.from == From::mmap) return;
    CHECK(story.error.bytes_wanted > 0);
    CHECK(static_cast<int64_t>(story.error.bytes_wanted) <= refused_mapping_bytes());
    const bool of_host = said.find("logits") != std::string::npos || said.find("staging") != std::string::npos;
    CHECK((of_host || said.find("cpu: ") == 0 || said.find("sim:") == 0));
}

}  // namespace

TEST_CASE("whichever allocation of the process fails, the answer is out of memory, nothing leaks, and the next run works") {
    if (const std::string reason = not_interposed(); !reason.empty()) return skip("the process-wide sweep: " + reason);
    const Setting setting = GENERATE(Setting{"cpu", From::memory, 1, false}, Setting{"cpu", From::mmap, 1, true},
                                     Setting{"auto", From::path, 0, true}, Setting{"sim:4MiB", From::path, 1, true},
                                     Setting{"sim:2x4MiB,layers=2", From::memory, 1, false},
                                     Setting{"sim:2x4MiB,layers=3,kv=cpu,experts=cpu", From::memory, 3, true});
    const Teller teller(setting);
    INFO(setting.device << ", " << setting.n_thread << " threads, HEARTH_TEST_SEED=" << seed());
    Story good, story;
    REQUIRE(teller.tell(&good) == HEARTH_OK);
    REQUIRE(teller.tell(&story) == HEARTH_OK);  // what is kept from the first time on is there now
    arm(-1);
    teller.tell(&story);
    const int64_t n = disarm();
    REQUIRE(n > 200);
    Random random(seed());
    int64_t n_tried = 0, n_reported = 0, n_mapping = 0;
    for (int64_t i = 0; i < n; ++i) {
        if (setting.sampled && i >= kOpening && random.below(static_cast<uint64_t>(n)) >= 200) continue;
        const Live before = live();
        arm(i);
        teller.tell(&story);
        disarm();
        const Live after = live();
        INFO("allocation " << i << " of " << n << " in " << story.stage << ": " << story.error.message);
        ++n_tried;
        CHECK(after.n_block == before.n_block);
        CHECK(after.mapped_bytes == before.mapped_bytes);
        CHECK(std::strcmp(story.stage, "release") != 0);
        if (story.status == HEARTH_OK) {  // something that has a fallback, such as the buffer of a stable sort
            CHECK(same_logits(story, good));
            continue;
        }
        ++n_reported;
        n_mapping += refused_mapping_bytes() >= 4096;
        check_refusal(story, setting);
        if (!setting.sampled && random.below(4) != 0) continue;
        Story next;
        CHECK(teller.tell(&next) == HEARTH_OK);
        CHECK(same_logits(next, good));
    }
    std::printf("%s, %d threads: %lld of %lld allocations failed, %lld were reported\n", setting.device, setting.n_thread,
                static_cast<long long>(n_tried), static_cast<long long>(n), static_cast<long long>(n_reported));
    CHECK(n_reported > n_tried * 9 / 10);
    if (!setting.sampled) CHECK(n_mapping >= 5);  // weights, cache, activations, scratch, logits
}

TEST_CASE("a folder of plugins that could not be listed for lack of memory is not an empty one") {
    if (const std::string reason = not_interposed(); !reason.empty()) return skip("the process-wide sweep: " + reason);
    hearth_runtime* runtime = nullptr;
    REQUIRE(hearth_runtime_create(nullptr, &runtime) == HEARTH_OK);
    auto info = zeroed<hearth_device_info>();
    constexpr uint32_t kPastTheLast = 1000;  // to know that there is none, all are listed, those beside the library too
    REQUIRE(hearth_runtime_device(runtime, kPastTheLast, &info) == HEARTH_E_NOT_FOUND);
    arm(-1);
    hearth_runtime_device(runtime, kPastTheLast, &info);
    const int64_t n = disarm();
    REQUIRE(n > 20);
    for (int64_t i = 0; i < n; ++i) {
        arm(i);
        const hearth_status status = hearth_runtime_device(runtime, kPastTheLast, &info);
        disarm();
        INFO("allocation " << i << " of " << n);
        CHECK(status == HEARTH_E_OOM_HOST);
    }
    CHECK(hearth_runtime_release(runtime) == HEARTH_OK);
}

TEST_CASE("a plugin that could not be opened for lack of memory is not one that cannot be used, and is tried again") {
    if (const std::string reason = not_interposed(); !reason.empty()) return skip("the process-wide sweep: " + reason);
    const std::string folder = HEARTH_TEST_PLUGINS;
    auto params = zeroed<hearth_runtime_params>();
    params.plugin_path = folder.data();
    params.plugin_path_size = folder.size();
    hearth_runtime* runtime = nullptr;
    REQUIRE(hearth_runtime_create(&params, &runtime) == HEARTH_OK);
    auto info = zeroed<hearth_device_info>();
    constexpr uint32_t kBuiltIn = 3;  // behind them comes the plugin, which is opened when it is asked for, and then stays mapped
    REQUIRE(hearth_runtime_device(runtime, kBuiltIn - 1, &info) == HEARTH_OK);
    int64_t n = 0, n_told = 0;
    for (bool failed = true; failed && n < 10000; ++n) {
        arm(n);
        const hearth_status status = hearth_runtime_device(runtime, kBuiltIn, &info);
        failed = disarm() > n;
        const std::string why = info.unavailable;
        INFO("allocation " << n << ": " << why);
        // The loader does without some, and once the plugin is open it is the device that says what it lacks.
        const bool usable = status == HEARTH_OK && why.empty(),
                   told = status == HEARTH_E_OOM_HOST || why.find("memory") != std::string::npos;
        REQUIRE((usable || (failed && told)));
        n_told += told;
    }
    CHECK(n_told > 20);
    CHECK(std::string(info.spec) == "fault:0");
    CHECK(std::string(info.unavailable).empty());
    CHECK(hearth_runtime_release(runtime) == HEARTH_OK);
}

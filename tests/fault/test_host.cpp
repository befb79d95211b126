// Nothing that a host is given can take it down: memory that runs out, bad files, bad handles, forks, odd float settings.
#include <hearth/hearth.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <thread>

#include "fault/counting_memory.hpp"
#include "fault/zeroed.hpp"
#include "support/catch.hpp"
#include "support/tiny_model.hpp"

using namespace hearth::test;

namespace {

// What one run from runtime to release came to; holds no memory, so that it can be filled while memory is counted.
struct Story {
    hearth_status status = HEARTH_OK;
    bool has_sentence = false;
    float logits[TinyModel::kVocab] = {};
    int32_t token = -1;
};

struct Handles {
    hearth_runtime* runtime = nullptr;
    hearth_model* model = nullptr;
    hearth_context* context = nullptr;
    hearth_sampler* sampler = nullptr;
    void release() {
        hearth_sampler_release(sampler);
        hearth_context_release(context);
        hearth_model_release(model);
        hearth_runtime_release(runtime);
    }
};

hearth_source memory_source_of(const std::string& file) {
    auto source = zeroed<hearth_source>();
    source.memory = file.data();
    source.memory_size = file.size();
    return source;
}

hearth_status open_all(const std::string& file, int32_t n_thread, Handles* h) {
    auto runtime = zeroed<hearth_runtime_params>();
    runtime.n_threads = n_thread;
    runtime.allocate = hook_allocate;
    runtime.deallocate = hook_free;
    if (const hearth_status s = hearth_runtime_create(&runtime, &h->runtime)) return s;
    const hearth_source source = memory_source_of(file);
    if (const hearth_status s = hearth_model_load(h->runtime, &source, nullptr, &h->model)) return s;
    auto context = zeroed<hearth_context_params>();
    context.n_ctx = 64;
    context.n_batch = 16;
    if (const hearth_status s = hearth_context_create(h->model, &context, &h->context)) return s;
    auto sampler = zeroed<hearth_sampler_params>();
    sampler.has_seed = 1;
    return hearth_sampler_create(h->model, &sampler, &h->sampler);
}

hearth_status decode_and_sample(const Handles& h, Story* story) {
    static constexpr int32_t kTokens[] = {1, 7, 9, 30, 12};
    auto batch = zeroed<hearth_batch>();
    batch.n_token = 5;
    batch.token = kTokens;
    const float* logits = nullptr;
    if (const hearth_status s = hearth_context_decode(h.context, &batch)) return s;
    if (const hearth_status s = hearth_context_logits(h.context, -1, &logits)) return s;
    std::memcpy(story->logits, logits, sizeof story->logits);
    if (const hearth_status s = hearth_sampler_sample(h.sampler, logits, TinyModel::kVocab, 0, &story->token)) return s;
    return hearth_sampler_accept(h.sampler, story->token);
}

bool last_error_has_sentence(hearth_status status) {
    auto error = zeroed<hearth_error>();
    hearth_last_error(&error);
    return error.code == status && error.message[0] != 0;
}

Story tell(const std::string& file, int32_t n_thread = 1) {
    Story story;
    Handles h;
    story.status = open_all(file, n_thread, &h);
    if (story.status == HEARTH_OK) story.status = decode_and_sample(h, &story);
    story.has_sentence = last_error_has_sentence(story.status);
    h.release();
    return story;
}

}  // namespace

TEST_CASE("the n-th allocation fails for every n: an error with a sentence, no leak, and the next run works") {
    INFO("HEARTH_TEST_SEED=" << seed());
    const std::string file = tiny_llama().file(seed());
    const Story good = tell(file);
    REQUIRE(good.status == HEARTH_OK);
    fail_allocation(-1);
    tell(file);
    const int64_t n = n_allocation();
    REQUIRE(n > 50);
    int64_t n_reported = 0;
    for (int64_t i = 0; i < n; ++i) {
        const int64_t before = n_outstanding();
        fail_allocation(i);
        const Story story = tell(file);
        fail_allocation(-1);
        const int64_t after = n_outstanding();
        INFO("allocation " << i << " of " << n);
        CHECK(after == before);
        if (story.status == HEARTH_OK) continue;  // a temporary that has a fallback, such as that of a stable sort
        ++n_reported;
        CHECK(story.status == HEARTH_E_OOM_HOST);
        CHECK(story.has_sentence);
    }
    CHECK(n_reported > n / 2);
    const Story again = tell(file);
    CHECK(again.status == HEARTH_OK);
    CHECK(std::memcmp(again.logits, good.logits, sizeof good.logits) == 0);
    CHECK(again.token == good.token);
}

TEST_CASE("a step that runs out of memory leaves its context usable and bit-equal") {
    const std::string file = tiny_llama().file(seed());
    const Story good = tell(file);
    for (int64_t i = 0;; ++i) {
        Handles h;
        REQUIRE(open_all(file, 1, &h) == HEARTH_OK);
        Story story;
        fail_allocation(i);
        const hearth_status first = decode_and_sample(h, &story);
        const bool reached = n_allocation() > i;
        fail_allocation(-1);
        INFO("allocation " << i);
        if (first != HEARTH_OK) {
            CHECK(first == HEARTH_E_OOM_HOST);
            REQUIRE(hearth_context_clear(h.context) == HEARTH_OK);
            CHECK(decode_and_sample(h, &story) == HEARTH_OK);
        }
        CHECK(std::memcmp(story.logits, good.logits, sizeof good.logits) == 0);
        h.release();
        if (!reached) break;
    }
}

TEST_CASE("stale, doubled, missing and mistaken handles are error codes") {
    const std::string file = tiny_llama().file(seed());
    Handles h;
    REQUIRE(open_all(file, 1, &h) == HEARTH_OK);
    auto info = zeroed<hearth_model_info>();
    CHECK(hearth_model_get_info(nullptr, &info) == HEARTH_E_INVALID_ARGUMENT);
    CHECK(last_error_has_sentence(HEARTH_E_INVALID_ARGUMENT));
    CHECK(hearth_model_get_info(reinterpret_cast<hearth_model*>(h.runtime), &info) == HEARTH_E_INVALID_ARGUMENT);
    CHECK(hearth_model_get_info(reinterpret_cast<hearth_model*>(&info), &info) == HEARTH_E_INVALID_ARGUMENT);
    CHECK(hearth_context_release(reinterpret_cast<hearth_context*>(h.model)) == HEARTH_E_INVALID_ARGUMENT);
    CHECK(hearth_context_cancel(nullptr) == HEARTH_E_INVALID_ARGUMENT);
    hearth_model* const stale = h.model;
    CHECK(hearth_model_release(h.model) == HEARTH_OK);
    CHECK(hearth_model_release(stale) == HEARTH_E_INVALID_ARGUMENT);
    CHECK(hearth_model_retain(stale) == HEARTH_E_INVALID_ARGUMENT);
    CHECK(hearth_model_get_info(stale, &info) == HEARTH_E_INVALID_ARGUMENT);
    Story story;
    CHECK(decode_and_sample(h, &story) == HEARTH_OK);  // the context keeps its model alive
    CHECK(hearth_model_release(nullptr) == HEARTH_OK);
    h.model = nullptr;
    h.release();
}

TEST_CASE("structs of other ages: a shorter one works, unknown fields in use are refused") {
    struct Newer {
        hearth_runtime_params known;
        int32_t more;
    } newer{};
    newer.known.struct_size = sizeof newer;
    newer.known.n_threads = 1;
    hearth_runtime* runtime = nullptr;
    CHECK(hearth_runtime_create(&newer.known, &runtime) == HEARTH_OK);
    CHECK(hearth_runtime_release(runtime) == HEARTH_OK);
    newer.more = 1;
    runtime = nullptr;
    CHECK(hearth_runtime_create(&newer.known, &runtime) == HEARTH_E_UNSUPPORTED_STRUCT);
    CHECK(last_error_has_sentence(HEARTH_E_UNSUPPORTED_STRUCT));
    CHECK(runtime == nullptr);
    auto older = zeroed<hearth_runtime_params>();
    older.n_threads = 1;
    older.struct_size = 8;  // the size and n_threads
    older.log_level = 77;   // beyond what it says to have: not read
    CHECK(hearth_runtime_create(&older, &runtime) == HEARTH_OK);
    CHECK(hearth_runtime_release(runtime) == HEARTH_OK);
    older.struct_size = 0;
    CHECK(hearth_runtime_create(&older, &runtime) == HEARTH_E_UNSUPPORTED_STRUCT);
}

TEST_CASE("after fork the child's handles answer FORKED, and the parent goes on") {
    const std::string file = tiny_llama().file(seed());
    Handles h;
    REQUIRE(open_all(file, 2, &h) == HEARTH_OK);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        alarm(20);  // a child that hangs is a failure, not a hang of the tests
        auto info = zeroed<hearth_model_info>();
        Story story;
        const bool ok = hearth_model_get_info(h.model, &info) == HEARTH_E_FORKED && decode_and_sample(h, &story) == HEARTH_E_FORKED;
        h.release();
        _exit(ok ? 0 : 1);
    }
    int how = -1;
    REQUIRE(waitpid(child, &how, 0) == child);
    CHECK(WIFEXITED(how));
    CHECK(WEXITSTATUS(how) == 0);
    Story story;
    CHECK(decode_and_sample(h, &story) == HEARTH_OK);
    h.release();
}

#if defined(__x86_64__) && defined(__linux__)
TEST_CASE("float settings of the host survive every call and do not change results") {
    const std::string file = tiny_llama().file(seed());
    const Story plain = tell(file);
    const unsigned before = __builtin_ia32_stmxcsr();
    for (unsigned odd : {0x9fc0u, 0x7f80u, 0x3f80u}) {  // flush denormals, round to zero, round down
        __builtin_ia32_ldmxcsr(odd);
        const Story story = tell(file, 2);
        const unsigned after = __builtin_ia32_stmxcsr();
        __builtin_ia32_ldmxcsr(before);
        CHECK((after & ~0x3fu) == (odd & ~0x3fu));
        CHECK(std::memcmp(story.logits, plain.logits, sizeof plain.logits) == 0);
        CHECK(story.token == plain.token);
    }
}

TEST_CASE("no more threads run than were asked for, and none is left after release", "[thread]") {
    const auto n_task = [] {
        const auto all = std::filesystem::directory_iterator("/proc/self/task");
        return std::distance(begin(all), end(all));
    };
    const std::string file = tiny_llama().file(seed());
    std::thread([] {}).join();  // a thread sanitizer starts one of its own with the first thread of a process
    const auto before = n_task();
    for (int32_t n_thread : {1, 2, 4}) {
        Handles h;
        REQUIRE(open_all(file, n_thread, &h) == HEARTH_OK);
        Story story;
        CHECK(decode_and_sample(h, &story) == HEARTH_OK);
        CHECK(n_task() <= before + n_thread - 1);
        h.release();
        for (int i = 0; i < 1000 && n_task() > before; ++i) usleep(1000);  // a joined thread leaves /proc a moment later
        CHECK(n_task() == before);
    }
}
#endif

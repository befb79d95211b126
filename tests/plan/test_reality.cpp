// What a plan says before the load against what the process then has: to the byte by the allocator hooks and the devices' own
// counts, and by what the kernel calls resident.
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <numeric>

#include "plan/sparse_model.hpp"
#include "runtime/context.hpp"
#include "runtime/open.hpp"
#include "runtime/plan.hpp"
#include "support/catch.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#elif defined(__has_feature)
constexpr bool kSanitized = __has_feature(address_sanitizer) || __has_feature(thread_sanitizer);
#else
constexpr bool kSanitized = false;
#endif

constexpr uint64_t kMiB = 1 << 20;
constexpr int32_t kF16 = HEARTH_FORMAT_F16, kF32 = HEARTH_FORMAT_F32, kBf16 = HEARTH_FORMAT_BF16, kQ8 = HEARTH_FORMAT_Q8_0,
                  kQ4 = HEARTH_FORMAT_Q4_0;

struct Combination {
    int model;
    const char* device;
    int32_t n_ctx, n_seq, n_batch, k_type, v_type;
    bool mapped = false;  // weights stay in the file where the device lets them
};

// Of 100 to 200 MB each, but for the last, which is a real one.
std::vector<SparseModel> models() {
    std::vector<SparseModel> all(4);
    all[0] = {.name = "dense", .format = Format::Q8_0, .n_layer = 12};
    all[1] = {.name = "experts", .format = Format::Q8_0, .n_layer = 6, .n_embd = 768, .n_ff = 1024, .n_head = 12, .n_expert = 8};
    all[2] = {.name = "window", .arch = "gemma3", .format = Format::Q4_0, .n_layer = 24, .n_vocab = 16384, .window = 512};
    all[3] = {.name = "state", .arch = "lfm2", .format = Format::BF16, .n_layer = 9, .n_vocab = 4096, .state_every = 3};
    return all;
}

constexpr Combination kCombinations[] = {
    {0, "cpu", 512, 1, 128, kF16, kF16},
    {0, "cpu", 16384, 1, 32, kF16, kF16},
    {0, "cpu", 8192, 4, 32, kF32, kF32},
    {0, "cpu", 4096, 16, 32, kF32, kF32},
    {0, "sim:512MiB", 4096, 1, 32, kF16, kF16},
    {0, "sim:512MiB,layers=5", 8192, 1, 32, kF32, kF32},
    {0, "sim:2x512MiB", 8192, 2, 32, kF16, kF16},
    {0, "sim:3x512MiB,layers=6,shares=3:2:1", 4096, 1, 32, kF16, kF16},
    {0, "sim:2x512MiB,kv=cpu", 16384, 1, 32, kF16, kF16},
    {0, "sim:128MiB,layers=auto", 4096, 1, 32, kF16, kF16},
    {1, "cpu", 2048, 1, 32, kF16, kF16},
    {1, "sim:512MiB,experts=cpu", 8192, 1, 32, kF16, kF16},
    {1, "sim:2x512MiB,layers=4,experts=cpu,kv=cpu", 4096, 2, 32, kF32, kF32},
    {1, "sim:2x512MiB", 4096, 1, 32, kF16, kF16},
    {2, "cpu", 32768, 1, 32, kF16, kF16},
    {2, "sim:512MiB,layers=13", 8192, 2, 32, kF16, kF16},
    {2, "sim:4x512MiB", 16384, 1, 32, kF32, kF32},
    {3, "cpu", 8192, 64, 32, kF16, kF16},
    {3, "sim:2x512MiB,layers=7", 4096, 32, 32, kF16, kF16},
    {3, "sim:512MiB,kv=cpu", 8192, 16, 32, kF32, kF32},
    {0, "cpu", 16384, 2, 32, kQ8, kF16},
    {0, "sim:2x512MiB,kv=cpu", 16384, 1, 32, kF16, kQ4},
    {1, "sim:512MiB,layers=4", 8192, 1, 32, kBf16, kQ8},
    {2, "sim:2x512MiB", 16384, 2, 32, kQ4, kF32},
    {3, "sim:512MiB,layers=6", 8192, 16, 32, kF32, kBf16},
    {0, "cpu", 16384, 1, 32, kF16, kF16, true},
    {1, "cpu", 16384, 1, 32, kF32, kF32, true},
    {2, "sim:512MiB,layers=13", 8192, 2, 32, kF16, kF16, true},
    {3, "cpu", 32768, 64, 32, kF32, kF32, true},
    {4, "cpu", 65536, 1, 32, kF32, kF32},
    {4, "sim:2x512MiB,layers=4", 65536, 3, 32, kF32, kF32},
};
constexpr std::size_t kMostDevices = 5;

// What a child process found; `why` says what failed, empty = nothing.
struct Found {
    char why[512] = {};
    std::array<uint64_t, kMostDevices> planned{}, counted{};  // by device, the host first
    uint64_t hook_peak = 0;
    int64_t resident = 0, left = 0;  // growth of RssAnon with everything loaded and used, and after the release
    int64_t total() const { return static_cast<int64_t>(std::accumulate(planned.begin(), planned.end(), uint64_t{0})); }
};

// ---- in the child ----
struct Hook {
    uint64_t now = 0, peak = 0;
    static void* allocate(void* user, std::size_t n, std::size_t) {
        Hook& h = *static_cast<Hook*>(user);
        void* p = mmap(nullptr, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED) return nullptr;
        h.now += n;
        h.peak = std::max(h.peak, h.now);
        return p;
    }
    static void release(void* user, void* p, std::size_t n, std::size_t) {
        static_cast<Hook*>(user)->now -= n;
        munmap(p, n);
    }
};

int64_t resident_bytes() {
    std::ifstream in("/proc/self/status");
    for (std::string word; in >> word;) {
        int64_t kib = 0;
        if (word == "RssAnon:" && in >> kib) return kib * 1024;
    }
    return 0;
}

ContextOptions context_options(const Combination& c) {
    ContextOptions o;
    o.n_ctx = c.n_ctx;
    o.n_seq_max = c.n_seq;
    o.n_batch = c.n_batch;
    o.k_type = c.k_type;
    o.v_type = c.v_type;
    return o;
}

Result<std::shared_ptr<Runtime>> make_runtime(Hook* hook) {
    RuntimeOptions options;
    options.n_thread = 2;
    if (hook) options.allocator = {hook, Hook::allocate, Hook::release};
    return Runtime::make(options);
}

ModelOptions model_options(const Combination& c) {
    ModelOptions options;
    options.device = c.device;
    options.context = context_options(c);
    options.in_place = c.mapped;
    return options;
}

// From headers, before anything is loaded.
Status plan(const std::string& path, const Combination& c, Found* found) {
    HEARTH_TRY(auto runtime, make_runtime(nullptr));
    HEARTH_TRY(auto source, open_model_path(path, c.mapped ? FileMode::mmap : FileMode::pread));
    HEARTH_TRY(const auto model, Model::open(runtime, std::move(source), model_options(c)));
    HEARTH_TRY(const PlanReport report, make_plan(*model, context_options(c)));
    if (report.devices.size() > kMostDevices) return fail(Code::internal, "the test has no room for {} devices", report.devices.size());
    for (std::size_t d = 0; d < report.devices.size(); ++d) found->planned[d] = report.devices[d].total();
    return {};
}

// The real thing, used with as many tokens as a step may have (or few: the hook counts at once), then measure(runtime, model).
template <class Measure>
Status live(const std::string& path, const Combination& c, Hook* hook, Measure measure) {
    HEARTH_TRY(auto runtime, make_runtime(hook));
    HEARTH_TRY(auto source, open_model_path(path, c.mapped ? FileMode::mmap : FileMode::pread));
    HEARTH_TRY(auto model, Model::load(runtime, std::move(source), model_options(c)));
    HEARTH_TRY(const auto context, Context::make(model, context_options(c)));
    std::vector<int32_t> tokens(static_cast<std::size_t>(c.n_batch), 1);
    Batch batch;
    batch.token = tokens.data();
    for (const int32_t n : {hook ? 8 : c.n_batch, 1}) {
        batch.n_token = n;
        HEARTH_TRY([[maybe_unused]] const Outcome done, context->decode(batch));
    }
    return measure(*runtime, *model);
}

Status measure(const std::string& path, const Combination& c, Found* found) {
    HEARTH_CHECK(plan(path, c, found));
    const int64_t before = resident_bytes();
    HEARTH_CHECK(live(path, c, nullptr, [&](Runtime&, Model&) -> Status {
        found->resident = resident_bytes() - before;
        return {};
    }));
    found->left = resident_bytes() - before;
    Hook hook;
    HEARTH_CHECK(live(path, c, &hook, [&](Runtime&, Model& model) -> Status {
        found->counted[0] = hook.now;
        for (std::size_t d = 1; d < model.placement().devices.size(); ++d) {
            HEARTH_TRY(const hearth_backend_device info, model.placement().devices[d]->describe());
            found->counted[d] = info.total_bytes - info.free_bytes;
        }
        return {};
    }));
    found->hook_peak = hook.peak;
    return hook.now == 0 ? Status() : Status(fail(Code::internal, "{} bytes of the hook are left", hook.now));
}

// Two models, a third for which the first gives way, the first again, then all of them go: resident bytes after each step.
bool use_three(const std::string& path, int64_t* resident) {
    RuntimeOptions options;
    options.n_thread = 2;
    options.unload_unused = true;
    const auto runtime = Runtime::make(options);
    if (!runtime) return false;
    const int64_t before = resident_bytes();
    std::vector<std::shared_ptr<Model>> models;
    ModelOptions where;
    where.device = "sim:300MiB,reserve=0";
    for (int i = 0; i < 3; ++i) {
        auto source = open_model_path(path, FileMode::pread);
        auto model = source ? Model::load(*runtime, std::move(*source), where) : Failure{source.code()};
        if (!model) return false;
        models.push_back(*model);
        resident[i] = resident_bytes() - before;
    }
    ContextOptions least;
    least.n_ctx = least.n_batch = 32;
    if (models[0]->loaded() || !make_context(models[0], least) || models[1]->loaded()) return false;
    resident[3] = resident_bytes() - before;
    models.erase(models.begin());
    resident[4] = resident_bytes() - before;
    models.clear();
    resident[5] = resident_bytes() - before;
    return true;
}

// ---- in the parent ----
Found run_child(const std::string& path, const Combination& c) {
    Found found;
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        alarm(120);  // a child that hangs is a failure, not a hang of the tests
        const Status status = measure(path, c, &found);
        if (!status) std::snprintf(found.why, sizeof found.why, "%.500s", error_record().message);
        _exit(write(ends[1], &found, sizeof found) == sizeof found ? 0 : 1);
    }
    close(ends[1]);
    const bool complete = read(ends[0], &found, sizeof found) == sizeof found;
    close(ends[0]);
    int how = 0;
    REQUIRE(waitpid(child, &how, 0) == child);
    REQUIRE(how == 0);
    REQUIRE(complete);
    return found;
}

void check_combination(const std::string& name, const std::string& path, const Combination& c) {
    INFO(name << " on " << c.device << ", n_ctx " << c.n_ctx << ", n_seq " << c.n_seq << ", n_batch " << c.n_batch << ", cache types "
              << c.k_type << ", " << c.v_type << (c.mapped ? ", mapped" : ""));
    const Found found = run_child(path, c);
    REQUIRE(std::string(found.why) == "");
    const int64_t planned = found.total(), bar = std::max(planned / 50, static_cast<int64_t>(16 * kMiB));
    std::printf("%-8s %-42s %6d x%-3d %-6s plan %7.1f MiB, resident %7.1f, left %4.1f\n", name.c_str(), c.device, c.n_ctx, c.n_seq,
                c.mapped ? "mapped" : "", static_cast<double>(planned) / kMiB, static_cast<double>(found.resident) / kMiB,
                static_cast<double>(found.left) / kMiB);
    CHECK(found.counted == found.planned);
    CHECK(found.hook_peak == found.planned[0]);  // nothing more in between either
    if (kSanitized) return;
    CHECK(planned >= 5 * bar);  // or the bar would mean nothing
    CHECK(std::abs(found.resident - planned) <= bar);
    CHECK(found.left <= static_cast<int64_t>(8 * kMiB));  // what malloc keeps; the planned bytes went back
}

}  // namespace

TEST_CASE("what a plan says is what the load takes: by the byte, and within max(2%, 16 MiB) of what is resident") {
    if (kSanitized) skip("resident memory against the plan: a sanitizer has memory of its own");
    const std::vector<SparseModel> made = models();
    std::vector<std::string> paths;
    for (const SparseModel& model : made) paths.push_back(model.write());
    const auto begin = std::chrono::steady_clock::now();
    const std::string real = fixture("model/stories260K.gguf");
    for (const Combination& c : kCombinations) {
        const auto m = static_cast<std::size_t>(c.model);
        if (m < made.size())
            check_combination(made[m].name, paths[m], c);
        else if (!real.empty())
            check_combination("stories", real, c);
    }
    if (real.empty()) skip("plans of a fixture model: the shared fixtures are absent");
    std::printf("%.1f s\n", std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    for (const std::string& path : paths) unlink(path.c_str());
}

TEST_CASE("a model that gives way gives its memory back to the system at once") {
    if (kSanitized) return skip("resident memory of several models: a sanitizer has memory of its own");
    SparseModel model;
    model.name = "several";
    model.n_layer = 4;
    const std::string path = model.write();
    struct Steps {
        int64_t resident[6];
        int32_t ok;
    } steps{};
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        alarm(120);
        steps.ok = use_three(path, steps.resident);
        _exit(write(ends[1], &steps, sizeof steps) == sizeof steps ? 0 : 1);
    }
    close(ends[1]);
    REQUIRE(read(ends[0], &steps, sizeof steps) == sizeof steps);
    close(ends[0]);
    int how = 0;
    REQUIRE(waitpid(child, &how, 0) == child);
    unlink(path.c_str());
    REQUIRE(steps.ok == 1);
    const int64_t one = steps.resident[0], slack = 4 * static_cast<int64_t>(kMiB);
    CHECK(one > 60 * static_cast<int64_t>(kMiB));
    const int64_t want[] = {one, 2 * one, 2 * one, 2 * one, one, 0};
    for (std::size_t i = 0; i < std::size(want); ++i) {
        INFO("step " << i);
        CHECK(std::abs(steps.resident[i] - want[i]) <= slack);
    }
}

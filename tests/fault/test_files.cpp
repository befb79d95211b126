// Files that are missing, cut, wrong or cancelled: a status, a sentence, silence on the standard streams, and no leak.
#include <fcntl.h>
#include <hearth/hearth.h>
#include <unistd.h>

#include <cstring>

#include "fault/counting_memory.hpp"
#include "fault/zeroed.hpp"
#include "support/catch.hpp"
#include "support/tiny_model.hpp"

using namespace hearth::test;

namespace {

// Sends file descriptors 1 and 2 into a file while it lives; says how much was written there.
class Silence {
  public:
    explicit Silence(const std::string& path) : path_(path) {
        const int file = open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
        for (int i = 0; i < 2; ++i) {
            saved_[i] = dup(i + 1);
            dup2(file, i + 1);
        }
        close(file);
    }
    std::size_t end() {
        for (int i = 0; i < 2; ++i) {
            dup2(saved_[i], i + 1);
            close(saved_[i]);
        }
        return read_bytes(path_).size();
    }

  private:
    std::string path_;
    int saved_[2];
};

struct Attempt {
    hearth_status status;
    int32_t code;
    char message[1024];
    int64_t n_leaked;
};

struct Progress {
    int n_call = 0, cancel_at = -1;
    static int32_t called(void* user, uint64_t, uint64_t) {
        auto* p = static_cast<Progress*>(user);
        return p->n_call++ == p->cancel_at;
    }
};

Attempt attempt(hearth_runtime* runtime, const hearth_source& source, Progress* progress = nullptr) {
    const int64_t before = n_outstanding();
    auto params = zeroed<hearth_model_params>();
    if (progress) {
        params.progress = Progress::called;
        params.progress_user = progress;
    }
    hearth_model* model = nullptr;
    Attempt result{};
    result.status = hearth_model_load(runtime, &source, &params, &model);
    auto error = zeroed<hearth_error>();
    hearth_last_error(&error);
    result.code = error.code;
    std::memcpy(result.message, error.message, sizeof result.message);
    hearth_model_release(model);
    result.n_leaked = n_outstanding() - before;
    return result;
}

void check_refused(const Attempt& a) {
    INFO(a.message);
    CHECK(a.status < 0);
    CHECK(a.code == a.status);
    CHECK(std::strlen(a.message) > 8);
    CHECK(a.n_leaked == 0);
}

hearth_source in_memory(const std::string& file) {
    auto source = zeroed<hearth_source>();
    source.memory = file.data();
    source.memory_size = file.size();
    return source;
}

hearth_runtime* make_runtime() {
    auto params = zeroed<hearth_runtime_params>();
    params.n_threads = 1;
    params.allocate = hook_allocate;
    params.deallocate = hook_free;
    hearth_runtime* runtime = nullptr;
    REQUIRE(hearth_runtime_create(&params, &runtime) == HEARTH_OK);
    return runtime;
}

}  // namespace

TEST_CASE("missing, cut and damaged files give a status, a sentence, silence and no leak") {
    const std::string file = tiny_llama().file(seed()), path = temp_path("cut.gguf"), streams = temp_path("streams");
    hearth_runtime* runtime = make_runtime();
    REQUIRE(attempt(runtime, in_memory(file)).status == HEARTH_OK);  // opens the device, which stays
    std::vector<Attempt> attempts;
    attempts.reserve(file.size() / 37 + 10);
    Silence silence(streams);
    auto missing = zeroed<hearth_source>();
    missing.path = "/no/such/model.gguf";
    attempts.push_back(attempt(runtime, missing));
    missing.path = "/";
    attempts.push_back(attempt(runtime, missing));
    for (std::size_t n = 0; n < file.size(); n += 37) {
        write_bytes(path, file.data(), n);
        auto source = zeroed<hearth_source>();
        source.path = path.c_str();
        attempts.push_back(attempt(runtime, source));
    }
    std::string wrong = file;
    const std::size_t name = wrong.find("token_embd.weight");  // then: u32 n_dim, two u64, u32 type
    const uint32_t type = 200;
    std::memcpy(wrong.data() + name + std::strlen("token_embd.weight") + 4 + 16, &type, 4);
    attempts.push_back(attempt(runtime, in_memory(wrong)));
    const std::size_t printed = silence.end();
    for (const Attempt& a : attempts) check_refused(a);
    CHECK(printed == 0);
    CHECK(attempt(runtime, in_memory(file)).status == HEARTH_OK);
    hearth_runtime_release(runtime);
    unlink(path.c_str());
    unlink(streams.c_str());
}

TEST_CASE("a load cancelled at each call of its progress callback leaves nothing behind") {
    const std::string file = tiny_llama().file(seed());
    hearth_runtime* runtime = make_runtime();
    Progress whole;
    REQUIRE(attempt(runtime, in_memory(file), &whole).status == HEARTH_OK);
    REQUIRE(whole.n_call >= 2);
    for (int i = 0; i < whole.n_call; ++i) {
        Progress progress;
        progress.cancel_at = i;
        const Attempt a = attempt(runtime, in_memory(file), &progress);
        CHECK(a.status == HEARTH_E_CANCELLED);
        check_refused(a);
        uint64_t now = 1;
        CHECK(hearth_runtime_memory(runtime, &now, nullptr) == HEARTH_OK);
        CHECK(now == 0);
    }
    CHECK(attempt(runtime, in_memory(file)).status == HEARTH_OK);
    hearth_runtime_release(runtime);
}

// The promises of the thread pool: every part once, in order of taking, a prefix when stopped, late jobs harmless.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <deque>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "base/thread_pool.hpp"
#include "support/catch.hpp"
#include "support/support.hpp"

using namespace hearth;

namespace {

struct Tally {
    std::vector<std::atomic<int>> n_call;
    std::atomic<int64_t> n_done{0};
    int n_thread;
    std::atomic<bool> bad_thread{false};
    Tally(int64_t n_part, int threads) : n_call(static_cast<std::size_t>(n_part)), n_thread(threads) {}
};

void count_part(void* context, int64_t part, int thread) {
    Tally& tally = *static_cast<Tally*>(context);
    tally.n_call[static_cast<std::size_t>(part)].fetch_add(1);
    tally.n_done.fetch_add(1);
    if (thread < 0 || thread >= tally.n_thread) tally.bad_thread = true;
}

// Is every part below n_done called once and none above it?
bool is_prefix(const Tally& tally, int64_t n_done) {
    for (std::size_t i = 0; i < tally.n_call.size(); ++i)
        if (tally.n_call[i].load() != (static_cast<int64_t>(i) < n_done)) return false;
    return !tally.bad_thread;
}

std::unique_ptr<ThreadPool> make_pool(int n_thread, const JobSystem* jobs = nullptr) {
    auto pool = ThreadPool::make(n_thread, jobs);
    REQUIRE(pool);
    return *std::move(pool);
}

// Keeps jobs until told to run them, from any thread.
struct HeldJobs {
    std::mutex mutex;
    std::deque<std::pair<void (*)(void*), void*>> queue;
    bool refuse = false;
    std::size_t n_queued_ever = 0;

    static int32_t submit(void* user, void (*job)(void*), void* arg) {
        auto& self = *static_cast<HeldJobs*>(user);
        std::lock_guard lock(self.mutex);
        if (self.refuse) return 1;
        self.queue.emplace_back(job, arg);
        ++self.n_queued_ever;
        return 0;
    }
    bool run_one() {
        std::unique_lock lock(mutex);
        if (queue.empty()) return false;
        auto [job, arg] = queue.front();
        queue.pop_front();
        lock.unlock();
        job(arg);
        return true;
    }
    JobSystem system() { return {this, submit}; }
};

}  // namespace

TEST_CASE("thread pool calls every part once, for any number of threads, sleeping or in burst mode", "[thread]") {
    test::Random random(test::seed());
    for (int n_thread : {1, 2, 3, 8}) {
        auto pool = make_pool(n_thread);
        CHECK(pool->n_thread() == n_thread);
        for (int repeat = 0; repeat < 200; ++repeat) {
            if (repeat % 50 == 0) pool->burst(repeat % 100 == 0);
            const auto n_part = static_cast<int64_t>(random.below(64));
            Tally tally(n_part, n_thread);
            REQUIRE(pool->run(n_part, count_part, &tally) == n_part);
            REQUIRE(is_prefix(tally, n_part));
        }
    }
}

TEST_CASE("thread pool: no part starts after stop was seen true, and the parts done are a prefix", "[thread]") {
    for (int n_thread : {1, 4}) {
        auto pool = make_pool(n_thread);
        for (int64_t limit : {0, 1, 7, 50}) {
            Tally tally(100, n_thread);
            const std::function<bool()> stop = [&] { return tally.n_done.load() >= limit; };
            const int64_t n_done = pool->run(100, count_part, &tally, &stop);
            CHECK(n_done >= limit);
            CHECK(n_done <= limit + n_thread - 1);
            CHECK(is_prefix(tally, n_done));
        }
    }
}

TEST_CASE("thread pool: what a part throws on any thread comes out of run(), and the next run is whole", "[thread]") {
    for (int n_thread : {1, 2, 4}) {
        auto pool = ThreadPool::make(n_thread);
        REQUIRE(pool);
        for (int64_t bad : {0, 7, 63}) {
            std::atomic<int64_t> n_done{0};
            struct Context {
                std::atomic<int64_t>* n_done;
                int64_t bad;
            } context{&n_done, bad};
            bool thrown = false;
            try {
                (*pool)->run(64, [](void* p, int64_t part, int) {
                    auto& c = *static_cast<Context*>(p);
                    if (part == c.bad) throw std::bad_alloc();
                    c.n_done->fetch_add(1);
                }, &context);
            } catch (const std::bad_alloc&) {
                thrown = true;
            }
            CHECK(thrown);
            CHECK(n_done.load() >= bad);  // parts are taken in order, and those under way end
            CHECK(n_done.load() < 64);
            n_done = 0;
            context.bad = -1;
            CHECK((*pool)->run(64, [](void* p, int64_t, int) { static_cast<Context*>(p)->n_done->fetch_add(1); }, &context) == 64);
            CHECK(n_done.load() == 64);
        }
    }
}

TEST_CASE("thread pool refuses absurd thread counts", "[thread]") {
    CHECK(ThreadPool::make(0).code() == Code::invalid_argument);
    CHECK(ThreadPool::make(-1).code() == Code::invalid_argument);
    CHECK(ThreadPool::make(1 << 20).code() == Code::invalid_argument);
}

TEST_CASE("thread pool on host jobs ends without any job ever started, and queues a bounded number", "[thread]") {
    HeldJobs held;
    const JobSystem system = held.system();
    {
        auto pool = make_pool(4, &system);
        for (int repeat = 0; repeat < 100; ++repeat) {
            Tally tally(10, 4);
            REQUIRE(pool->run(10, count_part, &tally) == 10);
            REQUIRE(is_prefix(tally, 10));
        }
        CHECK(held.n_queued_ever == 3);
    }
    while (held.run_one()) {  // after the pool has gone: must touch nothing that is not theirs
    }
}

TEST_CASE("thread pool on host jobs works where submitting fails or runs the job at once", "[thread]") {
    HeldJobs held;
    held.refuse = true;
    const JobSystem refusing = held.system();
    const JobSystem immediate{nullptr, [](void*, void (*job)(void*), void* arg) -> int32_t {
                                  job(arg);
                                  return 0;
                              }};
    for (const JobSystem* system : {&refusing, &immediate}) {
        auto pool = make_pool(3, system);
        for (int repeat = 0; repeat < 3; ++repeat) {
            Tally tally(20, 3);
            CHECK(pool->run(20, count_part, &tally) == 20);
            CHECK(is_prefix(tally, 20));
        }
    }
}

TEST_CASE("thread pool on host jobs: late jobs join the open run or leave, and never disturb a finished one", "[thread]") {
    HeldJobs held;
    const JobSystem system = held.system();
    std::atomic<bool> over{false};
    auto drain = [&] {
        while (!over.load())
            if (!held.run_one()) std::this_thread::yield();
    };
    std::thread a(drain), b(drain);
    {
        auto pool = make_pool(4, &system);
        for (int repeat = 0; repeat < 2000; ++repeat) {
            Tally tally(16, 4);  // on the stack: a job that outlives its run would be seen by the sanitizers
            REQUIRE(pool->run(16, count_part, &tally) == 16);
            REQUIRE(is_prefix(tally, 16));
        }
    }
    over = true;
    a.join();
    b.join();
    while (held.run_one()) {
    }
}

TEST_CASE("thread pool workers leave every signal to the host's threads", "[thread]") {
    auto pool = make_pool(3);
    struct Seen {
        std::atomic<int> n_unblocked{0};
        std::atomic<int> n_worker{0};
    } seen;
    const std::function<bool()> stop = [&] { return false; };
    auto look = [](void* p, int64_t, int thread) {
        if (thread == 0) {
            usleep(200);
            return;
        }
        sigset_t set;
        pthread_sigmask(SIG_SETMASK, nullptr, &set);
        auto& s = *static_cast<Seen*>(p);
        s.n_worker.fetch_add(1);
        for (int signal : {SIGINT, SIGTERM, SIGUSR1, SIGCHLD, SIGALRM}) s.n_unblocked.fetch_add(!sigismember(&set, signal));
    };
    for (int i = 0; i < 200 && seen.n_worker.load() == 0; ++i) pool->run(50, look, &seen, &stop);
    CHECK(seen.n_worker.load() > 0);
    CHECK(seen.n_unblocked.load() == 0);
}

#if !defined(__SANITIZE_THREAD__)
TEST_CASE("thread pool can be destroyed in a forked child, where its threads do not exist", "[thread][fork]") {
    auto pool = make_pool(3);
    const pid_t child = fork();
    if (child == 0) {
        pool.reset();
        _exit(7);
    }
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 7);
}
#endif

TEST_CASE("default_thread_count is at least 1 and at most the hardware threads", "[thread]") {
    CHECK(default_thread_count() >= 1);
    CHECK(default_thread_count() <= static_cast<int>(std::thread::hardware_concurrency()));
}

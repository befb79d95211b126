// The thread pool: one open run at a time that workers or host jobs join while its door is open.
#include "base/thread_pool.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <exception>
#include <mutex>
#include <utility>
#include <vector>

#include "base/platform.hpp"

namespace hearth {

namespace {

void cpu_relax() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

// Spins until ready() or the time is over; true = ready.
template <class Ready>
bool spin(int64_t limit_ns, Ready ready) {
    if (ready()) return true;
    const int64_t end = os::now_ns() + limit_ns;
    do {
        for (int i = 0; i < 32; ++i) {
            cpu_relax();
            if (ready()) return true;
        }
    } while (os::now_ns() < end);
    return false;
}

// Where threads sleep. A condition made true by a seq_cst store before notify() is never missed: the sleeper
// announces itself before it looks, the notifier looks for sleepers after it has stored.
class Gate {
  public:
    template <class Ready>
    void wait(Ready ready) {
        std::unique_lock lock(mutex_);
        n_sleeping_.fetch_add(1);
        while (!ready()) changed_.wait(lock);
        n_sleeping_.fetch_sub(1);
    }
    void notify() {
        if (n_sleeping_.load() == 0) return;
        { std::lock_guard lock(mutex_); }  // a sleeper is now either before its look or inside its wait
        changed_.notify_all();
    }

  private:
    std::atomic<int> n_sleeping_{0};
    std::mutex mutex_;
    std::condition_variable changed_;
};

constexpr int64_t kBurstSpinNs = 50000, kHarvestSpinNs = 20000;

// The run that is open, if any. Nobody is waited for who has not entered, so a preempted worker or a job that comes
// late or never costs nothing; what a run points to is only read between enter() and leave().
class Crew {
  public:
    void open(int64_t n_part, ThreadPool::PartFn fn, void* context, const std::function<bool()>* stop) {
        fn_ = fn;
        context_ = context;
        n_part_ = n_part;
        stop_ = stop;
        stopped_.store(false, std::memory_order_relaxed);
        threw_.store(false, std::memory_order_relaxed);
        next_.store(0, std::memory_order_relaxed);
        door_.fetch_add(kGeneration);  // even to odd
        opened_.notify();
    }
    // Works along as thread 0, closes the door and waits for those inside; returns the parts done, or throws what one threw.
    int64_t finish() {
        work(0);
        door_.fetch_add(kGeneration);
        auto empty = [this] { return (door_.load() & kInside) == 0; };
        if (!spin(kHarvestSpinNs, empty)) emptied_.wait(empty);
        if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
        return std::min(next_.load(std::memory_order_relaxed), n_part_);
    }

    // Joins the open run; false where none is open. *generation tells one run from the next.
    bool enter(uint32_t* generation) {
        uint64_t door = door_.load();
        while (is_open(door)) {
            if (!door_.compare_exchange_weak(door, door + 1)) continue;
            *generation = static_cast<uint32_t>(door >> 32);
            return true;
        }
        return false;
    }
    void leave() {
        const uint64_t door = door_.fetch_sub(1);
        if ((door & kInside) == 1 && !is_open(door)) emptied_.notify();
    }
    void work(int thread) {
        try {
            while (!should_stop()) {
                const int64_t part = next_.fetch_add(1, std::memory_order_relaxed);
                if (part >= n_part_) return;
                fn_(context_, part, thread);
            }
        } catch (...) {  // out of memory: on a worker it would end the process
            if (!threw_.exchange(true)) error_ = std::current_exception();
        }
    }
    // Is a run open that is not the one given? (One whose parts a worker has seen run out is of no interest.)
    bool has_new_run(uint32_t last_generation) const {
        const uint64_t door = door_.load();
        return is_open(door) && static_cast<uint32_t>(door >> 32) != last_generation;
    }
    Gate& opened() { return opened_; }

  private:
    static constexpr uint64_t kGeneration = uint64_t{1} << 32, kInside = kGeneration - 1;
    static bool is_open(uint64_t door) { return (door & kGeneration) != 0; }
    bool should_stop() {
        if (threw_.load(std::memory_order_relaxed)) return true;
        if (!stop_) return false;
        if (stopped_.load(std::memory_order_relaxed)) return true;
        if (!(*stop_)()) return false;
        stopped_.store(true, std::memory_order_relaxed);
        return true;
    }

    alignas(64) std::atomic<uint64_t> door_{0};  // high half: generation, odd = open; low half: helpers inside
    alignas(64) std::atomic<int64_t> next_{0};
    alignas(64) ThreadPool::PartFn fn_ = nullptr;
    void* context_ = nullptr;
    int64_t n_part_ = 0;
    const std::function<bool()>* stop_ = nullptr;
    std::atomic<bool> stopped_{false}, threw_{false};
    std::exception_ptr error_;  // of the first part that threw; read once nobody is inside
    Gate opened_, emptied_;
};

class OwnThreads final : public ThreadPool {
  public:
    explicit OwnThreads(int n)
        : ThreadPool(n), crew_(std::make_unique<Crew>()), workers_(static_cast<std::size_t>(n - 1)) {}
    ~OwnThreads() override {
        if (fork_.forked()) {  // the threads are not here, and a lock may have been copied while held
            for (os::Thread& thread : threads_) thread.abandon();
            static_cast<void>(crew_.release());
            return;
        }
        quit_.store(true);
        crew_->opened().notify();
        for (os::Thread& thread : threads_) thread.join();
    }

    Status start() {
        threads_.reserve(workers_.size());
        for (std::size_t i = 0; i < workers_.size(); ++i) {
            workers_[i] = {this, static_cast<int>(i) + 1};
            char name[24];
            std::snprintf(name, sizeof name, "hearth-%d", workers_[i].index);
            HEARTH_TRY(os::Thread thread, os::Thread::start(name, worker_main, &workers_[i]));
            threads_.push_back(std::move(thread));
        }
        return {};
    }

    int64_t run(int64_t n_part, PartFn fn, void* context, const std::function<bool()>* stop) override {
        if (n_part <= 0) return 0;
        crew_->open(n_part, fn, context, stop);
        return crew_->finish();
    }
    void burst(bool on) override { burst_.store(on, std::memory_order_relaxed); }

  private:
    struct Worker {
        OwnThreads* pool;
        int index;
    };

    static void worker_main(void* p) {
        const Worker worker = *static_cast<Worker*>(p);
        worker.pool->serve(worker.index);
    }
    void serve(int index) {
        uint32_t generation = 0;
        auto ready = [&] { return quit_.load() || crew_->has_new_run(generation); };
        for (;;) {
            const int64_t limit = burst_.load(std::memory_order_relaxed) ? kBurstSpinNs : 0;
            if (!spin(limit, ready)) crew_->opened().wait(ready);
            if (quit_.load()) return;
            if (!crew_->enter(&generation)) continue;
            crew_->work(index);
            crew_->leave();
        }
    }

    os::ForkGuard fork_;
    std::unique_ptr<Crew> crew_;
    std::atomic<bool> quit_{false}, burst_{false};
    std::vector<Worker> workers_;
    std::vector<os::Thread> threads_;
};

// On the host's jobs. At most one job per thread number is ever queued; a job that comes late joins whatever run is
// open by then, or none. What jobs touch lives until the pool and the last queued job have let go of it.
class HostJobs final : public ThreadPool {
  public:
    HostJobs(int n, const JobSystem& jobs)
        : ThreadPool(n), system_(jobs), shared_(std::make_shared<Shared>(static_cast<std::size_t>(n - 1))) {}

    int64_t run(int64_t n_part, PartFn fn, void* context, const std::function<bool()>* stop) override {
        if (n_part <= 0) return 0;
        shared_->crew.open(n_part, fn, context, stop);
        const auto n_job = static_cast<std::size_t>(std::min<int64_t>(n_thread(), n_part) - 1);
        for (std::size_t i = 0; i < n_job; ++i) queue(i);
        return shared_->crew.finish();
    }
    void burst(bool) override {}

  private:
    struct Shared;
    struct Job {
        std::shared_ptr<Shared> shared;  // set while queued
        std::atomic<bool> queued{false};
        int thread = 0;
    };
    struct Shared {
        explicit Shared(std::size_t n_job) : jobs(n_job) {}
        Crew crew;
        std::vector<Job> jobs;
    };

    void queue(std::size_t i) {
        Job& job = shared_->jobs[i];
        if (job.queued.load(std::memory_order_acquire)) return;
        job.shared = shared_;
        job.thread = static_cast<int>(i) + 1;
        job.queued.store(true, std::memory_order_relaxed);
        if (system_.submit(system_.user, job_main, &job) == 0) return;
        job.shared.reset();
        job.queued.store(false, std::memory_order_relaxed);
    }
    static void job_main(void* p) {
        Job* job = static_cast<Job*>(p);
        const std::shared_ptr<Shared> shared = std::move(job->shared);
        uint32_t generation;
        if (shared->crew.enter(&generation)) {
            shared->crew.work(job->thread);
            shared->crew.leave();
        }
        job->queued.store(false, std::memory_order_release);
    }

    JobSystem system_;
    std::shared_ptr<Shared> shared_;
};

constexpr int kMaxThread = 1024;

}  // namespace

Result<std::unique_ptr<ThreadPool>> ThreadPool::make(int n_thread, const JobSystem* jobs) {
    if (n_thread < 1 || n_thread > kMaxThread)
        return fail(Code::invalid_argument, "{} threads: a number from 1 to {} is needed", n_thread, kMaxThread);
    if (jobs && jobs->submit) return std::unique_ptr<ThreadPool>(new HostJobs(n_thread, *jobs));
    auto pool = std::make_unique<OwnThreads>(n_thread);
    HEARTH_CHECK(pool->start());
    return std::unique_ptr<ThreadPool>(std::move(pool));
}

int default_thread_count() { return os::n_physical_core(); }

}  // namespace hearth

// Runs independent parts of one piece of work on a fixed number of threads, or on the host's own job system.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "base/result.hpp"

namespace hearth {

// The host's job system. `submit` queues `job(arg)` to run on any thread, now or later; the pool never waits for
// a job to *start*: the calling thread works through all parts itself if no other thread comes.
struct JobSystem {
    void* user = nullptr;
    int32_t (*submit)(void* user, void (*job)(void*), void* arg) = nullptr;  // 0 = queued
};

class ThreadPool {
  public:
    // n_thread counts the caller: a pool of 1 starts no thread. With a job system no thread is ever started.
    static Result<std::unique_ptr<ThreadPool>> make(int n_thread, const JobSystem* jobs = nullptr);
    virtual ~ThreadPool() = default;

    int n_thread() const { return n_thread_; }

    using PartFn = void (*)(void* context, int64_t part, int thread);  // thread in [0, n_thread)

    // Calls fn once for every part in [0, n_part), taken dynamically in increasing order; returns when all that were
    // taken have ended. `stop`, if given, is called by every thread before it takes a part (so it must be thread-safe):
    // once true, no further part starts. If fn throws, no further part starts either, and run() throws the first of those
    // exceptions when all parts under way have ended. stop may not throw; neither may call run() of the same pool.
    // Returns the number of parts done; they are always parts [0, returned). One call at a time per pool.
    virtual int64_t run(int64_t n_part, PartFn fn, void* context, const std::function<bool()>* stop = nullptr) = 0;

    // Between burst(true) and burst(false) idle workers spin for the next run() instead of sleeping.
    virtual void burst(bool on) = 0;

  protected:
    explicit ThreadPool(int n_thread) : n_thread_(n_thread) {}

  private:
    int n_thread_;
};

int default_thread_count();  // physical cores allowed by affinity and the container's CPU quota, at least 1

}  // namespace hearth

// Holds the calling thread's OpenMP width at the host's thread count while oneDNN works.
#pragma once

#include <cstdint>

namespace hearth::onednn {

// The two functions of the OpenMP runtime that oneDNN brought; null where it was built with another threading.
struct OpenMp {
    int (*max_threads)() = nullptr;
    void (*set_threads)(int) = nullptr;
};
OpenMp find_open_mp();

// The width belongs to the thread that sets it, so the host's own use of OpenMP is as before once this is gone.
class ThreadScope {
  public:
    ThreadScope(const OpenMp& omp, int32_t n_thread) : omp_(omp), before_(omp.set_threads ? omp.max_threads() : 0) {
        if (omp_.set_threads) omp_.set_threads(n_thread);
    }
    ~ThreadScope() {
        if (omp_.set_threads) omp_.set_threads(before_);
    }
    ThreadScope(const ThreadScope&) = delete;
    ThreadScope& operator=(const ThreadScope&) = delete;

  private:
    OpenMp omp_;
    int before_;
};

}  // namespace hearth::onednn

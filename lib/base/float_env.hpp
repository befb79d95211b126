// Hosts change how floats round and trap; our arithmetic expects the default. The only place that touches that register.
#pragma once

#include <cstdint>

namespace hearth {

// Sets round-to-nearest, no flush-to-zero, all traps masked; restores the host's setting when destroyed.
class FloatGuard {
  public:
    FloatGuard() : saved_(get()) { set(kDefault); }
    ~FloatGuard() { set(saved_); }
    FloatGuard(const FloatGuard&) = delete;
    FloatGuard& operator=(const FloatGuard&) = delete;

  private:
#if defined(__x86_64__) || defined(__SSE__)
    static constexpr uint64_t kDefault = 0x1f80;  // MXCSR
    static uint64_t get() { return __builtin_ia32_stmxcsr(); }
    static void set(uint64_t value) { __builtin_ia32_ldmxcsr(static_cast<unsigned>(value)); }
#elif defined(__aarch64__)
    static constexpr uint64_t kDefault = 0;  // FPCR
    static uint64_t get() {
        uint64_t value;
        __asm__ volatile("mrs %0, fpcr" : "=r"(value));
        return value;
    }
    static void set(uint64_t value) { __asm__ volatile("msr fpcr, %0" ::"r"(value)); }
#else
    static constexpr uint64_t kDefault = 0;
    static uint64_t get() { return 0; }
    static void set(uint64_t) {}
#endif
    uint64_t saved_;
};

}  // namespace hearth

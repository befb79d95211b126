// Tests the CPU and the operating system for the levels that were built and picks one.
#include "device/cpu/cpu_level.hpp"

#include <cstdlib>
#include <string>
#include <string_view>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define HEARTH_DECLARE_LEVEL(level)                                        \
    extern "C" const hearth::cpu::RowKernels hearth_cpu_row_##level;       \
    extern "C" const hearth::cpu::MatmulKernels hearth_cpu_dense_##level;  \
    extern "C" const hearth::cpu::MatmulKernels hearth_cpu_panels32_##level; \
    extern "C" const hearth::cpu::MatmulKernels hearth_cpu_panels256_##level; \
    extern "C" const hearth::cpu::AttentionKernels hearth_cpu_attention_##level; \
    extern "C" const hearth::cpu::CachedKernels hearth_cpu_cached_plain_##level; \
    extern "C" const hearth::cpu::CachedKernels hearth_cpu_cached_blocks_##level;
#define HEARTH_LEVEL_KERNELS(level) \
    {&hearth_cpu_row_##level,                                                                       \
     {&hearth_cpu_dense_##level, &hearth_cpu_panels32_##level, &hearth_cpu_panels256_##level},            \
     &hearth_cpu_attention_##level,                                                                    \
     {&hearth_cpu_cached_plain_##level, &hearth_cpu_cached_blocks_##level}}

HEARTH_DECLARE_LEVEL(generic)
#if defined(HEARTH_HAS_LEVEL_v2)
HEARTH_DECLARE_LEVEL(v2)
HEARTH_DECLARE_LEVEL(v3)
HEARTH_DECLARE_LEVEL(v4)
#endif

namespace hearth::cpu {

namespace {

struct Level {
    std::string_view name;
    Kernels kernels;
    bool (*usable)();
};

bool always() { return true; }

#if defined(HEARTH_HAS_LEVEL_v2)

struct CpuId {
    unsigned a = 0, b = 0, c = 0, d = 0;
};
CpuId cpuid(unsigned leaf, unsigned sub = 0) {
    CpuId r;
    if (!__get_cpuid_count(leaf, sub, &r.a, &r.b, &r.c, &r.d)) return {};
    return r;
}
constexpr bool has(unsigned word, std::initializer_list<int> bits) {
    for (int bit : bits)
        if (!(word >> bit & 1)) return false;
    return true;
}

// Which register states the OS saves (XCR0); 0 where it does not say.
unsigned saved_states() {
    if (!has(cpuid(1).c, {27})) return 0;  // OSXSAVE
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

// SSE3, SSSE3, CMPXCHG16B, SSE4.1, SSE4.2, POPCNT
bool usable_v2() { return has(cpuid(1).c, {0, 9, 13, 19, 20, 23}); }

// FMA, MOVBE, AVX, F16C; BMI1, AVX2, BMI2; LZCNT; and the OS saves the 256-bit registers
bool usable_v3() {
    return usable_v2() && has(cpuid(1).c, {12, 22, 28, 29}) && has(cpuid(7).b, {3, 5, 8}) && has(cpuid(0x80000001).c, {5}) &&
           has(saved_states(), {1, 2});
}

// AVX-512 F, DQ, CD, BW, VL; VNNI; BF16; and the OS saves masks and 512-bit registers
bool usable_v4() {
    return usable_v3() && has(cpuid(7).b, {16, 17, 28, 30, 31}) && has(cpuid(7).c, {11}) && has(cpuid(7, 1).a, {5}) &&
           has(saved_states(), {5, 6, 7});
}

#endif

// Best first.
constexpr Level kLevels[] = {
#if defined(HEARTH_HAS_LEVEL_v2)
    {"v4", HEARTH_LEVEL_KERNELS(v4), usable_v4},
    {"v3", HEARTH_LEVEL_KERNELS(v3), usable_v3},
    {"v2", HEARTH_LEVEL_KERNELS(v2), usable_v2},
#endif
    {"generic", HEARTH_LEVEL_KERNELS(generic), always},
};

}  // namespace

Result<Kernels> choose_level() {
    const char* wanted = std::getenv("HEARTH_CPU_LEVEL");
    std::string at_hand;
    for (const Level& level : kLevels) {
        if (!level.usable()) continue;
        if (!wanted || level.name == wanted) return level.kernels;
        if (!at_hand.empty()) at_hand.append(", ");
        at_hand.append(level.name);
    }
    return fail(Code::invalid_argument, "HEARTH_CPU_LEVEL={}: not a level of this machine; it has {}", wanted, at_hand);
}

}  // namespace hearth::cpu

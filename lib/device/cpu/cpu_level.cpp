// Tests the CPU and the operating system for the levels that were built and picks one.
#include "device/cpu/cpu_level.hpp"

#include <cstdlib>
#include <string>
#include <string_view>

#include "base/platform.hpp"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#define HEARTH_DECLARE_TILES(level)                                           \
    extern "C" const hearth::cpu::MatmulKernels hearth_cpu_dense_##level;     \
    extern "C" const hearth::cpu::MatmulKernels hearth_cpu_panels32_##level;  \
    extern "C" const hearth::cpu::MatmulKernels hearth_cpu_panels256_##level; \
    extern "C" const hearth::cpu::TileAttentionKernels hearth_cpu_tile_attention_##level;
#define HEARTH_DECLARE_CODES(level)                                             \
    extern "C" const hearth::cpu::MatmulKernels hearth_cpu_panels32_##level;    \
    extern "C" const hearth::cpu::MatmulKernels hearth_cpu_panels256_##level;   \
    extern "C" const hearth::cpu::RowKernels hearth_cpu_row_##level;            \
    extern "C" const hearth::cpu::CachedKernels hearth_cpu_cached_blocks_##level;
#define HEARTH_DECLARE_LEVEL(level)                                              \
    HEARTH_DECLARE_CODES(level)                                                  \
    extern "C" const hearth::cpu::MatmulKernels hearth_cpu_dense_##level;        \
    extern "C" const hearth::cpu::AttentionKernels hearth_cpu_attention_##level; \
    extern "C" const hearth::cpu::CachedKernels hearth_cpu_cached_plain_##level;
#define HEARTH_MATMUL(floats, codes) {&hearth_cpu_dense_##floats, &hearth_cpu_panels32_##codes, &hearth_cpu_panels256_##codes}
#define HEARTH_TILES(level) HEARTH_MATMUL(level, level), &hearth_cpu_tile_attention_##level
#define HEARTH_NO_TILES {}, nullptr
// A level of the kernels that compute with codes of one and all else of another, with the tiles of a third or none.
#define HEARTH_LEVEL_OF(name, floats, codes, ...)                                                \
    {                                                                                            \
        name, &hearth_cpu_row_##codes, HEARTH_MATMUL(floats, codes), &hearth_cpu_attention_##floats, \
            {&hearth_cpu_cached_plain_##floats, &hearth_cpu_cached_blocks_##codes}, __VA_ARGS__  \
    }
#define HEARTH_LEVEL(name, level, ...) HEARTH_LEVEL_OF(name, level, level, __VA_ARGS__)

HEARTH_DECLARE_LEVEL(generic)
HEARTH_DECLARE_TILES(generic_tiles)
#if defined(HEARTH_HAS_LEVEL_v2)
HEARTH_DECLARE_LEVEL(v2)
HEARTH_DECLARE_LEVEL(v3)
HEARTH_DECLARE_CODES(v3_vnni)
HEARTH_DECLARE_LEVEL(v4)
#endif
#if defined(HEARTH_HAS_LEVEL_v4_amx)
HEARTH_DECLARE_TILES(v4_amx)
#endif
#if defined(HEARTH_HAS_LEVEL_neon_dot)
HEARTH_DECLARE_LEVEL(neon_dot)
HEARTH_DECLARE_LEVEL(neon_i8mm)
#endif

namespace hearth::cpu {

namespace {

struct Level {
    Kernels kernels;
    bool (*usable)();
    bool (*allowed)();  // asks the system, which may refuse; nullptr = nothing to ask
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

// AVX-VNNI
bool usable_v3_vnni() { return usable_v3() && has(cpuid(7, 1).a, {4}); }

// AVX-512 F, DQ, CD, BW, VL; VNNI; and the OS saves masks and 512-bit registers
bool usable_v4() {
    return usable_v3() && has(cpuid(7).b, {16, 17, 28, 30, 31}) && has(cpuid(7).c, {11}) && has(saved_states(), {5, 6, 7});
}

#if defined(HEARTH_HAS_LEVEL_v4_amx)
// AVX-512 BF16; AMX tiles and their bf16 products; and the OS saves tiles, for processes that it allows to use them
bool usable_amx() {
    return usable_v4() && has(cpuid(7, 1).a, {5}) && has(cpuid(7).d, {22, 24}) && has(saved_states(), {17, 18});
}
#endif

#endif

#if defined(HEARTH_HAS_LEVEL_neon_dot)
// Only the system can say what an Arm processor has.
bool usable_neon_dot() { return os::arm_features().dot; }
bool usable_neon_i8mm() { return usable_neon_dot() && os::arm_features().i8mm; }
#endif

// Where a host has a small signal stack already, or filters system calls.
constexpr char kRefused[] = " (the system refuses the state of its tiles)";

// Best first; after generic, which every machine has, those that tests ask for.
constexpr Level kLevels[] = {
#if defined(HEARTH_HAS_LEVEL_v2)
#if defined(HEARTH_HAS_LEVEL_v4_amx)
    {HEARTH_LEVEL("v4-amx", v4, HEARTH_TILES(v4_amx)), usable_amx, os::allow_tiles},
#endif
    {HEARTH_LEVEL("v4", v4, HEARTH_NO_TILES), usable_v4, nullptr},
    {HEARTH_LEVEL_OF("v3-vnni", v3, v3_vnni, HEARTH_NO_TILES), usable_v3_vnni, nullptr},
    {HEARTH_LEVEL("v3", v3, HEARTH_NO_TILES), usable_v3, nullptr},
    {HEARTH_LEVEL("v2", v2, HEARTH_NO_TILES), usable_v2, nullptr},
#endif
#if defined(HEARTH_HAS_LEVEL_neon_dot)
    {HEARTH_LEVEL("neon-i8mm", neon_i8mm, HEARTH_NO_TILES), usable_neon_i8mm, nullptr},
    {HEARTH_LEVEL("neon-dot", neon_dot, HEARTH_NO_TILES), usable_neon_dot, nullptr},
#endif
    {HEARTH_LEVEL("generic", generic, HEARTH_NO_TILES), always, nullptr},
    {HEARTH_LEVEL("generic-tiles", generic, HEARTH_TILES(generic_tiles)), always, nullptr},
};

}  // namespace

Result<Choice> choose_level() {
    const char* wanted = std::getenv("HEARTH_CPU_LEVEL");
    std::string at_hand;
    const char* refused = nullptr;
    for (const Level& level : kLevels) {
        if (!level.usable()) continue;
        const bool chosen = !wanted || std::string_view(level.kernels.name) == wanted;
        const bool allowed = !chosen || !level.allowed || level.allowed();
        if (chosen && allowed) {
            Choice choice{level.kernels, {}};
            if (refused) choice.detail = std::string(refused) + kRefused;
            return choice;
        }
        if (!allowed) refused = level.kernels.name;
        if (!at_hand.empty()) at_hand.append(", ");
        at_hand.append(level.kernels.name);
        if (!allowed) at_hand.append(kRefused);
    }
    return fail(Code::invalid_argument, "HEARTH_CPU_LEVEL={}: not a level of this machine; it has {}", wanted, at_hand);
}

}  // namespace hearth::cpu

// Bf16 tiles: the processor's own (AMX), or the same arithmetic in plain C++, by which every machine tests what uses them.
#pragma once

#include "device/cpu/level/lanes.hpp"

namespace {

constexpr int kTileBytes = 1024;  // 16 rows of 64 bytes, one after the other in memory

#if defined(__AMX_BF16__) || defined(__AMXBF16__)  // GCC's name, and the one that Clang 14 has

// Eight tiles of the thread that makes one of these, for as long as it lives; then the thread has no tile state any more.
// All in inline assembly: the intrinsics of GCC 12 tell the compiler too little of what memory they read and write.
class Tiles {
  public:
    Tiles() {
        struct alignas(64) {
            uint8_t palette, first_row, unused[14];
            uint16_t row_bytes[16];
            uint8_t n_row[16];
        } config = {};
        static_assert(sizeof config == 64);
        config.palette = 1;
        for (int i = 0; i < 8; ++i) config.row_bytes[i] = 64, config.n_row[i] = 16;
        __asm__ volatile("ldtilecfg %0" : : "m"(config));
    }
    ~Tiles() { __asm__ volatile("tilerelease" : : : "memory"); }
    Tiles(const Tiles&) = delete;
    Tiles& operator=(const Tiles&) = delete;

    template <int t>
    HEARTH_INLINE void zero() {
        __asm__ volatile("tilezero %%tmm%c0" : : "i"(t));
    }
    template <int t>
    HEARTH_INLINE void load(const void* from) {
        __asm__ volatile("tileloadd (%1,%2,1), %%tmm%c0" : : "i"(t), "r"(from), "r"(int64_t{64}) : "memory");
    }
    template <int t>
    HEARTH_INLINE void store(void* to) {
        __asm__ volatile("tilestored %%tmm%c0, (%1,%2,1)" : : "i"(t), "r"(to), "r"(int64_t{64}) : "memory");
    }
    // c[m][n] += a[m][2k] * b[k][n][0] + a[m][2k + 1] * b[k][n][1], summed over k; c: [16][16] float32, a: [16][32], b: [16][16][2].
    template <int c, int a, int b>
    HEARTH_INLINE void dot() {
        __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(c), "i"(a), "i"(b));
    }
};

#elif defined(HEARTH_CPU_LEVEL_v4_amx)
#error "this level is compiled without its instructions"
#else

class Tiles {
  public:
    template <int t>
    void zero() {
        __builtin_memset(tile_[t], 0, kTileBytes);
    }
    template <int t>
    void load(const void* from) {
        __builtin_memcpy(tile_[t], from, kTileBytes);
    }
    template <int t>
    void store(void* to) {
        __builtin_memcpy(to, tile_[t], kTileBytes);
    }
    // As the instruction rounds: even and odd inputs are two chains of fused multiply-adds (products of bf16 are exact in float32),
    // added to each other and then to c. It also takes subnormal numbers for 0, which is not done here.
    template <int c, int a, int b>
    void dot() {
        const auto* x = reinterpret_cast<const uint16_t*>(tile_[a]);
        const auto* w = reinterpret_cast<const uint32_t*>(tile_[b]);
        auto* sum = reinterpret_cast<float*>(tile_[c]);
        for (int m = 0; m < 16; ++m) {
            float even[16] = {}, odd[16] = {};
            for (int k = 0; k < 16; ++k) {
                const float first = number(x[m * 32 + 2 * k]), second = number(x[m * 32 + 2 * k + 1]);
                for (int n = 0; n < 16; ++n) {
                    even[n] += first * number(w[k * 16 + n] & 0xffff);
                    odd[n] += second * number(w[k * 16 + n] >> 16);
                }
            }
            for (int n = 0; n < 16; ++n) sum[m * 16 + n] += even[n] + odd[n];
        }
    }

  private:
    static float number(uint32_t bf16) {
        const uint32_t bits = bf16 << 16;
        float f;
        __builtin_memcpy(&f, &bits, 4);
        return f;
    }
    alignas(64) uint8_t tile_[8][kTileBytes];
};

#endif

// Two floats of each lane's row as bf16, rounded to nearest even: the first in the lower half.
HEARTH_INLINE inline Ints bf16_pair(Floats first, Floats second) {
#if defined(__AVX512BF16__)
    struct Order {
        alignas(64) int16_t word[32];
        constexpr Order() : word{} {
            for (int i = 0; i < 32; ++i) word[i] = static_cast<int16_t>(i / 2 + i % 2 * 16);
        }
    };
    static constexpr Order kOrder;
    const auto both = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(second, first));
    return reinterpret_cast<Ints>(_mm512_permutexvar_epi16(load<__m512i>(kOrder.word), both));
#else
    const auto rounded = [](Floats f) {
        const Words bits = reinterpret_cast<Words>(f);
        return f == f ? bits + 0x7fff + ((bits >> 16) & 1) : bits | 0x400000;  // NaN stays NaN
    };
    return reinterpret_cast<Ints>((rounded(first) >> 16) | (rounded(second) & 0xffff0000));
#endif
}

}  // namespace

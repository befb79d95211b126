// Turns blocks of any format into floats, one element at a time.
#include <cstring>

#include "base/half.hpp"
#include "quant/format.hpp"
#include "quant/lanes.hpp"
#include "quant/traits.hpp"

namespace hearth {

namespace {

// The host's Lanes: one element.
struct One {
    static constexpr int kWidth = 1;
    using Bytes = uint8_t;
    static Bytes load(const uint8_t* p) { return *p; }
    static Bytes nibbles(const uint8_t* p, int i) { return p[i % 16] >> (i / 16 * 4) & 15; }
    static Bytes bits(const uint8_t* p, int i) { return p[i / 8] >> (i % 8) & 1; }
    static Bytes field(Bytes b, int shift, int mask) { return static_cast<Bytes>(b >> shift & mask); }
    static Bytes join(Bytes low, Bytes high, int shift) { return static_cast<Bytes>(low | high << shift); }
    static Bytes lookup(const int8_t* table, Bytes b) { return static_cast<Bytes>(table[b]); }
    static float half(uint16_t bits) { return to_float(Half{bits}); }
};
static_assert(quant::Lanes<One>);

// out: [kElements]
template <class T>
void decode_block(const typename T::Block& b, float* out) {
    if constexpr (T::kPlain) {
        out[0] = T::template value<One>(b);
    } else {
        for (int g = 0; g < T::kElements / T::kGroup; ++g) {
            const float scale = T::template step<One>(b) * static_cast<float>(T::template scale<One>(b, g));
            float min = 0;
            if constexpr (T::kHasMin)
                min = T::template min_step<One>(b) * static_cast<float>(T::template min<One>(b, g));
            for (int i = g * T::kGroup; i < (g + 1) * T::kGroup; ++i) {
                const uint8_t byte = T::template codes<One>(b, i);
                const int code = (T::kSigned ? static_cast<int8_t>(byte) : byte) - T::kZero;
                out[i] = scale * static_cast<float>(code) - min;
            }
        }
    }
}

template <class T>
void decode_blocks(const void* blocks, float* out, std::size_t n) {
    const auto* bytes = static_cast<const unsigned char*>(blocks);
    for (std::size_t i = 0; i < n; i += T::kElements, bytes += sizeof(typename T::Block)) {
        typename T::Block b;
        std::memcpy(&b, bytes, sizeof b);  // callers' memory may have any alignment
        decode_block<T>(b, out + i);
    }
}

}  // namespace

void decode(Format format, const void* blocks, float* out, std::size_t n) {
    switch (format) {
#define HEARTH_FORMAT(id, name, elements, bytes) \
    case Format::name:                           \
        return decode_blocks<quant::name>(blocks, out, n);
#include <hearth/formats.def>
#undef HEARTH_FORMAT
    }
}

}  // namespace hearth

// Turns floats into blocks of any format; each format's own encoder is an overload of encode_block.
#include <cstring>

#include "quant/encode.hpp"
#include "quant/format.hpp"

namespace hearth {

namespace {

template <class T>
void encode_blocks(const float* in, void* blocks, std::size_t n, const float* weight) {
    auto* bytes = static_cast<unsigned char*>(blocks);
    for (std::size_t i = 0; i < n; i += T::kElements, bytes += sizeof(typename T::Block)) {
        typename T::Block b = {};
        quant::encode_block(in + i, weight ? weight + i : nullptr, b);
        std::memcpy(bytes, &b, sizeof b);
    }
}

}  // namespace

void encode(Format format, const float* in, void* blocks, std::size_t n, const float* weight) {
    switch (format) {
#define HEARTH_FORMAT(id, name, elements, bytes) \
    case Format::name:                           \
        return encode_blocks<quant::name>(in, blocks, n, weight);
#include <hearth/formats.def>
#undef HEARTH_FORMAT
    }
}

}  // namespace hearth

// A checksum for saved states: 64-bit FNV-1a, byte by byte, the same on every machine.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hearth {

// Detects damage, not malice. Streaming: feed pieces in order, read value() at any time.
class Checksum {
  public:
    void add(const void* data, std::size_t n) {
        const auto* bytes = static_cast<const unsigned char*>(data);
        uint64_t hash = value_;
        for (std::size_t i = 0; i < n; ++i) hash = (hash ^ bytes[i]) * 0x100000001b3u;
        value_ = hash;
    }
    uint64_t value() const { return value_; }

  private:
    uint64_t value_ = 0xcbf29ce484222325u;
};

}  // namespace hearth

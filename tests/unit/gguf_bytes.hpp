// Builds GGUF bytes by hand, right or wrong, for tests of the reader.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "format/gguf.hpp"
#include "format/gguf_part.hpp"

namespace hearth::test {

struct GgufBytes {
    std::string out = "GGUF";

    template <class T>
    GgufBytes& put(T number) {
        out.append(reinterpret_cast<const char*>(&number), sizeof number);
        return *this;
    }
    GgufBytes& text(std::string_view s) {
        put(uint64_t{s.size()});
        out.append(s);
        return *this;
    }
    GgufBytes& head(uint64_t n_tensor, uint64_t n_pair, uint32_t version = 3) {
        return put(version).put(n_tensor).put(n_pair);
    }
    GgufBytes& key(std::string_view name, GgufType type) { return text(name).put(static_cast<uint32_t>(type)); }
    GgufBytes& array(std::string_view name, GgufType type, uint64_t n) {
        return key(name, GgufType::array).put(static_cast<uint32_t>(type)).put(n);
    }
    // One dimension.
    GgufBytes& tensor(std::string_view name, int32_t type, uint64_t n, uint64_t offset) {
        return text(name).put(uint32_t{1}).put(n).put(type).put(offset);
    }
    GgufBytes& data(std::size_t n) {
        out.append((32 - out.size() % 32) % 32, '\0');
        out.append(n, '\1');
        return *this;
    }
};

inline Result<std::unique_ptr<GgufFile>> parse(std::string_view bytes) {
    auto source = memory_source(bytes.data(), bytes.size());
    if (!source) return source.failure();
    return GgufFile::parse(*std::move(source));
}

}  // namespace hearth::test

// What one GGUF file says in its header, every number checked.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/source.hpp"
#include "format/tensor_source.hpp"

namespace hearth {

// Types of metadata values in the file.
enum class GgufType : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

inline constexpr uint32_t kGgufVersion = 3;
inline constexpr uint64_t kGgufDefaultAlignment = 32;
inline constexpr int64_t kGgufMaxAlignment = int64_t{1} << 30;
inline constexpr uint64_t kGgufMaxElements = uint64_t{1} << 60;  // of one tensor; byte counts then fit 64 bits
inline constexpr uint64_t kGgufMaxArray = uint64_t{1} << 30;  // entries
inline constexpr std::size_t kGgufMaxKey = 65535, kGgufMaxTensorName = 255;

struct GgufPart {
    uint32_t version = 0;
    uint64_t alignment = kGgufDefaultAlignment;
    std::map<std::string, MetaValue, std::less<>> metadata;
    std::vector<TensorInfo> tensors;  // offsets count from the start of the file
};

// Reads the header alone; tensors lie inside the file, on aligned offsets, without overlap. Memory used is bounded by
// a small multiple of the file's size.
Result<GgufPart> read_gguf_part(const Source& source);

}  // namespace hearth

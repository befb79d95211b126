// Writes GGUF version 3: metadata, then tensors streamed one after the other.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "format/tensor_source.hpp"

namespace hearth {

// Takes the next bytes of a file.
using ByteSink = std::function<Status(const void* src, std::size_t n)>;

struct GgufContent {
    // Stored as: integers u32, or i32 if negative, or u64/i64 if larger; lists of integers i32 or i64; floats f32 where
    // that is exact, else f64; booleans and strings as such. general.alignment is respected.
    std::map<std::string, MetaValue, std::less<>> metadata;
    std::vector<TensorInfo> tensors;  // name, format, n_dim, shape count; bytes, offset and part are worked out here
};

// Called once per tensor, in order: streams its bytes (tensor.bytes of them, neither fewer nor more) into out.
using TensorData = std::function<Status(const TensorInfo& tensor, const ByteSink& out)>;

// The same content and data give the same bytes.
Status write_gguf(const GgufContent& content, const TensorData& data, const ByteSink& out);
// The file appears complete or not at all; an existing one is replaced at the end.
Status write_gguf_file(std::string_view path, const GgufContent& content, const TensorData& data);

}  // namespace hearth

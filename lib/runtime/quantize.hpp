// Rewrites a GGUF file with its matrices in another tensor format.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "runtime/runtime.hpp"

namespace hearth {

struct QuantizeOptions {
    std::string type;                                              // "Q4_0"
    std::function<bool(uint64_t done, uint64_t total)> progress;   // false cancels
};

// Vectors keep their format, and so do matrices whose rows the type's block does not divide. The output file appears when
// it is complete.
Status quantize_file(Runtime& runtime, std::string_view in_path, std::string_view out_path, const QuantizeOptions& options);

}  // namespace hearth

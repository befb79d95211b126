// A small model for hosts, which see the public headers alone: the core has classes of the same names.
#pragma once

#include <string>

namespace hearth::test {

std::string tiny_llama_file();  // the bytes of a GGUF file: two layers, 64 tokens, width 32

}  // namespace hearth::test

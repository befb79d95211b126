// Reads the vocabulary of a fixture's GGUF file, trusting the file: for tests of the tokenizers alone.
#pragma once

#include "text/vocab.hpp"

#include <memory>
#include <string>
#include <vector>

namespace hearth::test {

struct GgufVocab {
    std::vector<std::uint8_t> bytes;  // what the views in source point into
    VocabSource source;
};

GgufVocab read_gguf_vocab(const std::string& path);
// The vocabulary of a file below the fixtures folder, null (after a skip) where it is absent.
std::unique_ptr<Vocab> fixture_vocab(const std::string& relative);
std::string fixture_text(const std::string& relative);

}  // namespace hearth::test

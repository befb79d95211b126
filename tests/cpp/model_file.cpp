// Makes the small model from the core's writer.
#include "cpp/model_file.hpp"

#include "support/tiny_model.hpp"

std::string hearth::test::tiny_llama_file() { return tiny_llama(2).file(seed()); }

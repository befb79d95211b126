// What the tests over fixtures/arch share: which there are, running a model over a fixture's tokens, comparing logits.
#pragma once

#include <cmath>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include "runtime/context.hpp"
#include "runtime/open.hpp"
#include "support/catch.hpp"
#include "support/support.hpp"

namespace hearth::test {

constexpr const char* kFixtures[] = {
    "llama-dense", "llama-moe",     "llama-tied",   "qwen2-dense",  "qwen2-linear", "qwen2-yarn",   "qwen3-dense",
    "qwen3moe-moe", "gemma-dense",  "gemma2-dense", "gemma3-dense", "phi3-dense",   "mistral3-dense", "mistral3-moe",
    "smollm3-dense", "granite-dense", "granite-moe", "olmo2-dense", "gpt2-dense",   "lfm2-dense",   "deepseek2-moe",
    "gpt-oss-moe", "qwen2vl-dense",
};

inline std::vector<int32_t> read_tokens(const std::string& path) {
    std::ifstream in(path);
    std::vector<int32_t> tokens;
    for (int32_t id; in >> id;) tokens.push_back(id);
    return tokens;
}

inline std::vector<float> read_floats(const std::string& path) {
    const auto bytes = read_bytes(path);
    std::vector<float> floats(bytes.size() / 4);
    std::memcpy(floats.data(), bytes.data(), floats.size() * 4);
    return floats;
}

// Logits of all tokens, decoded in pieces of `step` tokens.
inline std::vector<float> run(const std::shared_ptr<Model>& model, const std::vector<int32_t>& tokens, std::size_t step) {
    ContextOptions options;
    options.k_type = options.v_type = HEARTH_FORMAT_F32;
    options.n_ctx = 512;
    options.n_batch = options.n_output_max = static_cast<int32_t>(tokens.size());
    auto context = Context::make(model, options);
    INFO(error_record().message);
    REQUIRE(context);
    std::vector<float> all;
    for (std::size_t begin = 0; begin < tokens.size(); begin += step) {
        const std::size_t n = std::min(step, tokens.size() - begin);
        const std::vector<uint8_t> want(n, 1);
        Batch batch;
        batch.n_token = static_cast<int32_t>(n);
        batch.token = tokens.data() + begin;
        batch.want_logits = want.data();
        const auto outcome = (*context)->decode(batch);
        INFO(error_record().message);
        REQUIRE(outcome);
        for (std::size_t i = 0; i < n; ++i) {
            const float* row = (*context)->logits((*context)->output_of_token(static_cast<int32_t>(i)));
            all.insert(all.end(), row, row + model->hparams().n_vocab);
        }
    }
    return all;
}

inline double nmse(const std::vector<float>& got, const std::vector<float>& expected) {
    double error = 0, power = 0;
    for (std::size_t i = 0; i < expected.size(); ++i) {
        error += std::pow(double{got[i]} - expected[i], 2);
        power += std::pow(double{expected[i]}, 2);
    }
    return error / power;
}

// The fixtures' own bar is 1e-10: float32 noise is 1e-13, a wrong epsilon 3e-11. GPT-2 has nothing but GELU between its
// layers' matrices, and the fixture's GELU is a step function (a table over half-precision inputs): float32 noise tips some
// inputs over to the next step, each by 2^-11 of its value. Exact arithmetic (ref) still meets the bar; see docs/numerics.md.
inline double bar(const std::string& name, const std::string& device) {
    return name == "gpt2-dense" && device == "cpu" ? 1e-9 : 1e-10;
}

// A fixture's model on a device; the file's path must exist.
inline std::shared_ptr<Model> load_fixture(const std::string& path, const std::string& device) {
    auto runtime = Runtime::make({});
    REQUIRE(runtime);
    auto source = open_model_path(path, FileMode::pread);
    INFO(error_record().message);
    REQUIRE(source);
    ModelOptions options;
    options.device = device;
    auto model = Model::load(*runtime, std::move(*source), options);
    INFO(path << " on " << device << ": " << error_record().message);
    REQUIRE(model);
    return *model;
}

}  // namespace hearth::test

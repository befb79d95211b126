// What the tests of a context share: loading made models, decoding lists of tokens, comparing logits.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "runtime/context.hpp"
#include "runtime/open.hpp"
#include "support/catch.hpp"
#include "support/tiny_model.hpp"

namespace hearth::test {

using Ids = std::vector<int32_t>;
using Logits = std::vector<float>;

// A model loaded from memory; keeps the file's bytes, which the model may read.
struct Loaded {
    std::string file;
    std::shared_ptr<Runtime> runtime;
    std::shared_ptr<Model> model;

    std::unique_ptr<Context> context(ContextOptions options) const {
        options.k_type = options.v_type = HEARTH_FORMAT_F32;
        auto made = Context::make(model, options);
        INFO(error_record().message);
        REQUIRE(made);
        return std::move(*made);
    }
    std::unique_ptr<Context> context(int32_t n_ctx = 256, int32_t n_seq = 1, int32_t n_batch = 128) const {
        ContextOptions options;
        options.n_ctx = n_ctx;
        options.n_seq_max = n_seq;
        options.n_batch = n_batch;
        return context(options);
    }
};

inline Loaded load_model(const TinyModel& tiny, const std::string& device, uint64_t seed_value = seed(), int n_thread = 2) {
    Loaded loaded;
    loaded.file = tiny.file(seed_value);
    RuntimeOptions runtime_options;
    runtime_options.n_thread = n_thread;
    auto runtime = Runtime::make(runtime_options);
    REQUIRE(runtime);
    loaded.runtime = *runtime;
    auto source = open_model_memory(loaded.file.data(), loaded.file.size());
    INFO(error_record().message);
    REQUIRE(source);
    ModelOptions options;
    options.device = device;
    auto model = Model::load(loaded.runtime, std::move(*source), options);
    INFO(error_record().message);
    REQUIRE(model);
    loaded.model = *model;
    return loaded;
}

inline Ids random_tokens(std::size_t n, uint64_t salt) {
    Random random(seed() ^ (salt * 0x9e3779b97f4a7c15u));
    Ids tokens(n);
    for (int32_t& t : tokens) t = static_cast<int32_t>(random.below(TinyModel::kVocab));
    return tokens;
}

inline Logits row(const Context& context, int32_t output) {
    const float* p = context.logits(output);
    REQUIRE(p);
    return {p, p + TinyModel::kVocab};
}

// Decodes tokens of one sequence in pieces of its n_batch; the logits of the last one.
inline Logits decode(Context& context, const Ids& tokens, int32_t seq = 0, const Ids& pos = {}) {
    const auto piece = static_cast<std::size_t>(context.options().n_batch);
    for (std::size_t begin = 0; begin < tokens.size(); begin += piece) {
        const std::size_t n = std::min(piece, tokens.size() - begin);
        const Ids sequence(n, seq);
        Batch batch;
        batch.n_token = static_cast<int32_t>(n);
        batch.token = tokens.data() + begin;
        batch.seq = sequence.data();
        batch.pos = pos.empty() ? nullptr : pos.data() + begin;
        const auto outcome = context.decode(batch);
        INFO(error_record().message);
        REQUIRE(outcome);
        REQUIRE(*outcome == Outcome::done);
    }
    return row(context, context.n_output() - 1);
}

// Runs in float32 that sum in another order differ by one rounding per addition on the longest way to a logit: two layers of
// sums over 32 (q, k, v, out, gate, up), 64 (down), 8 (scores) and at most 256 places (values), and the last sum over 32: under
// 1100; the norms keep sizes near 1 and at most double an error per layer, hence 4 times that. `extra`: roundings of angles.
inline double tolerance(const Logits& expected, double extra = 0) {
    double largest = 0;
    for (float x : expected) largest = std::max(largest, std::abs(double{x}));
    return (4 * 1100 + extra) * 0x1p-24 * largest;
}

inline void check_close(const Logits& got, const Logits& expected, double extra = 0) {
    REQUIRE(got.size() == expected.size());
    double worst = 0;
    for (std::size_t i = 0; i < got.size(); ++i) {
        REQUIRE(std::isfinite(got[i]));
        worst = std::max(worst, std::abs(double{got[i]} - expected[i]));
    }
    CHECK(worst <= tolerance(expected, extra));
}

inline bool refused_with(const char* word) {
    INFO(error_record().message);
    const bool found = std::string(error_record().message).find(word) != std::string::npos;
    CHECK(found);
    return found;
}

}  // namespace hearth::test

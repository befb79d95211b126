// What the tests of a context share: loading made models, decoding lists of tokens, comparing logits.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
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

inline std::shared_ptr<Runtime> make_runtime(int32_t n_thread = 2) {
    RuntimeOptions options;
    options.n_thread = n_thread;
    auto runtime = Runtime::make(options);
    REQUIRE(runtime);
    return *runtime;
}

// A context of a few places, float32.
inline ContextOptions small_context(int32_t n_ctx = 64, int32_t n_batch = 32) {
    ContextOptions options;
    options.n_ctx = n_ctx;
    options.n_batch = n_batch;
    options.k_type = options.v_type = HEARTH_FORMAT_F32;
    return options;
}

// A model of the file's bytes, which must outlive it: opened, its weights not read.
inline Result<std::shared_ptr<Model>> try_open(const std::shared_ptr<Runtime>& runtime, const std::string& file, const std::string& spec,
                                               const std::optional<ContextOptions>& context = {}) {
    HEARTH_TRY(auto source, open_model_memory(file.data(), file.size()));
    ModelOptions options;
    options.device = spec;
    options.context = context;
    return Model::open(runtime, std::move(source), options);
}

inline Result<std::shared_ptr<Model>> try_load(const std::shared_ptr<Runtime>& runtime, std::unique_ptr<TensorSource> source,
                                               const std::string& spec, const std::optional<ContextOptions>& context = {}) {
    ModelOptions options;
    options.device = spec;
    options.context = context;
    return Model::load(runtime, std::move(source), options);
}
inline Result<std::shared_ptr<Model>> try_load(const std::shared_ptr<Runtime>& runtime, const std::string& file, const std::string& spec,
                                               const std::optional<ContextOptions>& context = {}) {
    HEARTH_TRY(auto source, open_model_memory(file.data(), file.size()));
    return try_load(runtime, std::move(source), spec, context);
}

inline Loaded load_model(const TinyModel& tiny, const std::string& device, uint64_t seed_value = seed(), int n_thread = 2) {
    Loaded loaded{tiny.file(seed_value), make_runtime(n_thread), nullptr};
    auto source = open_model_memory(loaded.file.data(), loaded.file.size());
    INFO(error_record().message);
    REQUIRE(source);
    auto model = try_load(loaded.runtime, std::move(*source), device);
    INFO(error_record().message);
    REQUIRE(model);
    loaded.model = *model;
    return loaded;
}

// The model that ships with the project: heads of 64.
inline Loaded load_demo(const std::string& device) {
    Loaded loaded{{}, make_runtime(), nullptr};
    auto source = open_model_path(source_path("examples/models/hearth-demo.gguf"), FileMode::pread);
    INFO(error_record().message);
    REQUIRE(source);
    auto model = try_load(loaded.runtime, std::move(*source), device);
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
    return {p, p + context.model().hparams().n_vocab};
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

// All that touches cached rows: a prompt in pieces, a fork, a cut in the middle and a shift where they are possible, a saved state.
inline Logits work_out(const Loaded& loaded, std::vector<std::byte>* saved = nullptr) {
    const auto context = loaded.context(256, 2, 48);
    Logits all = decode(*context, random_tokens(70, 1));
    const auto add = [&](const Logits& row) { all.insert(all.end(), row.begin(), row.end()); };
    REQUIRE(context->copy(0, 1, 0, -1));
    add(decode(*context, random_tokens(5, 2), 1));
    add(decode(*context, random_tokens(1, 3)));
    if (context->remove(0, 20, 31) && context->shift(0, 31, -1, -11)) add(decode(*context, random_tokens(1, 4)));
    const auto state = context->save(1);
    REQUIRE(state);
    if (saved) *saved = *state;
    REQUIRE(context->load(0, state->data(), state->size()));
    add(decode(*context, random_tokens(2, 5)));
    return all;
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

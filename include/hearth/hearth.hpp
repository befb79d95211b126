// The C functions of hearth.h as C++20 values: handles that release themselves, text as std::string, errors
// as Result.
//
// Header-only over the C ABI, so it works with any standard library, with -fno-exceptions and with -fno-rtti.
// Nothing here throws; only the standard containers may (bad_alloc). Rules that hold for every class:
//  - A handle is cheap to copy (a reference count) and empty after a move; calls on an empty handle give
//  INVALID_ARGUMENT.
//  - Thread classes are those of hearth.h: [F] free-threaded, [O] one thread at a time per handle, [S]
//  serialised inside.
//  - Callbacks are called from inside the function that they were given to, and must not throw.
#ifndef HEARTH_HPP
#define HEARTH_HPP

#include <hearth/result.hpp>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hearth {
inline namespace api {

// Options are the C structs, sized and zeroed: a field at zero means its default.
struct RuntimeOptions : hearth_runtime_params {
    RuntimeOptions() : hearth_runtime_params(detail::sized<hearth_runtime_params>()) {}
};
struct ContextOptions : hearth_context_params {
    ContextOptions() : hearth_context_params(detail::sized<hearth_context_params>()) {}
};
struct Batch : hearth_batch {
    Batch() : hearth_batch(detail::sized<hearth_batch>()) {}
};
struct ModelOptions {
    std::string device = "auto";  // a device spec
    std::string pre_tokenizer{};  // use this one instead of the one that the file names
    bool vocab_only = false;      // metadata and tokenizer, no weights
    bool unknown_tensors_warn = false;
    bool use_mmap = false;
    detail::Progress progress{};  // bytes read so far and in all; false cancels the load
    // The context that will be made: layers=auto leaves room for it, and a load is refused where it would not fit.
    std::optional<ContextOptions> context{};
};
struct SamplerOptions {
    std::string preset = "llama.cpp";
    std::string options{};  // "temperature=0.7,top_k=0", over the preset: docs/sampling.md
    std::optional<uint64_t> seed{};
    std::vector<int32_t> bias_token{};
    std::vector<float> bias{};  // of bias_token, as many
};

namespace detail {

inline hearth_source source(const std::string& path, const ModelOptions& options) {
    auto s = sized<hearth_source>();
    s.use_mmap = options.use_mmap ? HEARTH_ON : HEARTH_DEFAULT;
    s.path = path.c_str();
    s.path_size = HEARTH_NUL_TERMINATED;
    return s;
}
// Borrows the options.
inline hearth_model_params params(const ModelOptions& options) {
    auto p = sized<hearth_model_params>();
    p.unknown_tensors_warn = options.unknown_tensors_warn ? HEARTH_ON : HEARTH_DEFAULT;
    p.vocab_only = options.vocab_only ? HEARTH_ON : HEARTH_DEFAULT;
    p.device = options.device.c_str();
    p.device_size = HEARTH_NUL_TERMINATED;
    if (!options.pre_tokenizer.empty()) {
        p.pre_tokenizer = options.pre_tokenizer.c_str();
        p.pre_tokenizer_size = HEARTH_NUL_TERMINATED;
    }
    if (options.context) p.context = &*options.context;
    if (options.progress) {
        p.progress = call_progress;
        p.progress_user = const_cast<Progress*>(&options.progress);
    }
    return p;
}

}  // namespace detail

// major << 16 | minor of the library that is loaded. [F]
inline uint32_t version() { return hearth_version(); }

// Threads, memory, log and devices, shared by the models of a process.
class Runtime : public detail::Handle<hearth_runtime, hearth_runtime_retain, hearth_runtime_release> {
  public:
    using Handle::Handle;
    static Result<Runtime> create(const RuntimeOptions& options = {}) {
        hearth_runtime* made = nullptr;
        const hearth_status status = hearth_runtime_create(&options, &made);
        return detail::result(status, Runtime(made));
    }
    // Every device that this build knows, usable or not. [S]
    Result<std::vector<hearth_device_info>> devices() const {
        std::vector<hearth_device_info> all;
        for (uint32_t i = 0;; ++i) {
            auto one = detail::info<hearth_device_info>(
                [&](auto* out) { return hearth_runtime_device(get(), i, out); });
            if (one.status() == HEARTH_E_NOT_FOUND) return all;
            if (!one) return one.error();
            all.push_back(*one);
        }
    }
    // Threads that compute, the caller included. [F]
    Result<int32_t> n_thread() const {
        int32_t n = 0;
        const hearth_status status = hearth_runtime_n_thread(get(), &n);
        return detail::result(status, n);
    }
    // Planned bytes allocated now, and at most so far. [F]
    Result<std::pair<uint64_t, uint64_t>> memory() const {
        std::pair<uint64_t, uint64_t> bytes;
        const hearth_status status = hearth_runtime_memory(get(), &bytes.first, &bytes.second);
        return detail::result(status, bytes);
    }
};

// A loaded model: numbers, metadata, text, and weights on a device. [F]
class Model : public detail::Handle<hearth_model, hearth_model_retain, hearth_model_release> {
  public:
    using Handle::Handle;
    // Blocks until the weights are on the device (or, with vocab_only, the headers are read).
    static Result<Model> load(const Runtime& runtime, const std::string& path,
                              const ModelOptions& options = {}) {
        return load(runtime, detail::source(path, options), options);
    }
    // From memory or callbacks: fill a hearth_source yourself.
    static Result<Model> load(const Runtime& runtime, const hearth_source& source,
                              const ModelOptions& options = {}) {
        const hearth_model_params p = detail::params(options);
        hearth_model* made = nullptr;
        const hearth_status status = hearth_model_load(runtime.get(), &source, &p, &made);
        return detail::result(status, Model(made));
    }
    Result<hearth_model_info> info() const {
        return detail::info<hearth_model_info>([&](auto* out) { return hearth_model_get_info(get(), out); });
    }
    // Where the weights really are.
    Result<std::vector<hearth_device_plan>> placement() const {
        return detail::devices([&](auto... out) { return hearth_model_placement(get(), out...); });
    }
    // Keys and the text form of their values, sorted by key; arrays are cut after 16 entries.
    Result<std::vector<std::pair<std::string, std::string>>> metadata() const {
        std::size_t n = 0;
        if (const hearth_status status = hearth_model_meta_count(get(), &n)) return Error::last(status);
        std::vector<std::pair<std::string, std::string>> all;
        for (std::size_t i = 0; i < n; ++i) {
            auto key = detail::text([&](auto... out) { return hearth_model_meta_key(get(), i, out...); });
            if (!key) return key.error();
            auto value = meta(*key);
            if (!value) return value.error();
            all.emplace_back(std::move(*key), std::move(*value));
        }
        return all;
    }
    Result<std::string> meta(std::string_view key) const {
        return detail::text(
            [&](auto... out) { return hearth_model_meta_value(get(), key.data(), key.size(), out...); });
    }
    // Every tensor of the file, in its order.
    Result<std::vector<hearth_tensor_info>> tensors() const {
        std::vector<hearth_tensor_info> all;
        for (std::size_t i = 0;; ++i) {
            auto one = detail::info<hearth_tensor_info>(
                [&](auto* out) { return hearth_model_tensor(get(), i, out); });
            if (one.status() == HEARTH_E_NOT_FOUND) return all;
            if (!one) return one.error();
            all.push_back(*one);
        }
    }

    // flags: HEARTH_TOKENIZE_*.
    Result<std::vector<int32_t>> tokenize(std::string_view text,
                                          uint32_t flags = HEARTH_TOKENIZE_SPECIAL |
                                                           HEARTH_TOKENIZE_PARSE) const {
        std::vector<int32_t> ids(text.size() + 8);  // a guess; most texts need fewer
        std::size_t n = 0;
        hearth_status status =
            hearth_tokenize(get(), text.data(), text.size(), flags, ids.data(), ids.size(), &n);
        if (status == HEARTH_OK && n > ids.size()) {
            ids.resize(n);
            status = hearth_tokenize(get(), text.data(), text.size(), flags, ids.data(), ids.size(), &n);
        }
        ids.resize(n);
        return detail::result(status, std::move(ids));
    }
    // The bytes of one token, perhaps part of a character.
    Result<std::string> piece(int32_t token, bool special = false) const {
        return detail::text([&](auto... out) {
            return hearth_token_piece(get(), token, special ? HEARTH_ON : HEARTH_OFF, out...);
        });
    }
    Result<std::string> detokenize(std::span<const int32_t> tokens, bool special = false) const {
        return detail::text([&](auto... out) {
            return hearth_detokenize(get(), tokens.data(), tokens.size(), special ? HEARTH_ON : HEARTH_OFF,
                                     out...);
        });
    }
    Result<hearth_vocab_info> vocab() const {
        return detail::info<hearth_vocab_info>([&](auto* out) { return hearth_vocab_get_info(get(), out); });
    }
    Result<bool> is_eog(int32_t token) const {
        int32_t is = 0;
        const hearth_status status = hearth_token_is_eog(get(), token, &is);
        return detail::result(status, is != 0);
    }
    // context_json: {"messages": [{"role": "user", "content": "Hello"}], "add_generation_prompt": true};
    // chat_template: instead of the model's own.
    Result<std::string> render_chat(std::string_view context_json,
                                    std::string_view chat_template = {}) const {
        return detail::text([&](auto... out) {
            return hearth_chat_render(get(), chat_template.data(), chat_template.size(), context_json.data(),
                                      context_json.size(), out...);
        });
    }
};

// Text of tokens that arrive one at a time, in whole UTF-8 characters. [O]
class Detokenizer : public detail::Handle<hearth_detokenizer, hearth_detokenizer_retain, hearth_detokenizer_release> {
  public:
    using Handle::Handle;
    // flags: HEARTH_DETOKENIZE_*.
    static Result<Detokenizer> create(const Model& model, uint32_t flags = HEARTH_DETOKENIZE_CONTINUE) {
        hearth_detokenizer* made = nullptr;
        const hearth_status status = hearth_detokenizer_create(model.get(), flags, &made);
        return detail::result(status, Detokenizer(made));
    }
    // What this token completes, perhaps nothing; valid until the next call.
    Result<std::string_view> feed(int32_t token) { return text(hearth_detokenizer_feed, token); }
    // What still waits, as U+FFFD; then it starts anew.
    Result<std::string_view> flush() { return text(hearth_detokenizer_flush); }

  private:
    Result<std::string_view> text(auto call, auto... arguments) {
        const char* text = nullptr;
        std::size_t size = 0;
        const hearth_status status = call(get(), arguments..., &text, &size);
        return detail::result(status, std::string_view(text, size));
    }
};

// Sequences of one model and the memory that they attend to. [O], but for cancel().
class Context : public detail::Handle<hearth_context, hearth_context_retain, hearth_context_release> {
  public:
    using Handle::Handle;
    static Result<Context> create(const Model& model, const ContextOptions& options = {}) {
        const auto info = model.info();
        if (!info) return info.error();
        hearth_context* made = nullptr;
        const hearth_status status = hearth_context_create(model.get(), &options, &made);
        Context context(made);
        context.n_vocab_ = info->n_vocab;
        return detail::result(status, std::move(context));
    }
    // Runs the tokens. A failure, cancellation included, leaves the context as it was.
    Result<void> decode(const hearth_batch& batch) {
        return detail::result(hearth_context_decode(get(), &batch));
    }
    // The next tokens of sequence 0; logits for the last one.
    Result<void> decode(std::span<const int32_t> tokens) {
        Batch batch;
        batch.n_token = static_cast<int32_t>(tokens.size());
        batch.token = tokens.data();
        return decode(batch);
    }
    // The same within a time budget: true while there is work left; then call resume() until it is false, or
    // abandon().
    Result<bool> decode_for(const hearth_batch& batch, uint64_t budget_us) {
        int32_t paused = 0;
        const hearth_status status = hearth_context_decode_for(get(), &batch, budget_us, &paused);
        return detail::result(status, paused != 0);
    }
    Result<bool> resume(uint64_t budget_us) {
        int32_t paused = 0;
        const hearth_status status = hearth_context_resume(get(), budget_us, &paused);
        return detail::result(status, paused != 0);
    }
    Result<void> abandon() { return detail::result(hearth_context_abandon(get())); }
    // Stops the decode that is running, or the next one. [F], also in a signal handler.
    void cancel() const { hearth_context_cancel(get()); }
    // Logits of a token of the last decode (-1 = its last output), [n_vocab]; valid until the next decode.
    Result<std::span<const float>> logits(int32_t batch_index = -1) const {
        const float* at = nullptr;
        const hearth_status status = hearth_context_logits(get(), batch_index, &at);
        return detail::result(status,
                              std::span<const float>(at, at ? static_cast<std::size_t>(n_vocab_) : 0));
    }

    // Sequences, by positions [begin, end); end < 0 = to the end.
    Result<void> remove(int32_t seq, int32_t begin = 0, int32_t end = -1) {
        return detail::result(hearth_sequence_remove(get(), seq, begin, end));
    }
    Result<void> copy(int32_t src, int32_t dst, int32_t begin = 0, int32_t end = -1) {
        return detail::result(hearth_sequence_copy(get(), src, dst, begin, end));
    }
    Result<void> keep(int32_t seq) { return detail::result(hearth_sequence_keep(get(), seq)); }
    Result<void> shift(int32_t seq, int32_t begin, int32_t end, int32_t delta) {
        return detail::result(hearth_sequence_shift(get(), seq, begin, end, delta));
    }
    Result<int32_t> n_token(int32_t seq = 0) const {
        int32_t n = 0;
        const hearth_status status = hearth_sequence_range(get(), seq, &n, nullptr, nullptr);
        return detail::result(status, n);
    }
    struct Range {
        int32_t n_token = 0, first = -1, last = -1;  // positions; -1 when empty
    };
    // Number of tokens, first and last position.
    Result<Range> range(int32_t seq = 0) const {
        Range range;
        const hearth_status status =
            hearth_sequence_range(get(), seq, &range.n_token, &range.first, &range.last);
        return detail::result(status, range);
    }
    // Forgets every sequence.
    Result<void> clear() { return detail::result(hearth_context_clear(get())); }
    // A sequence as bytes with version and checksum, for any context of the same model and cache types.
    Result<std::string> save(int32_t seq = 0) {
        return detail::text([&](char* buf, std::size_t cap, std::size_t* size) {
            return hearth_sequence_save(get(), seq, buf, cap, size);
        });
    }
    Result<void> load(std::string_view state, int32_t seq = 0) {
        return detail::result(hearth_sequence_load(get(), seq, state.data(), state.size()));
    }

  private:
    int32_t n_vocab_ = 0;
};

// From logits to a token. [O]
class Sampler : public detail::Handle<hearth_sampler, hearth_sampler_retain, hearth_sampler_release> {
  public:
    using Handle::Handle;
    static Result<Sampler> create(const Model& model, const SamplerOptions& options = {}) {
        auto p = detail::sized<hearth_sampler_params>();
        p.has_seed = options.seed.has_value();
        p.seed = options.seed.value_or(0);
        p.preset = options.preset.c_str();
        p.preset_size = HEARTH_NUL_TERMINATED;
        p.options = options.options.c_str();
        p.options_size = HEARTH_NUL_TERMINATED;
        p.n_bias =
            options.bias_token.size() < options.bias.size() ? options.bias_token.size() : options.bias.size();
        p.bias_token = options.bias_token.data();
        p.bias = options.bias.data();
        hearth_sampler* made = nullptr;
        const hearth_status status = hearth_sampler_create(model.get(), &p, &made);
        return detail::result(status, Sampler(made));
    }
    // position numbers the choice for the random draw: give each choice of a text its own.
    Result<int32_t> sample(std::span<const float> logits, uint64_t position) {
        int32_t token = -1;
        const hearth_status status =
            hearth_sampler_sample(get(), logits.data(), logits.size(), position, &token);
        return detail::result(status, token);
    }
    // A token was used; prompt tokens too, if penalties shall see them.
    Result<void> accept(int32_t token) { return detail::result(hearth_sampler_accept(get(), token)); }
    Result<void> reset() { return detail::result(hearth_sampler_reset(get())); }
    Result<uint64_t> seed() const {
        uint64_t seed = 0;
        const hearth_status status = hearth_sampler_seed(get(), &seed);
        return detail::result(status, seed);
    }
};

// Natural log probability of a token under the plain softmax of the logits. [F]
inline Result<float> logprob(std::span<const float> logits, int32_t token) {
    float value = 0;
    const hearth_status status =
        hearth_logprobs(logits.data(), logits.size(), token, &value, nullptr, nullptr, 0);
    return detail::result(status, value);
}

// The k best tokens and their natural log probabilities under the plain softmax, the best first. [F]
inline Result<std::vector<std::pair<int32_t, float>>> top_logprobs(std::span<const float> logits, std::size_t k) {
    float any = 0;
    k = k < logits.size() ? k : logits.size();
    std::vector<int32_t> token(k);
    std::vector<float> value(k);
    const hearth_status status =
        hearth_logprobs(logits.data(), logits.size(), 0, &any, token.data(), value.data(), k);
    std::vector<std::pair<int32_t, float>> best;
    for (std::size_t i = 0; i < k; ++i) best.emplace_back(token[i], value[i]);
    return detail::result(status, std::move(best));
}

// What a model and a context will take, from headers only: no weight is read. [F]
inline Result<hearth_plan_info> make_plan(const Runtime& runtime, const std::string& path,
                                          const ModelOptions& model = {},
                                          const ContextOptions& context = {}) {
    const hearth_source source = detail::source(path, model);
    const hearth_model_params p = detail::params(model);
    return detail::info<hearth_plan_info>(
        [&](auto* out) { return hearth_plan_make(runtime.get(), &source, &p, &context, out); });
}

// The same, device by device; `fits` and the rest of each stand in hearth_device_plan. [F]
inline Result<std::vector<hearth_device_plan>> plan_devices(const Runtime& runtime, const std::string& path,
                                                            const ModelOptions& model = {}, const ContextOptions& context = {}) {
    const hearth_source source = detail::source(path, model);
    const hearth_model_params p = detail::params(model);
    return detail::devices([&](auto... out) { return hearth_plan_devices(runtime.get(), &source, &p, &context, out...); });
}

// Writes a copy of a GGUF file with its matrices in another type, "Q4_0"; it appears when it is complete. [F]
inline Result<void> quantize(const Runtime& runtime, const std::string& in_path, const std::string& out_path,
                             const std::string& type, const detail::Progress& progress = {}) {
    auto p = detail::sized<hearth_quantize_params>();
    p.type = type.c_str();
    p.type_size = HEARTH_NUL_TERMINATED;
    if (progress) {
        p.progress = detail::call_progress;
        p.progress_user = const_cast<detail::Progress*>(&progress);
    }
    return detail::result(hearth_quantize(runtime.get(), in_path.c_str(), HEARTH_NUL_TERMINATED,
                                          out_path.c_str(), HEARTH_NUL_TERMINATED, &p));
}

}  // namespace api
}  // namespace hearth
#endif

// The C ABI: samplers and log probabilities.
#include <hearth/hearth.h>

#include <climits>

#include "guard.hpp"
#include "handles.hpp"
#include "runtime/sampler/logprobs.hpp"
#include "runtime/sampler/options.hpp"

using namespace hearth;
using namespace hearth::capi;

namespace {

Status add_breakers(const Model* model, SamplerParams* params) {
    const Vocab* vocab = model ? model->vocab() : nullptr;
    if (!vocab || params->dry_multiplier == 0) return {};
    for (const std::string& text : params->dry_breaker_strings) {
        HEARTH_TRY(auto ids, vocab->tokenize(text, {.add_special = false}));
        if (!ids.empty()) params->options.dry_breakers.push_back(std::move(ids));
    }
    return {};
}

Result<Sampler> make_sampler(const Model* model, const hearth_sampler_params& p) {
    const std::string_view preset = p.preset ? field_text(p.preset, p.preset_size) : "llama.cpp";
    HEARTH_TRY(SamplerParams params, parse_sampler_options(preset, field_text(p.options, p.options_size)));
    if (p.has_seed) params.options.seed = p.seed;
    if (p.n_bias > 0) {
        HEARTH_CHECK(need(p.bias_token, "bias_token"));
        HEARTH_CHECK(need(p.bias, "bias"));
        for (std::size_t i = 0; i < p.n_bias; ++i) params.options.logit_bias.push_back({p.bias_token[i], p.bias[i]});
    }
    HEARTH_CHECK(add_breakers(model, &params));
    return Sampler::make(preset, params);
}

template <class F>
hearth_status with_sampler(hearth_sampler* sampler, F f) {
    return guarded([&]() -> Status {
        HEARTH_TRY(const auto s, borrow<SamplerObject>(sampler));
        return f(*s->sampler);
    });
}

Status check_vocab(size_t n_vocab) {
    if (n_vocab > 0 && n_vocab <= INT_MAX) return {};
    return fail(Code::invalid_argument, "n_vocab is {}", n_vocab);
}

}  // namespace

hearth_status hearth_sampler_create(hearth_model* model, const hearth_sampler_params* params, hearth_sampler** out) {
    return guarded([&]() -> Status {
        HEARTH_CHECK(need(out, "the output"));
        hearth_sampler_params p;
        HEARTH_CHECK(read_struct(params, "hearth_sampler_params", &p));
        HEARTH_TRY(const auto m, borrow<ModelObject>(model));
        HEARTH_TRY(Sampler sampler, make_sampler(m->model.get(), p));
        auto object = std::make_unique<SamplerObject>();
        object->runtime = m->runtime;
        object->sampler = std::make_unique<Sampler>(std::move(sampler));
        HEARTH_TRY(void* handle, add_handle(std::move(object), SamplerObject::kKind));
        *out = static_cast<hearth_sampler*>(handle);
        return {};
    });
}
hearth_status hearth_sampler_retain(hearth_sampler* sampler) {
    return guarded([&] { return retain_handle(sampler, SamplerObject::kKind, SamplerObject::kName); });
}
hearth_status hearth_sampler_release(hearth_sampler* sampler) {
    return guarded([&] { return release_handle(sampler, SamplerObject::kKind, SamplerObject::kName); });
}

hearth_status hearth_sampler_sample(hearth_sampler* sampler, const float* logits, size_t n_vocab, uint64_t position, int32_t* token) {
    return with_sampler(sampler, [&](Sampler& s) -> Status {
        HEARTH_CHECK(need(logits, "logits"));
        HEARTH_CHECK(need(token, "the output token"));
        HEARTH_CHECK(check_vocab(n_vocab));
        HEARTH_TRY(*token, s.sample(logits, static_cast<int32_t>(n_vocab), static_cast<int64_t>(position)));
        return {};
    });
}

hearth_status hearth_sampler_accept(hearth_sampler* sampler, int32_t token) {
    return with_sampler(sampler, [&](Sampler& s) -> Status {
        s.accept(token);
        return {};
    });
}
hearth_status hearth_sampler_reset(hearth_sampler* sampler) {
    return with_sampler(sampler, [](Sampler& s) -> Status {
        s.reset();
        return {};
    });
}
hearth_status hearth_sampler_seed(hearth_sampler* sampler, uint64_t* out) {
    return with_sampler(sampler, [&](Sampler& s) -> Status {
        HEARTH_CHECK(need(out, "the output"));
        *out = s.seed();
        return {};
    });
}

hearth_status hearth_logprobs(const float* logits, size_t n_vocab, int32_t token, float* logprob, int32_t* top_token,
                              float* top_logprob, size_t k) {
    return guarded([&]() -> Status {
        HEARTH_CHECK(need(logits, "logits"));
        HEARTH_CHECK(check_vocab(n_vocab));
        if (k > n_vocab) return fail(Code::invalid_argument, "k is {}, more than n_vocab = {}", k, n_vocab);
        if (k > 0) HEARTH_CHECK(need(top_token, "top_token"));
        if (k > 0) HEARTH_CHECK(need(top_logprob, "top_logprob"));
        HEARTH_TRY(const Logprobs all, top_logprobs(logits, static_cast<int32_t>(n_vocab), token, static_cast<int32_t>(k)));
        if (logprob) *logprob = all.chosen.logprob;
        for (std::size_t i = 0; i < k; ++i) {
            top_token[i] = all.top[i].id;
            top_logprob[i] = all.top[i].logprob;
        }
        return {};
    });
}

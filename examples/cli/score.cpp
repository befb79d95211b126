// hearth logits and hearth perplexity: what the model says about given tokens.
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>
#include <optional>

#include "common.hpp"
#include "terminal.hpp"

namespace cli {

namespace {

// Ids apart by spaces, commas or line ends; nothing on anything else.
std::optional<std::vector<int32_t>> parse_tokens(const std::string& text) {
    std::vector<int32_t> tokens;
    const char* at = text.data();
    const char* end = at + text.size();
    while (at < end) {
        if (*at == ' ' || *at == ',' || *at == '\n' || *at == '\r') {
            ++at;
            continue;
        }
        int32_t token = 0;
        const auto read = std::from_chars(at, end, token);
        if (read.ec != std::errc()) return {};
        tokens.push_back(token);
        at = read.ptr;
    }
    return tokens;
}

// Runs the tokens from an empty cache and gives f(i, logits) for every i in [begin, end).
template <class F>
Result<void> each_logits(hearth::Context& context, std::span<const int32_t> tokens, std::size_t n_batch,
                         std::size_t begin, std::size_t end, F f) {
    if (auto cleared = context.clear(); !cleared) return cleared;
    std::vector<uint8_t> want(tokens.size());
    std::fill(want.begin() + static_cast<std::ptrdiff_t>(begin),
              want.begin() + static_cast<std::ptrdiff_t>(end), uint8_t{1});
    for (std::size_t at = 0; at < tokens.size(); at += n_batch) {
        hearth::Batch batch;
        const std::size_t n = std::min(n_batch, tokens.size() - at);
        batch.n_token = static_cast<int32_t>(n);
        batch.token = tokens.data() + at;
        batch.want_logits = want.data() + at;
        if (auto done = context.decode(batch); !done) return done;
        for (std::size_t i = 0; i < n; ++i) {
            if (!want[at + i]) continue;
            const auto logits = context.logits(static_cast<int32_t>(i));
            if (!logits) return logits.error();
            if (auto used = f(at + i, *logits); !used) return used;
        }
    }
    return {};
}

Result<hearth::Context> make_context(const ContextFlags& flags, const hearth::Model& model,
                                     std::size_t n_token, const char* kv) {
    auto options = context_options(flags, kv);
    if (!options) return options.error();
    options->n_ctx = std::max(options->n_ctx, static_cast<int32_t>(n_token));
    options->n_batch = std::min(options->n_batch, static_cast<int32_t>(n_token));
    options->n_output_max = options->n_batch;
    return hearth::Context::create(model, *options);
}

struct Score {
    double sum = 0;  // of -log p
    int64_t n = 0;
    double value() const { return std::exp(sum / static_cast<double>(n)); }
};

// The second half of each window is scored; its first token is BOS where the model adds one.
Result<Score> score_windows(hearth::Context& context, const hearth_vocab_info& vocab,
                            std::vector<int32_t> ids, std::size_t n_ctx, std::size_t n_window,
                            std::size_t n_batch) {
    Score score;
    ProgressBar bar("perplexity");
    for (std::size_t w = 0; w < n_window; ++w) {
        const std::span<int32_t> window = std::span(ids).subspan(w * n_ctx, n_ctx);
        if (vocab.add_bos && vocab.bos >= 0) window[0] = vocab.bos;
        const auto used = [&](std::size_t j, std::span<const float> logits) -> Result<void> {
            const auto p = hearth::logprob(logits, window[j + 1]);
            if (!p) return p.error();
            score.sum -= static_cast<double>(*p);
            ++score.n;
            return {};
        };
        if (auto done = each_logits(context, window, n_batch, n_ctx / 2, n_ctx - 1, used); !done)
            return done.error();
        bar.show(w + 1, n_window);
    }
    return score;
}

}  // namespace

int logits(const LogitsOptions& o) {
    if (!o.tokens.given) return usage("logits needs token ids: --tokens \"1 2 3\" or -f FILE");
    CLI_TRY(const std::string text, read_text(o.tokens));
    const auto tokens = parse_tokens(text);
    if (!tokens || tokens->empty())
        return usage("--tokens takes ids apart by spaces or commas, for example \"1 2 3\"");
    CLI_TRY(const auto runtime, make_runtime(o.model));
    CLI_TRY(const auto model, load_model(runtime, o.model));
    CLI_TRY(auto context, make_context(o.context, model, tokens->size(), "f16"));
    std::vector<float> all;  // [n_token, n_vocab]
    const auto keep = [&](std::size_t, std::span<const float> row) -> Result<void> {
        all.insert(all.end(), row.begin(), row.end());
        return {};
    };
    CLI_CHECK(
        each_logits(context, *tokens, static_cast<std::size_t>(o.context.n_batch), 0, tokens->size(), keep));
    CLI_CHECK(write_file(o.out_path, all));
    return kOk;
}

int perplexity(const PerplexityOptions& o) {
    if (!o.text.given) return usage("perplexity needs a text: -f FILE");
    const auto n_ctx = static_cast<std::size_t>(o.context.n_ctx);
    CLI_TRY(const auto runtime, make_runtime(o.model));
    CLI_TRY(const auto model, load_model(runtime, o.model));
    CLI_TRY(const std::string text, read_text(o.text));
    CLI_TRY(auto ids, model.tokenize(text, HEARTH_TOKENIZE_SPECIAL));
    std::size_t n_window = ids.size() / n_ctx;
    if (n_window == 0)
        return failed({HEARTH_E_INVALID_ARGUMENT,
                       "the text has " + std::to_string(ids.size()) + " tokens, fewer than one window of " +
                           std::to_string(n_ctx) + "; use a longer text or a smaller --ctx"});
    if (o.n_window > 0) n_window = std::min(n_window, static_cast<std::size_t>(o.n_window));
    CLI_TRY(const auto vocab, model.vocab());
    CLI_TRY(auto context, make_context(o.context, model, n_ctx, "f16"));
    const auto n_batch = static_cast<std::size_t>(o.context.n_batch);
    CLI_TRY(const Score score, score_windows(context, vocab, std::move(ids), n_ctx, n_window, n_batch));
    if (o.json) {
        const nlohmann::json line = {
            {"perplexity", score.value()}, {"n_token", score.n}, {"n_window", n_window}, {"n_ctx", n_ctx}};
        std::cout << line.dump() << '\n';
    } else {
        char line[96];
        std::snprintf(line, sizeof line, "perplexity %.4f (%zu windows of %zu, %lld tokens scored)",
                      score.value(), n_window, n_ctx, static_cast<long long>(score.n));
        std::cout << line << '\n';
    }
    return kOk;
}

}  // namespace cli

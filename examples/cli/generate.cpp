// One answer: a prompt into the context, then tokens out until there is a reason to stop.
#include "generate.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <iostream>

#include "terminal.hpp"

namespace cli {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
    return std::chrono::duration<double>(Clock::now() - begin).count();
}

}  // namespace

Result<Generator> Generator::create(hearth::Model model, hearth::Context context, hearth::Sampler sampler,
                                    int32_t n_batch, bool special) {
    Generator g;
    g.model_ = std::move(model);
    g.context_ = std::move(context);
    g.sampler_ = std::move(sampler);
    g.n_batch_ = n_batch;
    const uint32_t flags = HEARTH_DETOKENIZE_CONTINUE | (special ? uint32_t{HEARTH_DETOKENIZE_SPECIAL} : 0);
    auto detokenizer = hearth::Detokenizer::create(g.model_, flags);
    if (!detokenizer) return detokenizer.error();
    g.detokenizer_ = std::move(*detokenizer);
    return g;
}

// A Ctrl-C that came too late for the last answer would cancel this one's first decode: then it is simply run
// again.
Result<void> Generator::decode(std::span<const int32_t> tokens, const InterruptGuard& guard) {
    auto done = context_.decode(tokens);
    if (!done && done.status() == HEARTH_E_CANCELLED && !guard.interrupted()) done = context_.decode(tokens);
    if (done) held_.insert(held_.end(), tokens.begin(), tokens.end());
    return done;
}

Result<void> Generator::take_prompt(std::span<const int32_t> prompt) {
    std::size_t n_same = 0;
    while (n_same < held_.size() && n_same < prompt.size() && held_[n_same] == prompt[n_same]) ++n_same;
    if (n_same == prompt.size()) --n_same;  // the last token must run to give logits
    if (n_same < held_.size() && !context_.remove(0, static_cast<int32_t>(n_same), -1)) {
        n_same = 0;  // a recurrent state or a window cannot go back: start over
        if (auto cleared = context_.clear(); !cleared) return cleared;
    }
    held_.resize(n_same);
    return {};
}

// One token out; it also goes into the context, unless it is the last one wanted. False when the answer has
// ended.
Result<bool> Generator::next(Answer& answer, bool last, const InterruptGuard& guard) {
    const auto logits = context_.logits();
    if (!logits) return logits.error();
    const auto token = sampler_.sample(*logits, held_.size());
    if (!token) return token.error();
    const auto end = model_.is_eog(*token);
    if (!end) return end.error();
    if (*end) return false;
    const auto text = detokenizer_.feed(*token);
    if (!text) return text.error();
    answer.text += *text;
    std::cout << *text << std::flush;
    if (auto accepted = sampler_.accept(*token); !accepted) return accepted.error();
    answer.tokens.push_back(*token);
    if (last) return false;
    auto done = decode({&*token, 1}, guard);
    answer.full = done.status() == HEARTH_E_CONTEXT_FULL;
    if (!done && !answer.full) return done.error();
    return !answer.full;
}

Result<Answer> Generator::answer(std::span<const int32_t> prompt, int32_t n_predict) {
    if (prompt.empty())
        return Error{HEARTH_E_INVALID_ARGUMENT, "the prompt has no tokens: there is nothing to go on from"};
    Answer answer;
    const InterruptGuard guard(context_);
    if (auto taken = take_prompt(prompt); !taken) return taken.error();
    const auto begin = Clock::now();
    std::span<const int32_t> rest = prompt.subspan(held_.size());
    answer.n_prompt = static_cast<int32_t>(rest.size());
    Result<bool> more = true;
    while (!rest.empty() && more) {
        const std::size_t n = std::min(rest.size(), static_cast<std::size_t>(n_batch_));
        if (auto done = decode(rest.first(n), guard); !done) more = done.error();
        rest = rest.subspan(n);
    }
    answer.prompt_seconds = seconds_since(begin);
    // Penalties see the whole conversation, however much of it was in the context already.
    if (auto reset = sampler_.reset(); !reset) return reset.error();
    for (int32_t token : prompt)
        if (auto accepted = sampler_.accept(token); !accepted) return accepted.error();
    const auto generated = Clock::now();
    while (more && *more && !guard.interrupted() && n_predict != 0) {
        const bool last = n_predict > 0 && std::ssize(answer.tokens) + 1 >= n_predict;
        more = next(answer, last, guard);
    }
    if (const auto tail = detokenizer_.flush()) {
        answer.text += *tail;
        std::cout << *tail << std::flush;
    }
    answer.seconds = seconds_since(generated);
    answer.interrupted = guard.interrupted();
    if (!more && more.status() != HEARTH_E_CANCELLED) return more.error();
    return answer;
}

std::string speed_text(const Answer& a) {
    const auto rate = [](std::size_t n, double seconds) {
        return seconds > 0 ? static_cast<double>(n) / seconds : 0.0;
    };
    char text[160];
    std::snprintf(text, sizeof text, "prompt %d tokens, %.1f tokens/s; answer %zu tokens, %.1f tokens/s",
                  a.n_prompt, rate(static_cast<std::size_t>(a.n_prompt), a.prompt_seconds), a.tokens.size(),
                  rate(a.tokens.size(), a.seconds));
    return text;
}

}  // namespace cli

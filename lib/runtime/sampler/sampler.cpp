// Runs the stages, draws, and keeps what has been accepted.
#include "runtime/sampler/sampler.hpp"

#include "runtime/sampler/cuts.hpp"
#include "runtime/sampler/philox.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

namespace hearth {

namespace {
int32_t window_of(const SamplerStage& stage) {
    if (stage.kind == StageKind::penalties) return stage.penalties.last_n;
    return stage.kind == StageKind::dry ? stage.dry.last_n : 0;
}

bool is_mirostat(const SamplerStage& stage) {
    return stage.kind == StageKind::mirostat_1 || stage.kind == StageKind::mirostat_2;
}

uint64_t seed_from_system() {
    std::random_device device;
    return uint64_t{device()} << 32 | device();
}

// Version 1: how many candidates to keep for a surprise of about mu, from a power law fitted to the best m.
// (Basu et al., "Mirostat", ICLR 2021, section 4; the ratio's limit at exponent 1 is 1 / log n.)
std::size_t mirostat_count(const Candidates& list, float mu, int32_t m, int32_t n_vocab) {
    double tb = 0, tt = 0;
    for (std::size_t i = 0; i + 1 < static_cast<std::size_t>(m) && i + 1 < list.size(); ++i) {
        const double t = std::log(static_cast<double>(i + 2) / static_cast<double>(i + 1));
        tb += t * (static_cast<double>(list[i].logit) - list[i + 1].logit);
        tt += t * t;
    }
    const double s = tb / tt, excess = s - 1;
    const double denominator = 1 - std::pow(static_cast<double>(n_vocab), -excess);
    const double ratio =
        std::abs(excess) < 1e-9 ? 1 / std::log(static_cast<double>(n_vocab)) : excess / denominator;
    const double k = std::pow(ratio * std::exp2(static_cast<double>(mu)), 1 / s);
    if (!(k < static_cast<double>(list.size()))) return list.size();
    return static_cast<std::size_t>(std::max(k, 1.0));
}
}  // namespace

Result<Sampler> Sampler::make(std::vector<SamplerStage> stages, SamplerOptions options) {
    HEARTH_CHECK(check_stages(stages));
    for (const LogitBias& b : options.logit_bias) {
        if (b.token < 0 || std::isnan(b.bias)) {
            return fail(Code::invalid_argument, "logit bias {} for token {}: needs a token >= 0 and a number",
                        b.bias, b.token);
        }
    }
    for (const auto& breaker : options.dry_breakers) {
        if (breaker.empty())
            return fail(Code::invalid_argument, "an empty DRY sequence breaker would match everywhere");
    }
    Sampler s;
    s.stages_ = std::move(stages);
    s.options_ = std::move(options);
    s.seed_ = s.options_.seed ? *s.options_.seed : seed_from_system();
    for (const SamplerStage& stage : s.stages_) {
        const int32_t n = window_of(stage);
        s.n_history_ = std::max(
            s.n_history_, n < 0 ? std::numeric_limits<std::size_t>::max() / 4 : static_cast<std::size_t>(n));
    }
    s.reset();
    return s;
}

Result<Sampler> Sampler::make(std::string_view preset, const SamplerParams& params) {
    HEARTH_TRY(auto stages, preset_stages(preset, params));
    return make(std::move(stages), params.options);
}

void Sampler::reset() {
    history_.clear();
    drawn_ = false;
    mu_ = is_mirostat(stages_.back()) ? 2 * stages_.back().mirostat.tau : 0;
}

void Sampler::accept(int32_t token) {
    if (n_history_ > 0) {
        if (history_.size() >= 2 * n_history_) {  // rarely, so that the cost per token is constant
            history_.erase(history_.begin(), history_.end() - static_cast<std::ptrdiff_t>(n_history_));
        }
        history_.push_back(token);
    }
    if (!drawn_) return;
    drawn_ = false;
    const SamplerStage& last = stages_.back();
    if (!is_mirostat(last)) return;
    for (const Candidate& c : list_.view()) {
        if (c.id == token) mu_ -= last.mirostat.eta * (-std::log2(c.p) - last.mirostat.tau);
    }
}

Result<int32_t> Sampler::sample(const float* logits, int32_t n_vocab, int64_t position, uint32_t choice) {
    drawn_ = false;
    if (!logits || n_vocab <= 0)
        return fail(Code::invalid_argument, "sampling needs logits of at least one token, not {}", n_vocab);
    HEARTH_CHECK(list_.load(logits, n_vocab));
    n_vocab_ = n_vocab;
    tally_.by_token.resize(static_cast<std::size_t>(n_vocab));
    uint32_t n_of_kind[32] = {};
    uint32_t draw_stage = 0;
    for (const SamplerStage& stage : stages_) {
        const auto kind = static_cast<uint32_t>(stage.kind);
        draw_stage = kind | n_of_kind[kind]++ << 8;  // by kind: adding an unrelated stage changes no draw
        HEARTH_CHECK(apply(stage, draw_stage, position, choice));
    }
    list_.softmax();
    drawn_ = true;
    return draw(uniform_at({.seed = seed_, .position = position, .choice = choice, .stage = draw_stage}));
}

Status Sampler::apply(const SamplerStage& stage, uint32_t draw_stage, int64_t position, uint32_t choice) {
    switch (stage.kind) {
        case StageKind::mask:
            shift_mask(list_, mask_);
            break;
        case StageKind::logit_bias:
            return shift_bias(list_, options_.logit_bias, n_vocab_);
        case StageKind::penalties:
            shift_penalties(list_, stage.penalties, history_, tally_);
            break;
        case StageKind::dry:
            shift_dry(list_, stage.dry, history_, options_.dry_breakers, tally_, scratch_);
            break;
        case StageKind::top_n_sigma:
            cut_top_n_sigma(list_, stage.cut);
            break;
        case StageKind::top_k:
            if (stage.top_k > 0) list_.keep_best(static_cast<std::size_t>(stage.top_k));
            break;
        case StageKind::top_a:
            cut_top_a(list_, stage.cut);
            break;
        case StageKind::tfs:
            cut_tail_free(list_, stage.cut);
            break;
        case StageKind::typical:
            cut_typical(list_, stage.cut, spare_);
            break;
        case StageKind::top_p:
            cut_top_p(list_, stage.cut);
            break;
        case StageKind::min_p:
            cut_min_p(list_, stage.cut);
            break;
        case StageKind::xtc:
            cut_xtc(list_, stage.xtc,
                    uniform_at({.seed = seed_, .position = position, .choice = choice, .stage = draw_stage}));
            break;
        case StageKind::temperature:
            shift_temperature(list_, stage.temperature);
            break;
        case StageKind::mirostat_1:
        case StageKind::mirostat_2:
            HEARTH_CHECK(list_.drop_impossible());
            cut_mirostat(stage);
            break;
        case StageKind::greedy:
            list_.keep_best(1);
            return list_.drop_impossible();
        case StageKind::dist:
            return list_.drop_impossible();
    }
    return {};
}

void Sampler::cut_mirostat(const SamplerStage& stage) {
    list_.sort();
    if (stage.kind == StageKind::mirostat_1) {
        if (list_.size() > 1) list_.keep_prefix(mirostat_count(list_, mu_, stage.mirostat.m, n_vocab_));
        return;
    }
    // Version 2: drops what would surprise more than mu (in bits), but not the best.
    list_.softmax();
    std::size_t n = 1;
    while (n < list_.size() && -std::log2(list_[n].p) <= mu_) ++n;
    list_.keep_prefix(n);
}

// Inverse of the cumulative distribution in order of probability, sorted only as far as the draw falls, so
// that it does not depend on how token ids are numbered.
int32_t Sampler::draw(double u) {
    if (list_.size() <= 1024) list_.sort();
    double total = 0, sum = 0;
    for (const Candidate& c : list_.view()) total += c.p;
    std::size_t last = 0;  // in case rounding leaves the sum short of u * total
    for (std::size_t i = 0; i < list_.size(); ++i) {
        list_.sort_prefix(i + 1);
        if (!(list_[i].p > 0)) break;
        last = i;
        sum += list_[i].p;
        if (sum > u * total) break;
    }
    return list_[last].id;
}

}  // namespace hearth

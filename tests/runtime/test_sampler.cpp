// The sampler's stages against plain double-precision definitions, and its promises about draws and errors.
#include "runtime/sampler/logprobs.hpp"
#include "runtime/sampler/sampler.hpp"

#include "runtime/sampler_reference.hpp"
#include "support/catch.hpp"
#include "support/support.hpp"

#include <functional>
#include <set>

using namespace hearth;
using namespace hearth::test;
using K = StageKind;

namespace {
constexpr float kInf = std::numeric_limits<float>::infinity();

Sampler sampler(std::vector<SamplerStage> stages,
                SamplerOptions options = {.seed = 1, .logit_bias = {}, .dry_breakers = {}}) {
    stages.push_back({.kind = K::dist, .top_k = 0});
    auto made = Sampler::make(std::move(stages), std::move(options));
    INFO(error_record().message);
    REQUIRE(made);
    return *std::move(made);
}

// A logit is off by at most 4 roundings of its magnitude m, so p by that plus those of exp and the quotient.
double tolerance(const RefList& list) {
    double m = 1;
    for (const Ref& r : list) m = std::max(m, std::abs(r.logit));
    return (4 * m + 4) * std::numeric_limits<float>::epsilon();
}

void check_same(std::span<const Candidate> got, RefList expected) {
    normalise(expected);
    std::map<int32_t, double> p;
    for (const Ref& r : expected) {
        if (r.logit > kNever) p[r.id] = r.p;
    }
    REQUIRE(got.size() == p.size());
    for (const Candidate& c : got) {
        REQUIRE(p.count(c.id) == 1);
        CHECK(std::abs(c.p - p[c.id]) <=
              tolerance(expected) * p[c.id] + std::numeric_limits<float>::min());  // or denormal
    }
}

void check_cut(const SamplerStage& stage, const std::function<double(RefList&)>& reference) {
    Random random(seed());
    int n_decided = 0;
    for (int trial = 0; trial < 40; ++trial) {
        const auto logits = random.normals(trial % 2 ? 700 : 60, trial % 4 < 2 ? 1.0f : 4.0f);
        RefList expected = ref_load(logits);
        const double bound = 700 * tolerance(expected);  // sums of up to 700 probabilities
        if (reference(expected) < std::min(bound, 1e-4)) continue;
        ++n_decided;
        Sampler s = sampler({stage});
        REQUIRE(s.sample(logits.data(), static_cast<int32_t>(logits.size()), trial));
        check_same(s.candidates(), expected);
    }
    CHECK(n_decided >= 5);
}

Failure first_error(Result<Sampler> made) {
    REQUIRE_FALSE(made);
    return made.failure();
}
}  // namespace

TEST_CASE("each cut keeps what its definition keeps") {
    for (std::size_t keep : {0u, 30u}) {
        const auto k = static_cast<int32_t>(keep);
        check_cut({.kind = K::top_p, .cut = {0.8f, k}}, [&](RefList& l) { return ref_top_p(l, 0.8f, keep); });
        check_cut({.kind = K::min_p, .cut = {0.1f, k}}, [&](RefList& l) { return ref_min_p(l, 0.1f, keep); });
        check_cut({.kind = K::top_a, .cut = {0.3f, k}}, [&](RefList& l) { return ref_top_a(l, 0.3f, keep); });
        check_cut({.kind = K::tfs, .cut = {0.9f, k}},
                  [&](RefList& l) { return ref_tail_free(l, 0.9f, keep); });
    }
    check_cut({.kind = K::typical, .cut = {0.5f, 1}},
              [](RefList& l) { return ref_typical(l, 0.5f, 1) < 1e-9 ? 0.0 : 1.0; });
    check_cut({.kind = K::top_n_sigma, .cut = {1.5f, 0}},
              [](RefList& l) { return ref_top_n_sigma(l, 1.5f); });
    for (int32_t k : {1, 7, 59, 60, 300, 1000}) {
        check_cut({.kind = K::top_k, .top_k = k},
                  [&](RefList& l) { return ref_top_k(l, static_cast<std::size_t>(k)); });
    }
}

// Four equal logits have p = 1/4 exactly, so that a threshold can be met to the last bit.
TEST_CASE("a cut that is met exactly keeps what its definition says") {
    const std::vector<float> equal(4, 0.5f);
    const auto n_left = [&](const SamplerStage& stage) {
        Sampler s = sampler({stage});
        REQUIRE(s.sample(equal.data(), 4, 0));
        return s.candidates().size();
    };
    CHECK(n_left({.kind = K::top_p, .cut = {0.5f, 0}}) == 2);           // stops where the sum reaches the value
    CHECK(n_left({.kind = K::typical, .cut = {0.5f, 0}}) == 3);         // stops where the sum exceeds it
    CHECK(n_left({.kind = K::min_p, .cut = {1, 0}}) == 4);              // keeps what is as likely as the best
    CHECK(n_left({.kind = K::xtc, .xtc = {1, 0.25f, 0}}) == 1);         // a choice at the threshold is a top choice
    CHECK(n_left({.kind = K::top_n_sigma, .cut = {1, 0}}) == 4);        // no deviation at all
}

TEST_CASE("temperature divides, dynamic temperature follows the entropy, smoothing its polynomial") {
    check_cut({.kind = K::temperature, .temperature = {0.6f, 0, 1, 0, 1}}, [](RefList& l) {
        for (Ref& r : l) r.logit /= 0.6f;
        return 1.0;
    });
    check_cut({.kind = K::temperature, .temperature = {0.9f, 0.5f, 1.3f, 0, 1}}, [](RefList& l) {
        double h = 0;
        for (const Ref& r : l) h -= r.p * std::log(r.p);
        const double share = h / std::log(static_cast<double>(l.size()));
        for (Ref& r : l) r.logit /= 0.4 + 1.0 * std::pow(share, 1.3);
        return 1.0;
    });
    check_cut({.kind = K::temperature, .temperature = {1, 0, 1, 0.3f, 1.5f}}, [](RefList& l) {
        const double top = l[0].logit;
        for (Ref& r : l)
            r.logit =
                -0.75 * 0.3f * std::pow(r.logit - top, 2) + 0.25 * 0.3f * std::pow(r.logit - top, 3) + top;
        return 1.0;
    });
    for (float cold : {0.0f, -1.0f}) {
        check_cut({.kind = K::temperature, .temperature = {cold, 0, 1, 0, 1}},
                  [](RefList& l) { return ref_top_k(l, 1); });
    }
}

TEST_CASE("penalties count the window and only the window") {
    Random random(seed());
    const auto logits = random.normals(50, 3);
    for (int32_t last_n : {0, 5, 20, -1}) {
        Sampler s = sampler({{.kind = K::penalties, .penalties = {1.3f, 0.2f, 0.5f, 0.4f, last_n}}});
        std::vector<int32_t> history;
        for (int i = 0; i < 60; ++i) {
            history.push_back(static_cast<int32_t>(random.below(30)));
            s.accept(history.back());
        }
        REQUIRE(s.sample(logits.data(), 50, 60));
        const std::size_t n = last_n < 0 ? 60 : static_cast<std::size_t>(last_n);
        const std::vector<int32_t> window(history.end() - static_cast<std::ptrdiff_t>(n), history.end());
        RefList expected = ref_load(logits);
        for (Ref& r : expected) {
            const auto count = std::count(window.begin(), window.end(), r.id);
            if (count == 0) continue;
            const bool recent =
                std::count(window.begin() + static_cast<std::ptrdiff_t>(n / 2), window.end(), r.id) > 0;
            const double factor = recent ? 1.3f : 1 + 0.3 * 0.4;
            r.logit = r.logit > 0 ? r.logit / factor : r.logit * factor;
            r.logit -= static_cast<double>(count) * 0.2f + 0.5f;
        }
        check_same(s.candidates(), expected);
    }
}

TEST_CASE("DRY agrees with a search for the longest repeated suffix") {
    Random random(seed());
    const auto logits = random.normals(12, 3);
    const std::vector<std::vector<int32_t>> breakers = {{9}, {3, 4}};
    int n_penalised = 0;
    for (int trial = 0; trial < 200; ++trial) {
        const bool kobold = trial % 2;
        const int32_t last_n = trial % 3 ? -1 : 15;
        Sampler s = sampler({{.kind = K::dry, .dry = {0.8f, 1.75f, 2, last_n, kobold}}},
                            {.seed = 1, .logit_bias = {}, .dry_breakers = breakers});
        std::vector<int32_t> history;
        const auto n_kind = 2 + random.below(10);
        for (int i = 0; i < 40; ++i) {
            history.push_back(static_cast<int32_t>(random.below(n_kind)));
            s.accept(history.back());
        }
        if (last_n > 0) history.erase(history.begin(), history.end() - last_n);
        const int n = static_cast<int>(history.size());
        int limit = n;
        for (int i = n - 1; i >= 0 && limit == n; --i) {  // newest breaker start; the longest there
            if (history[i] == 9) limit = n - 1 - i;
            if (i + 1 < n && history[i] == 3 && history[i + 1] == 4) limit = n - 2 - i;
        }
        RefList expected = ref_load(logits);
        const auto repeats = ref_repeats(history, limit);
        for (Ref& r : expected) {
            const auto at = repeats.find(r.id);
            if (at == repeats.end() || at->second < 2 || limit < (kobold ? 3 : 2) || (!kobold && r.id == 9))
                continue;
            r.logit -= 0.8f * std::pow(1.75f, at->second - 2);
            ++n_penalised;
        }
        REQUIRE(s.sample(logits.data(), 12, 0));
        if (tolerance(expected) < 1e-3) check_same(s.candidates(), expected);
    }
    CHECK(n_penalised > 50);
}

TEST_CASE("XTC drops all above the threshold but the least likely, in its share of draws") {
    const std::vector<float> logits = {std::log(0.4f), std::log(0.3f), std::log(0.2f), std::log(0.1f)};
    int n_cut = 0;
    Sampler s = sampler({{.kind = K::xtc, .xtc = {0.3f, 0.15f, 0}}});
    for (int i = 0; i < 4000; ++i) {
        REQUIRE(s.sample(logits.data(), 4, i));
        if (s.candidates().size() == 4) continue;
        ++n_cut;
        REQUIRE(s.candidates().size() == 2);
        CHECK(s.candidates()[0].id == 2);
    }
    CHECK(std::abs(n_cut - 1200) < 5 * std::sqrt(4000 * 0.3 * 0.7));   // five standard deviations, fixed seed
    Sampler keep = sampler({{.kind = K::xtc, .xtc = {1, 0.15f, 3}}});  // would leave 2, fewer than min_keep
    REQUIRE(keep.sample(logits.data(), 4, 0));
    CHECK(keep.candidates().size() == 4);
}

TEST_CASE("dist draws each token as often as its probability says") {
    Random random(7);
    const auto logits = random.normals(20, 1.5f);
    Sampler s = sampler({});
    std::vector<double> seen(20);
    constexpr int kDraws = 40000;
    for (int i = 0; i < kDraws; ++i) seen[static_cast<std::size_t>(*s.sample(logits.data(), 20, i))] += 1;
    double chi2 = 0;
    for (const Ref& r : ref_load(logits)) {
        const double expected = r.p * kDraws, off = seen[static_cast<std::size_t>(r.id)] - expected;
        chi2 += off * off / expected;
    }
    CHECK(chi2 < 43.8);  // 0.999 quantile at 19 degrees of freedom; the seeds are fixed
}

TEST_CASE("a draw depends on seed, choice and position alone") {
    Random random(seed());
    std::vector<std::vector<float>> rows;
    for (int i = 0; i < 50; ++i) rows.push_back(random.normals(300));
    auto run = [&](uint64_t seed_value, uint32_t choice, bool backwards) {
        Sampler s = sampler({{.kind = K::top_p, .cut = {0.9f, 0}}},
                            {.seed = seed_value, .logit_bias = {}, .dry_breakers = {}});
        std::vector<int32_t> out(50);
        for (int i = 0; i < 50; ++i) {
            const int at = backwards ? 49 - i : i;
            out[static_cast<std::size_t>(at)] =
                *s.sample(rows[static_cast<std::size_t>(at)].data(), 300, at, choice);
        }
        return out;
    };
    const auto base = run(5, 0, false);
    CHECK(base == run(5, 0, true));
    CHECK(base != run(5, 1, false));
    CHECK(base != run(0, 0, false));
    CHECK(run(0, 0, false) == run(0, 0, false));  // 0 is a seed, not "random"
    const SamplerStage dist{.kind = K::dist, .top_k = 0};
    CHECK(Sampler::make({dist})->seed() != Sampler::make({dist})->seed());
}

TEST_CASE("renaming token ids renames the draw") {
    Random random(seed());
    for (int trial = 0; trial < 20; ++trial) {
        const auto logits = random.normals(2000);
        std::vector<int32_t> name(2000);
        for (int32_t i = 0; i < 2000; ++i) name[static_cast<std::size_t>(i)] = (i * 7 + 13) % 2000;
        std::vector<float> renamed(2000);
        for (std::size_t i = 0; i < 2000; ++i) renamed[static_cast<std::size_t>(name[i])] = logits[i];
        if (std::set<float>(logits.begin(), logits.end()).size() < 2000) continue;  // ties are decided by id
        Sampler s = sampler({});
        const int32_t a = *s.sample(logits.data(), 2000, trial), b = *s.sample(renamed.data(), 2000, trial);
        CHECK(b == name[static_cast<std::size_t>(a)]);
    }
}

TEST_CASE("mirostat cuts at mu and learns from accepted tokens") {
    Random random(seed());
    for (K kind : {K::mirostat_1, K::mirostat_2}) {
        auto s = *Sampler::make({{.kind = kind, .mirostat = {3, 0.1f, 100}}},
                                {.seed = 3, .logit_bias = {}, .dry_breakers = {}});
        s.accept(4);  // a prompt token teaches nothing
        double mu = 6;
        CHECK(s.mirostat_mu() == 6);
        for (int i = 0; i < 30; ++i) {
            const auto logits = random.normals(400, 2);
            const int32_t token = *s.sample(logits.data(), 400, i);
            RefList l = ref_load(logits);
            std::size_t n = 1;
            double margin = 1;
            if (kind == K::mirostat_2) {
                while (n < l.size() && -std::log2(l[n].p) <= mu) ++n;
                if (n < l.size()) margin = std::abs(-std::log2(l[n].p) - mu);
            } else {
                double tb = 0, tt = 0;
                for (int j = 0; j < 99; ++j) {
                    const double t = std::log((j + 2.0) / (j + 1.0));
                    tb += t * std::log(l[j].p / l[j + 1].p);
                    tt += t * t;
                }
                const double s_hat = tb / tt, e = s_hat - 1;
                const double k = std::pow(e * std::exp2(mu) / (1 - std::pow(400, -e)), 1 / s_hat);
                n = static_cast<std::size_t>(std::clamp(k, 1.0, 400.0));
                margin = std::abs(k - std::round(k));
            }
            if (margin < 1e-4) break;
            l.resize(n);
            check_same(s.candidates(), l);
            normalise(l);
            const auto at = std::find_if(l.begin(), l.end(), [&](const Ref& r) { return r.id == token; });
            REQUIRE(at != l.end());
            s.accept(token);
            mu -= 0.1f * (-std::log2(at->p) - 3);
            CHECK(std::abs(s.mirostat_mu() - mu) < 30 * 1e-5);  // 30 float steps on numbers below 20
        }
        s.reset();
        CHECK(s.mirostat_mu() == 6);
    }
}

TEST_CASE("bias bans and forces, a mask allows, and nothing left is an error") {
    const std::vector<float> logits = {1, 5, 2, 4};
    const SamplerStage bias{.kind = K::logit_bias, .top_k = 0}, mask{.kind = K::mask, .top_k = 0};
    const SamplerStage greedy{.kind = K::greedy, .top_k = 0};
    const auto draw = [&](std::vector<LogitBias> biases, uint64_t bits) -> int32_t {
        auto s = *Sampler::make({mask, bias, greedy},
                                {.seed = 1, .logit_bias = std::move(biases), .dry_breakers = {}});
        s.set_mask(&bits);
        auto token = s.sample(logits.data(), 4, 0);
        return token ? *token : -1;
    };
    CHECK(draw({}, 15) == 1);
    CHECK(draw({{1, -kInf}}, 15) == 3);
    CHECK(draw({{2, 3.5f}}, 15) == 2);
    CHECK(draw({{0, kInf}, {2, kInf}}, 15) == 2);
    CHECK(draw({}, 5) == 2);
    CHECK(draw({{2, kInf}}, 1) == -1);
    CHECK(draw({}, 0) == -1);
    CHECK(std::string(error_record().message).find("no token is allowed") != std::string::npos);
    CHECK(draw({{4, 1}}, 15) == -1);
}

TEST_CASE("equal logits are decided by the lowest id") {
    const std::vector<float> flat(5000, 2.0f);
    auto greedy = *Sampler::make({{.kind = K::greedy, .top_k = 0}});
    CHECK(*greedy.sample(flat.data(), 5000, 0) == 0);
    Sampler s = sampler({{.kind = K::top_k, .top_k = 40}});
    REQUIRE(s.sample(flat.data(), 5000, 0));
    for (int32_t i = 0; i < 40; ++i) CHECK(s.candidates()[static_cast<std::size_t>(i)].id == i);
}

TEST_CASE("hostile logits and settings are sentences") {
    Sampler s = sampler({});
    std::vector<float> logits(10, 1.0f);
    logits[7] = NAN;
    CHECK_FALSE(s.sample(logits.data(), 10, 0));
    CHECK(std::string(error_record().message) == "the logit of token 7 is not a number");
    logits.assign(10, -kInf);
    CHECK_FALSE(s.sample(logits.data(), 10, 0));
    logits[3] = kInf;
    CHECK_FALSE(s.sample(logits.data(), 10, 0));
    CHECK_FALSE(s.sample(nullptr, 10, 0));
    for (auto change : std::initializer_list<void (*)(SamplerParams&)>{
             [](SamplerParams& p) { p.top_p = 0; }, [](SamplerParams& p) { p.top_p = 1.5f; },
             [](SamplerParams& p) { p.min_p = -0.1f; }, [](SamplerParams& p) { p.typical_p = NAN; },
             [](SamplerParams& p) { p.temperature = NAN; }, [](SamplerParams& p) { p.repeat_penalty = 0; },
             [](SamplerParams& p) { p.repeat_last_n = -2; }, [](SamplerParams& p) { p.xtc_probability = 2; },
             [](SamplerParams& p) { p.mirostat = 3; }, [](SamplerParams& p) { p.min_keep = -1; },
             [](SamplerParams& p) { p.dry_allowed_length = -1; }}) {
        SamplerParams params;
        change(params);
        CHECK(first_error(Sampler::make("llama.cpp", params)).code == Code::invalid_argument);
    }
    CHECK(first_error(Sampler::make("openai", {})).code == Code::not_found);
    CHECK(std::string(error_record().message).find("koboldcpp") != std::string::npos);
    CHECK_FALSE(Sampler::make({{.kind = K::top_k, .top_k = 5}}));
    CHECK_FALSE(Sampler::make({{.kind = K::greedy, .top_k = 0}, {.kind = K::dist, .top_k = 0}}));
    CHECK_FALSE(Sampler::make(std::vector<SamplerStage>{}));
}

TEST_CASE("presets have the published orders and defaults") {
    const auto order = [](const char* preset, void (*change)(SamplerParams&)) {
        SamplerParams params = *preset_params(preset);
        change(params);
        std::string text;
        const auto stages = *preset_stages(preset, params);
        for (const SamplerStage& s : stages)
            text += std::string(text.empty() ? "" : " ") + stage_name(s.kind);
        return text;
    };
    const auto as_is = [](SamplerParams&) {};
    CHECK(order("llama.cpp", as_is) ==
          "mask logit_bias penalties dry top_n_sigma top_k typical top_p min_p xtc temperature dist");
    CHECK(order("llama.cpp", [](SamplerParams& p) { p.mirostat = 2; }) ==
          "mask logit_bias temperature mirostat_2");
    CHECK(order("llama-cpp-python", as_is) ==
          "logit_bias penalties mask top_k typical top_p min_p temperature dist");
    CHECK(order("llama-cpp-python", [](SamplerParams& p) { p.temperature = -1; }) ==
          "logit_bias penalties mask dist");
    CHECK(order("llama-cpp-python", [](SamplerParams& p) { p.temperature = 0; }) ==
          "logit_bias penalties mask greedy");
    CHECK(order("llama-cpp-python", [](SamplerParams& p) { p.mirostat = 1; }) ==
          "logit_bias penalties mask mirostat_1");
    CHECK(order("koboldcpp", as_is) ==
          "logit_bias mask dry top_k penalties top_k top_a tfs typical top_p min_p temperature top_n_sigma "
          "xtc dist");
    CHECK(order("greedy", as_is) == "mask logit_bias penalties greedy");
    CHECK(preset_params("llama.cpp")->temperature == 0.8f);
    CHECK(preset_params("llama-cpp-python-chat")->temperature == 0.2f);
    const SamplerParams kobold = *preset_params("koboldcpp");
    CHECK((kobold.temperature == 0.7f && kobold.top_k == 100 && kobold.top_p == 0.92f && kobold.min_p == 0 &&
           kobold.dry_last_n == 320));
    CHECK((*preset_stages("koboldcpp", kobold))[3].top_k == 3000);
    CHECK((*preset_stages("llama-cpp-python", {}))[3].top_k == 40);
}

TEST_CASE("the llama.cpp chain as a whole keeps what the definitions keep one after the other") {
    Random random(seed());
    int n_decided = 0;
    for (int trial = 0; trial < 30; ++trial) {
        const auto logits = random.normals(3000, 2.5f);
        RefList l = ref_load(logits);
        ref_top_k(l, 40);
        normalise(l);
        double gap = ref_top_p(l, 0.95f, 0);
        normalise(l);
        gap = std::min(gap, ref_min_p(l, 0.05f, 0));
        for (Ref& r : l) r.logit /= 0.8f;
        if (gap < 1e-4) continue;
        ++n_decided;
        auto s = *Sampler::make("llama.cpp", *preset_params("llama.cpp"));
        REQUIRE(s.sample(logits.data(), 3000, trial));
        check_same(s.candidates(), l);
    }
    CHECK(n_decided >= 10);
}

TEST_CASE("reset forgets the history, clone keeps it") {
    SamplerParams params;
    params.repeat_penalty = 50;
    const std::vector<float> logits = {3, 2.9f};
    auto s = *Sampler::make("greedy", params);
    CHECK(*s.sample(logits.data(), 2, 0) == 0);
    s.accept(0);
    Sampler copy = s.clone();
    CHECK(*s.sample(logits.data(), 2, 1) == 1);
    CHECK(*copy.sample(logits.data(), 2, 1) == 1);
    s.reset();
    CHECK(*s.sample(logits.data(), 2, 1) == 0);
    for (int i = 0; i < 1000; ++i) s.accept(1);
    CHECK(s.history().size() <= 128);  // twice the longest window
}

TEST_CASE("log-probabilities are those of the whole raw distribution") {
    Random random(seed());
    const auto logits = random.normals(5000, 3);
    const RefList l = ref_load(logits);
    const auto out = *top_logprobs(logits.data(), 5000, 17, 5);
    const double bound = 20 * std::numeric_limits<float>::epsilon() * 2;  // logprobs of magnitude below 20
    REQUIRE(out.top.size() == 5);
    for (std::size_t i = 0; i < 5; ++i) {
        CHECK(out.top[i].id == l[i].id);
        CHECK(std::abs(out.top[i].logprob - std::log(l[i].p)) < bound);
    }
    for (const Ref& r : l) {
        if (r.id == 17) CHECK(std::abs(out.chosen.logprob - std::log(r.p)) < 2 * bound);
    }
    CHECK_FALSE(top_logprobs(logits.data(), 5000, 5000, 5));
}

// hearth bench: tokens per second of prompts and of generation, alone and several sequences together, beside what the machine
// can do at most.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "common.hpp"
#include "roofline.hpp"
#include "terminal.hpp"

namespace cli {

namespace {

using Clock = std::chrono::steady_clock;
constexpr int32_t kPage = 32;  // sequences are rounded up to pages

// n_gen == 0: a prompt of n_prompt tokens, in chunks of n_batch; else n_gen tokens on each of n_batch
// sequences.
struct Test {
    int32_t n_prompt = 0, n_gen = 0, n_batch = 1, depth = 0;

    std::string name() const {
        std::string text = n_gen == 0 ? "pp" + std::to_string(n_prompt) : "tg" + std::to_string(n_gen);
        if (n_gen > 0 && n_batch > 1) text += "@b" + std::to_string(n_batch);
        if (depth > 0) text += "@d" + std::to_string(depth);
        return text;
    }
};

std::vector<Test> make_tests(const BenchOptions& o) {
    std::vector<Test> tests;
    for (int32_t depth : o.depth) {
        for (int32_t n : o.n_prompt)
            if (n > 0) tests.push_back({.n_prompt = n, .n_batch = o.context.n_batch, .depth = depth});
        for (int32_t n : o.n_gen)
            for (int32_t b : o.n_seq)
                if (n > 0) tests.push_back({.n_gen = n, .n_batch = b, .depth = depth});
    }
    return tests;
}

// Tokens without meaning: the speed does not depend on them.
std::vector<int32_t> some_tokens(int32_t n, int32_t n_vocab) {
    std::vector<int32_t> tokens(static_cast<std::size_t>(n));
    uint32_t state = 1;
    for (int32_t& token : tokens) {
        state = state * 1664525u + 1013904223u;
        token = static_cast<int32_t>((state >> 8) % static_cast<uint32_t>(n_vocab));
    }
    return tokens;
}

// One measured run over a context that holds `depth` tokens in each sequence: seconds of the part that
// counts.
class Bench {
  public:
    static Result<Bench> create(const hearth::Model& model, const BenchOptions& o, const Test& test) {
        const auto info = model.info();
        if (!info) return info.error();
        auto options = context_options(o.context);
        if (!options) return options.error();
        const int32_t n_seq = test.n_gen > 0 ? test.n_batch : 1;
        options->n_ctx = (test.depth + test.n_prompt + test.n_gen + kPage) * n_seq;
        options->n_batch = std::max({o.context.n_batch, n_seq});
        options->n_seq_max = n_seq;
        Bench bench;
        bench.n_vocab_ = info->n_vocab;
        bench.chunk_ = o.context.n_batch;
        auto context = hearth::Context::create(model, *options);
        if (!context) return context.error();
        bench.context_ = *std::move(context);
        return bench;
    }

    Result<double> seconds(const Test& test) {
        if (auto filled = fill(test); !filled) return filled.error();
        const auto tokens = some_tokens(test.n_prompt, n_vocab_);
        const auto begin = Clock::now();
        auto done = test.n_gen == 0 ? decode_all(context_, tokens, chunk_) : steps(test);
        if (!done) return done.error();
        return std::chrono::duration<double>(Clock::now() - begin).count();
    }

  private:
    Result<void> fill(const Test& test) {
        if (auto cleared = context_.clear(); !cleared || test.depth == 0) return cleared;
        const auto tokens = some_tokens(test.depth, n_vocab_);
        if (auto done = decode_all(context_, tokens, chunk_); !done) return done;
        for (int32_t seq = 1; test.n_gen > 0 && seq < test.n_batch; ++seq)
            if (auto copied = context_.copy(0, seq); !copied) return copied;
        return {};
    }
    Result<void> steps(const Test& test) {
        std::vector<int32_t> seq(static_cast<std::size_t>(test.n_batch));
        for (std::size_t i = 0; i < seq.size(); ++i) seq[i] = static_cast<int32_t>(i);
        const auto tokens = some_tokens(test.n_gen * test.n_batch, n_vocab_);
        for (int32_t step = 0; step < test.n_gen; ++step) {
            hearth::Batch batch;
            batch.n_token = test.n_batch;
            batch.token = tokens.data() + std::ptrdiff_t{step} * test.n_batch;
            batch.seq = seq.data();
            if (auto done = context_.decode(batch); !done) return done;
        }
        return {};
    }

    hearth::Context context_;
    int32_t n_vocab_ = 0, chunk_ = 0;
};

// Tokens per second of every repetition, slowest first; one short run warms up before.
Result<std::vector<double>> measure(const hearth::Model& model, const BenchOptions& o, const Test& test) {
    auto bench = Bench::create(model, o, test);
    if (!bench) return bench.error();
    Test warm_up = test;
    warm_up.depth = 0;
    warm_up.n_prompt = std::min(test.n_prompt, test.n_batch);
    warm_up.n_gen = std::min(test.n_gen, 2);
    if (auto warm = bench->seconds(warm_up); !warm) return warm.error();
    std::vector<double> rates;
    for (int32_t i = 0; i < o.repetitions; ++i) {
        const auto seconds = bench->seconds(test);
        if (!seconds) return seconds.error();
        const int32_t n = test.n_gen == 0 ? test.n_prompt : test.n_gen * test.n_batch;
        rates.push_back(n / std::max(*seconds, 1e-9));
    }
    std::sort(rates.begin(), rates.end());
    return rates;
}

double median(const std::vector<double>& sorted) {
    const std::size_t n = sorted.size();
    return (sorted[(n - 1) / 2] + sorted[n / 2]) / 2;
}

// What the CPU device says of its level: "level v3" -> "v3".
std::string cpu_level(const hearth::Runtime& runtime) {
    hearth_device_info cpu{};
    cpu.struct_size = sizeof cpu;
    if (hearth_runtime_device(runtime.get(), 0, &cpu) != HEARTH_OK) return "";  // the first is the CPU; no plugin is opened
    const std::string detail = cpu.detail;
    const std::size_t at = detail.find("level ");
    return at == std::string::npos ? "" : detail.substr(at + 6, detail.find(',', at) - at - 6);
}

struct Roofline {
    double bytes_per_second = 0, multiply_adds_per_second = 0;
};

// How much of it a test reaches: a step of generation reads the file once, a token of a prompt multiplies with all weights
// but those of the embedding.
nlohmann::ordered_json fractions(const Roofline& roof, const Test& test, double rate, const hearth_model_info& info) {
    auto json = nlohmann::ordered_json::object();
    const double n_multiplied = static_cast<double>(info.n_parameter) - static_cast<double>(info.n_vocab) * info.n_embd;
    if (test.n_gen > 0 && roof.bytes_per_second > 0)
        json["of_bandwidth"] = rate / test.n_batch * static_cast<double>(info.file_bytes) / roof.bytes_per_second;
    if (test.n_gen == 0 && roof.multiply_adds_per_second > 0) json["of_int8_peak"] = rate * n_multiplied / roof.multiply_adds_per_second;
    return json;
}

std::string percent(const nlohmann::ordered_json& json, const char* key, const char* what) {
    if (!json.contains(key)) return "";
    char text[64];
    std::snprintf(text, sizeof text, "  %.0f%% of %s", 100 * json[key].get<double>(), what);
    return text;
}

// Has the CPU backend time its steps; read when a runtime opens the device.
void ask_for_profile() {
#if defined(_WIN32)
    _putenv_s("HEARTH_CPU_PROFILE", "1");
#else
    setenv("HEARTH_CPU_PROFILE", "1", 1);
#endif
}

}  // namespace

int bench(const BenchOptions& options) {
    BenchOptions o = options;
    if (o.profile) ask_for_profile(), o.model.verbose = true;
    CLI_TRY(const auto runtime, make_runtime(o.model));
    CLI_TRY(const auto model, load_model(runtime, o.model));
    CLI_TRY(const auto info, model.info());
    CLI_TRY(const int32_t n_thread, runtime.n_thread());
    const std::string level = cpu_level(runtime);
    const Roofline roof{read_bandwidth(n_thread), int8_peak(level, n_thread)};
    char line[160];
    std::snprintf(line, sizeof line, "roofline, %d threads: reads %.1f GB/s, int8 %.0f GFLOP/s", n_thread, roof.bytes_per_second * 1e-9,
                  roof.multiply_adds_per_second * 2e-9);
    if (!o.json) std::cout << line << std::endl;
    auto list = nlohmann::ordered_json::array();
    for (const Test& test : make_tests(o)) {
        CLI_TRY(const auto rates, measure(model, o, test));
        const auto reached = fractions(roof, test, median(rates), info);
        list.push_back({{"test", test.name()},
                        {"n_prompt", test.n_prompt},
                        {"n_gen", test.n_gen},
                        {"n_batch", test.n_batch},
                        {"depth", test.depth},
                        {"tokens_per_second",
                         {{"median", median(rates)}, {"min", rates.front()}, {"max", rates.back()}}},
                        {"reached", reached},
                        {"roofline",
                         {{"bytes_per_second", roof.bytes_per_second}, {"multiply_adds_per_second", roof.multiply_adds_per_second}}},
                        {"threads", n_thread},
                        {"device", info.device},
                        {"cpu_level", level},
                        {"model", std::filesystem::path(o.model.path).filename().string()},
                        {"model_bytes", info.file_bytes}});
        char row[160];
        std::snprintf(row, sizeof row, "%-16s %10.2f tokens/s  (%.2f to %.2f)", test.name().c_str(),
                      median(rates), rates.front(), rates.back());
        if (!o.json)
            std::cout << row << percent(reached, "of_bandwidth", "the bandwidth") << percent(reached, "of_int8_peak", "the int8 peak")
                      << std::endl;
    }
    if (o.json) std::cout << list.dump(1) << '\n';
    return kOk;
}

}  // namespace cli

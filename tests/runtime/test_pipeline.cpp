// Long prompts go through a chain of devices in stretches: the same bits, in less time, wherever they stop.
#include <chrono>

#include "runtime/context_support.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

constexpr const char* kChain = "sim:2x4MiB";

// Logits of some tokens of two sequences, one of them begun before, mixed in one batch, some tokens given as embeddings.
Logits mixed_batch(const Loaded& loaded, int64_t deadline, int* n_stop = nullptr) {
    const auto context = loaded.context(600, 2, 400);
    decode(*context, random_tokens(9, 1), 1);
    constexpr int32_t kTokens = 390;
    Ids tokens = random_tokens(kTokens, 2), seqs(kTokens);
    std::vector<uint8_t> want(kTokens, 0);
    std::vector<float> embedding;
    Random random(seed());
    for (std::size_t i = 0; i < tokens.size(); ++i) {
        seqs[i] = i % 3 == 0;
        want[i] = i % 29 == 0;
        if (i % 17 != 5) continue;
        tokens[i] = -1;
        for (int j = 0; j < TinyModel::kEmbd; ++j) embedding.push_back(random.normal());
    }
    Batch batch;
    batch.n_token = kTokens;
    batch.token = tokens.data();
    batch.seq = seqs.data();
    batch.want_logits = want.data();
    batch.embedding = embedding.data();
    auto outcome = context->decode(batch, deadline);
    for (; outcome && *outcome == Outcome::paused; *n_stop += 1) outcome = context->resume(deadline);
    INFO(error_record().message);
    REQUIRE(outcome);
    Logits all;
    for (int32_t i = 0; i < context->n_output(); ++i) {
        const Logits one = row(*context, i);
        all.insert(all.end(), one.begin(), one.end());
    }
    return all;
}

uint64_t busy_us(const Loaded& loaded, std::size_t device) {
    const auto info = loaded.model->placement().devices[device]->describe();
    REQUIRE(info);
    const std::string detail = info->detail;
    return std::stoull(detail.substr(detail.find("busy ") + 5));
}

}  // namespace

TEST_CASE("a batch in stretches over a chain of devices gives bit for bit the logits of one device") {
    const char* kind = GENERATE("full", "window", "recurrent", "experts");
    const char* spec =
        GENERATE("sim:2x4MiB", "sim:3x4MiB", "sim:2x4MiB,layers=2", "sim:4MiB,layers=2", "sim:2x4MiB,kv=cpu", "sim:2x4MiB;compute=0.5");
    INFO(kind << " on " << spec << ", HEARTH_TEST_SEED=" << seed());
    const Loaded one = load_model(tiny(kind), "cpu"), chain = load_model(tiny(kind), spec);
    CHECK(mixed_batch(chain, 0) == mixed_batch(one, 0));
}

TEST_CASE("a step in stretches stops anywhere and goes on to the same logits") {
    const Loaded chain = load_model(tiny("full"), kChain);
    int n_stop = 0, n_stop_whole = 0;
    const Logits want = mixed_batch(chain, 0);
    CHECK(mixed_batch(chain, 1, &n_stop) == want);
    CHECK(mixed_batch(load_model(tiny("full"), "cpu"), 1, &n_stop_whole) == want);
    CHECK(n_stop > n_stop_whole);  // it was cut into more
}

TEST_CASE("a cancelled step in stretches leaves the context as it was") {
    const Loaded chain = load_model(tiny("full"), kChain);
    const auto context = chain.context(600, 1, 400);
    const Ids tokens = random_tokens(300, 3);
    const Logits want = decode(*context, tokens);
    context->clear();
    Batch batch;
    batch.n_token = 300;
    batch.token = tokens.data();
    for (int stop = 0; stop < 40; stop += 3) {
        auto outcome = context->decode(batch, 1);
        for (int i = 0; i < stop && outcome && *outcome == Outcome::paused; ++i) outcome = context->resume(1);
        REQUIRE((outcome && *outcome == Outcome::paused));
        context->cancel();
        outcome = context->resume(0);
        REQUIRE_FALSE(outcome);
        CHECK(error_record().code == Code::cancelled);
        CHECK(*context->n_token(0) == 0);
    }
    CHECK(decode(*context, tokens) == want);
}

TEST_CASE("devices in a chain work at the same time") {
    // Devices twenty times slower than this CPU: what they take is mostly waiting, which they can do together.
    const Loaded chain = load_model(tiny_llama(4), "sim:2x8MiB;compute=0.05,layers=5,shares=1:1");
    const auto context = chain.context(600, 1, 512);
    decode(*context, random_tokens(512, 4));
    double least = 2;  // of several: another program may take this one's time in between
    for (int i = 0; i < 24 && least >= 0.8; ++i) {
        const uint64_t before = busy_us(chain, 1) + busy_us(chain, 2);
        const auto start = std::chrono::steady_clock::now();
        context->clear();
        decode(*context, random_tokens(512, 5));
        const auto took = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count();
        least = std::min(least, static_cast<double>(took) / static_cast<double>(busy_us(chain, 1) + busy_us(chain, 2) - before));
    }
    // One after the other it would be at least 1, in eight stretches 9/16; shares of 2 and 3 parts, and noise.
    CHECK(least < 0.8);
}

// A step is a transaction: full, cancelled, paused or refused, the context is as it was or goes on as if undisturbed.
#include <thread>

#include "base/platform.hpp"
#include "runtime/context_support.hpp"
#include "runtime/plan.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

Batch batch_of(const Ids& tokens) {
    Batch batch;
    batch.n_token = static_cast<int32_t>(tokens.size());
    batch.token = tokens.data();
    return batch;
}

std::vector<std::byte> saved(Context& context, int32_t seq) {
    auto state = context.save(seq);
    REQUIRE(state);
    return std::move(*state);
}

}  // namespace

TEST_CASE("a decode that does not fit leaves every sequence as it was") {
    const char* device = GENERATE("ref", "cpu");
    const char* kind = GENERATE("full", "window", "recurrent");
    INFO(kind << " on " << device << ", HEARTH_TEST_SEED=" << seed());
    const Loaded loaded = load_model(tiny(kind), device);
    const auto context = loaded.context(96, 2, 64), twin = loaded.context(96, 2, 64);
    const Ids a = random_tokens(50, 1), b = random_tokens(40, 2);
    for (Context* c : {context.get(), twin.get()}) {
        test::decode(*c, a, 0);
        test::decode(*c, b, 1);
    }
    const auto before_a = saved(*context, 0), before_b = saved(*context, 1);
    Ids seq(63, 1);
    seq[0] = 0;  // a token of sequence 0 fits, the others of sequence 1 do not
    const Ids tokens = random_tokens(63, 3);
    Batch batch = batch_of(tokens);
    batch.seq = seq.data();
    CHECK(context->decode(batch).code() == Code::context_full);
    refused_with("n_ctx");
    CHECK(saved(*context, 0) == before_a);
    CHECK(saved(*context, 1) == before_b);
    CHECK(test::decode(*context, {5}, 1) == test::decode(*twin, {5}, 1));
    CHECK(test::decode(*context, {6}, 0) == test::decode(*twin, {6}, 0));
}

TEST_CASE("a sequence fills its context to the last place and not beyond") {
    const Loaded loaded = load_model(tiny_llama(), "cpu");
    const auto context = loaded.context(70, 1, 64);
    test::decode(*context, random_tokens(70, 1));
    const Ids one = {1};
    CHECK(context->decode(batch_of(one)).code() == Code::context_full);
    REQUIRE(context->remove(0, 69, -1));
    REQUIRE(context->decode(batch_of(one)));
}

TEST_CASE("a cancelled decode leaves the context as it was, and the next one runs") {
    const char* device = GENERATE("ref", "cpu");
    const char* kind = GENERATE("full", "window", "recurrent");
    INFO(kind << " on " << device << ", HEARTH_TEST_SEED=" << seed());
    const Loaded loaded = load_model(tiny(kind), device);
    const auto context = loaded.context(), twin = loaded.context();
    const Ids tokens = random_tokens(45, 1), more = random_tokens(30, 2);
    for (Context* c : {context.get(), twin.get()}) test::decode(*c, tokens);
    const auto before = saved(*context, 0);
    context->cancel();
    CHECK(context->decode(batch_of(more)).code() == Code::cancelled);
    refused_with("cancelled");
    CHECK(saved(*context, 0) == before);
    CHECK(test::decode(*context, more) == test::decode(*twin, more));
}

TEST_CASE("cancelling from another thread ends a decode at any moment without a trace", "[thread]") {
    const Loaded loaded = load_model(tiny_llama(), "cpu", seed(), 2);
    const auto context = loaded.context(512, 1, 256), twin = loaded.context(512, 1, 256);
    const Ids tokens = random_tokens(256, 1);
    const Logits expected = test::decode(*twin, tokens);
    Random random(seed());
    for (int i = 0; i < 20; ++i) {
        context->clear();
        std::atomic<bool> go{false};
        const auto delay = static_cast<int64_t>(random.below(400000));
        std::thread other([&] {
            while (!go.load()) {
            }
            const int64_t until = os::now_ns() + delay;
            while (os::now_ns() < until) {
            }
            context->cancel();
        });
        go.store(true);
        const auto outcome = context->decode(batch_of(tokens));
        other.join();
        if (outcome) {  // too late for this one: the flag is for the next
            CHECK(row(*context, 0) == expected);
            const Ids one = {1};
            CHECK(context->decode(batch_of(one)).code() == Code::cancelled);
        } else {
            CHECK(outcome.code() == Code::cancelled);
            CHECK(*context->n_token(0) == 0);
        }
    }
    context->clear();
    CHECK(test::decode(*context, tokens) == expected);
}

TEST_CASE("a decode stopped at every deadline and resumed gives the undisturbed logits bit for bit", "[thread]") {
    const char* device = GENERATE("ref", "cpu");
    const char* kind = GENERATE("full", "window", "recurrent");
    INFO(kind << " on " << device << ", HEARTH_TEST_SEED=" << seed());
    const Loaded loaded = load_model(tiny(kind), device);
    const auto context = loaded.context(), twin = loaded.context();
    for (int step = 0; step < 3; ++step) {
        const Ids tokens = random_tokens(step == 1 ? 1 : 40, static_cast<uint64_t>(step));
        auto outcome = context->decode(batch_of(tokens), 1);  // long past
        int n_pause = 0;
        while (outcome && *outcome == Outcome::paused && n_pause < 100000) {
            if (++n_pause == 1) {
                CHECK(context->suspended());
                CHECK(context->decode(batch_of(tokens)).code() == Code::busy);
                CHECK(context->save(0).code() == Code::busy);
                CHECK(context->remove(0, 0, -1).code() == Code::busy);
            }
            outcome = context->resume(1);
        }
        INFO(error_record().message);
        REQUIRE(outcome);
        CHECK(n_pause > 0);
        CHECK_FALSE(context->suspended());
        test::decode(*twin, tokens);
        CHECK(row(*context, context->n_output() - 1) == row(*twin, twin->n_output() - 1));
        CHECK(saved(*context, 0) == saved(*twin, 0));
    }
    CHECK(context->resume().code() == Code::state);
}

TEST_CASE("an abandoned decode leaves the context as it was, wherever it had stopped") {
    const char* kind = GENERATE("full", "window", "recurrent");
    INFO(kind << ", HEARTH_TEST_SEED=" << seed());
    const Loaded loaded = load_model(tiny(kind), "cpu");
    const auto context = loaded.context(256, 2), twin = loaded.context(256, 2);
    const Ids tokens = random_tokens(45, 1), more = random_tokens(40, 2);
    for (Context* c : {context.get(), twin.get()}) {
        test::decode(*c, tokens);
        REQUIRE(c->copy(0, 1, 0, -1));  // so that the step copies a shared page too
    }
    const auto before = saved(*context, 0);
    for (int stop = 0;; ++stop) {
        auto outcome = context->decode(batch_of(more), 1);
        for (int i = 0; i < stop && outcome && *outcome == Outcome::paused; ++i) outcome = context->resume(1);
        REQUIRE(outcome);
        if (*outcome == Outcome::done) break;
        context->abandon();
        CHECK_FALSE(context->suspended());
        CHECK(saved(*context, 0) == before);
    }
    const Logits last = row(*context, 0);
    CHECK(last == test::decode(*twin, more));
    CHECK(saved(*context, 1) == saved(*twin, 1));
}

TEST_CASE("what a batch may not say is a sentence that names it") {
    const Loaded loaded = load_model(tiny_llama(), "cpu");
    ContextOptions options;
    options.n_ctx = 64;
    options.n_batch = 8;
    options.n_output_max = 2;
    options.n_seq_max = 2;
    const auto context = loaded.context(options);
    const auto refused = [&](Batch batch, const char* word) {
        CHECK(context->decode(batch).code() == Code::invalid_argument);
        refused_with(word);
        CHECK(*context->n_token(0) == 0);
    };
    const Ids nine(9, 1), four(4, 1);
    refused(batch_of(nine), "n_batch");
    Batch batch = batch_of(four);
    const std::vector<uint8_t> all(4, 1);
    batch.want_logits = all.data();
    refused(batch, "n_output_max");
    for (int32_t token : {64, -1, -2, INT32_MAX, INT32_MIN}) {
        Ids bad = {1, 2, token};
        refused(batch_of(bad), "token 2");
    }
    for (int32_t seq : {-1, 2, INT32_MAX}) {
        const Ids bad = {0, 0, 0, seq};
        batch = batch_of(four);
        batch.seq = bad.data();
        refused(batch, "n_seq_max");
    }
    for (const Ids& pos : {Ids{0, 1, 1, 2}, Ids{-1, 0, 1, 2}, Ids{3, 2, 1, 0}, Ids{0, 1, 2, INT32_MAX}}) {
        batch = batch_of(four);
        batch.pos = pos.data();
        refused(batch, "position");
    }
    refused(Batch{}, "no tokens");
    CHECK_FALSE(context->n_token(2));
    CHECK_FALSE(context->copy(0, 2, 0, -1));
    refused_with("n_seq_max");
    test::decode(*context, four);
}

TEST_CASE("context options out of range are sentences that name the option") {
    const Loaded loaded = load_model(tiny_llama(), "cpu");
    const auto refused = [&](ContextOptions options, const char* word) {
        CHECK(Context::make(loaded.model, options).code() == Code::invalid_argument);
        refused_with(word);
    };
    ContextOptions options;
    options.n_ctx = -1;
    refused(options, "n_ctx");
    options = {};
    options.n_seq_max = 0;
    refused(options, "n_seq_max");
    options = {};
    options.n_batch = -5;
    refused(options, "n_batch");
    options = {};
    options.n_output_max = -1;
    refused(options, "n_output_max");
}

// Planned from headers; counted where the allocator hook gives memory out.
TEST_CASE("a plan's bytes are the bytes that loading and making a context allocate") {
    const char* device = GENERATE("ref", "cpu");
    const char* kind = GENERATE("full", "window", "recurrent");
    INFO(kind << " on " << device);
    const Loaded loaded = load_model(tiny(kind), device);
    const MemoryCount& memory = loaded.runtime->memory();
    CHECK(memory.now.load() == loaded.model->weight_bytes());
    for (int32_t n_ctx : {32, 100, 512}) {
        ContextOptions options;
        options.n_ctx = n_ctx;
        options.n_seq_max = n_ctx == 100 ? 3 : 1;
        options.k_type = options.v_type = HEARTH_FORMAT_F32;
        const uint64_t before = memory.now.load();
        const auto plan = Context::plan(*loaded.model, options);
        REQUIRE(plan);
        CHECK(memory.now.load() == before);
        const auto context = loaded.context(options);
        CHECK(memory.now.load() - before == plan->total());
        CHECK(context->bytes().total() == plan->total());
        test::decode(*context, random_tokens(20, 1));
        CHECK(memory.now.load() - before == plan->total());
    }
    CHECK(memory.now.load() == loaded.model->weight_bytes());
}

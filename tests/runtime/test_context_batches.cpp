// Decoding several sequences together gives each what it gets alone, on every backend and kind of cache.
#include "runtime/context_support.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

// Logits of the last token of each sequence when all tokens go into one batch, with `order` naming the next sequence.
std::vector<Logits> together(Context& context, const std::vector<Ids>& sequences, const Ids& order) {
    Ids token, seq;
    std::vector<std::size_t> next(sequences.size(), 0);
    std::vector<int32_t> last(sequences.size(), -1);
    for (int32_t s : order) {
        const auto at = static_cast<std::size_t>(s);
        last[at] = static_cast<int32_t>(token.size());
        token.push_back(sequences[at][next[at]++]);
        seq.push_back(s);
    }
    Batch batch;
    batch.n_token = static_cast<int32_t>(token.size());
    batch.token = token.data();
    batch.seq = seq.data();
    const auto outcome = context.decode(batch);
    INFO(error_record().message);
    REQUIRE(outcome);
    std::vector<Logits> result;
    for (int32_t index : last) result.push_back(row(context, context.output_of_token(index)));
    return result;
}

}  // namespace

TEST_CASE("sequences decoded in one batch each get what they get alone, in any interleaving") {
    const char* device = GENERATE("ref", "cpu");
    const char* kind = GENERATE("full", "window", "recurrent");
    INFO(kind << " on " << device << ", HEARTH_TEST_SEED=" << seed());
    const Loaded loaded = load_model(tiny(kind), device);
    const std::vector<Ids> sequences = {random_tokens(41, 1), random_tokens(7, 2), random_tokens(33, 3)};
    std::vector<Logits> alone;
    for (const Ids& tokens : sequences) alone.push_back(test::decode(*loaded.context(), tokens));
    Ids one_after_other, mixed;
    for (int32_t s = 0; s < 3; ++s) one_after_other.insert(one_after_other.end(), sequences[static_cast<std::size_t>(s)].size(), s);
    mixed = one_after_other;
    Random random(seed());
    for (std::size_t i = mixed.size(); i > 1; --i) std::swap(mixed[i - 1], mixed[random.below(i)]);
    for (const Ids& order : {one_after_other, mixed}) {
        const auto context = loaded.context(256, 3);
        const auto got = together(*context, sequences, order);
        for (std::size_t s = 0; s < 3; ++s) {
            check_close(got[s], alone[s]);
            CHECK(*context->n_token(static_cast<int32_t>(s)) == static_cast<int32_t>(sequences[s].size()));
        }
    }
}

TEST_CASE("later steps of several sequences in one batch continue each where it was") {
    const char* device = GENERATE("ref", "cpu");
    const char* kind = GENERATE("full", "window", "recurrent");
    INFO(kind << " on " << device << ", HEARTH_TEST_SEED=" << seed());
    const Loaded loaded = load_model(tiny(kind), device);
    const Ids a = random_tokens(60, 4), b = random_tokens(47, 5);
    const auto context = loaded.context(256, 2);
    test::decode(*context, Ids(a.begin(), a.begin() + 40), 0);
    test::decode(*context, Ids(b.begin(), b.begin() + 27), 1);
    std::vector<Logits> got;
    for (std::size_t i = 0; i < 20; ++i) got = together(*context, {{a[40 + i]}, {b[27 + i]}}, {1, 0});
    check_close(got[0], test::decode(*loaded.context(), a));
    check_close(got[1], test::decode(*loaded.context(), b));
}

TEST_CASE("output rows follow the batch's order and only the asked-for tokens have one") {
    const Loaded loaded = load_model(tiny_llama(), "cpu");
    const auto context = loaded.context(64, 2);
    const Ids token = random_tokens(5, 6), seq = {1, 0, 1, 0, 1};
    const std::vector<uint8_t> want = {1, 0, 0, 1, 1};
    Batch batch;
    batch.n_token = 5;
    batch.token = token.data();
    batch.seq = seq.data();
    batch.want_logits = want.data();
    REQUIRE(context->decode(batch));
    CHECK(context->n_output() == 3);
    CHECK(context->output_of_token(0) == 0);
    CHECK(context->output_of_token(1) == -1);
    CHECK(context->output_of_token(3) == 1);
    CHECK(context->output_of_token(4) == 2);
    CHECK(context->output_of_token(5) == -1);
    CHECK(context->logits(3) == nullptr);
    check_close(row(*context, 0), test::decode(*loaded.context(), {token[0]}));
    check_close(row(*context, 1), test::decode(*loaded.context(), {token[1], token[3]}));
    check_close(row(*context, 2), test::decode(*loaded.context(), {token[0], token[2], token[4]}));
}

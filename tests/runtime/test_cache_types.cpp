// Caches of any two types: what is saved, forked, shifted and spread stays what was stored, and what it costs is known.
#include "runtime/context_support.hpp"
#include "runtime/plan.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

struct Types {
    int32_t k, v;
};

std::unique_ptr<Context> make_context(const Loaded& loaded, Types types, int32_t n_batch = 128) {
    ContextOptions options;
    options.n_ctx = 256;
    options.n_seq_max = 2;
    options.n_batch = n_batch;
    options.k_type = types.k;
    options.v_type = types.v;
    auto context = Context::make(loaded.model, options);
    INFO(error_record().message);
    REQUIRE(context);
    return std::move(*context);
}

double error_between(const Logits& got, const Logits& want) {
    double error = 0, power = 0;
    for (std::size_t i = 0; i < want.size(); ++i) {
        error += std::pow(double{got[i]} - double{want[i]}, 2);
        power += std::pow(double{want[i]}, 2);
    }
    return error / power;
}

constexpr Types kF32{HEARTH_FORMAT_F32, HEARTH_FORMAT_F32};

}  // namespace

TEST_CASE("sequences are the same in caches of any two types: in pieces, forked, saved, on other devices") {
    const Types types = GENERATE(Types{HEARTH_FORMAT_BF16, HEARTH_FORMAT_BF16}, Types{HEARTH_FORMAT_Q8_0, HEARTH_FORMAT_Q8_0},
                                 Types{HEARTH_FORMAT_Q4_0, HEARTH_FORMAT_Q4_0}, Types{HEARTH_FORMAT_Q8_0, HEARTH_FORMAT_F16},
                                 Types{HEARTH_FORMAT_F32, HEARTH_FORMAT_Q4_0});
    INFO("K " << types.k << " V " << types.v << ", HEARTH_TEST_SEED=" << seed());
    const Loaded cpu = load_demo("cpu,deterministic=on"), layers = load_demo("sim:2x16MiB,deterministic=on"),
                 ranks = load_demo("sim:2x16MiB,split=tensor");
    const Ids prompt = random_tokens(70, 1), more = random_tokens(3, 2);
    const auto whole = make_context(cpu, types), pieces = make_context(cpu, types, 7), split = make_context(layers, types);
    const Logits want = decode(*whole, prompt);
    CHECK(decode(*pieces, prompt) == want);
    CHECK(decode(*split, prompt) == want);
    REQUIRE(whole->copy(0, 1, 0, -1));
    const auto saved = whole->save(0);
    REQUIRE(saved);
    const Logits next = decode(*whole, more);
    CHECK(decode(*whole, more, 1) == next);
    for (const Loaded* loaded : {&cpu, &layers}) {
        const auto fresh = make_context(*loaded, types);
        REQUIRE(fresh->load(1, saved->data(), saved->size()));
        CHECK(decode(*fresh, more, 1) == next);
    }
    // Spread over ranks a code may tip over where a sum is rounded otherwise; what is loaded and saved again is the same bytes.
    const auto spread = make_context(ranks, types);
    REQUIRE(spread->load(0, saved->data(), saved->size()));
    const auto again = spread->save(0);
    REQUIRE(again);
    CHECK(*again == *saved);
    CHECK(error_between(decode(*spread, more), next) < 1e-2);
}

TEST_CASE("what is shifted in a cache of codes keeps its meaning") {
    const Loaded cpu = load_demo("cpu");
    const auto shifted = [&](Types types) {
        const auto context = make_context(cpu, types);
        decode(*context, random_tokens(70, 1));
        REQUIRE(context->remove(0, 20, 31));
        REQUIRE(context->shift(0, 31, -1, -11));
        return decode(*context, random_tokens(2, 3));
    };
    const Logits want = shifted(kF32);
    // A wrong turn makes other logits: an error of about 1. Codes and halves of 8 bits, rounded twice, with int8 activations: 1e-3.
    CHECK(error_between(shifted({HEARTH_FORMAT_Q8_0, HEARTH_FORMAT_Q8_0}), want) < 1e-2);
    CHECK(error_between(shifted({HEARTH_FORMAT_BF16, HEARTH_FORMAT_BF16}), want) < 1e-2);
}

TEST_CASE("types err a little and take the bytes that they say") {
    const Loaded sim = load_demo("sim:16MiB");
    const Hparams& h = sim.model->hparams();
    const Ids prompt = random_tokens(120, 4);
    const Logits want = decode(*make_context(sim, kF32), prompt);
    struct Row {
        int32_t type;
        int64_t bits;  // per element
    };
    for (const Row& row : {Row{HEARTH_FORMAT_F16, 16}, Row{HEARTH_FORMAT_Q8_0, 8}, Row{HEARTH_FORMAT_Q4_0, 4}}) {
        const auto context = make_context(sim, {row.type, row.type});
        const double error = error_between(decode(*context, prompt), want);
        INFO("bits " << row.bits << " error " << error);
        CHECK(error > 0);
        CHECK(error < 0.05);
        const int64_t n_page = 256 / 32 + 1, elements = n_page * 32 * h.layer[0].n_head_kv * (h.key_width + h.value_width) * h.n_layer;
        const int64_t scales = row.bits < 16 ? elements / 32 * 16 : 0;
        CHECK(context->bytes().sum().cache_bytes == static_cast<uint64_t>((elements * row.bits + scales) / 8));
    }
}

TEST_CASE("a cache of codes is refused for heads that have no whole blocks") {
    const Loaded loaded = load_model(tiny("full"), "cpu");
    ContextOptions options;
    options.n_ctx = 64;
    options.k_type = HEARTH_FORMAT_Q8_0;
    CHECK_FALSE(Context::make(loaded.model, options));
    CHECK(refused_with("multiple of 32"));
    CHECK(error_record().code == Code::unsupported_type);
}

// Attention over many keys: summed in stretches, by several threads where there are few queries; the bits are those of one thread.
#include "ops/attention_support.hpp"
#include "support/catch.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

// As kAttentionBound for 84 keys: a term passes up to 512 sums of a stretch of these contexts, and 8 more.
constexpr double kLongBound = 520.0 / 84 * kAttentionBound;

void check_threads(const std::string& what, const AttentionSpec& s, Random& random) {
    const OpCase c = attention_case(s, random);
    INFO(what << " types " << s.k_type << " " << s.v_type << " seed " << seed());
    const Outcome want = Candidate{"ref", hearth_backend_ref(), ""}.run(c);
    REQUIRE(want.error == "");
    for (const Candidate& candidate : cpu_levels()) {
        if (candidate.name == "sim") continue;
        const Outcome once = candidate.run(c);
        REQUIRE(once.error == "");
        for (const int32_t n_thread : {2, 3, 8}) {
            INFO(candidate.name << " threads " << n_thread);
            CHECK(candidate.run(c, {.n_thread = n_thread}).value == once.value);
        }
        for (const auto& [value, data] : want.value)
            check_close(candidate.name + " " + what, numbers(once.value.at(value)), numbers(data), with_words(kLongBound, c),
                        with_words(kLongBound, c));
    }
}

}  // namespace

TEST_CASE("few queries over many keys give the same bits at any number of threads, and those of the reference", "[ops][thread]") {
    Random random(seed());
    const AttentionSpec one{.n_head = 3, .n_head_kv = 1, .k_width = 32, .v_width = 24, .past = {1700}, .fresh = {1}};
    check_threads("one head", one, random);
    const auto with = [&](auto change) {
        AttentionSpec s = one;
        change(s);
        return s;
    };
    check_threads("sinks, counted once", with([](AttentionSpec& s) { s.sink = true; }), random);
    check_threads("softcap and alibi", with([](AttentionSpec& s) { s.softcap = 3, s.alibi = 8; }), random);
    check_threads("sequences", with([](AttentionSpec& s) {
                      s.past = {600, 3, 1023, 1024}, s.fresh = {1, 1, 1, 1}, s.n_head = 12, s.dirty = true;
                  }),
                  random);
    check_threads("longer stretches", with([](AttentionSpec& s) { s.past = {3700}, s.n_head = 1, s.k_width = s.v_width = 8; }), random);
    check_threads("window", with([](AttentionSpec& s) { s.kind = HEARTH_CACHE_WINDOW, s.window = 700, s.dirty = true; }), random);
    for (const int32_t type : {HEARTH_FORMAT_F16, HEARTH_FORMAT_BF16}) {
        check_threads("plain", with([&](AttentionSpec& s) { s.k_type = s.v_type = type, s.n_head_kv = 3, s.dirty = true; }), random);
        check_threads("latent", with([&](AttentionSpec& s) {
                          s.kind = HEARTH_CACHE_LATENT, s.k_type = s.v_type = type, s.n_head = 19, s.dirty = true;
                      }),
                      random);
    }
    for (const int32_t type : {HEARTH_FORMAT_Q8_0, HEARTH_FORMAT_Q4_0})
        check_threads("codes", with([&](AttentionSpec& s) { s.k_type = s.v_type = type, s.v_width = 32; }), random);
}

TEST_CASE("stretches in which no key is seen, or whose keys have no weight, change nothing", "[ops][thread]") {
    Random random(seed());
    for (const bool sink : {false, true}) {
        OpCase c = attention_case(
            {.n_head = 2, .n_head_kv = 1, .sink = sink, .past = {1600, 1600, 1600}, .fresh = {1, 1, 1}, .dirty = true}, random);
        c.attend[0] = {1100, 1601};  // the first stretches of whole pages unseen
        c.attend[1] = {0, 0};        // none
        for (int32_t place = 512; place < 1536; ++place)  // keys of sequence 2: weights of 0 beside the others'
            for (int64_t d = 0; d < 16; ++d) {
                const float x = d == 0 ? -1e30f : 0.0f;
                const int32_t page = c.tables[0].page[static_cast<std::size_t>(2 * c.tables[0].page_stride + place / 32)];
                std::memcpy(c.pages[0][2 * page + 1].k.data() + (place % 32 * 16 + d) * 4, &x, 4);
            }
        for (std::size_t i = 0; i < 2; ++i) c.inputs.at(kQueries)[(2 * 2 + i) * 16] = 1;
        const std::vector<float> want = Candidate{"ref", hearth_backend_ref(), ""}.output(c);
        for (const Candidate& candidate : cpu_levels())
            for (const int32_t n_thread : {1, 3, 8}) {
                INFO(candidate.name << " threads " << n_thread << " seed " << seed());
                check_close(candidate.name, candidate.output(c, {.n_thread = n_thread}), want, with_words(kLongBound, c),
                            with_words(kLongBound, c));
            }
    }
}

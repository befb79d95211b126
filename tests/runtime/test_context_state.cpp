// Saved sequences: bit-equal after loading, and refused with a sentence, changing nothing, when they are not right.
#include <cstring>

#include "base/checksum.hpp"
#include "runtime/context_support.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

using Bytes = std::vector<std::byte>;

Bytes saved(Context& context, int32_t seq) {
    auto state = context.save(seq);
    INFO(error_record().message);
    REQUIRE(state);
    return std::move(*state);
}

// The last eight bytes made right again for what stands before them.
void seal(Bytes* state) {
    Checksum sum;
    sum.add(state->data(), state->size() - 8);
    const uint64_t value = sum.value();
    std::memcpy(state->data() + state->size() - 8, &value, 8);
}

}  // namespace

TEST_CASE("a saved sequence loaded into another context goes on bit for bit") {
    const char* device = GENERATE("ref", "cpu");
    const char* kind = GENERATE("full", "window", "recurrent");
    const int32_t n = GENERATE(1, 32, 75);
    INFO(kind << " on " << device << ", " << n << " tokens, HEARTH_TEST_SEED=" << seed());
    const Loaded loaded = load_model(tiny(kind), device);
    const auto from = loaded.context(), to = loaded.context(200, 3, 128);
    test::decode(*from, random_tokens(static_cast<std::size_t>(n), 1));
    const Bytes state = saved(*from, 0);
    test::decode(*to, random_tokens(50, 2), 2);  // what was there is replaced
    const Status status = to->load(2, state.data(), state.size());
    INFO(error_record().message);
    REQUIRE(status);
    CHECK(*to->positions(2) == *from->positions(0));
    CHECK(saved(*to, 2) == state);
    for (int32_t token : random_tokens(3, 3)) CHECK(test::decode(*to, {token}, 2) == test::decode(*from, {token}, 0));
}

TEST_CASE("an empty sequence can be saved and loaded") {
    const Loaded loaded = load_model(tiny(GENERATE("full", "window", "recurrent")), "cpu");
    const auto context = loaded.context(128, 2);
    const Bytes state = saved(*context, 0);
    test::decode(*context, random_tokens(40, 1), 1);
    REQUIRE(context->load(1, state.data(), state.size()));
    CHECK(*context->n_token(1) == 0);
}

TEST_CASE("a damaged state is refused with a sentence and changes nothing") {
    const char* kind = GENERATE("full", "window", "recurrent");
    INFO(kind << ", HEARTH_TEST_SEED=" << seed());
    const Loaded loaded = load_model(tiny(kind), "cpu");
    const auto context = loaded.context(), twin = loaded.context();
    const Ids tokens = random_tokens(50, 1);
    test::decode(*context, tokens);
    test::decode(*twin, tokens);
    const Bytes state = saved(*context, 0);
    const auto refused = [&](const Bytes& bytes) {
        error_record().message[0] = 0;
        CHECK_FALSE(context->load(0, bytes.data(), bytes.size()));
        CHECK(error_record().message[0] != 0);
    };
    for (std::size_t n = 0; n < state.size(); n += 1 + state.size() / 97)
        refused(Bytes(state.begin(), state.begin() + static_cast<std::ptrdiff_t>(n)));
    Random random(seed());
    for (int i = 0; i < 100; ++i) {
        Bytes bytes = state;
        bytes[random.below(bytes.size())] ^= std::byte{static_cast<unsigned char>(1u << random.below(8))};
        refused(bytes);
    }
    Bytes longer = state;
    longer.resize(state.size() + 8);
    seal(&longer);
    refused(longer);
    refused_with("long");
    CHECK(saved(*context, 0) == state);
    CHECK(test::decode(*context, {7}) == test::decode(*twin, {7}));
}

// A checksum keeps out accidents, not intent: whatever a well-sealed state says is checked before it is used.
TEST_CASE("a state that lies under a right checksum is refused or loads as a sequence that decodes") {
    const char* kind = GENERATE("full", "window", "recurrent");
    const Loaded loaded = load_model(tiny(kind), "cpu");
    const auto context = loaded.context(96, 1, 64);
    test::decode(*context, random_tokens(50, 1));
    const Bytes state = saved(*context, 0);
    constexpr std::size_t kVersionAt = 8, kTokensAt = 24, kPosAt = 28, kHead = kPosAt + 4 * 50 + 4;
    for (std::size_t at = kVersionAt; at < kHead; ++at)
        for (unsigned value : {0x00u, 0x01u, 0x02u, 0x7fu, 0x80u, 0xffu}) {
            Bytes bytes = state;
            bytes[at] = static_cast<std::byte>(value);
            seal(&bytes);
            INFO(kind << ": byte " << at << " = " << value << (at >= kTokensAt ? ", in the tokens" : ""));
            if (!context->load(0, bytes.data(), bytes.size())) continue;
            const int32_t token = 3;
            Batch batch;
            batch.n_token = 1;
            batch.token = &token;
            (void)context->decode(batch);  // done, or refused; ASan watches
        }
    CHECK(context->load(0, state.data(), state.size()));
}

TEST_CASE("a state of another model or other cache types is refused and changes nothing") {
    const Loaded loaded = load_model(tiny_llama(), "cpu"), other = load_model(tiny_llama(1), "cpu");
    const auto context = loaded.context(), strange = other.context();
    ContextOptions half;
    half.n_ctx = 256;
    auto narrow = Context::make(loaded.model, half);
    REQUIRE(narrow);
    const Ids tokens = random_tokens(20, 1);
    for (Context* c : {context.get(), strange.get(), narrow->get()}) test::decode(*c, tokens);
    const Bytes before = saved(*context, 0);
    for (Context* c : {strange.get(), narrow->get()}) {
        const Bytes state = saved(*c, 0);
        CHECK_FALSE(context->load(0, state.data(), state.size()));
        refused_with("another model");
    }
    CHECK(saved(*context, 0) == before);
}

TEST_CASE("a state of a model of the same shape is refused when the first row of any tensor differs, and not for other rows") {
    const Loaded loaded = load_model(tiny_llama(), "cpu");
    const auto context = loaded.context();
    test::decode(*context, random_tokens(20, 1));
    const Bytes state = saved(*context, 0);
    const auto& tensors = loaded.model->source().tensors();
    // Where a tensor's data is, found by reading it: the file is no other way known to this test.
    const auto place_of = [&](const TensorInfo& tensor) {
        std::string bytes(tensor.bytes, 0);
        REQUIRE(loaded.model->source().read_rows(tensor, 0, tensor.n_row(), bytes.data()));
        const std::size_t at = loaded.file.find(bytes);
        REQUIRE(at != std::string::npos);
        return at;
    };
    Random random(seed());
    const TensorInfo& changed = tensors[random.below(tensors.size())];
    const std::size_t row = static_cast<std::size_t>(changed.row_width()) * 4, place = place_of(changed);
    const auto loads_into = [&](std::size_t byte) {
        Loaded other = loaded;
        other.file[byte] = static_cast<char>(other.file[byte] ^ 1);
        auto source = open_model_memory(other.file.data(), other.file.size());
        REQUIRE(source);
        ModelOptions options;
        options.device = "sim:4MiB,layers=1";  // where it is does not matter
        auto model = Model::load(loaded.runtime, std::move(*source), options);
        REQUIRE(model);
        other.model = *model;
        return bool(other.context()->load(0, state.data(), state.size()));
    };
    INFO(changed.name << ", HEARTH_TEST_SEED=" << seed());
    CHECK_FALSE(loads_into(place + random.below(row)));
    refused_with("another model");
    const TensorInfo& large = *loaded.model->source().find_tensor("token_embd.weight");
    const std::size_t behind = place_of(large) + static_cast<std::size_t>(large.row_width()) * 4;
    CHECK(loads_into(behind));  // the limit of a sample
}

TEST_CASE("a state that does not fit beside the other sequences is refused and changes nothing") {
    const Loaded loaded = load_model(tiny_llama(), "cpu");
    const auto large = loaded.context(256), small = loaded.context(96, 2, 96);
    test::decode(*large, random_tokens(90, 1));
    const Bytes state = saved(*large, 0);
    test::decode(*small, random_tokens(60, 2), 0);
    test::decode(*small, random_tokens(20, 3), 1);
    const Bytes before = saved(*small, 1);
    const auto status = small->load(1, state.data(), state.size());
    CHECK(status.code() == Code::context_full);
    CHECK(saved(*small, 1) == before);
    const auto tiny_context = loaded.context(64, 1, 64);
    CHECK(tiny_context->load(0, state.data(), state.size()).code() == Code::context_full);
    refused_with("n_ctx");
}

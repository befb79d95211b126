// The fuzz target over random inputs, for builds without a fuzzer.
#include "support/catch.hpp"
#include "support/support.hpp"

// The target is one function in one file; it is built into the fuzzer from there, too.
#define LLVMFuzzerTestOneInput fuzz_tokenize_one_input  // one name per target in this program
#include "../fuzz/fuzz_tokenize.cpp"

TEST_CASE("random vocabularies and texts never break a tokenizer") {
    hearth::test::Random random(hearth::test::seed());
    for (int round = 0; round < 2000; ++round) {
        std::vector<std::uint8_t> input(random.below(700));
        const bool ascii = random.below(2);
        for (std::uint8_t& byte : input)
            byte =
                static_cast<std::uint8_t>(ascii && random.below(8) ? 32 + random.below(64) : random.next());
        CHECK(LLVMFuzzerTestOneInput(input.data(), input.size()) == 0);
    }
}

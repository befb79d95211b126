// The generator against its published vectors, and draws as pure functions of their place.
#include "runtime/sampler/philox.hpp"
#include "support/catch.hpp"

using namespace hearth;

// kat_vectors of the Random123 distribution, philox4x32 with 10 rounds.
TEST_CASE("philox gives the published test vectors") {
    CHECK(philox({0, 0, 0, 0}, {0, 0}) == Philox4{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
    CHECK(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
          Philox4{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
    CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
          Philox4{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("every part of a draw's place changes the draw") {
    const DrawPlace place{.seed = 7, .position = 11, .choice = 3, .stage = 16};
    const double u = uniform_at(place);
    CHECK(u == uniform_at(place));
    CHECK((u >= 0 && u < 1));
    CHECK(u != uniform_at({8, 11, 3, 16}));
    CHECK(u != uniform_at({7 + (uint64_t{1} << 32), 11, 3, 16}));
    CHECK(u != uniform_at({7, 12, 3, 16}));
    CHECK(u != uniform_at({7, 11 + (int64_t{1} << 32), 3, 16}));
    CHECK(u != uniform_at({7, 11, 4, 16}));
    CHECK(u != uniform_at({7, 11, 3, 11}));
}

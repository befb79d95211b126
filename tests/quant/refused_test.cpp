// The formats that are refused by name.
#include "quant/format.hpp"
#include "quant/refused.hpp"
#include "support/catch.hpp"

using namespace hearth;

TEST_CASE("a tensor type is read, refused by name with a reason, or unknown, and never two of these") {
    for (int32_t id = -1; id < 500; ++id) {
        INFO(id);
        const RefusedFormat* refused = refused_format(id);
        CHECK_FALSE((refused && find_format(id)));
        if (refused) {
            CHECK_FALSE(refused_format_name(id).empty());
            CHECK_FALSE(refused->reason.empty());
        }
        if (id >= 0 && id <= 42)
            CHECK((refused || find_format(id)));  // every id of GGUF itself has an answer
    }
    CHECK(refused_format_name(16) == "IQ2_XXS");
    CHECK(refused_format_name(40) == "NVFP4");
    CHECK(refused_format_name(43).empty());
    CHECK(refused_format_name(-1).empty());
}

// An architecture row that contradicts itself does not compile. expect: contradicts itself
#include "model/archs.cpp"

namespace hearth {

static_assert(consistent({.name = "fine"}));
#ifdef MUST_FAIL
// No rotary embedding and no learned positions: the model could not tell the order of its tokens.
static_assert(consistent({.name = "blind", .rope = Rope::none}), "a row contradicts itself");
#endif

}  // namespace hearth

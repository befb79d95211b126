// A Result that nobody looks at does not compile under warnings as errors. expect: nodiscard
#include "base/result.hpp"

static hearth::Result<int> number() { return 1; }

int main() {
#ifdef MUST_FAIL
    number();
#endif
    return number() ? 0 : 1;
}

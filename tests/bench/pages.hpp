// Memory as weights and caches have it: huge pages where the system gives them.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <memory>

#include "base/platform.hpp"

struct ReleasePages {
    std::size_t n = 0;
    void operator()(std::byte* data) const { hearth::os::release_pages(data, n); }
};
using Pages = std::unique_ptr<std::byte, ReleasePages>;
inline Pages make_pages(std::size_t n) {
    Pages pages(hearth::os::reserve_pages(n, 64), ReleasePages{n});
    if (!pages) std::abort();  // a benchmark without memory
    return pages;
}

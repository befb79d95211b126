// Page reference counting.
#include "runtime/pages.hpp"

namespace hearth {

PagePool::PagePool(int32_t n_page) : references_(static_cast<std::size_t>(n_page), 0) {
    free_.reserve(static_cast<std::size_t>(n_page));
    for (int32_t page = n_page - 1; page >= 0; --page) free_.push_back(page);
}

int32_t PagePool::take() {
    if (free_.empty()) return -1;
    const int32_t page = free_.back();
    free_.pop_back();
    references_[static_cast<std::size_t>(page)] = 1;
    return page;
}

void PagePool::drop(int32_t page) {
    if (--references_[static_cast<std::size_t>(page)] == 0) free_.push_back(page);
}

}  // namespace hearth

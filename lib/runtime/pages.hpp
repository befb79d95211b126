// The pages of one cache group: which are free, how many sequences share each, and which sequence holds what.
#pragma once

#include <cstdint>
#include <vector>

#include "base/result.hpp"

namespace hearth {

// Reference-counted page numbers 0..n_page-1.
class PagePool {
  public:
    explicit PagePool(int32_t n_page = 0);
    int32_t n_free() const { return static_cast<int32_t>(free_.size()); }
    int32_t take();  // a page with one reference, -1 when none is free
    void share(int32_t page) { ++references_[static_cast<std::size_t>(page)]; }
    void drop(int32_t page);
    bool shared(int32_t page) const { return references_[static_cast<std::size_t>(page)] > 1; }

  private:
    std::vector<int32_t> free_;        // taken from the back
    std::vector<int32_t> references_;  // [n_page]
};

// The page tables of all sequences in one group: table[seq, logical page] = page or -1.
class PageTable {
  public:
    PageTable(int32_t n_seq, int32_t stride)
        : stride_(stride), table_(static_cast<std::size_t>(n_seq) * static_cast<std::size_t>(stride), -1) {}
    int32_t& at(int32_t seq, int32_t logical) {
        return table_[static_cast<std::size_t>(seq) * static_cast<std::size_t>(stride_) + static_cast<std::size_t>(logical)];
    }
    const int32_t* data() const { return table_.data(); }
    int32_t stride() const { return stride_; }

  private:
    int32_t stride_;
    std::vector<int32_t> table_;
};

}  // namespace hearth

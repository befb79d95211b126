// The tokens still in play for one draw, kept only as sorted as somebody has asked for.
#pragma once

#include "base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace hearth {

struct Candidate {
    int32_t id;
    float logit;
    float p;  // valid after softmax()
};

// Total order: equal logits are decided by the lower id, so that no result depends on how we select.
inline bool better(const Candidate& a, const Candidate& b) {
    return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

// Buffers keep their memory between draws.
class Candidates {
  public:
    Status load(const float* logits, int32_t n_vocab);  // logits: [n_vocab]; refuses NaN, +inf and all -inf

    std::size_t size() const { return list_.size(); }
    const Candidate& operator[](std::size_t i) const { return list_[i]; }
    std::span<const Candidate> view() const { return list_; }
    Candidate best() const;

    // Mutable access for stages that shift logits; forgets the order.
    std::span<Candidate> shift() {
        n_sorted_ = 0;
        return list_;
    }
    // The entry of a token or null. Constant time while nothing has been removed.
    Candidate* find(int32_t id);

    void sort_prefix(std::size_t n);  // the n best come first, in order
    void sort() { sort_prefix(list_.size()); }
    void softmax();  // fills p over what is left
    void keep_best(std::size_t k);
    void keep_at_least(float logit, std::size_t min_keep);  // drops what is below, but keeps min_keep
    void keep_prefix(std::size_t n);                        // after sort_prefix(n)
    void drop_prefix(std::size_t n);
    Status drop_impossible();  // -inf leaves; nothing left, NaN or +inf is an error

    template <class Keep>  // bool keep(const Candidate&), independent of order
    void filter(Keep keep) {
        std::size_t n = 0, n_sorted = 0;
        for (std::size_t i = 0; i < list_.size(); ++i) {
            if (!keep(list_[i])) continue;
            n_sorted += i < n_sorted_;
            list_[n++] = list_[i];
        }
        dense_ = dense_ && n == list_.size();
        list_.resize(n);
        n_sorted_ = n_sorted;
    }
    void assign(std::span<const Candidate> list);  // any order

  private:
    std::vector<Candidate> list_, chosen_;
    std::size_t n_sorted_ = 0;
    bool dense_ = false;  // list_[i].id == i
};

}  // namespace hearth

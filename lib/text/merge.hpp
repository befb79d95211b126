// Merges neighbours of a symbol list, best pair first, until none can merge: the heart of SPM and BPE.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace hearth {

struct Symbol {
    int32_t id;          // what the finder calls it, -1 if it can merge with nothing
    uint32_t begin, n;   // bytes of the text; n is 0 once merged into its left neighbour
    int32_t prev, next;  // -1 at the ends
};

template <class Rank>
struct MergeStep {
    Rank rank;  // lower goes first, ties from the left
    int32_t left, right;
    uint32_t n;  // bytes of the merged symbol: tells whether either side has changed since
    int32_t id;
};

// Buffers kept between words, so that a word costs no allocation.
template <class Rank>
struct MergeWork {
    std::vector<Symbol> symbols;
    std::vector<MergeStep<Rank>> heap;

    void clear() {
        symbols.clear();
        heap.clear();
    }
    void push(int32_t id, std::size_t begin, std::size_t n) {
        const auto index = static_cast<int32_t>(symbols.size());
        if (index > 0) symbols.back().next = index;
        symbols.push_back({id, static_cast<uint32_t>(begin), static_cast<uint32_t>(n), index - 1, -1});
    }
};

// find(left, right, &rank, &id) says whether two neighbours merge. O(n log n) for n symbols.
// Afterwards the symbols left over are those reached from symbols[0] through next.
template <class Rank, class Find>
void merge_symbols(MergeWork<Rank>& work, const Find& find) {
    auto& symbols = work.symbols;
    auto& heap = work.heap;
    const auto later = [](const MergeStep<Rank>& a, const MergeStep<Rank>& b) {
        return b.rank < a.rank || (!(a.rank < b.rank) && b.left < a.left);
    };
    const auto at = [&](int32_t i) -> Symbol& { return symbols[static_cast<std::size_t>(i)]; };
    const auto consider = [&](int32_t left, int32_t right) {
        if (left < 0 || right < 0) return false;
        MergeStep<Rank> step{{}, left, right, at(left).n + at(right).n, -1};
        if (!find(at(left), at(right), &step.rank, &step.id)) return false;
        heap.push_back(step);
        return true;
    };
    for (int32_t i = 1; i < static_cast<int32_t>(symbols.size()); ++i) consider(i - 1, i);
    std::make_heap(heap.begin(), heap.end(), later);
    while (!heap.empty()) {
        std::pop_heap(heap.begin(), heap.end(), later);
        const MergeStep<Rank> step = heap.back();
        heap.pop_back();
        Symbol& left = at(step.left);
        Symbol& right = at(step.right);
        if (left.n == 0 || right.n == 0 || left.n + right.n != step.n) continue;
        left.id = step.id;
        left.n = step.n;
        right.n = 0;
        left.next = right.next;
        if (right.next >= 0) at(right.next).prev = step.left;
        if (consider(left.prev, step.left)) std::push_heap(heap.begin(), heap.end(), later);
        if (consider(step.left, left.next)) std::push_heap(heap.begin(), heap.end(), later);
    }
}

}  // namespace hearth

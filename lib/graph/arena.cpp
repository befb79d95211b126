// Largest buffers first, each at the lowest offset where no buffer alive at the same time lies.
#include "graph/arena.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

namespace hearth {

int64_t plan_arena(std::vector<ArenaBuffer>& buffers) {
    std::vector<std::size_t> order(buffers.size()), placed;
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return buffers[a].bytes > buffers[b].bytes; });
    int64_t arena_bytes = 0;
    for (const std::size_t index : order) {
        ArenaBuffer& buffer = buffers[index];
        if (buffer.first < 0) continue;
        std::vector<std::pair<int64_t, int64_t>> taken;
        for (const std::size_t other : placed) {
            const ArenaBuffer& o = buffers[other];
            if (o.first <= buffer.last && buffer.first <= o.last) taken.emplace_back(o.offset, o.offset + o.bytes);
        }
        std::sort(taken.begin(), taken.end());
        int64_t offset = 0;
        for (const auto& [begin, end] : taken) {
            if (offset + buffer.bytes <= begin) break;
            offset = std::max(offset, end);
        }
        buffer.offset = offset;
        placed.push_back(index);
        arena_bytes = std::max(arena_bytes, offset + buffer.bytes);
    }
    return arena_bytes;
}

}  // namespace hearth

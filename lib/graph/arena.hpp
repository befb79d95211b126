// Places buffers in one arena so that those alive at the same time never overlap.
#pragma once

#include <cstdint>
#include <vector>

namespace hearth {

struct ArenaBuffer {
    int64_t bytes;        // a multiple of the alignment wanted
    int32_t first, last;  // nodes that touch it; first -1 = none, it takes no room
    int64_t offset;       // filled
};

// Fills the offsets and returns the bytes of the arena.
int64_t plan_arena(std::vector<ArenaBuffer>& buffers);

}  // namespace hearth

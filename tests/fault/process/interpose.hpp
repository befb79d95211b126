// Every allocation of this process, whoever makes it: counted, and a chosen one fails once.
#pragma once

#include <cstdint>
#include <string>

namespace hearth::test {

// "" where malloc, mmap and their kin are ours; else why they are not (a sanitizer has them, another C library).
std::string not_interposed();

struct Live {
    int64_t n_block = 0;       // of malloc and its kin, not freed
    int64_t mapped_bytes = 0;  // by mmap, not unmapped
};
Live live();

// From now on allocations count, on all threads; the n-th (from 0) fails once; negative: none.
void arm(int64_t n);
// Ends that; the number that was counted.
int64_t disarm();
int64_t refused_mapping_bytes();  // what the one that failed asked of mmap; 0: it was another, or none failed

}  // namespace hearth::test

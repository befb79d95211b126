// Counts every allocation of this program and makes a chosen one fail once.
#pragma once

#include <cstddef>
#include <cstdint>

namespace hearth::test {

int64_t n_outstanding();       // allocations not freed yet, those of the planned-memory hooks included
void fail_allocation(int64_t n);  // the n-th from now fails, once; negative: none
int64_t n_allocation();        // since fail_allocation()

// For hearth_runtime_params.
void *hook_allocate(void *user, std::size_t bytes, std::size_t align);
void hook_free(void *user, void *p, std::size_t bytes, std::size_t align);

}  // namespace hearth::test

// The memory of a simulated device: counted against its limit, and out of reach but while one of the device's calls uses it.
#pragma once

#include <hearth/backend.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "device/sim/options.hpp"

namespace hearth::sim {

std::string size_text(uint64_t bytes);  // "1.5 GiB"

// One allocation.
struct Block {
    Block() = default;
    Block(const Block&) = delete;
    Block& operator=(const Block&) = delete;
    ~Block();
    std::byte* data = nullptr;
    std::size_t n_mapped = 0;         // bytes of data
    uint64_t counted_bytes = 0;       // what the device's limit sees
    hearth_buffer* buffer = nullptr;  // the handle that the CPU backend gave it
    int32_t n_inside = 0;             // calls that use it now
};

class Memory {
  public:
    explicit Memory(const Options& options)
        : total_bytes_(options.total_bytes), limit_bytes_(options.free_bytes), fail_at_(options.fail_at) {}

    // A new block, zeroed and out of reach, which stays without a buffer until the caller sets one; `what` names it in errors.
    Result<Block*> take(uint64_t bytes, const char* what);
    void give_back(Block* block);

    // The block behind a buffer; the buffer of another device is an error.
    Result<Block*> find(hearth_buffer* buffer) const;
    Block* any() const;  // nullptr = there is none

    uint64_t total_bytes() const { return total_bytes_; }
    uint64_t free_bytes() const;
    uint64_t n_alloc() const;

  private:
    friend class Inside;
    Status check_limit(uint64_t bytes, const char* what);

    const uint64_t total_bytes_, limit_bytes_, fail_at_;
    mutable std::mutex mutex_;
    uint64_t used_bytes_ = 0, n_alloc_ = 0;
    std::vector<std::unique_ptr<Block>> blocks_;
};

// Blocks in reach from enter() to the end of its life, on all threads: calls may overlap and nest.
class Inside {
  public:
    explicit Inside(Memory& memory) : memory_(memory) {}
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;
    ~Inside();
    Status enter(std::span<Block* const> blocks);  // once; the span must outlive this

  private:
    Memory& memory_;
    std::span<Block* const> entered_;
};

}  // namespace hearth::sim

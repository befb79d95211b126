// Counts and guards the memory of a simulated device.
#include "device/sim/memory.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/platform.hpp"

namespace hearth::sim {

std::string size_text(uint64_t bytes) {
    constexpr const char* kUnits[] = {"KiB", "MiB", "GiB", "TiB"};
    if (bytes < 1024) return format_text("{} bytes", bytes);
    double value = static_cast<double>(bytes) / 1024;
    std::size_t unit = 0;
    for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit) value /= 1024;
    return format_text("{:.1f} {}", value, kUnits[unit]);
}

Block::~Block() { os::release_pages(data, n_mapped); }

Status Memory::check_limit(uint64_t bytes, const char* what) {
    const uint64_t free = limit_bytes_ - used_bytes_;
    const bool chosen = ++n_alloc_ == fail_at_;
    if (!chosen && bytes <= free) return {};
    const Failure failure =
        chosen ? fail(Code::oom_device, "allocation {} ({} for {}) fails as fail={} asks", n_alloc_, size_text(bytes), what, fail_at_)
               : fail(Code::oom_device, "{} for {} are wanted but {} of {} are free", size_text(bytes), what, size_text(free),
                      size_text(total_bytes_));
    error_record().bytes_wanted = bytes;
    error_record().bytes_free = free;
    return failure;
}

Result<Block*> Memory::take(uint64_t bytes, const char* what) {
    auto block = std::make_unique<Block>();
    std::lock_guard lock(mutex_);
    blocks_.reserve(blocks_.size() + 1);  // what can throw comes before what changes
    HEARTH_CHECK(check_limit(bytes, what));
    block->counted_bytes = bytes;
    block->n_mapped = std::max<uint64_t>(bytes, 64);  // an empty buffer has an address too
    // The simulation needs real memory, and Linux kills the process that touches what is not there.
    const uint64_t available = os::available_bytes();
    if (available == 0 || block->n_mapped <= available) block->data = os::reserve_pages(block->n_mapped, 64);
    if (!block->data) return fail_oom(Code::oom_host, what, bytes, available);
    if (!os::protect_pages(block->data, block->n_mapped, false))
        return fail(Code::internal, "the system refuses to guard {} of {}", size_text(bytes), what);
    used_bytes_ += bytes;
    blocks_.push_back(std::move(block));
    return blocks_.back().get();
}

void Memory::give_back(Block* block) {
    std::lock_guard lock(mutex_);
    const auto found = std::find_if(blocks_.begin(), blocks_.end(), [&](const auto& b) { return b.get() == block; });
    if (found == blocks_.end()) return;
    used_bytes_ -= block->counted_bytes;
    blocks_.erase(found);
}

Result<Block*> Memory::find(hearth_buffer* buffer) const {
    std::lock_guard lock(mutex_);
    for (const auto& block : blocks_)
        if (block->buffer && block->buffer == buffer) return block.get();
    return fail(Code::invalid_argument, "the buffer is not one of this sim device");
}

Block* Memory::any() const {
    std::lock_guard lock(mutex_);
    return blocks_.empty() ? nullptr : blocks_.back().get();
}

uint64_t Memory::free_bytes() const {
    std::lock_guard lock(mutex_);
    return limit_bytes_ - used_bytes_;
}

uint64_t Memory::n_alloc() const {
    std::lock_guard lock(mutex_);
    return n_alloc_;
}

Status Inside::enter(std::span<Block* const> blocks) {
    std::lock_guard lock(memory_.mutex_);
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        Block& block = *blocks[i];
        if (block.n_inside == 0 && !os::protect_pages(block.data, block.n_mapped, true))
            return fail(Code::internal, "the system refuses access to {} of simulated memory", size_text(block.counted_bytes));
        ++block.n_inside;
        entered_ = blocks.first(i + 1);
    }
    return {};
}

Inside::~Inside() {
    std::lock_guard lock(memory_.mutex_);
    for (Block* block : entered_)  // where the system refuses, only the guard is missing
        if (--block->n_inside == 0) os::protect_pages(block->data, block->n_mapped, false);
}

}  // namespace hearth::sim

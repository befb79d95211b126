// The handle table: the library's one mutable global beside the thread's error record; constant-initialised.
#include "handles.hpp"

#include <atomic>
#include <mutex>

namespace hearth::capi {

namespace {

constexpr std::size_t kSlots = 1 << 14;
constexpr uintptr_t kKinds = 8;

struct Slot {
    Object* object = nullptr;
    std::atomic<uint32_t> generation{0}, kind{0};  // read without the mutex by cancel_flag()
    std::atomic<int32_t> cancel{0};
    uint32_t references = 0;
    uint32_t next_free = 0;  // 1-based index of the next free slot, 0 = none
};
static_assert(std::atomic<int32_t>::is_always_lock_free);  // or a signal handler could not cancel

constinit Slot g_slots[kSlots] = {};
constinit uint32_t g_n_used = 0, g_free = 0;

// Of the table. A function's, because MinGW's library makes a mutex at run time; elsewhere it is constant-initialised.
std::mutex& table_mutex() {
    static std::mutex mutex;
    return mutex;
}

// generation, index and kind in one word that is never 0.
void* encode(std::size_t index, uint32_t generation, uint32_t kind) {
    return reinterpret_cast<void*>((uintptr_t{generation} * kSlots + index) * kKinds + kind);
}

// The slot that a handle means; nullptr for a stale, foreign or mistyped one. Call with the mutex held.
Slot* find(void* handle, uint32_t kind) {
    const auto word = reinterpret_cast<uintptr_t>(handle);
    const std::size_t index = word / kKinds % kSlots;
    Slot& slot = g_slots[index];
    const bool same = word % kKinds == kind && slot.kind == kind && slot.references > 0;
    return same && encode(index, slot.generation, kind) == handle ? &slot : nullptr;
}

Failure stale(void* handle, const char* name) {
    if (!handle) return fail(Code::invalid_argument, "the {} handle is NULL", name);
    return fail(Code::invalid_argument, "this is no {} handle, or it was released already", name);
}

// Gives back one reference; the object, if that was the last, is destroyed by the caller outside the lock.
std::unique_ptr<Object> drop(Slot& slot) {
    if (--slot.references > 0) return nullptr;
    std::unique_ptr<Object> last(slot.object);
    slot.object = nullptr;
    ++slot.generation;
    const auto index = static_cast<uint32_t>(&slot - g_slots);
    slot.next_free = g_free;
    g_free = index + 1;
    return last;
}

}  // namespace

Result<void*> add_handle(std::unique_ptr<Object> object, uint32_t kind) {
    std::lock_guard lock(table_mutex());
    uint32_t index = g_n_used;
    if (g_free) {
        index = g_free - 1;
        g_free = g_slots[index].next_free;
    } else if (g_n_used == kSlots) {
        return fail(Code::state, "{} handles are in use already", kSlots);
    } else {
        ++g_n_used;
        g_slots[index].generation = 1;
    }
    Slot& slot = g_slots[index];
    slot.object = object.release();
    slot.kind = kind;
    slot.cancel = 0;
    slot.references = 1;
    return encode(index, slot.generation, kind);
}

Status retain_handle(void* handle, uint32_t kind, const char* name) {
    std::lock_guard lock(table_mutex());
    Slot* slot = find(handle, kind);
    if (!slot) return stale(handle, name);
    ++slot->references;
    return {};
}

Status release_handle(void* handle, uint32_t kind, const char* name) {
    if (!handle) return {};
    std::unique_ptr<Object> last;
    {
        std::lock_guard lock(table_mutex());
        Slot* slot = find(handle, kind);
        if (!slot) return stale(handle, name);
        last = drop(*slot);
    }
    return {};
}

Result<Borrowed> borrow_handle(void* handle, uint32_t kind, const char* name) {
    Borrowed borrowed;
    {
        std::lock_guard lock(table_mutex());
        Slot* slot = find(handle, kind);
        if (!slot) return stale(handle, name);
        ++slot->references;
        borrowed.handle_ = handle;
        borrowed.kind_ = kind;
        borrowed.object_ = slot->object;
    }
    if (borrowed.object_->runtime->forked())
        return fail(Code::forked, "this {} belongs to the process that forked this one", name);
    return borrowed;
}

// No lock: the slot outlives every handle, and a wrong generation is refused.
std::atomic<int32_t>* cancel_flag(void* handle, uint32_t kind) {
    const auto word = reinterpret_cast<uintptr_t>(handle);
    const std::size_t index = word / kKinds % kSlots;
    Slot& slot = g_slots[index];
    const bool same = handle && slot.kind.load() == kind && encode(index, slot.generation.load(), kind) == handle;
    return same ? &slot.cancel : nullptr;
}

Borrowed::~Borrowed() {
    if (!object_) return;
    std::unique_ptr<Object> last;
    std::lock_guard lock(table_mutex());
    if (Slot* slot = find(handle_, kind_)) last = drop(*slot);
}

}  // namespace hearth::capi

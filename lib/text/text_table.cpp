// The hash index: linear probing over a table kept at most half full.
#include "text/text_table.hpp"

#include <algorithm>
#include <cstring>

namespace hearth {

namespace {

// Multiply-and-fold over eight bytes at a time; the tail is read as one padded word.
uint32_t hash_text(std::string_view text) {
    uint64_t h = 0x9E3779B97F4A7C15u ^ text.size();
    const char* p = text.data();
    std::size_t n = text.size();
    while (n > 0) {
        uint64_t word = 0;
        const std::size_t step = std::min<std::size_t>(n, 8);
        std::memcpy(&word, p, step);
        h = (h ^ word) * 0xFF51AFD7ED558CCDu;
        h ^= h >> 32;
        p += step;
        n -= step;
    }
    h *= 0xC4CEB9FE1A85EC53u;
    return static_cast<uint32_t>(h >> 32);
}

}  // namespace

void TextTable::reserve(std::size_t n_text, std::size_t text_bytes) {
    bytes_.reserve(text_bytes);
    begins_.reserve(n_text + 1);
    std::size_t n_slot = 16;
    while (n_slot < n_text * 2) n_slot *= 2;
    grow(n_slot);
}

int32_t TextTable::push(std::string_view text) {
    const int32_t id = size();
    bytes_.append(text);
    begins_.push_back(bytes_.size());
    longest_bytes_ = std::max(longest_bytes_, text.size());
    if (!text.empty() && find(text) < 0) {
        if ((n_indexed_ + 1) * 2 > slots_.size()) grow(std::max<std::size_t>(16, slots_.size() * 2));
        index(id);
        ++n_indexed_;
    }
    return id;
}

int32_t TextTable::intern(std::string_view text) {
    const int32_t id = find(text);
    return id >= 0 ? id : push(text);
}

int32_t TextTable::find(std::string_view wanted) const {
    if (slots_.empty() || wanted.empty() || wanted.size() > longest_bytes_) return -1;
    const uint32_t hash = hash_text(wanted);
    const std::size_t mask = slots_.size() - 1;
    for (std::size_t i = hash & mask; slots_[i].id >= 0; i = (i + 1) & mask)
        if (slots_[i].hash == hash && text(slots_[i].id) == wanted) return slots_[i].id;
    return -1;
}

void TextTable::grow(std::size_t n_slot) {
    if (n_slot <= slots_.size()) return;
    std::vector<Slot> old(n_slot);
    old.swap(slots_);
    for (const Slot& slot : old)
        if (slot.id >= 0) index(slot.id);
}

void TextTable::index(int32_t id) {
    const uint32_t hash = hash_text(text(id));
    const std::size_t mask = slots_.size() - 1;
    std::size_t i = hash & mask;
    while (slots_[i].id >= 0) i = (i + 1) & mask;
    slots_[i] = {hash, id};
}

}  // namespace hearth

// Editing sequences between steps: clear, fork, truncate, cut, restore.
#include <algorithm>

#include "runtime/cache.hpp"

namespace hearth {

namespace {

constexpr int32_t kPage = HEARTH_PAGE_TOKENS;

// One layer of one page as plain rows.
struct PageRows {
    std::vector<std::byte> k, v;
    explicit PageRows(const hearth_cache& c) : k(page_row_bytes(c).k), v(page_row_bytes(c).v) {}
};

void copy_row(std::vector<std::byte>& from, int32_t from_row, std::vector<std::byte>& to, int32_t to_row) {
    const std::size_t bytes = from.size() / kPage;
    std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(bytes * static_cast<std::size_t>(from_row)), bytes,
                to.begin() + static_cast<std::ptrdiff_t>(bytes * static_cast<std::size_t>(to_row)));
}

}  // namespace

void Cache::clear(int32_t seq) {
    for (Group& g : groups_) {
        drop_pages(g, seq, 0, g.table.stride());
        if (g.slot.empty()) continue;
        int32_t& slot = g.slot[static_cast<std::size_t>(seq)];
        if (slot >= 0) g.units.drop(slot);
        slot = -1;
    }
    sequences_[static_cast<std::size_t>(seq)].pos.clear();
}

// A sequence cut to n_place tokens sees again what came before them; a window group may have dropped that.
Status Cache::check_window(int32_t seq, int32_t n_place) {
    for (Group& g : groups_) {
        if (g.desc.kind != HEARTH_CACHE_WINDOW) continue;
        const int32_t first_needed = std::max(0, n_place - g.desc.window + 1);
        if (first_needed < n_place && g.table.at(seq, first_needed / kPage) < 0)
            return fail(Code::state, "sequence {} cannot go back to {} tokens: its window layers have dropped tokens that "
                        "would be seen again", seq, n_place);
    }
    return {};
}

Status Cache::fork(int32_t src, int32_t dst, int32_t n_place) {
    if (n_place < sequence(src).n_place() && has_recurrent())
        return fail(Code::state, "a model with recurrent layers can copy a whole sequence only, not its first {} tokens", n_place);
    if (n_place < sequence(src).n_place()) HEARTH_CHECK(check_window(src, n_place));
    sequences_[static_cast<std::size_t>(dst)].pos.reserve(static_cast<std::size_t>(n_place));  // nothing throws from here on
    for (Group& g : groups_)  // before anything changes: slots are copied, and there must be one
        if (!g.slot.empty() && g.units.n_free() == 0 && g.slot[static_cast<std::size_t>(dst)] < 0)
            return fail(Code::context_full, "no free state slot for sequence {}", dst);
    clear(dst);
    for (Group& g : groups_) {
        for (int32_t logical = 0; logical < std::min(pages_for(n_place), g.table.stride()); ++logical) {
            const int32_t page = g.table.at(src, logical);
            if (page >= 0) g.units.share(page);
            g.table.at(dst, logical) = page;
        }
        if (g.slot.empty() || g.slot[static_cast<std::size_t>(src)] < 0) continue;
        const int32_t slot = g.units.take();
        HEARTH_CHECK(copy_unit(g, g.slot[static_cast<std::size_t>(src)], slot));
        g.slot[static_cast<std::size_t>(dst)] = slot;
    }
    const auto& pos = sequence(src).pos;
    sequences_[static_cast<std::size_t>(dst)].pos.assign(pos.begin(), pos.begin() + n_place);
    return {};
}

Status Cache::truncate(int32_t seq, int32_t n_place) {
    Sequence& s = sequences_[static_cast<std::size_t>(seq)];
    if (n_place >= s.n_place()) return {};
    if (n_place == 0) {
        clear(seq);
        return {};
    }
    if (has_recurrent())
        return fail(Code::state, "a model with recurrent layers cannot forget the last {} tokens of sequence {}, only all",
                    s.n_place() - n_place, seq);
    HEARTH_CHECK(check_window(seq, n_place));
    for (Group& g : groups_) drop_pages(g, seq, pages_for(n_place), std::min(g.table.stride(), pages_for(s.n_place())));
    s.pos.resize(static_cast<std::size_t>(n_place));
    return {};
}

// Gives the sequence pages of its own for places [begin, end), copies of those that it shares.
Status Cache::own(int32_t seq, int32_t begin, int32_t end) {
    const auto shared = [&](Group& g, int32_t logical) {
        const int32_t page = g.table.at(seq, logical);
        return page >= 0 && g.units.shared(page);
    };
    for (Group& g : groups_) {
        if (!g.slot.empty()) continue;
        int32_t n_wanted = 0;
        for (int32_t logical = begin / kPage; logical < pages_for(end); ++logical) n_wanted += shared(g, logical);
        if (n_wanted > g.units.n_free()) return full(seq, n_wanted * kPage);
    }
    for (Group& g : groups_) {
        if (!g.slot.empty()) continue;
        for (int32_t logical = begin / kPage; logical < pages_for(end); ++logical) {
            if (!shared(g, logical)) continue;
            int32_t& entry = g.table.at(seq, logical);
            const int32_t page = g.units.take();
            if (Status copied = copy_unit(g, entry, page); !copied) {
                g.units.drop(page);
                return copied.failure();
            }
            g.units.drop(entry);
            entry = page;
        }
    }
    return {};
}

// Moves places [end, n) down to begin, layer by layer; the pages must be the sequence's own.
Status Cache::move_places(Group& group, int32_t seq, int32_t begin, int32_t end) {
    const int32_t n = sequence(seq).n_place(), n_new = n - (end - begin);
    PageRows from(group.desc), to(group.desc);
    for (int32_t layer = 0; layer < group.desc.n_layer; ++layer) {
        int32_t loaded = -1;
        for (int32_t logical = begin / kPage; logical < pages_for(n_new); ++logical) {
            const int32_t page = group.table.at(seq, logical);
            HEARTH_CHECK(export_layer(group, page, layer, to.k.data(), to.v.data()));
            for (int32_t place = std::max(begin, logical * kPage); place < std::min(n_new, (logical + 1) * kPage); ++place) {
                const int32_t source = place + end - begin;
                if (loaded != source / kPage) {
                    loaded = source / kPage;
                    HEARTH_CHECK(export_layer(group, group.table.at(seq, loaded), layer, from.k.data(), from.v.data()));
                }
                copy_row(from.k, source % kPage, to.k, place % kPage);
                copy_row(from.v, source % kPage, to.v, place % kPage);
            }
            HEARTH_CHECK(import_layer(group, page, layer, to.k.data(), to.v.data()));
        }
    }
    return {};
}

Status Cache::cut(int32_t seq, int32_t begin, int32_t end) {
    Sequence& s = sequences_[static_cast<std::size_t>(seq)];
    if (begin >= end) return {};
    if (end >= s.n_place()) return truncate(seq, begin);
    if (has_recurrent() || has_window())
        return fail(Code::state, "a model with recurrent or window layers cannot drop tokens from the middle of sequence {}", seq);
    HEARTH_CHECK(own(seq, begin, s.n_place() - (end - begin)));
    for (Group& g : groups_) HEARTH_CHECK(move_places(g, seq, begin, end));
    s.pos.erase(s.pos.begin() + begin, s.pos.begin() + end);
    for (Group& g : groups_) drop_pages(g, seq, pages_for(s.n_place()), g.table.stride());
    return {};
}

void Cache::shift_positions(int32_t seq, int32_t begin, int32_t end, int32_t delta) {
    auto& pos = sequences_[static_cast<std::size_t>(seq)].pos;
    for (int32_t i = begin; i < end; ++i) pos[static_cast<std::size_t>(i)] += delta;
}

// Pages that the sequence could have if it gave back its own.
int32_t Cache::n_available(Group& group, int32_t seq) {
    int32_t n = group.units.n_free();
    for (int32_t logical = 0; logical < group.table.stride(); ++logical) {
        const int32_t page = group.table.at(seq, logical);
        n += page >= 0 && !group.units.shared(page);
    }
    return n;
}

Status Cache::restore(int32_t seq, const std::vector<int32_t>& pos, const std::vector<int32_t>& first_page) {
    const auto n = static_cast<int32_t>(pos.size());
    for (std::size_t i = 0; i < groups_.size(); ++i)  // before anything changes
        if (groups_[i].slot.empty() && pages_for(n) - first_page[i] > n_available(groups_[i], seq)) return full(seq, n);
    sequences_[static_cast<std::size_t>(seq)].pos.reserve(pos.size());
    clear(seq);
    for (std::size_t i = 0; i < groups_.size(); ++i) {
        Group& g = groups_[i];
        const int32_t end = g.slot.empty() ? pages_for(n) : 1;
        for (int32_t logical = g.slot.empty() ? first_page[i] : 0; logical < end; ++logical) {
            const int32_t unit = g.units.take();  // there is one: counted above, and two slots per sequence
            (g.slot.empty() ? g.table.at(seq, logical) : g.slot[static_cast<std::size_t>(seq)]) = unit;
        }
    }
    sequences_[static_cast<std::size_t>(seq)].pos = pos;
    return {};
}

}  // namespace hearth

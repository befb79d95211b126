// Staging, committing and abandoning the cache changes of a step.
#include "runtime/cache.hpp"

#include <algorithm>
#include <cstring>

#include "quant/format.hpp"

namespace hearth {

namespace {
constexpr int32_t kPage = HEARTH_PAGE_TOKENS;
bool recurrent(const hearth_cache& cache) { return cache.kind == HEARTH_CACHE_RECURRENT; }
}  // namespace

PageRowBytes page_row_bytes(const hearth_cache& c) {
    if (recurrent(c)) return {4 * static_cast<std::size_t>(c.state_width), 0};
    const auto heads = static_cast<uint64_t>(c.n_head_kv);
    const auto rows = [&](int32_t type, int32_t width) {
        return kPage * row_bytes(*find_format(type), heads * static_cast<uint64_t>(width));
    };
    return {rows(c.k_type, c.k_width), c.kind == HEARTH_CACHE_LATENT ? 0 : rows(c.v_type, c.v_width)};
}

// A full group shares n_place places among all sequences, each of which may end in a page of its own. A window group keeps
// per sequence the window before a step and the tokens of the step. A recurrent group writes one slot while it reads another.
int32_t cache_units(const hearth_cache& cache, const CacheSizes& sizes) {
    if (recurrent(cache)) return 2 * sizes.n_seq;
    const int32_t whole = pages_for(sizes.n_place) + sizes.n_seq - 1;
    if (cache.kind != HEARTH_CACHE_WINDOW) return whole;
    const int64_t kept = (int64_t{cache.window} + sizes.n_batch + kPage - 1) / kPage + 1;
    return static_cast<int32_t>(std::min<int64_t>(whole, kept * sizes.n_seq));
}

Result<Cache> Cache::make(const std::vector<Device*>& devices, const SplitGraph& graph, const CacheSizes& sizes) {
    Cache cache;
    cache.sizes_ = sizes;
    cache.sequences_.resize(static_cast<std::size_t>(sizes.n_seq));
    for (std::size_t g = 0; g < graph.graph().caches().size(); ++g) {
        const hearth_cache& desc = graph.graph().caches()[g];
        const int32_t n_unit = cache_units(desc, sizes);
        const auto n_seq = static_cast<std::size_t>(sizes.n_seq);
        Group group{desc, {}, PagePool(n_unit), PageTable(sizes.n_seq, recurrent(desc) ? 0 : pages_for(sizes.n_place)),
                    std::vector<int32_t>(recurrent(desc) ? n_seq : 0, -1), std::vector<int32_t>(recurrent(desc) ? n_seq : 0, -1)};
        for (int32_t d = 0; d < graph.n_device(); ++d) {
            const hearth_cache& held = graph.caches(d)[g];
            if (held.n_layer == 0) continue;
            Device& device = *devices[static_cast<std::size_t>(d)];
            HEARTH_TRY(const uint64_t unit_bytes, device.page_bytes(held));
            HEARTH_TRY(DeviceBuffer buffer, device.alloc(unit_bytes * static_cast<uint64_t>(n_unit), "KV cache"));
            group.pools.push_back({&device, d, held, graph.first_head(d, g), graph.cache_layers(d)[g], unit_bytes, std::move(buffer)});
        }
        cache.groups_.push_back(std::move(group));
    }
    cache.views_.resize(cache.groups_.size());
    return cache;
}

bool Cache::has_recurrent() const {
    return std::any_of(groups_.begin(), groups_.end(), [](const Group& g) { return recurrent(g.desc); });
}

bool Cache::has_window() const {
    return std::any_of(groups_.begin(), groups_.end(), [](const Group& g) { return g.desc.kind == HEARTH_CACHE_WINDOW; });
}

Failure Cache::full(int32_t seq, int32_t n) const {
    int32_t used = 0;
    for (const Sequence& s : sequences_) used += s.n_place();
    return fail(Code::context_full,
                "the context is full: sequence {} needs {} more places, {} of {} are in use by {} sequences (raise n_ctx, or "
                "remove or shift tokens)",
                seq, n, used, sizes_.n_place, sizes_.n_seq);
}

Status Cache::stage(int32_t seq, int32_t n) {
    if (sequence(seq).n_place() + n > sizes_.n_place) return full(seq, n);
    auto& pos = sequences_[static_cast<std::size_t>(seq)].pos;  // commit() must not fail for want of memory
    const std::size_t wanted = pos.size() + static_cast<std::size_t>(n);
    if (wanted > pos.capacity()) pos.reserve(std::max(wanted, 2 * pos.capacity()));
    for (std::size_t g = 0; g < groups_.size(); ++g) {
        const auto index = static_cast<int32_t>(g);
        HEARTH_CHECK(recurrent(groups_[g].desc) ? stage_slot(index, seq) : stage_pages(index, seq, n));
    }
    return {};
}

Status Cache::stage_pages(int32_t group, int32_t seq, int32_t n) {
    const int32_t begin = sequence(seq).n_place();
    for (int32_t logical = begin / kPage; logical < pages_for(begin + n); ++logical)
        HEARTH_CHECK(stage_one(group, seq, logical, n));
    return {};
}

// A page that the step writes: fresh, the sequence's own, or a copy of one that is shared.
Status Cache::stage_one(int32_t group, int32_t seq, int32_t logical, int32_t n) {
    Group& g = groups_[static_cast<std::size_t>(group)];
    int32_t& entry = g.table.at(seq, logical);
    if (entry >= 0 && !g.units.shared(entry)) return {};
    if (g.units.n_free() == 0) return full(seq, n);
    staged_.push_back({group, seq, logical, -1, entry});  // first, because this may throw
    const int32_t page = staged_.back().page = g.units.take();
    if (entry >= 0) HEARTH_CHECK(copy_unit(g, entry, page));
    entry = page;
    return {};
}

Status Cache::stage_slot(int32_t group, int32_t seq) {
    Group& g = groups_[static_cast<std::size_t>(group)];
    int32_t& next = g.next_slot[static_cast<std::size_t>(seq)];
    if (next >= 0) return {};
    if (g.units.n_free() == 0) return full(seq, 1);
    staged_.push_back({group, seq, -1, -1, -1});
    next = staged_.back().page = g.units.take();
    return {};
}

void Cache::commit(int32_t seq, const int32_t* pos, int32_t n) {
    Sequence& s = sequences_[static_cast<std::size_t>(seq)];
    s.pos.insert(s.pos.end(), pos, pos + n);
    for (const Staged& staged : staged_) {
        if (staged.seq != seq) continue;
        Group& g = groups_[static_cast<std::size_t>(staged.group)];
        if (staged.replaced >= 0) g.units.drop(staged.replaced);
        if (staged.logical >= 0) continue;
        int32_t& slot = g.slot[static_cast<std::size_t>(seq)];
        if (slot >= 0) g.units.drop(slot);
        slot = staged.page;
        g.next_slot[static_cast<std::size_t>(seq)] = -1;
    }
    staged_.erase(std::remove_if(staged_.begin(), staged_.end(), [&](const Staged& x) { return x.seq == seq; }),
                  staged_.end());
    for (Group& g : groups_)
        if (g.desc.kind == HEARTH_CACHE_WINDOW) drop_outside_window(g, seq);
}

void Cache::abandon() {
    for (const Staged& staged : staged_) {
        Group& g = groups_[static_cast<std::size_t>(staged.group)];
        g.units.drop(staged.page);
        if (staged.logical >= 0)
            g.table.at(staged.seq, staged.logical) = staged.replaced;
        else
            g.next_slot[static_cast<std::size_t>(staged.seq)] = -1;
    }
    staged_.clear();
}

const std::vector<hearth_cache_view>& Cache::views() {
    for (std::size_t i = 0; i < groups_.size(); ++i) {
        Group& g = groups_[i];
        views_[i] = {g.table.data(), g.table.stride(), g.slot.data(), g.next_slot.data()};
    }
    return views_;
}

std::vector<hearth_place> Cache::places(int32_t device) const {
    std::vector<hearth_place> places(groups_.size());
    for (std::size_t g = 0; g < groups_.size(); ++g)
        for (const Pool& pool : groups_[g].pools)
            if (pool.device_index == device) places[g] = pool.buffer.at(0);
    return places;
}

Status Cache::copy_unit(const Group& group, int32_t from, int32_t to) {
    for (const Pool& pool : group.pools)
        HEARTH_CHECK(pool.device->copy(pool.buffer.at(pool.unit_bytes * static_cast<uint64_t>(from)),
                                       pool.buffer.at(pool.unit_bytes * static_cast<uint64_t>(to)), pool.unit_bytes));
    return {};
}

namespace {

// f(pool, the layer's number in it) for every pool that holds a layer of the group, or heads of it.
template <class F>
Status with_layer(const Cache::Group& group, int32_t layer, F f) {
    bool found_one = false;
    for (const Cache::Pool& pool : group.pools) {
        const auto found = std::find(pool.layers.begin(), pool.layers.end(), layer);
        if (found == pool.layers.end()) continue;
        found_one = true;
        HEARTH_CHECK(f(pool, static_cast<int32_t>(found - pool.layers.begin())));
    }
    if (found_one) return {};
    return fail(Code::internal, "no device holds layer {} of a cache group", layer);
}

bool all_heads(const Cache::Group& group, const Cache::Pool& pool) { return pool.desc.n_head_kv == group.desc.n_head_kv; }

// The heads of a page's rows that one pool has.
class HeadRows {
  public:
    HeadRows(const Cache::Group& group, const Cache::Pool& pool) : k_(page_row_bytes(pool.desc).k), v_(page_row_bytes(pool.desc).v) {
        const hearth_cache& c = pool.desc;
        const auto width = [&](int32_t head_width) { return static_cast<uint64_t>(pool.first_head) * static_cast<uint64_t>(head_width); };
        k_at_ = row_bytes(*find_format(c.k_type), width(c.k_width));
        v_at_ = row_bytes(*find_format(c.v_type), width(c.v_width));
        whole_ = page_row_bytes(group.desc);
    }
    std::byte* k() { return k_.data(); }
    std::byte* v() { return v_.data(); }
    void into(std::byte* k, std::byte* v) const {
        each(k_.size(), k_at_, whole_.k,
             [&](std::size_t part, std::size_t at, std::size_t n) { std::memcpy(k + at, k_.data() + part, n); });
        each(v_.size(), v_at_, whole_.v,
             [&](std::size_t part, std::size_t at, std::size_t n) { std::memcpy(v + at, v_.data() + part, n); });
    }
    void from(const std::byte* k, const std::byte* v) {
        each(k_.size(), k_at_, whole_.k,
             [&](std::size_t part, std::size_t at, std::size_t n) { std::memcpy(k_.data() + part, k + at, n); });
        each(v_.size(), v_at_, whole_.v,
             [&](std::size_t part, std::size_t at, std::size_t n) { std::memcpy(v_.data() + part, v + at, n); });
    }

  private:
    // f(offset in the part, offset in the whole, bytes) for every row.
    template <class F>
    static void each(std::size_t part_bytes, std::size_t at, std::size_t whole_bytes, F f) {
        const std::size_t part = part_bytes / kPage, whole = whole_bytes / kPage;
        for (std::size_t row = 0; row < static_cast<std::size_t>(kPage); ++row) f(row * part, row * whole + at, part);
    }
    std::vector<std::byte> k_, v_;
    std::size_t k_at_, v_at_;
    PageRowBytes whole_;
};

}  // namespace

Status Cache::export_layer(const Group& group, int32_t unit, int32_t layer, std::byte* k, std::byte* v) {
    return with_layer(group, layer, [&](const Pool& pool, int32_t local) -> Status {
        if (all_heads(group, pool)) return pool.device->export_page(pool.desc, pool.buffer.at(0), unit, local, k, v);
        HeadRows rows(group, pool);
        HEARTH_CHECK(pool.device->export_page(pool.desc, pool.buffer.at(0), unit, local, rows.k(), rows.v()));
        rows.into(k, v);
        return {};
    });
}

Status Cache::import_layer(const Group& group, int32_t unit, int32_t layer, const std::byte* k, const std::byte* v) {
    return with_layer(group, layer, [&](const Pool& pool, int32_t local) -> Status {
        if (all_heads(group, pool)) return pool.device->import_page(pool.desc, pool.buffer.at(0), unit, local, k, v);
        HeadRows rows(group, pool);
        rows.from(k, v);
        return pool.device->import_page(pool.desc, pool.buffer.at(0), unit, local, rows.k(), rows.v());
    });
}

void Cache::drop_pages(Group& group, int32_t seq, int32_t begin, int32_t end) {
    for (int32_t logical = begin; logical < end; ++logical) {
        int32_t& page = group.table.at(seq, logical);
        if (page >= 0) group.units.drop(page);
        page = -1;
    }
}

// The next token, at place n, sees places above n - window.
void Cache::drop_outside_window(Group& group, int32_t seq) {
    const int32_t first_kept = std::max(0, sequence(seq).n_place() - group.desc.window + 1);
    drop_pages(group, seq, 0, first_kept / kPage);
}

}  // namespace hearth

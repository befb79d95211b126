// What a context remembers of its sequences on the device: pages, recurrent slots, and the tables that find them.
#pragma once

#include <vector>

#include "graph/split.hpp"
#include "runtime/device.hpp"
#include "runtime/pages.hpp"

namespace hearth {

struct CacheSizes {
    int32_t n_seq = 1;    // sequences
    int32_t n_place = 0;  // places of one sequence at most
    int32_t n_batch = 1;  // tokens of one step at most
};

constexpr int32_t kMaxPosition = 1 << 30;  // positions beyond it are refused: sums of two must not overflow

constexpr int32_t pages_for(int32_t n_place) { return (n_place + HEARTH_PAGE_TOKENS - 1) / HEARTH_PAGE_TOKENS; }

// What one layer of one page takes as plain rows, or one layer of a state slot (all in k).
struct PageRowBytes {
    std::size_t k = 0, v = 0;
};
PageRowBytes page_row_bytes(const hearth_cache& cache);

// Pages (or state slots) that a group needs.
int32_t cache_units(const hearth_cache& cache, const CacheSizes& sizes);

// One sequence: its tokens' positions by place. Places are 0, 1, 2, ... without holes.
struct Sequence {
    std::vector<int32_t> pos;  // [n_place] position of each token (the first axis)
    int32_t n_place() const { return static_cast<int32_t>(pos.size()); }
    int32_t next_pos() const { return pos.empty() ? 0 : pos.back() + 1; }
};

// All changes of one step are staged: commit() makes them visible, abandon() takes them back.
class Cache {
  public:
    // The groups and who holds which of their layers are those of the graph; device d of it is devices[d].
    static Result<Cache> make(const std::vector<Device*>& devices, const SplitGraph& graph, const CacheSizes& sizes);

    const std::vector<Sequence>& sequences() const { return sequences_; }
    const Sequence& sequence(int32_t seq) const { return sequences_[static_cast<std::size_t>(seq)]; }
    bool has_recurrent() const;
    bool has_window() const;

    // Room for n more tokens of seq; Code::context_full, with everything as before, when there is none.
    Status stage(int32_t seq, int32_t n);
    void commit(int32_t seq, const int32_t* pos, int32_t n);
    void abandon();

    // What the run of a step sees; valid until the cache changes.
    const std::vector<hearth_cache_view>& views();
    // Where each group's pool on a device of the graph is; without buffer where it has none of the group's layers.
    std::vector<hearth_place> places(int32_t device) const;

    void clear(int32_t seq);
    // dst becomes a copy of the first n_place tokens of src, sharing pages.
    Status fork(int32_t src, int32_t dst, int32_t n_place);
    // Drops the places from n_place on. Recurrent and window groups can only drop what they still remember.
    Status truncate(int32_t seq, int32_t n_place);
    // Drops places [begin, end) from the middle, moving what follows down.
    Status cut(int32_t seq, int32_t begin, int32_t end);
    // Gives the sequence pages of its own for places [begin, end), copies of those that it shares.
    Status own(int32_t seq, int32_t begin, int32_t end);
    void shift_positions(int32_t seq, int32_t begin, int32_t end, int32_t delta);

    // The layers of a group that one device holds. Pages have the same numbers on all devices.
    struct Pool {
        Device* device;
        int32_t device_index;
        hearth_cache desc;            // with the number of these layers, and of these key/value heads
        int32_t first_head;           // in the group
        std::vector<int32_t> layers;  // in the group
        uint64_t unit_bytes;
        DeviceBuffer buffer;
    };
    // Group-wise access for state files and key rotation.
    struct Group {
        hearth_cache desc;
        std::vector<Pool> pools;
        PagePool units;
        PageTable table;            // paged kinds
        std::vector<int32_t> slot;  // recurrent: [n_seq] slot of each sequence, -1 = zeros
        std::vector<int32_t> next_slot;  // recurrent: [n_seq] slot that the step writes, -1 = none staged
    };
    std::vector<Group>& groups() { return groups_; }
    // A layer of a page as plain rows, or of a state slot (all in k), out of and into the device that holds it.
    static Status export_layer(const Group& group, int32_t unit, int32_t layer, std::byte* k, std::byte* v);
    static Status import_layer(const Group& group, int32_t unit, int32_t layer, const std::byte* k, const std::byte* v);
    // Makes a sequence of n tokens with fresh pages and slots (their content is imported next).
    Status restore(int32_t seq, const std::vector<int32_t>& pos, const std::vector<int32_t>& first_page);

  private:
    struct Staged {
        int32_t group, seq, logical, page;
        int32_t replaced;  // the shared page that this one is a copy of, -1 = none
    };
    Status stage_pages(int32_t group, int32_t seq, int32_t n);
    Status stage_one(int32_t group, int32_t seq, int32_t logical, int32_t n);
    Status stage_slot(int32_t group, int32_t seq);
    void drop_pages(Group& group, int32_t seq, int32_t begin, int32_t end);
    void drop_outside_window(Group& group, int32_t seq);
    static Status copy_unit(const Group& group, int32_t from, int32_t to);
    Status move_places(Group& group, int32_t seq, int32_t begin, int32_t end);
    Status check_window(int32_t seq, int32_t n_place);
    static int32_t n_available(Group& group, int32_t seq);
    Failure full(int32_t seq, int32_t n) const;

    CacheSizes sizes_;
    std::vector<Group> groups_;
    std::vector<Sequence> sequences_;
    std::vector<Staged> staged_;
    std::vector<hearth_cache_view> views_;
};

}  // namespace hearth

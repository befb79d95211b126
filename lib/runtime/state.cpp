// Saving and loading one sequence: versioned, checksummed, in plain rows that any device can read.
//
// Layout, little-endian: magic "HRTHSEQ1", u32 version, u32 n_group, u64 fingerprint of model and cache types,
// u32 n_token, i32 pos[n_token], then per group: u32 first logical page, and per page and layer the rows of k and v
// (a recurrent group: per layer its state), last a u64 checksum of all before it.
#include <algorithm>
#include <cstring>
#include <functional>

#include "base/checksum.hpp"
#include "runtime/context.hpp"

namespace hearth {

namespace {

constexpr char kMagic[8] = {'H', 'R', 'T', 'H', 'S', 'E', 'Q', '1'};
constexpr uint32_t kVersion = 2;  // 1 had a fingerprint that knew shapes alone

class Writer {
  public:
    template <class T>
    void put(const T& value) {
        bytes(&value, sizeof value);
    }
    void bytes(const void* data, std::size_t n) {
        const auto* b = static_cast<const std::byte*>(data);
        out.insert(out.end(), b, b + n);
    }
    std::vector<std::byte> out;
};

class StateReader {
  public:
    StateReader(const std::byte* data, std::size_t n) : data_(data), left_(n) {}
    template <class T>
    bool get(T* value) {
        return bytes(value, sizeof *value);
    }
    bool bytes(void* out, std::size_t n) {
        if (n > left_) return false;
        if (n > 0) std::memcpy(out, data_, n);  // an empty vector has no address
        data_ += n;
        left_ -= n;
        return true;
    }
    bool skip(uint64_t n) {
        if (n > left_) return false;
        data_ += n;
        left_ -= static_cast<std::size_t>(n);
        return true;
    }
    std::size_t left() const { return left_; }

  private:
    const std::byte* data_;
    std::size_t left_;
};

// The first page that a sequence of n tokens must have: a window group may lack those before its window.
uint32_t first_needed(const hearth_cache& c, int32_t n) {
    if (c.kind != HEARTH_CACHE_WINDOW) return 0;
    return static_cast<uint32_t>(std::max(0, n - c.window + 1) / HEARTH_PAGE_TOKENS);
}

// Reads one group's pages or state, whose bytes are known to be there, into those that restore() took for the sequence.
Status import_group(Cache::Group& g, int32_t seq, int32_t first_page, int32_t n_token, StateReader* r) {
    uint32_t first = 0;
    const PageRowBytes size = page_row_bytes(g.desc);
    std::vector<std::byte> k(size.k), v(size.v);
    const bool recurrent = !g.slot.empty();
    (void)r->get(&first);
    for (int32_t logical = first_page; logical < (recurrent ? 1 : pages_for(n_token)); ++logical) {
        const int32_t unit = recurrent ? g.slot[static_cast<std::size_t>(seq)] : g.table.at(seq, logical);
        for (int32_t layer = 0; layer < g.desc.n_layer; ++layer) {
            (void)(r->bytes(k.data(), k.size()) && r->bytes(v.data(), v.size()));
            HEARTH_CHECK(Cache::import_layer(g, unit, layer, k.data(), v.data()));
        }
    }
    return {};
}

Failure damaged(const char* what) { return fail(Code::bad_file, "the saved state is damaged: {}", what); }

}  // namespace

Result<uint64_t> Context::fingerprint() const {
    Checksum sum;
    const Hparams& h = model_->hparams();
    sum.add(h.arch->name.data(), h.arch->name.size());
    HEARTH_TRY(const uint64_t sample, model_->weight_sample());
    sum.add(&sample, sizeof sample);
    for (int32_t n : {h.n_vocab, h.n_embd, h.n_layer}) sum.add(&n, sizeof n);
    for (const Cache::Group& g : cache_->groups()) sum.add(&g.desc, sizeof g.desc);
    for (const TensorInfo& tensor : model_->source().tensors()) {
        sum.add(tensor.name.data(), tensor.name.size());
        sum.add(&tensor.bytes, sizeof tensor.bytes);
    }
    return sum.value();
}

Result<std::vector<std::byte>> Context::save(int32_t seq) {
    HEARTH_CHECK(check_idle());
    HEARTH_CHECK(check_seq(seq));
    const Sequence& s = cache_->sequence(seq);
    HEARTH_TRY(const uint64_t model, fingerprint());
    Writer w;
    w.bytes(kMagic, sizeof kMagic);
    w.put(kVersion);
    w.put(static_cast<uint32_t>(cache_->groups().size()));
    w.put(model);
    w.put(static_cast<uint32_t>(s.n_place()));
    w.bytes(s.pos.data(), 4 * s.pos.size());
    for (Cache::Group& g : cache_->groups()) {
        const PageRowBytes size = page_row_bytes(g.desc);
        std::vector<std::byte> k(size.k), v(size.v);
        const bool recurrent = !g.slot.empty();
        const int32_t end = recurrent ? (s.n_place() > 0 ? 1 : 0) : pages_for(s.n_place());
        int32_t first = 0;
        while (!recurrent && first < end && g.table.at(seq, first) < 0) ++first;
        w.put(static_cast<uint32_t>(first));
        for (int32_t logical = first; logical < end; ++logical) {
            const int32_t unit = recurrent ? g.slot[static_cast<std::size_t>(seq)] : g.table.at(seq, logical);
            for (int32_t layer = 0; layer < g.desc.n_layer; ++layer) {
                HEARTH_CHECK(Cache::export_layer(g, unit, layer, k.data(), v.data()));
                w.bytes(k.data(), k.size());
                w.bytes(v.data(), v.size());
            }
        }
    }
    Checksum sum;
    sum.add(w.out.data(), w.out.size());
    w.put(sum.value());
    return std::move(w.out);
}

Status Context::load(int32_t seq, const std::byte* data, std::size_t n) {
    HEARTH_CHECK(check_idle());
    HEARTH_CHECK(check_seq(seq));
    char magic[sizeof kMagic];
    uint32_t version = 0, n_group = 0, n_token = 0;
    uint64_t model = 0, stored_sum = 0;
    if (n < sizeof kMagic + 8 || std::memcmp(data, kMagic, sizeof kMagic) != 0)
        return fail(Code::bad_file, "this is not a saved sequence");
    StateReader r(data, n - 8);
    std::memcpy(&stored_sum, data + n - 8, 8);
    if (!r.bytes(magic, sizeof magic) || !r.get(&version)) return damaged("it is cut short");
    if (version != kVersion) return fail(Code::version, "the saved sequence has version {}, this library reads {}", version, kVersion);
    Checksum sum;
    sum.add(data, n - 8);
    if (sum.value() != stored_sum) return damaged("the checksum does not match");
    if (!r.get(&n_group) || !r.get(&model) || !r.get(&n_token)) return damaged("it is cut short");
    HEARTH_TRY(const uint64_t own, fingerprint());
    if (model != own || n_group != cache_->groups().size())
        return fail(Code::invalid_argument, "the saved sequence is of another model or other cache types");
    if (n_token > static_cast<uint32_t>(options_.n_ctx))
        return fail(Code::context_full, "the saved sequence has {} tokens, more than n_ctx = {}", n_token, options_.n_ctx);
    std::vector<int32_t> pos(n_token);
    if (!r.bytes(pos.data(), 4 * pos.size())) return damaged("it is cut short");
    if (!pos.empty() && *std::min_element(pos.begin(), pos.end()) < 0) return damaged("a position is negative");
    if (!pos.empty() && *std::max_element(pos.begin(), pos.end()) > kMaxPosition) return damaged("a position is too large");
    if (model_->hparams().n_pos_axis() == 1 && std::adjacent_find(pos.begin(), pos.end(), std::greater_equal<>()) != pos.end())
        return damaged("the positions do not rise");
    // Offsets of the groups first, so that nothing changes before the whole state is known to be there.
    std::vector<int32_t> first_page;
    StateReader scan = r;
    for (const Cache::Group& g : cache_->groups()) {
        uint32_t first = 0;
        const PageRowBytes size = page_row_bytes(g.desc);
        const auto end = static_cast<uint32_t>(g.slot.empty() ? pages_for(static_cast<int32_t>(n_token)) : n_token > 0 ? 1 : 0);
        if (!scan.get(&first) || first > first_needed(g.desc, static_cast<int32_t>(n_token)))
            return damaged("a page list is out of range");
        first_page.push_back(static_cast<int32_t>(first));
        if (!scan.skip(uint64_t{end - first} * static_cast<uint64_t>(g.desc.n_layer) * (size.k + size.v)))
            return damaged("it is cut short");
    }
    if (scan.left() != 0) return damaged("it is too long");
    if (n_token == 0) {
        cache_->clear(seq);
        return {};
    }
    HEARTH_CHECK(cache_->restore(seq, pos, first_page));
    for (std::size_t i = 0; i < cache_->groups().size(); ++i)
        HEARTH_CHECK(import_group(cache_->groups()[i], seq, first_page[i], static_cast<int32_t>(n_token), &r));
    return {};
}

}  // namespace hearth

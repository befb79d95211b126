// What tests of attention share: a case with a cache, ragged page tables and random rows, and its comparison with the reference.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/half.hpp"
#include "ops/harness.hpp"
#include "support/catch.hpp"

namespace hearth::test {

struct AttentionSpec {
    int32_t kind = HEARTH_CACHE_FULL, k_type = HEARTH_FORMAT_F32, v_type = HEARTH_FORMAT_F32;
    int32_t n_head = 4, n_head_kv = 2, k_width = 16, v_width = 24, window = 0;
    float softcap = 0, alibi = 0;
    bool sink = false;
    std::vector<int32_t> past = {70, 0, 31}, fresh = {5, 3, 9};  // tokens of each sequence: in pages already, and new
    bool dirty = false;  // what no token has written is all ones, which are NaN in every type, as who had the pages before left it
    bool exact = false;  // all numbers are such that neither the cache's types nor bf16 round them: at most 2
};

inline bool in_blocks(int32_t type) { return type == HEARTH_FORMAT_Q8_0 || type == HEARTH_FORMAT_Q4_0; }

// Queries that are codes already: in every 32 elements the largest is 127 steps of 1/64, so that nothing is rounded where keys
// are codes and queries become some.
inline std::vector<float> exact_queries(Random& random, std::size_t n) {
    std::vector<float> q(n);
    for (std::size_t i = 0; i < n; ++i) q[i] = static_cast<float>(i % 32 == 7 ? 127 : static_cast<int>(random.below(255)) - 127) / 64;
    return q;
}

// Rows that a cache of this type keeps as they are: as exact_queries(), or quarters whose largest is -2 in every 32.
inline std::vector<float> exact_rows(Random& random, int32_t type, std::size_t n) {
    std::vector<float> x = exact_queries(random, n);
    for (std::size_t i = 0; type == HEARTH_FORMAT_Q4_0 && i < n; ++i) x[i] = i % 32 == 7 ? -2 : std::trunc(x[i] * 4 * 0.99f) / 4;
    return x;
}

inline std::vector<uint8_t> random_rows(Random& random, int32_t type, int64_t n, bool exact = false) {
    const auto count = static_cast<std::size_t>(n);
    const std::vector<float> x = exact ? exact_rows(random, type, count) : random.normals(count);
    if (in_blocks(type)) {
        std::vector<uint8_t> blocks(row_bytes(*find_format(type), static_cast<uint64_t>(n)));
        encode(static_cast<Format>(type), x.data(), blocks.data(), count);
        return blocks;
    }
    std::vector<uint8_t> bytes(count * (type == HEARTH_FORMAT_F32 ? 4 : 2));
    for (std::size_t i = 0; i < count; ++i) {
        const uint16_t half = type == HEARTH_FORMAT_F16 ? to_half(x[i]).bits : to_bf16(x[i]).bits;
        if (type == HEARTH_FORMAT_F32)
            std::memcpy(bytes.data() + 4 * i, &x[i], 4);
        else
            std::memcpy(bytes.data() + 2 * i, &half, 2);
    }
    return bytes;
}

// Rows of the first n slots of a page of layer 1.
inline void write_past(OpCase& c, const AttentionSpec& s, int32_t page, int32_t n, Random& random) {
    if (n <= 0) return;
    OpCase::PageData& data = c.pages[0][2 * page + 1];
    const int64_t n_row = std::min(n, 32);
    const std::vector<uint8_t> k = random_rows(random, s.k_type, n_row * s.n_head_kv * s.k_width, s.exact);
    std::copy(k.begin(), k.end(), data.k.begin());
    if (s.kind == HEARTH_CACHE_LATENT) return;
    const std::vector<uint8_t> v = random_rows(random, s.v_type, n_row * s.n_head_kv * s.v_width, s.exact);
    std::copy(v.begin(), v.end(), data.v.begin());
}

// Two layers; the second is used. Pages are handed out in random order; those wholly outside a window are -1.
inline OpCase attention_case(const AttentionSpec& s, Random& random) {
    int32_t n_token = 0, n_page = 1, stride = 0;
    for (std::size_t i = 0; i < s.fresh.size(); ++i) {
        n_token += s.fresh[i];
        const int32_t n = (s.past[i] + s.fresh[i] + 31) / 32;
        n_page += n;
        stride = std::max(stride, n);
    }
    OpCase c(n_token, 1, static_cast<int32_t>(s.fresh.size()));
    const bool latent = s.kind == HEARTH_CACHE_LATENT;
    c.cache({s.kind, 2, s.n_head_kv, s.k_width, s.v_width, s.k_type, s.v_type, s.window, 0}, n_page);
    OpCase::CacheTables& tables = c.tables[0];
    tables.page_stride = stride;
    tables.page.assign(static_cast<std::size_t>(stride) * s.fresh.size(), -1);
    std::vector<int32_t> unused;
    for (int32_t p = 0; p < n_page; ++p) unused.push_back(p);
    for (int32_t p = 0; p < 2 * n_page; ++p)
        c.pages[0][p] = {random_rows(random, s.k_type, int64_t{32} * s.n_head_kv * s.k_width, s.exact),
                         latent ? std::vector<uint8_t>() : random_rows(random, s.v_type, int64_t{32} * s.n_head_kv * s.v_width, s.exact)};
    if (s.dirty)
        for (auto& [id, page] : c.pages[0]) std::fill(page.k.begin(), page.k.end(), 0xFF), std::fill(page.v.begin(), page.v.end(), 0xFF);
    int32_t t = 0;
    for (std::size_t i = 0; i < s.fresh.size(); ++i) {
        const int32_t first_needed = s.kind == HEARTH_CACHE_WINDOW ? std::max(0, s.past[i] - s.window + 1) : 0;
        for (int32_t p = first_needed / 32; p < (s.past[i] + s.fresh[i] + 31) / 32; ++p) {
            const std::size_t pick = random.below(unused.size());
            tables.page[i * static_cast<std::size_t>(stride) + static_cast<std::size_t>(p)] = unused[pick];
            if (s.dirty) write_past(c, s, unused[pick], s.past[i] - 32 * p, random);
            unused.erase(unused.begin() + static_cast<std::ptrdiff_t>(pick));
        }
        for (int32_t k = 0; k < s.fresh[i]; ++k, ++t) {
            const auto at = static_cast<std::size_t>(t);
            c.seq[at] = static_cast<int32_t>(i);
            c.index[at] = s.past[i] + k;
            c.attend[at] = {0, s.past[i] + k + 1};
        }
    }
    const auto values = [&](int32_t n_group, int32_t width, int32_t type) {
        const std::size_t n = static_cast<std::size_t>(n_token) * static_cast<std::size_t>(n_group * width);
        return s.exact ? exact_rows(random, type, n) : random.normals(n);
    };
    const int32_t q = c.input({.n_group = s.n_head, .group_width = s.k_width, .group_gap = 4},
                              in_blocks(s.k_type) ? exact_queries(random, static_cast<std::size_t>(n_token * s.n_head * s.k_width))
                                                  : values(s.n_head, s.k_width, s.k_type));
    const int32_t k = c.input({.n_group = s.n_head_kv, .group_width = s.k_width}, values(s.n_head_kv, s.k_width, s.k_type));
    const int32_t v = c.input({.n_group = s.n_head_kv, .group_width = s.v_width}, values(s.n_head_kv, s.v_width, s.v_type));
    const int32_t out = c.output({.n_group = s.n_head, .group_width = s.v_width});
    std::vector<int32_t> sink;
    if (s.sink) sink.push_back(c.weight(Format::F32, HEARTH_USE_VECTOR, {s.n_head}, random.normals(static_cast<std::size_t>(s.n_head))));
    hearth_node& store = c.node(HEARTH_OP_CACHE_STORE, latent ? std::vector<int32_t>{k} : std::vector<int32_t>{k, v}, {});
    store.cache_group = 0, store.cache_layer = 1;
    hearth_node& node = c.node(HEARTH_OP_ATTENTION, {q}, {out}, sink);
    node.cache_group = 0, node.cache_layer = 1;
    node.p.attention = {s.window, 1 / std::sqrt(static_cast<float>(s.k_width)), s.softcap, s.alibi};
    return c;
}

constexpr int32_t kQueries = 0, kKeys = 1;  // values of attention_case

// Tokens first..first+n-1 of `whole` alone, over the pages as `whole` leaves them.
inline OpCase part_of(const OpCase& whole, const Outcome& done, const AttentionSpec& s, int32_t first, int32_t n, bool deterministic) {
    OpCase c(n);
    c.deterministic = deterministic;
    c.cache(whole.caches[0], whole.tables[0].n_page);
    c.tables = whole.tables;
    c.pages = done.pages;
    for (int32_t t = 0; t < n; ++t) {
        const auto from = static_cast<std::size_t>(first + t), to = static_cast<std::size_t>(t);
        c.index[to] = whole.index[from];
        c.attend[to] = whole.attend[from];
    }
    const int64_t row = int64_t{s.n_head} * s.k_width;
    const std::vector<float>& all = whole.inputs.at(kQueries);
    const int32_t q =
        c.input({.n_group = s.n_head, .group_width = s.k_width}, {all.begin() + first * row, all.begin() + (first + n) * row});
    const int32_t out = c.output({.n_group = s.n_head, .group_width = s.v_width});
    std::vector<int32_t> sink;
    if (s.sink) sink.push_back(c.weight_bytes(HEARTH_FORMAT_F32, HEARTH_USE_VECTOR, {s.n_head}, whole.weight_data[0]));
    c.node(HEARTH_OP_ATTENTION, {q}, {out}, sink) = whole.nodes[1];
    c.nodes[0].in[0] = q, c.nodes[0].out[0] = out;
    return c;
}

// A weighted mean of up to 84 values of about 4: rounding of scores (times their size) and of the sums.
constexpr double kAttentionBound = 200 * 0x1p-24;

// Values in codes meet weights of 16 bits: each of 84 at most is off by 0.29/32767 of the largest one at random, times a value of about 1;
// six times their sum. (More keys add less each: the largest of 64 neighbours counts.)
constexpr double kWordBound = 6 * 9.2 * 0.29 / 32767;
inline double with_words(double bound, const OpCase& c) {
    const int32_t type = c.caches[0].v_type;
    return type == HEARTH_FORMAT_Q8_0 || type == HEARTH_FORMAT_Q4_0 ? bound + kWordBound : bound;
}

// By tiles queries, keys, values and weights become bf16 first, each off by up to 2^-8 of itself and by 0.4 of that at random: so a
// score by 0.0022 times its size of about 1; six times that in a score moves a mean of values of up to 4.5 by twice its product.
constexpr double kTileBound = (2 * 6 * 0.0022 + 2 * 0x1p-8) * 4.5;
inline bool may_use_tiles(const Candidate& candidate, const OpCase& c) {
    const hearth_cache& cache = c.caches[0];
    return candidate.has_tiles() && !c.deterministic && cache.k_type != HEARTH_FORMAT_F32 && cache.v_type != HEARTH_FORMAT_F32;
}

// What is no finite number as finite ones that nothing is close to, so that such can be compared.
inline std::vector<float> numbers(std::vector<float> values) {
    for (float& x : values) x = std::isnan(x) ? 1e30f : std::isinf(x) ? std::copysign(2e30f, x) : x;
    return values;
}

inline void compare(const std::string& what, const OpCase& c, double bound, bool pages) {
    INFO(what << " seed " << seed());
    const Outcome want = Candidate{"ref", hearth_backend_ref(), ""}.run(c);
    REQUIRE(want.error == "");
    for (const Candidate& candidate : cpu_levels()) {
        const Outcome got = candidate.run(c, {.n_thread = 3});
        REQUIRE(got.error == "");
        const double limit = may_use_tiles(candidate, c) ? std::max(bound, kTileBound) : with_words(bound, c);
        for (const auto& [value, data] : want.value)
            check_close(candidate.name + " " + what, numbers(got.value.at(value)), numbers(data), limit, limit);
        if (!pages) continue;
        for (const auto& [id, page] : want.pages[0]) {
            INFO(candidate.name << " page " << id);
            CHECK(got.pages[0].at(id).k == page.k);
            CHECK(got.pages[0].at(id).v == page.v);
        }
    }
}

}  // namespace hearth::test

// What each rank computes: every unit by some rank, none twice, no block of a weight and no pair of heads torn apart.
#include "graph/shard.hpp"
#include "quant/format.hpp"
#include "support/catch.hpp"
#include "support/support.hpp"

using namespace hearth;

namespace {

struct Shape {
    int32_t n_head, n_head_kv, head_width, n_ff;
    Format format;
};

hearth_weight matrix(Format format, int64_t out, int64_t in) {
    hearth_weight w{};
    w.format = static_cast<int32_t>(format);
    w.n_dim = 2;
    w.shape[0] = out;
    w.shape[1] = in;
    return w;
}

// One layer's divided buffers: q, the attention over a cache, what the products behind it and behind the hidden columns read.
Graph layer(const Shape& s) {
    hearth_cache cache{};
    cache.kind = HEARTH_CACHE_FULL;
    cache.n_layer = 1;
    cache.n_head_kv = s.n_head_kv;
    const int32_t width = s.n_head * s.head_width;
    Graph g({1, 1, 1, 1}, {matrix(s.format, 64, width), matrix(s.format, 64, s.n_ff)}, {cache});
    g.set_layer(0);
    const auto heads = [&] { return g.divide(g.value(HEARTH_ROWS_TOKEN, s.n_head, s.head_width), {{Axis::head, s.n_head, s.head_width}}); };
    const Value x = g.value(HEARTH_ROWS_TOKEN, 1, 64), q = heads(), out = heads();
    const Value k = g.divide(g.value(HEARTH_ROWS_TOKEN, s.n_head_kv, s.head_width), {{Axis::head_kv, s.n_head_kv, s.head_width}});
    const Value hidden = g.divide(g.value(HEARTH_ROWS_TOKEN, 1, s.n_ff), {{Axis::hidden, s.n_ff, 1}});
    g.node({HEARTH_OP_SCALE, {}, {q}});
    g.node({HEARTH_OP_SCALE, {}, {k}});
    g.node({HEARTH_OP_SCALE, {}, {hidden}});
    g.node({HEARTH_OP_ATTENTION, {q}, {out}, {}, "", 0, 0});
    g.node({HEARTH_OP_LINEAR, {g.regroup(out, 1)}, {x}, {0}});
    g.node({HEARTH_OP_LINEAR, {hidden}, {x}, {1}});
    g.finish(x);
    return g;
}

// Each unit belongs to one rank, in order.
void check_partition(const std::vector<Range>& ranges, int64_t n_unit) {
    int64_t at = 0;
    for (const Range& r : ranges) {
        CHECK(r.begin == at);
        CHECK(r.size() >= 0);
        at = r.end;
    }
    CHECK(at == n_unit);
}

}  // namespace

TEST_CASE("ranks share heads and hidden columns whole, in blocks, and each query head finds its key on its own rank") {
    test::Random random(test::seed());
    for (int trial = 0; trial < 400; ++trial) {
        constexpr Format kSome[] = {Format::F32, Format::Q4_0, Format::Q8_0, Format::Q4_K};
        const auto below = [&](int n) { return static_cast<int32_t>(random.below(static_cast<uint64_t>(n))); };
        Shape s{};
        s.format = kSome[below(4)];
        const auto block = static_cast<int32_t>(find_format(static_cast<int32_t>(s.format))->block_elements);
        s.n_head_kv = 1 + below(9);
        s.n_head = s.n_head_kv * (1 << below(4));
        s.head_width = 32 << below(3);
        s.n_ff = 256 * (1 + below(40));
        if (s.n_head * s.head_width % block != 0) continue;
        const int n_rank = 1 + below(5);
        std::vector<double> shares;
        for (int r = 0; r < n_rank; ++r) shares.push_back(below(3) ? 1 : 1 + below(7));
        INFO("seed " << test::seed() << " trial " << trial << ": heads " << s.n_head << "/" << s.n_head_kv << " of " << s.head_width
                     << " block " << block << " ranks " << n_rank);
        const ShardRanges ranges(layer(s), shares);
        std::vector<Range> q, hidden;
        for (int r = 0; r < n_rank; ++r) {
            q.push_back(ranges.of(0, {Axis::head, s.n_head, s.head_width}, r));
            hidden.push_back(ranges.of(0, {Axis::hidden, s.n_ff, 1}, r));
            const Range kv = ranges.of(0, {Axis::head_kv, s.n_head_kv, s.head_width}, r);
            const int64_t n_rep = s.n_head / s.n_head_kv;
            CHECK(q.back().end * s.head_width % block == 0);
            CHECK(hidden.back().end % block == 0);
            CHECK((kv.size() == 0) == (q.back().size() == 0));
            for (int64_t head = q.back().begin; head < q.back().end; ++head) {
                // On the rank the heads of its cache are numbered anew, and so are its queries.
                const int64_t local_rep = q.back().size() / kv.size();
                CHECK(q.back().size() % kv.size() == 0);
                CHECK(kv.begin + (head - q.back().begin) / local_rep == head / n_rep);
            }
        }
        check_partition(q, s.n_head);
        check_partition(hidden, s.n_ff);
    }
}

TEST_CASE("shares are kept as near as blocks allow") {
    const Graph g = layer({32, 8, 128, 8192, Format::Q4_K});
    const ShardRanges even(g, {1, 1, 1, 1}), uneven(g, {3, 1}), one_sided(g, {1, 0});
    const Division hidden{Axis::hidden, 8192, 1}, heads{Axis::head, 32, 128};
    for (int r = 0; r < 4; ++r) {
        CHECK(even.of(0, hidden, r) == Range{2048 * r, 2048 * (r + 1)});
        CHECK(even.of(0, heads, r) == Range{8 * r, 8 * (r + 1)});
    }
    CHECK(uneven.of(0, hidden, 0) == Range{0, 6144});
    CHECK(uneven.of(0, heads, 0) == Range{0, 24});
    CHECK(one_sided.of(0, hidden, 1).size() == 0);
}

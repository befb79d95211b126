// The arena plan: buffers that are alive together never overlap, and memory is reused.
#include "graph/graph.hpp"
#include "support/catch.hpp"
#include "support/support.hpp"

using namespace hearth;

namespace {

struct Life {
    int64_t begin, end;
    int32_t first, last;
};

// Recomputes lifetimes and extents from the finished graph alone.
std::vector<Life> lives(const Graph& graph, int32_t n_row) {
    const hearth_graph g = graph.view();
    std::vector<Life> result;
    std::vector<int32_t> known;
    for (int32_t v = 0; v < g.n_value; ++v) {
        int32_t first = -1, last = v == g.result ? g.n_node : -1;
        for (int32_t n = 0; n < g.n_node; ++n)
            for (int32_t operand : {g.node[n].in[0], g.node[n].in[1], g.node[n].in[2], g.node[n].out[0], g.node[n].out[1]})
                if (operand == v) {
                    if (first < 0) first = n;
                    last = std::max(last, n);
                }
        if (first < 0) continue;
        const hearth_value& value = g.value[v];
        result.push_back({value.offset, value.offset + 4 * n_row * value.row_stride, first, last});
    }
    return result;
}

}  // namespace

TEST_CASE("values alive at the same node never share bytes, and dead ones are reused") {
    test::Random random(test::seed());
    for (int round = 0; round < 50; ++round) {
        Graph graph({7, 7, 1, 7}, {}, {});
        std::vector<Value> alive = {graph.value(HEARTH_ROWS_TOKEN, 1, 32)};
        int64_t total = 0;
        for (int n = 0; n < 40; ++n) {
            const Value out = graph.value(HEARTH_ROWS_TOKEN, 1, static_cast<int32_t>(1 + random.below(200)));
            total += 7 * 4 * graph.width(out);
            graph.node({HEARTH_OP_ADD, {alive[random.below(alive.size())], alive.back()}, {out}});
            alive.push_back(out);
            if (alive.size() > 4) alive.erase(alive.begin());
        }
        graph.finish(alive.back());
        const auto all = lives(graph, 7);
        for (std::size_t a = 0; a < all.size(); ++a)
            for (std::size_t b = a + 1; b < all.size(); ++b) {
                const bool together = all[a].first <= all[b].last && all[b].first <= all[a].last;
                const bool overlap = all[a].begin < all[b].end && all[b].begin < all[a].end;
                CHECK_FALSE((together && overlap));
            }
        CHECK(graph.view().arena_bytes < total);
        for (const Life& life : all) CHECK(life.end <= graph.view().arena_bytes);
    }
}

TEST_CASE("a view addresses the elements that it names") {
    Graph graph({3, 1, 1, 3}, {}, {});
    const Value base = graph.value(HEARTH_ROWS_TOKEN, 1, 24);
    const Value heads = graph.regroup(graph.view(base, 0, 1, 8, 16), 4);
    const Value tail = graph.view(heads, 1, 2, 3, 1);
    CHECK(graph.at(heads).group_stride == 4);
    CHECK(graph.at(heads).offset == 32);
    CHECK(graph.at(tail).offset == 32 + 4 * (4 + 3));
    CHECK(graph.at(tail).row_stride == 24);
    CHECK(graph.width(tail) == 2);
}

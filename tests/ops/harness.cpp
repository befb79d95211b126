// Uploads, compiles, runs and reads back one OpCase on one backend.
#include "ops/harness.hpp"

#include <atomic>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>

#include "base/thread_pool.hpp"
#include "support/catch.hpp"

namespace hearth::test {

OpCase::OpCase(int32_t token_count, int32_t output_count, int32_t seq_count)
    : n_token(token_count), n_output(output_count), n_seq(seq_count) {
    for (int32_t t = 0; t < n_token; ++t) {
        token.push_back(0);
        seq.push_back(0);
        index.push_back(t);
        pos.push_back(t);
        attend.push_back({0, t + 1});
    }
    for (int32_t o = 0; o < n_output; ++o) output_row.push_back(n_token - n_output + o);
}

int32_t OpCase::add_value(const ValueSpec& s) {
    hearth_value v{};
    v.rows = s.rows, v.row_factor = s.row_factor, v.n_group = s.n_group, v.group_width = s.group_width;
    v.group_stride = s.group_width + s.group_gap;
    v.row_stride = v.group_stride * s.n_group + s.row_gap;
    v.offset = arena_bytes;
    values.push_back(v);
    const auto id = static_cast<int32_t>(values.size() - 1);
    arena_bytes += (n_row(id) * v.row_stride * 4 + 63) / 64 * 64;
    return id;
}

int64_t OpCase::n_row(int32_t value) const {
    const hearth_value& v = values[static_cast<std::size_t>(value)];
    return int64_t{v.rows == HEARTH_ROWS_OUTPUT ? n_output : n_token} * v.row_factor;
}

int32_t OpCase::input(const ValueSpec& spec, const std::vector<float>& data) {
    const int32_t id = add_value(spec);
    inputs[id] = data;
    return id;
}

int32_t OpCase::output(const ValueSpec& spec) {
    const int32_t id = add_value(spec);
    outputs.push_back(id);
    return id;
}

int32_t OpCase::weight(Format format, int32_t uses, std::vector<int64_t> shape, const std::vector<float>& data) {
    const FormatInfo& info = *find_format(static_cast<int32_t>(format));
    std::vector<uint8_t> bytes(row_bytes(info, data.size()));
    encode(format, data.data(), bytes.data(), data.size());
    return weight_bytes(static_cast<int32_t>(format), uses, std::move(shape), std::move(bytes));
}

int32_t OpCase::weight_bytes(int32_t format, int32_t uses, std::vector<int64_t> shape, std::vector<uint8_t> bytes) {
    hearth_weight w{format, uses, static_cast<int32_t>(shape.size()), {}};
    std::copy(shape.begin(), shape.end(), w.shape);
    weights.push_back(w);
    weight_data.push_back(std::move(bytes));
    return static_cast<int32_t>(weights.size() - 1);
}

int32_t OpCase::cache(const hearth_cache& c, int32_t n_page) {
    caches.push_back(c);
    tables.emplace_back();
    tables.back().n_page = n_page;
    pages.emplace_back();
    return static_cast<int32_t>(caches.size() - 1);
}

hearth_node& OpCase::node(int32_t op, std::vector<int32_t> in, std::vector<int32_t> out, std::vector<int32_t> w) {
    hearth_node n{};
    n.op = op;
    for (std::size_t i = 0; i < 3; ++i) n.in[i] = i < in.size() ? in[i] : -1;
    for (std::size_t i = 0; i < 2; ++i) n.out[i] = i < out.size() ? out[i] : -1;
    for (std::size_t i = 0; i < 2; ++i) n.weight[i] = i < w.size() ? w[i] : -1;
    n.cache_group = n.cache_layer = -1;
    n.label = "test";
    nodes.push_back(n);
    return nodes.back();
}

hearth_graph OpCase::graph() const {
    hearth_graph g{};
    g.size = sizeof g;
    g.n_node = static_cast<int32_t>(nodes.size()), g.n_value = static_cast<int32_t>(values.size());
    g.n_weight = static_cast<int32_t>(weights.size()), g.n_cache = static_cast<int32_t>(caches.size());
    g.node = nodes.data(), g.value = values.data(), g.weight = weights.data(), g.cache = caches.data();
    g.n_token = n_token, g.n_output = n_output, g.n_seq = n_seq;
    for (int32_t i : index) g.n_place = std::max(g.n_place, i + 1);
    g.arena_bytes = arena_bytes;
    g.deterministic = deterministic;
    return g;
}

hearth_run_args OpCase::args() const {
    views_.clear();
    for (const CacheTables& t : tables)
        views_.push_back({t.page.data(), t.page_stride, t.state_read.data(), t.state_write.data()});
    run_begin_.clear();
    for (std::size_t t = 0; t < seq.size(); ++t)
        if (t == 0 || seq[t] != seq[t - 1] || index[t] != index[t - 1] + 1) run_begin_.push_back(static_cast<int32_t>(t));
    const auto n_run = static_cast<int32_t>(run_begin_.size());
    run_begin_.push_back(n_token);
    hearth_run_args a{};
    a.n_run = n_run, a.run_begin = run_begin_.data();
    a.size = sizeof a;
    a.n_token = n_run_token > 0 ? n_run_token : n_token, a.n_output = n_output, a.n_seq = n_seq, a.n_pos_axis = n_pos_axis;
    a.token = token.data(), a.embedding = embedding.data(), a.seq = seq.data(), a.index = index.data(), a.pos = pos.data();
    a.output_row = output_row.data(), a.attend = attend.data(), a.cache = views_.data();
    return a;
}

namespace {

// The host side: a pool of threads and a clock that ticks once per look (so that a deadline falls after a chosen part).
struct Host {
    std::unique_ptr<ThreadPool> pool;
    std::atomic<int64_t> clock{0};
    hearth_host table{};

    explicit Host(int32_t n_thread) {
        pool = std::move(*ThreadPool::make(n_thread));
        table.size = sizeof table;
        table.user = this;
        table.allocate = [](void*, std::size_t bytes, std::size_t align) -> void* {
            void* p = std::aligned_alloc(align, (bytes + align - 1) / align * align);
            if (p) std::memset(p, 0, bytes);
            return p;
        };
        table.free = [](void*, void* p, std::size_t, std::size_t) { std::free(p); };
        table.log = [](void*, int32_t, const char*) {};
        table.now_ns = [](void* user) { return ++static_cast<Host*>(user)->clock; };
        table.n_thread = n_thread;
        table.parallel = [](void* user, int64_t n, void (*fn)(void*, int64_t, int32_t), void* context,
                            int32_t (*stop)(void*)) {
            const std::function<bool()> ask = [&] { return stop(context) != 0; };
            return static_cast<Host*>(user)->pool->run(n, fn, context, stop ? &ask : nullptr);
        };
        table.burst = [](void* user, int32_t on) { static_cast<Host*>(user)->pool->burst(on != 0); };
    }
};

// One device with everything that one case needs on it; every step that fails leaves its sentence in `error`.
struct Session {
    const hearth_backend& b;
    const OpCase& test;
    Host host;
    hearth_device* device = nullptr;
    std::vector<hearth_buffer*> buffers;
    std::vector<hearth_place> weight_places, cache_places;
    std::vector<hearth_layout> layouts;
    hearth_place arena{}, scratch{};
    hearth_program* program = nullptr;
    hearth_fault fault{};
    hearth_graph graph;

    Session(const hearth_backend& backend, const OpCase& c, int32_t n_thread) : b(backend), test(c), host(n_thread), graph(c.graph()) {}
    ~Session() {
        if (program) b.free_program(device, program);
        for (hearth_buffer* buffer : buffers) b.free(device, buffer);
        if (device) b.close(device);
    }

    bool place(uint64_t bytes, hearth_place* out) {
        if (b.alloc(device, bytes, "test", &out->buffer, &fault) < 0) return false;
        buffers.push_back(out->buffer);
        return true;
    }

    bool upload_weights() {
        for (std::size_t i = 0; i < test.weights.size(); ++i) {
            const hearth_weight& w = test.weights[i];
            hearth_layout layout{};
            hearth_place at{};
            if (b.tensor_layout(device, &w, &layout, &fault) < 0 || !place(layout.bytes, &at)) return false;
            layouts.push_back(layout);
            weight_places.push_back(at);
            int64_t n_matrix = 1, n_row = 1;
            if (w.n_dim >= 2) n_row = w.shape[w.n_dim - 2];
            if (w.n_dim == 3) n_matrix = w.shape[0];
            const auto row = static_cast<int64_t>(test.weight_data[i].size()) / (n_matrix * n_row);
            for (int64_t m = n_matrix - 1; m >= 0; --m)  // backwards: the contract allows any order
                for (int64_t r = (n_row - 1) / HEARTH_UPLOAD_ROWS * HEARTH_UPLOAD_ROWS; r >= 0; r -= HEARTH_UPLOAD_ROWS) {
                    const int64_t n = std::min<int64_t>(HEARTH_UPLOAD_ROWS, n_row - r), first = m * n_row + r;
                    if (b.upload_weight(device, &w, &layout, at, first, n, test.weight_data[i].data() + first * row, &fault) < 0)
                        return false;
                }
        }
        return true;
    }

    bool fill_caches() {
        for (std::size_t i = 0; i < test.caches.size(); ++i) {
            uint64_t bytes = 0;
            hearth_place at{};
            if (b.page_bytes(device, &test.caches[i], &bytes, &fault) < 0) return false;
            if (!place(bytes * static_cast<uint64_t>(test.tables[i].n_page), &at)) return false;
            cache_places.push_back(at);
            for (const auto& [id, data] : test.pages[i])
                if (b.import_page(device, &test.caches[i], at, id / test.caches[i].n_layer, id % test.caches[i].n_layer,
                                  data.k.data(), data.v.data(), &fault) < 0)
                    return false;
        }
        return true;
    }

    bool compile() {
        hearth_program_bytes measured{}, built{};
        if (b.compile(device, &graph, nullptr, &measured, nullptr, &fault) < 0) return false;
        if (!place(measured.scratch_bytes + 64, &scratch) || !place(static_cast<uint64_t>(test.arena_bytes) + 64, &arena)) return false;
        const hearth_bindings bindings{sizeof bindings,       weight_places.data(), layouts.data(),
                                       cache_places.data(), arena,                scratch};
        if (b.compile(device, &graph, &bindings, &built, &program, &fault) < 0) return false;
        CHECK(built.scratch_bytes == measured.scratch_bytes);
        return true;
    }

    // Copies rows between dense data and the strided value.
    bool move_value(int32_t value, std::vector<float>& dense, bool to_device) {
        const hearth_value& v = test.values[static_cast<std::size_t>(value)];
        const int64_t rows = test.n_row(value);
        dense.resize(static_cast<std::size_t>(rows * v.n_group * v.group_width));
        for (int64_t r = 0; r < rows; ++r)
            for (int64_t g = 0; g < v.n_group; ++g) {
                float* data = dense.data() + (r * v.n_group + g) * v.group_width;
                const hearth_place at{arena.buffer,
                                      arena.offset + static_cast<uint64_t>(v.offset + 4 * (r * v.row_stride + g * v.group_stride))};
                const uint64_t bytes = static_cast<uint64_t>(v.group_width) * 4;
                const int32_t status = to_device ? b.upload(device, at, data, bytes, &fault) : b.download(device, at, data, bytes, &fault);
                if (status < 0) return false;
            }
        return true;
    }

    // The whole arena as it is, and which of its bytes some node may write.
    std::vector<uint8_t> arena_bytes() const { return std::vector<uint8_t>(static_cast<std::size_t>(test.arena_bytes) + 64); }
    std::vector<bool> writable() const {
        std::vector<bool> may(static_cast<std::size_t>(test.arena_bytes) + 64, false);
        for (const hearth_node& node : test.nodes)
            for (const int32_t out : node.out) {
                if (out < 0) continue;
                const hearth_value& v = test.values[static_cast<std::size_t>(out)];
                for (int64_t r = 0; r < test.n_row(out); ++r)
                    for (int64_t g = 0; g < v.n_group; ++g)
                        std::fill_n(may.begin() + v.offset + 4 * (r * v.row_stride + g * v.group_stride), 4 * v.group_width, true);
            }
        return may;
    }

    // Runs and sees that nothing but the nodes' outputs has changed.
    bool execute_within_bounds(const RunStyle& style, Outcome& out) {
        std::vector<uint8_t> before = arena_bytes(), after = arena_bytes();
        if (b.download(device, arena, before.data(), before.size(), &fault) < 0) return false;
        if (!execute(style, out)) return false;
        if (b.download(device, arena, after.data(), after.size(), &fault) < 0) return false;
        const std::vector<bool> may = writable();
        std::size_t n_stray = 0;
        for (std::size_t i = 0; i < may.size(); ++i) n_stray += !may[i] && before[i] != after[i];
        CHECK(n_stray == 0);
        return true;
    }

    bool execute(const RunStyle& style, Outcome& out) {
        const hearth_run_args args = test.args();
        hearth_cursor cursor{};
        for (;;) {
            hearth_run_options options{sizeof options, 0, nullptr};
            if (style.stop_everywhere) options.deadline_ns = host.clock + 2;  // the second look is too late
            const int32_t status = b.run(device, program, &args, &options, &cursor, &fault);
            if (status < 0) return false;
            if (status == HEARTH_RUN_DONE) break;
            ++out.n_pause;
            if (out.n_pause > 1000000) return false;
        }
        return b.wait(device, program, &fault) >= 0;
    }

    bool read_back(Outcome& out) {
        for (int32_t v : test.outputs)
            if (!move_value(v, out.value[v], false)) return false;
        out.pages.resize(test.caches.size());
        for (std::size_t i = 0; i < test.caches.size(); ++i)
            for (int32_t id = 0; id < test.tables[i].n_page * test.caches[i].n_layer; ++id) {
                const hearth_cache& c = test.caches[i];
                OpCase::PageData& data = out.pages[i][id];
                if (c.kind == HEARTH_CACHE_RECURRENT) {
                    data.k.resize(static_cast<std::size_t>(c.state_width) * 4);
                } else {
                    const auto bytes = [](int32_t type, int64_t n) { return row_bytes(*find_format(type), static_cast<uint64_t>(n)); };
                    data.k.resize(32 * bytes(c.k_type, int64_t{c.n_head_kv} * c.k_width));
                    if (c.kind != HEARTH_CACHE_LATENT) data.v.resize(32 * bytes(c.v_type, int64_t{c.n_head_kv} * c.v_width));
                }
                if (b.export_page(device, &c, cache_places[i], id / c.n_layer, id % c.n_layer, data.k.data(), data.v.data(), &fault) < 0)
                    return false;
            }
        return true;
    }

    bool all(const RunStyle& style, Outcome& out) {
        if (b.open(&host.table, 0, "", &device, &fault) < 0) return false;
        if (!upload_weights() || !fill_caches() || !compile()) return false;
        const std::vector<uint8_t> canary(arena_bytes().size(), 0xA5);
        if (b.upload(device, arena, canary.data(), canary.size(), &fault) < 0) return false;
        for (auto [value, data] : test.inputs)
            if (!move_value(value, data, true)) return false;
        return execute_within_bounds(style, out) && read_back(out);
    }
};

}  // namespace

Outcome run(const hearth_backend& backend, const OpCase& test, const RunStyle& style) {
    Outcome out;
    Session session(backend, test, style.n_thread);
    if (!session.all(style, out)) out.error = session.fault.message[0] ? session.fault.message : "failed without a sentence";
    return out;
}

Outcome Candidate::run(const OpCase& test, const RunStyle& style) const {
    std::optional<ScopedVariable> forced;
    if (!level.empty()) forced.emplace("HEARTH_CPU_LEVEL", level);
    return test::run(*backend, test, style);
}

std::vector<float> Candidate::output(const OpCase& test, const RunStyle& style) const {
    const Outcome out = run(test, style);
    REQUIRE(out.error == "");
    return out.value.at(test.outputs[0]);
}

std::vector<Candidate> cpu_levels() {
    std::vector<Candidate> found;
    for (const char* level : {"v2", "v3", "v3-vnni", "v4", "v4-amx", "neon-dot", "neon-i8mm", "generic", "generic-tiles"}) {
        const ScopedVariable forced("HEARTH_CPU_LEVEL", level);
        Host host(1);
        hearth_device* device = nullptr;
        hearth_fault fault{};
        const hearth_backend* b = hearth_backend_cpu();
        if (b->open(&host.table, 0, "", &device, &fault) >= 0) {
            hearth_backend_device info{};
            b->describe(device, &info, &fault);
            CHECK(std::string(info.detail) == std::string("level ") + level);
            b->close(device);
            found.push_back({std::string("cpu ") + level, b, level});
        } else {
            CHECK(std::string(fault.message).find(level) != std::string::npos);
        }
    }
    REQUIRE(!found.empty());
    found.push_back({"sim", hearth_backend_sim(), found.front().level});
    return found;
}

std::vector<Candidate> tile_levels() {
    std::vector<Candidate> found;
    for (const Candidate& candidate : cpu_levels())
        if (candidate.has_tiles() && candidate.name != "sim") found.push_back(candidate);
    REQUIRE(!found.empty());
    return found;
}

std::vector<Candidate> all_backends() {
    std::vector<Candidate> found = cpu_levels();
    found.push_back({"ref", hearth_backend_ref(), ""});
    return found;
}

void check_close(const std::string& what, const std::vector<float>& got, const std::vector<float>& want,
                 const std::vector<double>& bound) {
    INFO(what);
    REQUIRE(got.size() == want.size());
    REQUIRE(bound.size() == want.size());
    std::size_t worst = 0, n_bad = 0;
    double excess = -1;
    for (std::size_t i = 0; i < want.size(); ++i) {
        const double error = std::abs(static_cast<double>(got[i]) - static_cast<double>(want[i]));
        const bool bad = !(error <= bound[i]);  // NaN is bad
        n_bad += bad;
        if (bad && (n_bad == 1 || error - bound[i] > excess)) worst = i, excess = error - bound[i];
    }
    if (n_bad) {
        INFO(n_bad << " of " << want.size() << " wrong; element " << worst << ": got " << got[worst] << ", want "
                   << want[worst] << " +- " << bound[worst]);
        CHECK(n_bad == 0);
    } else {
        CHECK(n_bad == 0);
    }
}

void check_close(const std::string& what, const std::vector<float>& got, const std::vector<float>& want, double relative,
                 double absolute) {
    std::vector<double> bound;
    for (float x : want) bound.push_back(relative * std::abs(static_cast<double>(x)) + absolute);
    check_close(what, got, want, bound);
}

}  // namespace hearth::test

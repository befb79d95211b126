// Operators on rows (norms, rotary embedding, activations, arithmetic, routing) at every level against the reference.
#include <cmath>
#include <cstring>

#include "ops/harness.hpp"
#include "support/catch.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

constexpr double kUlp = 0x1p-24;  // half a unit in the last place of a float near 1: the rounding of one operation

// Runs the case on ref and on every level with 1 to 3 threads; outputs are compared as
// |got - want| <= relative * |want| + absolute, the first row of `ids` (integers in floats' place) bit for bit.
void compare(const std::string& what, const OpCase& c, double relative, double absolute, int32_t ids = -1) {
    INFO(what << " seed " << seed());
    const Outcome want = Candidate{"ref", hearth_backend_ref(), ""}.run(c);
    REQUIRE(want.error == "");
    int32_t n_thread = 1;
    for (const Candidate& candidate : cpu_levels()) {
        const Outcome got = candidate.run(c, {.n_thread = n_thread++});
        REQUIRE(got.error == "");
        for (const auto& [value, data] : want.value) {
            const std::size_t n = static_cast<std::size_t>(c.values[static_cast<std::size_t>(value)].group_width);
            if (value == ids) CHECK(std::memcmp(got.value.at(value).data(), data.data(), 4 * n) == 0);
            check_close(candidate.name + " " + what, got.value.at(value), data, relative, absolute);
        }
    }
}

std::vector<float> normals(Random& random, int64_t n, float scale = 1) { return random.normals(static_cast<std::size_t>(n), scale); }

}  // namespace

TEST_CASE("NORM agrees with the reference: kinds, weights, groups, strides, in place", "[ops]") {
    Random random(seed());
    for (const int32_t kind : {HEARTH_NORM_RMS, HEARTH_NORM_LAYER})
        for (const int32_t width : {1, 7, 64, 333, 2048})
            for (const int variant : {0, 1, 2, 3}) {
                OpCase c(19);
                const int32_t n_group = variant % 2 ? 3 : 1;
                const float size = variant == 2 ? 3e-3f : 3;  // small rows: there epsilon is half of what stands below the root
                const int32_t x = c.input({.n_group = n_group, .group_width = width, .group_gap = variant, .row_gap = 5},
                                          normals(random, int64_t{19} * n_group * width, size));
                const int32_t y = variant == 3 ? x : c.output({.n_group = n_group, .group_width = width});
                if (variant == 3) c.outputs.push_back(x);
                const int64_t n_weight = variant == 1 ? int64_t{n_group} * width : width;
                std::vector<int32_t> weights;
                if (variant > 0) weights.push_back(c.weight(Format::F32, HEARTH_USE_VECTOR, {n_weight}, normals(random, n_weight)));
                if (variant > 1) weights.push_back(c.weight(Format::F32, HEARTH_USE_VECTOR, {n_weight}, normals(random, n_weight)));
                c.node(HEARTH_OP_NORM, {x}, {y}, weights).p.norm = {kind, 1e-5f, variant == 1};
                // width 1 of the layer kind divides rounding errors by sqrt(eps); otherwise a handful of roundings
                compare("NORM width " + std::to_string(width) + " variant " + std::to_string(variant), c, 8 * kUlp,
                        32 * kUlp * (width == 1 ? 320 : 8));
            }
}

TEST_CASE("ROPE agrees with the reference: styles, YaRN, divisors, axes, partial rotation, output rows", "[ops]") {
    Random random(seed());
    for (const int32_t style : {HEARTH_ROPE_PAIRS, HEARTH_ROPE_HALVES, HEARTH_ROPE_MROPE, HEARTH_ROPE_IMROPE})
        for (const int variant : {0, 1, 2, 3}) {
            const int32_t n_token = 21, width = variant == 2 ? 48 : 32, n_rot = 32;
            OpCase c(n_token, 5);
            c.n_pos_axis = style >= HEARTH_ROPE_MROPE ? 4 : 1;
            c.pos.clear();
            for (int32_t i = 0; i < n_token * c.n_pos_axis; ++i) c.pos.push_back(static_cast<int32_t>(random.below(5000)));
            for (int32_t& o : c.output_row) o = static_cast<int32_t>(random.below(static_cast<uint64_t>(n_token)));
            const int32_t rows = variant == 3 ? HEARTH_ROWS_OUTPUT : HEARTH_ROWS_TOKEN;
            const int64_t n = variant == 3 ? 5 : n_token;
            const int32_t x = c.input({.rows = rows, .n_group = 3, .group_width = width}, normals(random, n * 3 * width));
            const int32_t y = variant == 1 ? x : c.output({.rows = rows, .n_group = 3, .group_width = width, .group_gap = 2});
            if (variant == 1) c.outputs.push_back(x);
            std::vector<int32_t> weights;
            if (variant == 2) {
                std::vector<float> divisor;
                for (int32_t i = 0; i < n_rot / 2; ++i) divisor.push_back(random.uniform(0.5f, 8));
                weights.push_back(c.weight(Format::F32, HEARTH_USE_VECTOR, {n_rot / 2}, divisor));
            }
            hearth_rope_params p{style, n_rot, 4096, {3, 5, 4, 4}, 10000, 1, 0, 1, 32, 1};
            if (variant == 1) p.freq_scale = 0.25f, p.ext_factor = 1, p.attn_factor = 1.138f;
            c.node(HEARTH_OP_ROPE, {x}, {y}, weights).p.rope = p;
            // cosines and sines are rounded once, products and the sum once each, of values up to about 4
            compare("ROPE style " + std::to_string(style) + " variant " + std::to_string(variant), c, 0, 5 * 4 * 5 * kUlp);
        }
}

TEST_CASE("ACT and GLU agree with the reference for every kind, tails and strides", "[ops]") {
    Random random(seed());
    for (const int32_t width : {1, 5, 32, 301})
        for (int32_t kind = HEARTH_ACT_SILU; kind <= HEARTH_ACT_SWIGLU_OAI; ++kind) {
            OpCase c(18);
            std::vector<float> gate = normals(random, 18 * 2 * width, 4);
            gate[0] = 60, gate[static_cast<std::size_t>(width)] = -60;
            const int32_t a = c.input({.n_group = 2, .group_width = width, .group_gap = 3}, gate);
            const int32_t b = c.input({.n_group = 2, .group_width = width}, normals(random, 18 * 2 * width));
            const int32_t y = c.output({.n_group = 2, .group_width = width});
            c.node(HEARTH_OP_GLU, {a, b}, {y}).p.act = {kind, 1.702f, 7};
            if (kind != HEARTH_ACT_SWIGLU_OAI) {
                const int32_t z = c.output({.n_group = 2, .group_width = width});
                c.node(HEARTH_OP_ACT, {a}, {z}).p.act = {kind, 0, 0};
            }
            // tanh near -1 cancels in 1 + tanh: an absolute error of a few ulp of x; values of up to 60 * 5
            compare("ACT kind " + std::to_string(kind) + " width " + std::to_string(width), c, 16 * kUlp, 200 * kUlp);
        }
}

TEST_CASE("the half-precision GELU agrees with the reference to one step of a half", "[ops]") {
    Random random(seed());
    OpCase c(9);
    std::vector<float> x = normals(random, 9 * 45, 4);
    x[0] = 10, x[1] = -10, x[2] = 9.999f, x[3] = -30, x[4] = 70000, x[5] = 1e-7f;
    const int32_t in = c.input({.group_width = 45}, x), other = c.input({.group_width = 45}, normals(random, 9 * 45));
    const int32_t act = c.output({.group_width = 45}), glu = c.output({.group_width = 45});
    c.node(HEARTH_OP_ACT, {in}, {act}).p.act = {HEARTH_ACT_GELU_TANH_HALF, 0, 0};
    c.node(HEARTH_OP_GLU, {in, other}, {glu}).p.act = {HEARTH_ACT_GELU_TANH_HALF, 0, 0};
    compare("half GELU", c, 0x1p-10, 5 * 0x1p-24);  // a rounding may fall the other way; 2^-24 is the smallest half
}

TEST_CASE("ADD, SCALE, SOFTCAP, SCALE_BY_POSITION, SELECT_ROWS and ADD_POSITION agree with the reference", "[ops]") {
    Random random(seed());
    for (const int32_t width : {1, 13, 64, 512}) {
        OpCase c(17, 4);
        c.output_row = {16, 0, 3, 3};
        for (int32_t& p : c.pos) p = static_cast<int32_t>(random.below(40));
        const OpCase::ValueSpec strided{.n_group = 2, .group_width = width, .group_gap = 1}, dense{.n_group = 2, .group_width = width};
        const int32_t a = c.input(strided, normals(random, 17 * 2 * width)), b = c.input(dense, normals(random, 17 * 2 * width));
        const int32_t sum = c.output(dense), scaled = c.output(dense), capped = c.output(strided), warm = c.output(dense);
        const int32_t rows = c.output({.rows = HEARTH_ROWS_OUTPUT, .n_group = 2, .group_width = width});
        c.node(HEARTH_OP_ADD, {a, b}, {sum}).p.scale.scale = -1.5f;
        c.node(HEARTH_OP_SCALE, {a}, {scaled}).p.scale.scale = 0.3f;
        c.node(HEARTH_OP_SOFTCAP, {b}, {capped}).p.scale.scale = 2.5f;
        c.node(HEARTH_OP_SCALE_BY_POSITION, {b}, {warm}).p.position = {0.1f, 8};
        c.node(HEARTH_OP_SELECT_ROWS, {a}, {rows});
        const int32_t flat = c.input({.group_width = width}, normals(random, 17 * width)), moved = c.output({.group_width = width});
        const int32_t table = c.weight(Format::F16, HEARTH_USE_LOOKUP, {40, width}, normals(random, int64_t{40} * width));
        c.node(HEARTH_OP_ADD_POSITION, {flat}, {moved}, {table});
        compare("width " + std::to_string(width), c, 8 * kUlp, 16 * kUlp);
    }
}

TEST_CASE("ROUTE and EXPERT_SUM agree with the reference: gates, bias, groups, ties", "[ops]") {
    Random random(seed());
    for (const int32_t gate : {HEARTH_GATE_SOFTMAX, HEARTH_GATE_SIGMOID, HEARTH_GATE_SOFTMAX_SELECTED})
        for (const int variant : {0, 1, 2}) {
            // In the last layer the rows are outputs, fewer than the tokens: variant 2.
            const int32_t n_expert = 16, k = variant == 2 ? 1 : 4, width = 70, n_row = variant == 2 ? 3 : 33;
            const int32_t rows = variant == 2 ? HEARTH_ROWS_OUTPUT : HEARTH_ROWS_TOKEN;
            OpCase c(33, n_row);
            std::vector<float> logits = normals(random, n_row * n_expert);
            for (int32_t e = 0; e < n_expert; ++e) logits[static_cast<std::size_t>(e)] = 0.5f;  // all tied
            const int32_t x = c.input({.rows = rows, .group_width = n_expert}, logits);
            const int32_t ids = c.output({.rows = rows, .group_width = k}), weights = c.output({.rows = rows, .group_width = k});
            std::vector<int32_t> bias;
            if (variant == 1) bias.push_back(c.weight(Format::F32, HEARTH_USE_VECTOR, {n_expert}, normals(random, n_expert)));
            c.node(HEARTH_OP_ROUTE, {x}, {ids, weights}, bias).p.route = {gate, k, variant == 1 ? 4 : 1, 2, variant == 0, 1.5f};
            const int32_t given = c.input({.rows = rows, .group_width = width, .row_factor = k}, normals(random, n_row * k * width));
            const int32_t residual = c.input({.rows = rows, .group_width = width}, normals(random, n_row * width));
            const int32_t sum = c.output({.rows = rows, .group_width = width}), plain = c.output({.rows = rows, .group_width = width});
            c.node(HEARTH_OP_EXPERT_SUM, {given, weights, residual}, {sum}).p.scale.scale = 0.7f;
            c.node(HEARTH_OP_EXPERT_SUM, {given, weights}, {plain}).p.scale.scale = 1;
            compare("ROUTE gate " + std::to_string(gate) + " variant " + std::to_string(variant), c, 16 * kUlp, 64 * kUlp, ids);
        }
}

TEST_CASE("an operator or format that the CPU cannot do is refused by name", "[ops]") {
    OpCase c(1);
    const int32_t x = c.input({.group_width = 4}, {1, 2, 3, 4}), y = c.output({.group_width = 4});
    c.node(HEARTH_OP_LIMIT, {x}, {y}).label = "blk.3.strange";
    const Outcome out = Candidate{"cpu", hearth_backend_cpu(), ""}.run(c);
    CHECK(out.error.find("blk.3.strange") != std::string::npos);
    OpCase d(1);
    d.weight_bytes(4, HEARTH_USE_MATMUL, {2, 32}, std::vector<uint8_t>(64));
    CHECK(Candidate{"cpu", hearth_backend_cpu(), ""}.run(d).error.find('4') != std::string::npos);
}

// The oneDNN plugin: LINEAR against the reference backend, what it refuses, and how a runtime sees it.
#include <cmath>

#include "base/half.hpp"
#include "onednn/plugin.hpp"
#include "ops/harness.hpp"
#include "runtime/runtime.hpp"
#include "support/catch.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

struct Shape {
    int32_t n_out, n_in, n_token;
};
// One, odd, no multiples of a vector or tile, more rows than one part (512), large.
constexpr Shape kShapes[] = {{1, 1, 1},    {1, 7, 3},    {5, 1, 2},     {17, 3, 1},     {64, 257, 1},
                             {130, 40, 7}, {33, 600, 13}, {70, 96, 131}, {48, 64, 1100}, {300, 512, 515}};

struct Extras {
    bool bias, residual, in_place;
    float scale;
};
constexpr Extras kExtras[] = {{false, false, false, 1},    {true, false, false, 1},    {false, true, false, 1},
                              {true, true, false, 1},      {false, false, false, 0.3f}, {true, false, false, -2.5f},
                              {false, true, false, 0.3f},  {true, true, false, 0.3f},  {true, true, true, 0.3f},
                              {false, true, true, 1}};

struct Linear {
    OpCase test;
    int32_t out;
    std::vector<double> bound;  // of each output element
};

// The case, and how far float32 may lie from the reference's doubles: each of the n products and n sums, and the few
// steps of bias, scale and residual, rounds by at most 2^-24 of what has been added up, here of the sum of magnitudes.
// Activations rounded to bf16 move by 2^-9 of themselves. The reference rounds its result and scale * sum to float32.
Linear linear(Format format, const Shape& s, const Extras& e, Random& random, int32_t gap) {
    const auto n_in = static_cast<std::size_t>(s.n_in), n_out = static_cast<std::size_t>(s.n_out);
    const auto n_token = static_cast<std::size_t>(s.n_token);
    std::vector<float> x = random.normals(n_token * n_in), w = random.normals(n_out * n_in, 0.1f);
    std::vector<float> bias = random.normals(n_out), before = random.normals(n_token * n_out);
    OpCase c(s.n_token);
    const int32_t in = c.input({.group_width = s.n_in, .row_gap = gap}, x);
    const int32_t residual = e.residual ? c.input({.group_width = s.n_out, .row_gap = gap}, before) : -1;
    const int32_t out = e.in_place ? residual : c.output({.group_width = s.n_out, .row_gap = gap});
    if (e.in_place) c.outputs.push_back(residual);
    const int32_t weight = c.weight(format, HEARTH_USE_MATMUL, {s.n_out, s.n_in}, w);
    const int32_t b = e.bias ? c.weight(Format::F32, HEARTH_USE_VECTOR, {s.n_out}, bias) : -1;
    c.node(HEARTH_OP_LINEAR, {in, residual}, {out}, {weight, b}).p.scale.scale = e.scale;

    const bool rounds = format == Format::BF16 && plugin_keeps_bf16();
    const double eps = (static_cast<double>(s.n_in) + 8) * 0x1p-24 + (rounds ? 0x1p-8 : 0);
    std::vector<double> bound;
    for (std::size_t t = 0; t < n_token; ++t)
        for (std::size_t o = 0; o < n_out; ++o) {
            double size = e.bias ? std::abs(bias[o]) : 0;
            for (std::size_t i = 0; i < n_in; ++i) size += std::abs(double{x[t * n_in + i]} * w[o * n_in + i]);
            // the stored weight may be 2^-8 larger than the one that it was rounded from
            bound.push_back(1.01 * eps * (size * std::abs(e.scale) + (e.residual ? std::abs(before[t * n_out + o]) : 0)) + 1e-30);
        }
    return {std::move(c), out, std::move(bound)};
}

void compare(Format format, const Shape& s, const Extras& e, Random& random, const RunStyle& style, int32_t gap) {
    const Linear l = linear(format, s, e, random, gap);
    const std::string what = std::string(find_format(static_cast<int32_t>(format))->name) + " " + std::to_string(s.n_out) + "x" +
                             std::to_string(s.n_in) + " rows " + std::to_string(s.n_token) + " bias " + std::to_string(e.bias) +
                             " residual " + std::to_string(e.residual) + " scale " + std::to_string(e.scale);
    INFO(what << " seed " << seed());
    const Outcome want = run(*hearth_backend_ref(), l.test), got = run(plugin(), l.test, style);
    REQUIRE(want.error == "");
    REQUIRE(got.error == "");
    check_close(what, got.value.at(l.out), want.value.at(l.out), l.bound);
}

// The sentence of a graph of one node.
std::string error_of(const OpCase& c) { return run(plugin(), c).error; }

bool says(const std::string& sentence, const std::string& word) {
    INFO(sentence);
    return sentence.find(word) != std::string::npos;
}

OpCase linear_with(Format format, int32_t uses) {
    OpCase c(1);
    const int32_t x = c.input({.group_width = 256}, std::vector<float>(256, 1.0f));
    const int32_t y = c.output({.group_width = 4});
    const int32_t w = c.weight(format, uses, {4, 256}, std::vector<float>(1024, 1.0f));
    c.node(HEARTH_OP_LINEAR, {x}, {y}, {w}).p.scale.scale = 1;
    return c;
}

}  // namespace

TEST_CASE("oneDNN's LINEAR is the reference's within the rounding of its sums, for every format and shape", "[onednn]") {
    Random random(seed());
    for (Format format : {Format::F32, Format::F16, Format::BF16})
        for (const Shape& s : kShapes) compare(format, s, kExtras[random.below(std::size(kExtras))], random, {2, false}, 0);
}

TEST_CASE("oneDNN's LINEAR adds bias, scale and residual as the reference does, also in place and with gaps", "[onednn]") {
    Random random(seed());
    for (Format format : {Format::F32, Format::BF16})
        for (const Extras& e : kExtras)
            for (int32_t gap : {0, 5}) {
                compare(format, {37, 50, 9}, e, random, {1, false}, gap);
                compare(format, {1, 50, 4}, e, random, {1, false}, gap);
            }
}

TEST_CASE("a oneDNN run that is stopped between parts goes on to the same rows", "[onednn]") {
    Random random(seed());
    const Linear l = linear(Format::F32, {40, 30, 1700}, {true, true, true, 0.5f}, random, 0);
    const Outcome whole = run(plugin(), l.test, {2, false}), stopped = run(plugin(), l.test, {2, true});
    REQUIRE(whole.error == "");
    REQUIRE(stopped.error == "");
    CHECK(stopped.n_pause > 0);
    CHECK(stopped.value.at(l.out) == whole.value.at(l.out));
}

TEST_CASE("the oneDNN plugin serves one ABI", "[onednn]") {
    CHECK(plugin_entry()(HEARTH_BACKEND_ABI) != nullptr);
    CHECK(plugin_entry()(HEARTH_BACKEND_ABI + 1) == nullptr);
    CHECK(plugin_entry()(0) == nullptr);
}

TEST_CASE("the oneDNN backend refuses other operators, formats and uses by name", "[onednn]") {
    OpCase add(1);
    const int32_t x = add.input({.group_width = 4}, {1, 2, 3, 4}), y = add.output({.group_width = 4});
    add.node(HEARTH_OP_ADD, {x, x}, {y}).p.scale.scale = 1;
    CHECK(says(error_of(add), "operator ADD"));
    CHECK(says(error_of(add), "'test'"));

    OpCase select(1);
    const int32_t from = select.input({.group_width = 4}, {1, 2, 3, 4});
    const int32_t to = select.output({.rows = HEARTH_ROWS_OUTPUT, .group_width = 4});
    select.node(HEARTH_OP_SELECT_ROWS, {from}, {to});
    CHECK(says(error_of(select), "operator SELECT_ROWS"));

    for (const FormatInfo& info : kFormats) {
        const std::string error = error_of(linear_with(info.format, HEARTH_USE_MATMUL));
        if (info.block_elements == 1)
            CHECK(error == "");
        else
            CHECK(says(error, "tensor format " + std::string(info.name)));
    }
    CHECK(says(error_of(linear_with(Format::F32, HEARTH_USE_MATMUL | HEARTH_USE_LOOKUP)), "looked up"));

    OpCase gaps(1);
    const int32_t apart = gaps.input({.n_group = 2, .group_width = 2, .group_gap = 3}, {1, 2, 3, 4});
    const int32_t out = gaps.output({.group_width = 1});
    gaps.node(HEARTH_OP_LINEAR, {apart}, {out}, {gaps.weight(Format::F32, HEARTH_USE_MATMUL, {1, 4}, {1, 1, 1, 1})}).p.scale.scale = 1;
    CHECK(says(error_of(gaps), "lie apart"));

    OpCase same_bits = linear_with(Format::F32, HEARTH_USE_MATMUL);
    same_bits.deterministic = true;
    CHECK(says(error_of(same_bits), "deterministic"));
}

TEST_CASE("a runtime that is given the oneDNN table lists and opens its device", "[onednn]") {
    RuntimeOptions options;
    options.n_thread = 2;
    options.extra_backends = {&plugin()};
    const auto runtime = Runtime::make(options);
    REQUIRE(runtime);
    bool found = false;
    const auto listed = (*runtime)->devices();
    REQUIRE(listed);
    for (const DeviceInfo& info : *listed) {
        if (info.spec != "onednn:0") continue;
        found = true;
        CHECK(info.unavailable == "");
        CHECK(says(info.name, "oneDNN"));
        CHECK(says(info.detail, "BF16 weights as"));
    }
    CHECK(found);
    CHECK((*runtime)->device("onednn"));
}

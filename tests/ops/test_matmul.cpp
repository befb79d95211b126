// Matmuls on every format, level and odd shape against sums of decoded values, and against the reference backend.
#include <cmath>
#include <cstring>

#include "ops/matmul_support.hpp"
#include "support/catch.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

std::vector<Shape> shapes_of(const FormatInfo& info) {
    if (info.block_elements == 1)
        return {{1, 1, 1}, {17, 3, 2}, {64, 257, 1}, {130, 40, 7}, {33, 600, 13}, {70, 96, 131}};
    const int64_t b = info.block_elements;
    return {{1, b, 1}, {17, 3 * b, 2}, {64, 4 * b, 1}, {130, b, 7}, {33, 5 * b, 13}, {70, 2 * b, 131}};
}

}  // namespace

TEST_CASE("LINEAR gives the sums of decoded weights times the rows its kernel sees, for every format, level and shape", "[ops]") {
    Random random(seed());
    for (const FormatInfo& info : kFormats)
        for (const Shape& s : shapes_of(info)) {
            const LinearData d = linear_data(info, 1, s, random);
            const OpCase c = linear(info, d, s);
            for (const Candidate& candidate : all_backends()) {
                const Outcome out = candidate.run(c);
                const std::string what = described(candidate, info, s);
                INFO(what << " seed " << seed());
                REQUIRE(out.error == "");
                const Expected e = dot_all(info, d.decoded, d.x, s, sees(candidate, info, s.n_token));
                check_close(what, out.value.at(1), e.value, e.bound);
            }
        }
}

TEST_CASE("a LINEAR row of a deterministic graph does not depend on how many rows are computed with it, nor on threads", "[ops][thread]") {
    Random random(seed());
    for (const FormatInfo& info : kFormats) {
        const Shape s{200, info.block_elements == 1 ? 300 : 2 * info.block_elements, 150};
        const LinearData d = linear_data(info, 1, s, random);
        for (const Candidate& candidate : cpu_levels()) check_rows_alone(candidate, info, d, s, true, {1, 2, 5}, random);
    }
}

TEST_CASE("matmuls that need each other run one after the other, on any number of threads", "[ops][thread]") {
    Random random(seed());
    OpCase c(40);
    const int32_t x = c.input({.group_width = 256}, random.normals(40 * 256));
    const int32_t a = c.output({.group_width = 320}), b = c.output({.group_width = 320}), d = c.output({.group_width = 320});
    const auto matrix = [&](int64_t n_in) {
        return c.weight(Format::F32, HEARTH_USE_MATMUL, {320, n_in}, random.normals(static_cast<std::size_t>(320 * n_in), 0.05f));
    };
    const int32_t first = matrix(256), second = matrix(320), third = matrix(256);
    c.node(HEARTH_OP_LINEAR, {x}, {a}, {first}).p.scale.scale = 1;
    c.node(HEARTH_OP_LINEAR, {a}, {b}, {second}).p.scale.scale = 1;   // reads what the first writes
    c.node(HEARTH_OP_LINEAR, {x, b}, {d}, {third}).p.scale.scale = 1;  // adds what the second writes
    for (const Candidate& candidate : cpu_levels()) {
        INFO(candidate.name << " seed " << seed());
        const Outcome want = candidate.run(c);
        REQUIRE(want.error == "");
        for (int i = 0; i < 10; ++i)
            CHECK(candidate.run(c, {.n_thread = 3}).value == want.value);  // threads that raced would differ sometimes
    }
}

TEST_CASE("LINEAR adds bias, scale and residual, in place too", "[ops]") {
    Random random(seed());
    for (const Format format : {Format::F32, Format::Q8_0, Format::Q4_K}) {
        const FormatInfo& info = *find_format(static_cast<int32_t>(format));
        const Shape s{45, 256, 9};
        const LinearData d = linear_data(info, 1, s, random);
        const std::vector<float> bias = random.normals(45), residual = random.normals(45 * 9);
        OpCase c(s.n_token);
        const int32_t x = c.input({.n_group = 8, .group_width = 32}, d.x), r = c.input({.group_width = 45}, residual);
        const int32_t w = c.weight_bytes(static_cast<int32_t>(format), HEARTH_USE_MATMUL, {45, 256}, d.bytes);
        const int32_t b = c.weight(Format::F32, HEARTH_USE_VECTOR, {45}, bias);
        c.node(HEARTH_OP_LINEAR, {x, r}, {r}, {w, b}).p.scale.scale = 0.5f;
        c.outputs.push_back(r);
        for (const Candidate& candidate : all_backends()) {
            Expected e = dot_all(info, d.decoded, d.x, s, sees(candidate, info, s.n_token));
            for (std::size_t i = 0; i < e.value.size(); ++i) {
                e.value[i] = residual[i] + 0.5f * (e.value[i] + bias[i % 45]);
                e.bound[i] += 4 * 0x1p-24 * (std::abs(static_cast<double>(e.value[i])) + 4);
            }
            check_close(candidate.name + " " + std::string(info.name), candidate.run(c, {.n_thread = 2}).value.at(r), e.value, e.bound);
        }
    }
}

TEST_CASE("LINEAR_HEADS uses one matrix per head on strided groups", "[ops]") {
    Random random(seed());
    for (const auto& [format, n_token] :
         {std::pair{Format::F32, 5}, {Format::F16, 5}, {Format::Q8_0, 5}, {Format::Q8_0, 21}, {Format::Q4_K, 21}}) {
        const FormatInfo& info = *find_format(static_cast<int32_t>(format));
        const Shape s{21, info.block_elements == 256 ? 256 : 64, n_token};
        const int32_t n_head = 3;
        const LinearData d = linear_data(info, n_head, s, random);
        const std::vector<float> x = random.normals(static_cast<std::size_t>(s.n_token * n_head * s.n_in));
        OpCase c(s.n_token);
        const int32_t in = c.input({.n_group = n_head, .group_width = static_cast<int32_t>(s.n_in), .group_gap = 8, .row_gap = 4}, x);
        const int32_t out = c.output({.n_group = n_head, .group_width = 21, .group_gap = 3});
        const int32_t w = c.weight_bytes(static_cast<int32_t>(format), HEARTH_USE_HEADS, {n_head, s.n_out, s.n_in}, d.bytes);
        c.node(HEARTH_OP_LINEAR_HEADS, {in}, {out}, {w});
        for (const Candidate& candidate : all_backends()) {
            Expected e;
            for (int32_t t = 0; t < s.n_token; ++t)
                for (int32_t h = 0; h < n_head; ++h) {
                    const std::vector<float> row(x.begin() + (t * n_head + h) * s.n_in, x.begin() + (t * n_head + h + 1) * s.n_in);
                    const std::vector<float> matrix(d.decoded.begin() + h * s.n_out * s.n_in,
                                                    d.decoded.begin() + (h + 1) * s.n_out * s.n_in);
                    const Expected one = dot_all(info, matrix, row, {s.n_out, s.n_in, 1}, sees(candidate, info, s.n_token));
                    e.value.insert(e.value.end(), one.value.begin(), one.value.end());
                    e.bound.insert(e.bound.end(), one.bound.begin(), one.bound.end());
                }
            const Outcome got = candidate.run(c, {.n_thread = 2});
            INFO(candidate.name << " seed " << seed());
            REQUIRE(got.error == "");
            check_close(candidate.name + " " + std::string(info.name), got.value.at(out), e.value, e.bound);
        }
    }
}

TEST_CASE("LINEAR_EXPERTS runs each chosen expert on its rows, shared or one per choice", "[ops]") {
    Random random(seed());
    for (const Format format : {Format::F32, Format::Q8_0, Format::MXFP4})
        for (const int32_t n_token : {1, 3, 40, 100})
            for (const bool shared : {true, false}) {
                const FormatInfo& info = *find_format(static_cast<int32_t>(format));
                const int32_t n_expert = 5, k = 2;
                const Shape s{35, 64, shared ? n_token : n_token * k};
                const LinearData d = linear_data(info, n_expert, s, random);
                const std::vector<float> bias = random.normals(static_cast<std::size_t>(n_expert * s.n_out));
                std::vector<int32_t> id;
                for (int32_t t = 0; t < n_token; ++t) {
                    const auto first = static_cast<int32_t>(random.below(n_expert));
                    id.push_back(first);
                    id.push_back((first + 1 + static_cast<int32_t>(random.below(n_expert - 1))) % n_expert);
                }
                std::vector<int64_t> n_row_of(n_expert, 0);
                for (const int32_t expert : id) ++n_row_of[static_cast<std::size_t>(expert)];
                std::vector<float> id_bits(id.size());
                std::memcpy(id_bits.data(), id.data(), id.size() * 4);
                OpCase c(n_token);
                const int32_t x = c.input({.group_width = 64, .row_factor = shared ? 1 : k}, d.x);
                const int32_t ids = c.input({.group_width = k}, id_bits);
                const int32_t out = c.output({.group_width = 35, .row_factor = k});
                const int32_t w = c.weight_bytes(static_cast<int32_t>(format), HEARTH_USE_EXPERTS, {n_expert, s.n_out, s.n_in}, d.bytes);
                const int32_t b = c.weight(Format::F32, HEARTH_USE_VECTOR, {n_expert, s.n_out}, bias);
                c.node(HEARTH_OP_LINEAR_EXPERTS, {x, ids}, {out}, {w, b});
                for (const Candidate& candidate : all_backends()) {
                    Expected e;
                    for (int32_t p = 0; p < n_token * k; ++p) {
                        const int64_t from = shared ? p / k : p, expert = id[static_cast<std::size_t>(p)];
                        const std::vector<float> row(d.x.begin() + from * 64, d.x.begin() + (from + 1) * 64);
                        const std::vector<float> matrix(d.decoded.begin() + expert * s.n_out * 64,
                                                        d.decoded.begin() + (expert + 1) * s.n_out * 64);
                        const Expected one = dot_all(info, matrix, row, {s.n_out, 64, 1},
                                                     sees(candidate, info, n_row_of[static_cast<std::size_t>(expert)]));
                        for (std::size_t o = 0; o < 35; ++o) {
                            e.value.push_back(one.value[o] + bias[static_cast<std::size_t>(expert * s.n_out) + o]);
                            e.bound.push_back(one.bound[o] + 0x1p-22 * (std::abs(static_cast<double>(e.value.back())) + 1));
                        }
                    }
                    const Outcome got = candidate.run(c, {.n_thread = 3});
                    INFO(candidate.name << " seed " << seed());
                    REQUIRE(got.error == "");
                    check_close(candidate.name + " " + std::string(info.name), got.value.at(out), e.value, e.bound);
                }
            }
}

TEST_CASE("EMBED finds rows in every layout, and injected rows in order", "[ops]") {
    Random random(seed());
    for (const FormatInfo& info : kFormats)
        for (const bool tied : {false, true}) {
            const int64_t n_row = 37, width = 512;
            const LinearData d = linear_data(info, 1, {n_row, width, 1}, random);
            OpCase c(20);
            for (int32_t& t : c.token) t = random.below(4) ? static_cast<int32_t>(random.below(n_row)) : -1;
            c.embedding = random.normals(20 * width);
            const int32_t out = c.output({.group_width = 512});
            const int32_t uses = HEARTH_USE_LOOKUP | (tied ? HEARTH_USE_MATMUL : 0);
            const int32_t w = c.weight_bytes(static_cast<int32_t>(info.format), uses, {n_row, width}, d.bytes);
            c.node(HEARTH_OP_EMBED, {}, {out}, {w}).p.scale.scale = 2;
            std::vector<float> want;
            int64_t injected = 0;
            for (int32_t t : c.token)
                for (int64_t i = 0, row = t >= 0 ? 0 : injected++; i < width; ++i)
                    want.push_back(t >= 0 ? 2 * d.decoded[static_cast<std::size_t>(t * width + i)]
                                          : c.embedding[static_cast<std::size_t>(row * width + i)]);
            for (const Candidate& candidate : all_backends()) {
                const Outcome got = candidate.run(c, {.n_thread = 2});
                INFO(candidate.name << " seed " << seed());
                REQUIRE(got.error == "");
                check_close(candidate.name + " " + std::string(info.name), got.value.at(out), want, 0x1p-22, 0);
            }
        }
}

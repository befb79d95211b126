// What matmul tests share: random weights and rows, and the sums that a kernel should give with how far it may be off.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <initializer_list>

#include "ops/harness.hpp"
#include "support/catch.hpp"

namespace hearth::test {

struct Shape {
    int64_t n_out, n_in;
    int32_t n_token;
};

// What the CPU's int8 kernels see of an activation row: d * q per block, as quantise32 and quantise256 promise.
inline std::vector<double> seen_by_int8(const float* x, int64_t n, int64_t block) {
    std::vector<double> out(static_cast<std::size_t>(n));
    for (int64_t b = 0; b < n; b += block) {
        float top = 0;
        for (int64_t i = b; i < b + block; ++i) top = std::max(top, std::abs(x[i]));
        const float d = top / 127.0f, inverse = top > 0 ? 127.0f / top : 0;
        for (int64_t i = b; i < b + block; ++i)
            out[static_cast<std::size_t>(i)] = static_cast<double>(d) * std::nearbyint(x[i] * inverse);
    }
    return out;
}

// A value as bf16, rounded to nearest even.
inline double as_bf16(double x) {
    const auto f = static_cast<float>(x);
    uint32_t bits;
    std::memcpy(&bits, &f, 4);
    bits = (bits + 0x7fff + (bits >> 16 & 1)) & 0xffff0000;
    float rounded;
    std::memcpy(&rounded, &bits, 4);
    return static_cast<double>(rounded);
}

// What a kernel makes of the values before it multiplies.
enum class Sees { floats, int8, int8_on_base, bf16 };

// n_row: of activations, that one matrix meets in one run.
inline Sees sees(const Candidate& candidate, const FormatInfo& info, int64_t n_row) {
    const bool dense = info.block_elements == 1;
    if (candidate.level.empty() || info.format == Format::F32) return Sees::floats;
    if (candidate.has_tiles() && n_row >= (dense ? 4 : 16)) return Sees::bf16;
    if (dense) return Sees::floats;
    const bool on_base = candidate.level == "v3-vnni" || candidate.level == "v4" || candidate.level == "v4-amx";
    return on_base && info.block_elements == 256 ? Sees::int8_on_base : Sees::int8;
}

struct Expected {
    std::vector<float> value;
    std::vector<double> bound;
};

// How far an output may be off because its sums stand on 1.5 * 2^23 (lib/device/cpu/level/panel_wide.hpp). A group's sum counts in
// units of which its weights span up to 255, and at least 96 where they spread most in a block: codes of 2 bits reach 192, and
// quantising fills half of that. Each of up to 16 groups of a block is added to a float32 that holds a few bases: 4 of them round by
// 4 * 1.5 * 2^23 * 2^-24 = 3 units.
inline double rounding_on_base(const double* weight, const double* seen, int64_t n_in) {
    double total = 0;
    for (int64_t block = 0; block < n_in; block += 256) {
        double widest = 0, top = 0;
        for (int64_t i = block; i < block + 256; i += 16) {
            const auto [low, high] = std::minmax_element(weight + i, weight + i + 16);
            widest = std::max(widest, *high - *low);
            for (int64_t k = i; k < i + 16; ++k) top = std::max(top, std::abs(seen[k]));
        }
        total += 16 * 3 * widest / 96 * top / 127;
    }
    return total;
}

// Sums in double. The bound: float32 rounding, 2^-24 for each step of the chain that a term passes. Weights that become bf16 are
// computed as floats first, with an error of at most 2^-14 of the row's largest: where that decides how they round, by as much.
inline Expected dot_all(const FormatInfo& info, const std::vector<float>& w, const std::vector<float>& x, const Shape& s, Sees sees) {
    Expected e;
    std::vector<double> weight(w.begin(), w.end()), doubt(w.size(), 0.0);
    for (int64_t o = 0; sees == Sees::bf16 && o < s.n_out; ++o) {
        double top = 0;
        const auto begin = static_cast<std::size_t>(o * s.n_in), end = static_cast<std::size_t>((o + 1) * s.n_in);
        for (std::size_t i = begin; i < end; ++i) top = std::max(top, std::abs(weight[i]));
        const double error = info.block_elements > 1 ? top * 0x1p-14 : 0;
        for (std::size_t i = begin; i < end; ++i) {
            doubt[i] = std::abs(as_bf16(weight[i] + error) - as_bf16(weight[i] - error));
            weight[i] = as_bf16(weight[i]);
        }
    }
    const double n_in = static_cast<double>(s.n_in);
    const bool is_int8 = sees == Sees::int8 || sees == Sees::int8_on_base;
    const double n_rounding = is_int8                ? 8.0 * (n_in / info.block_elements + 8)  // a minimum is subtracted: two large sums
                              : sees == Sees::bf16 ? 16 + n_in / 32 + 8
                                                   : std::min(n_in, 256.0) + 8;
    for (int64_t t = 0; t < s.n_token; ++t) {
        const float* row = x.data() + t * s.n_in;
        std::vector<double> seen(row, row + s.n_in);
        if (is_int8) seen = seen_by_int8(row, s.n_in, info.block_elements);
        if (sees == Sees::bf16)
            for (double& v : seen) v = as_bf16(v);
        for (int64_t o = 0; o < s.n_out; ++o) {
            double total = 0, size = 0, unsure = 0;
            if (sees == Sees::int8_on_base) unsure = rounding_on_base(weight.data() + o * s.n_in, seen.data(), s.n_in);
            for (int64_t i = 0; i < s.n_in; ++i) {
                const auto at = static_cast<std::size_t>(o * s.n_in + i);
                const double term = weight[at] * seen[static_cast<std::size_t>(i)];
                total += term;
                size += std::abs(term);
                unsure += doubt[at] * std::abs(seen[static_cast<std::size_t>(i)]);
            }
            e.value.push_back(static_cast<float>(total));
            e.bound.push_back(size * n_rounding * 0x1p-24 + unsure + 1e-30);
        }
    }
    return e;
}

struct LinearData {
    std::vector<float> x, decoded;
    std::vector<uint8_t> bytes;
};
inline LinearData linear_data(const FormatInfo& info, int64_t n_matrix, const Shape& s, Random& random) {
    LinearData d;
    d.x = random.normals(static_cast<std::size_t>(s.n_token * s.n_in));
    const auto n = static_cast<std::size_t>(n_matrix * s.n_out * s.n_in);
    const std::vector<float> w = random.normals(n, 0.1f);
    d.bytes.resize(row_bytes(info, n));
    encode(info.format, w.data(), d.bytes.data(), n);
    d.decoded.resize(n);
    decode(info.format, d.bytes.data(), d.decoded.data(), n);
    return d;
}


// A LINEAR of n of the rows, from row `first`, or of all; its output is value 1.
inline OpCase linear(const FormatInfo& info, const LinearData& d, const Shape& s, int32_t first, int32_t n, bool deterministic = false) {
    OpCase c(n);
    c.deterministic = deterministic;
    const std::vector<float> x(d.x.begin() + first * s.n_in, d.x.begin() + (first + n) * s.n_in);
    const int32_t in = c.input({.group_width = static_cast<int32_t>(s.n_in)}, x);
    const int32_t out = c.output({.group_width = static_cast<int32_t>(s.n_out)});
    const int32_t w = c.weight_bytes(static_cast<int32_t>(info.format), HEARTH_USE_MATMUL, {s.n_out, s.n_in}, d.bytes);
    c.node(HEARTH_OP_LINEAR, {in}, {out}, {w}).p.scale.scale = 1;
    return c;
}
inline OpCase linear(const FormatInfo& info, const LinearData& d, const Shape& s) { return linear(info, d, s, 0, s.n_token); }

inline std::string described(const Candidate& candidate, const FormatInfo& info, const Shape& s) {
    return candidate.name + " " + std::string(info.name) + " " + std::to_string(s.n_out) + "x" + std::to_string(s.n_in) + " tokens " +
           std::to_string(s.n_token);
}

// Runs of some rows, of any number and anywhere, give the bits that a run of all gives.
inline void check_rows_alone(const Candidate& candidate, const FormatInfo& info, const LinearData& d, const Shape& s, bool deterministic,
                             std::initializer_list<int32_t> counts, Random& random) {
    const std::vector<float> all = candidate.run(linear(info, d, s, 0, s.n_token, deterministic), {.n_thread = 3}).value.at(1);
    for (const int32_t n : counts) {
        const auto first = static_cast<int32_t>(random.below(static_cast<uint64_t>(s.n_token - n)));
        const std::vector<float> some = candidate.run(linear(info, d, s, first, n, deterministic), {.n_thread = 2}).value.at(1);
        const std::vector<float> part(all.begin() + first * s.n_out, all.begin() + (first + n) * s.n_out);
        INFO(candidate.name << " " << info.name << " rows " << n << " seed " << seed());
        CHECK(some == part);
    }
}

}  // namespace hearth::test

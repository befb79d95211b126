// Rotation, cache, attention and the short convolution of the reference backend.
#include <algorithm>
#include <cmath>
#include <vector>

#include "device/ref/decode.hpp"
#include "device/ref/ref.hpp"

namespace hearth::ref {

PageLayout page_layout(const hearth_cache& c) {
    PageLayout p{};
    if (c.kind == HEARTH_CACHE_RECURRENT) {
        p.layer_bytes = 4 * c.state_width;
    } else {
        p.k_row_bytes = format_row_bytes(c.k_type, int64_t{c.n_head_kv} * c.k_width);
        p.v_row_bytes = c.kind == HEARTH_CACHE_LATENT ? 0 : format_row_bytes(c.v_type, int64_t{c.n_head_kv} * c.v_width);
        p.layer_bytes = HEARTH_PAGE_TOKENS * (p.k_row_bytes + p.v_row_bytes);
    }
    p.page_bytes = p.layer_bytes * c.n_layer;
    return p;
}

namespace {

struct CachedToken {
    std::byte *k, *v;
};

CachedToken cached(const Work& w, int32_t seq, int32_t place) {
    const hearth_cache_view& view = w.cache_view();
    const PageLayout p = page_layout(w.cache());
    const int64_t page = view.page[int64_t{seq} * view.page_stride + place / HEARTH_PAGE_TOKENS], slot = place % HEARTH_PAGE_TOKENS;
    std::byte* base = w.pool() + page * p.page_bytes + w.node.cache_layer * p.layer_bytes;
    return {base + slot * p.k_row_bytes, base + HEARTH_PAGE_TOKENS * p.k_row_bytes + slot * p.v_row_bytes};
}

// Which axis of the position turns frequency i.
int32_t axis_of(const hearth_rope_params& p, int32_t i) {
    const int32_t* s = p.section;
    const int32_t at = i % std::max(1, s[0] + s[1] + s[2] + s[3]);
    if (p.style == HEARTH_ROPE_MROPE) return at < s[0] ? 0 : at < s[0] + s[1] ? 1 : at < s[0] + s[1] + s[2] ? 2 : 3;
    if (p.style == HEARTH_ROPE_IMROPE) return at < 3 * s[at % 3] ? at % 3 : 3;
    return 0;
}

// The frequency number (not an integer) that turns n times over the original context.
double frequency_of_turns(const hearth_rope_params& p, double n) {
    return p.n_rot * std::log(p.n_ctx_orig / (n * 2 * 3.14159265358979323846)) / (2 * std::log(static_cast<double>(p.base)));
}

double angle(const Work& w, int64_t token, int32_t i) {
    const hearth_rope_params& p = w.node.p.rope;
    const double pos = w.args.pos[token * w.args.n_pos_axis + axis_of(p, i)];
    double full = pos * std::pow(static_cast<double>(p.base), -2.0 * i / p.n_rot);
    if (w.has_weight(0)) full /= w.vector(0)[i];
    const double scaled = p.freq_scale * full;
    if (p.ext_factor == 0) return scaled;
    const double low = std::max(0.0, std::floor(frequency_of_turns(p, p.beta_fast)));
    const double high = std::min(p.n_rot - 1.0, std::ceil(frequency_of_turns(p, p.beta_slow)));
    const double ramp = std::clamp((i - low) / std::max(0.001, high - low), 0.0, 1.0);
    const double mix = (1 - ramp) * p.ext_factor;
    return scaled * (1 - mix) + full * mix;
}

}  // namespace

void op_rope(const Work& w) {
    const hearth_value &x = w.in(0), &y = w.out(0);
    const hearth_rope_params& p = w.node.p.rope;
    const int32_t half = p.n_rot / 2;
    for (int64_t r = 0; r < w.n_row(x); ++r)
        for (int32_t g = 0; g < x.n_group; ++g) {
            const std::vector<float> v(w.row(x, r, g), w.row(x, r, g) + x.group_width);
            float* to = w.row(y, r, g);
            std::copy(v.begin(), v.end(), to);
            for (int32_t i = 0; i < half; ++i) {
                const int32_t a = p.style == HEARTH_ROPE_PAIRS ? 2 * i : i, b = p.style == HEARTH_ROPE_PAIRS ? 2 * i + 1 : i + half;
                const double t = angle(w, w.token_of(x, r), i), c = std::cos(t) * p.attn_factor, s = std::sin(t) * p.attn_factor;
                const double va = v[static_cast<std::size_t>(a)], vb = v[static_cast<std::size_t>(b)];
                to[a] = static_cast<float>(va * c - vb * s);
                to[b] = static_cast<float>(va * s + vb * c);
            }
        }
}

void op_cache_store(const Work& w) {
    const hearth_cache& c = w.cache();
    const auto store = [&](const hearth_value& x, int64_t t, int32_t head, int32_t width, int32_t type, std::byte* row) {
        const float* values = x.n_group == 1 ? w.row(x, t) + int64_t{head} * width : w.row(x, t, head);
        encode_row(type, values, static_cast<std::size_t>(width), row + format_row_bytes(type, int64_t{head} * width));
    };
    for (int64_t t = 0; t < w.args.n_token; ++t) {
        const CachedToken at = cached(w, w.args.seq[t], w.args.index[t]);
        for (int32_t head = 0; head < c.n_head_kv; ++head) {
            store(w.in(0), t, head, c.k_width, c.k_type, at.k);
            if (w.node.in[1] >= 0) store(w.in(1), t, head, c.v_width, c.v_type, at.v);
        }
    }
}

namespace {

// First place that the token may look at.
int32_t first_place(const Work& w, int64_t t) {
    const int32_t begin = w.args.attend[t].begin, index = w.args.index[t], window = w.node.p.attention.window;
    if (window == 0) return begin;
    if (w.cache().kind == HEARTH_CACHE_CHUNK) return std::max(begin, index / window * window);
    return std::max(begin, index - window + 1);
}

double alibi_slope(const Work& w, int32_t head, int32_t n_head) {
    const double bias = w.node.p.attention.alibi_max_bias;
    if (bias == 0) return 0;
    const double n = std::pow(2, std::floor(std::log2(n_head)));
    return head < n ? std::pow(2, -bias * (head + 1) / n) : std::pow(2, -bias / 2 * (2 * (head - n) + 1) / n);
}

void attend(const Work& w, int64_t t, int32_t head) {
    const hearth_cache& c = w.cache();
    const hearth_value &q = w.in(0), &y = w.out(0);
    const hearth_attention_params& p = w.node.p.attention;
    const int32_t kv = head / (q.n_group / c.n_head_kv), begin = first_place(w, t), end = w.args.attend[t].end;
    const bool latent = c.kind == HEARTH_CACHE_LATENT;
    const double slope = alibi_slope(w, head, q.n_group);
    std::vector<double> score;
    for (int32_t place = begin; place < end; ++place) {
        const CachedToken at = cached(w, w.args.seq[t], place);
        std::vector<double> key(static_cast<std::size_t>(c.k_width));
        decode_row(c.k_type, at.k + format_row_bytes(c.k_type, int64_t{kv} * c.k_width), key.size(), key.data());
        double dot = 0;
        for (int32_t i = 0; i < c.k_width; ++i) dot += w.row(q, t, head)[i] * key[static_cast<std::size_t>(i)];
        dot *= p.scale;
        if (p.softcap != 0) dot = p.softcap * std::tanh(dot / p.softcap);
        score.push_back(dot + slope * (place - w.args.index[t]));
    }
    double top = w.has_weight(0) ? w.vector(0)[head] : -HUGE_VAL;
    for (double s : score) top = std::max(top, s);
    if (top == -HUGE_VAL) top = 0;  // no key, or none of any weight: the sum is 0, and so is the mean
    double sum = w.has_weight(0) ? std::exp(w.vector(0)[head] - top) : 0;
    std::vector<double> mix(static_cast<std::size_t>(c.v_width), 0.0);
    for (int32_t place = begin; place < end; ++place) {
        const double weight = std::exp(score[static_cast<std::size_t>(place - begin)] - top);
        const CachedToken at = cached(w, w.args.seq[t], place);
        sum += weight;
        std::vector<double> value(static_cast<std::size_t>(c.v_width));
        const std::byte* row = latent ? at.k : at.v + format_row_bytes(c.v_type, int64_t{kv} * c.v_width);
        decode_row(latent ? c.k_type : c.v_type, row, value.size(), value.data());
        for (std::size_t i = 0; i < value.size(); ++i) mix[i] += weight * value[i];
    }
    const double inverse = sum == 0 ? 0 : 1 / sum;
    for (int32_t i = 0; i < c.v_width; ++i) w.row(y, t, head)[i] = static_cast<float>(mix[static_cast<std::size_t>(i)] * inverse);
}

}  // namespace

void op_attention(const Work& w) {
    for (int64_t t = 0; t < w.args.n_token; ++t)
        for (int32_t head = 0; head < w.in(0).n_group; ++head) attend(w, t, head);
}

void op_short_conv(const Work& w) {
    const hearth_value &x = w.in(0), &y = w.out(0);
    const int64_t width = x.group_width, n_tap = w.weight(0).shape[1], kept = n_tap - 1;
    const PageLayout p = page_layout(w.cache());
    for (int32_t run = 0; run < w.args.n_run; ++run) {
        const int64_t begin = w.args.run_begin[run], n = w.args.run_begin[run + 1] - begin;
        const int32_t seq = w.args.seq[begin], from = w.cache_view().state_read[seq], to = w.cache_view().state_write[seq];
        const auto state = [&](int32_t slot) {
            return reinterpret_cast<float*>(w.pool() + slot * p.page_bytes + w.node.cache_layer * p.layer_bytes);
        };
        std::vector<float> u(static_cast<std::size_t>((kept + n) * width), 0.0f);  // [kept + n, width]
        if (from >= 0) std::copy_n(state(from), kept * width, u.begin());
        for (int64_t t = 0; t < n; ++t)
            for (int64_t i = 0; i < width; ++i)
                u[static_cast<std::size_t>((kept + t) * width + i)] = w.row(x, begin + t, 0)[i] * w.row(x, begin + t, 2)[i];
        for (int64_t t = 0; t < n; ++t)
            for (int64_t i = 0; i < width; ++i) {
                double sum = 0;
                for (int64_t l = 0; l < n_tap; ++l)
                    sum += double{w.vector(0)[i * n_tap + l]} * u[static_cast<std::size_t>((t + l) * width + i)];
                w.row(y, begin + t)[i] = static_cast<float>(w.row(x, begin + t, 1)[i] * sum);
            }
        std::copy_n(u.begin() + n * width, kept * width, state(to));
    }
}

}  // namespace hearth::ref

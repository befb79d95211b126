// A whole forward pass written down once more, plainly and in double precision, against what a context computes.
#include "runtime/context_support.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

using Vec = std::vector<double>;

constexpr std::size_t kWidth = TinyModel::kHead, kRepeat = TinyModel::kHeads / TinyModel::kHeadsKv;
constexpr double kEps = 1e-5f, kBase = 10000;

// The same layers as the row "llama" (rotating pairs) or "qwen2" (rotating halves, biases on q, k and v).
class Plain {
  public:
    Plain(const TensorSource& source, int n_layer, bool halves) : source_(source), n_layer_(n_layer), halves_(halves) {}

    // One more token at the next position; its logits.
    Vec next(int32_t token) {
        const Vec table = tensor("token_embd.weight");
        Vec x(table.begin() + token * TinyModel::kEmbd, table.begin() + (token + 1) * TinyModel::kEmbd);
        keys_.resize(static_cast<std::size_t>(n_layer_));
        values_.resize(static_cast<std::size_t>(n_layer_));
        for (int layer = 0; layer < n_layer_; ++layer) {
            const std::string p = "blk." + std::to_string(layer) + ".";
            add(x, linear(p + "attn_output", attention(layer, normed(p + "attn_norm", x))));
            const Vec h = normed(p + "ffn_norm", x), up = linear(p + "ffn_up", h);
            Vec gate = linear(p + "ffn_gate", h);
            for (std::size_t i = 0; i < gate.size(); ++i) gate[i] = gate[i] / (1 + std::exp(-gate[i])) * up[i];
            add(x, linear(p + "ffn_down", gate));
        }
        return linear("output", normed("output_norm", x));
    }

  private:
    Vec tensor(const std::string& name) const {
        const TensorInfo* info = source_.find_tensor(name);
        if (!info) return {};
        std::vector<float> data(static_cast<std::size_t>(info->n_row() * info->row_width()));
        REQUIRE(source_.read_rows(*info, 0, info->n_row(), data.data()));
        return {data.begin(), data.end()};
    }

    Vec linear(const std::string& name, const Vec& x) const {
        const Vec w = tensor(name + ".weight"), bias = tensor(name + ".bias");
        Vec y(w.size() / x.size(), 0.0);
        for (std::size_t o = 0; o < y.size(); ++o) {
            for (std::size_t i = 0; i < x.size(); ++i) y[o] += w[o * x.size() + i] * x[i];
            if (!bias.empty()) y[o] += bias[o];
        }
        return y;
    }

    Vec normed(const std::string& name, const Vec& x) const {
        const Vec w = tensor(name + ".weight");
        double squares = 0;
        for (double v : x) squares += v * v;
        Vec y(x.size());
        for (std::size_t i = 0; i < x.size(); ++i) y[i] = x[i] / std::sqrt(squares / static_cast<double>(x.size()) + kEps) * w[i];
        return y;
    }

    static void add(Vec& x, const Vec& y) {
        for (std::size_t i = 0; i < x.size(); ++i) x[i] += y[i];
    }

    Vec turned(Vec x, std::size_t position) const {
        for (std::size_t head = 0; head < x.size(); head += kWidth)
            for (std::size_t i = 0; i < kWidth / 2; ++i) {
                double& a = x[head + (halves_ ? i : 2 * i)];
                double& b = x[head + (halves_ ? i + kWidth / 2 : 2 * i + 1)];
                const double t = static_cast<double>(position) * std::pow(kBase, -2.0 * static_cast<double>(i) / kWidth);
                const double was = a;
                a = was * std::cos(t) - b * std::sin(t);
                b = was * std::sin(t) + b * std::cos(t);
            }
        return x;
    }

    Vec attention(int layer, const Vec& x) {
        const std::string p = "blk." + std::to_string(layer) + ".";
        auto &keys = keys_[static_cast<std::size_t>(layer)], &values = values_[static_cast<std::size_t>(layer)];
        const Vec q = turned(linear(p + "attn_q", x), keys.size());
        keys.push_back(turned(linear(p + "attn_k", x), keys.size()));
        values.push_back(linear(p + "attn_v", x));
        Vec out(q.size(), 0.0);
        for (std::size_t head = 0; head < TinyModel::kHeads; ++head) {
            const std::size_t kv = head / kRepeat * kWidth;
            Vec weight;
            double sum = 0;
            for (const Vec& key : keys) {
                double dot = 0;
                for (std::size_t i = 0; i < kWidth; ++i) dot += q[head * kWidth + i] * key[kv + i];
                weight.push_back(std::exp(dot / std::sqrt(static_cast<double>(kWidth))));
                sum += weight.back();
            }
            for (std::size_t place = 0; place < keys.size(); ++place)
                for (std::size_t i = 0; i < kWidth; ++i)
                    out[head * kWidth + i] += weight[place] / sum * values[place][kv + i];
        }
        return out;
    }

    const TensorSource& source_;
    int n_layer_;
    bool halves_;
    std::vector<std::vector<Vec>> keys_, values_;  // [layer][place]
};

TinyModel tiny_qwen2() {
    TinyModel m("qwen2", 2);
    m.matrix("output.weight", {TinyModel::kVocab, TinyModel::kEmbd});
    for (int i = 0; i < 2; ++i) {
        const std::string p = "blk." + std::to_string(i) + ".";
        m.attention(i, false);
        m.feed_forward(i);
        m.vector(p + "attn_q.bias", TinyModel::kHeads * TinyModel::kHead);
        m.vector(p + "attn_k.bias", TinyModel::kHeadsKv * TinyModel::kHead);
        m.vector(p + "attn_v.bias", TinyModel::kHeadsKv * TinyModel::kHead);
    }
    return m;
}

}  // namespace

TEST_CASE("a whole forward pass equals one written out in double precision, token for token") {
    const char* device = GENERATE("ref", "cpu");
    const bool halves = GENERATE(false, true);
    INFO((halves ? "qwen2" : "llama") << " on " << device << ", HEARTH_TEST_SEED=" << seed());
    const Loaded loaded = load_model(halves ? tiny_qwen2() : tiny_llama(), device);
    const Ids tokens = random_tokens(45, 1);
    Plain plain(loaded.model->source(), 2, halves);
    std::vector<Logits> expected;
    for (int32_t token : tokens) {
        const Vec logits = plain.next(token);
        expected.emplace_back(logits.begin(), logits.end());
    }
    ContextOptions options;
    options.n_ctx = options.n_batch = options.n_output_max = 64;
    for (std::size_t step : {tokens.size(), std::size_t{1}, std::size_t{7}}) {
        const auto context = loaded.context(options);
        for (std::size_t begin = 0; begin < tokens.size(); begin += step) {
            const std::size_t n = std::min(step, tokens.size() - begin);
            const std::vector<uint8_t> want(n, 1);
            Batch batch;
            batch.n_token = static_cast<int32_t>(n);
            batch.token = tokens.data() + begin;
            batch.want_logits = want.data();
            REQUIRE(context->decode(batch));
            // Angles of up to 45 radians, rounded twice, turn keys by 2 * 45 roundings and scores by twice that.
            for (std::size_t i = 0; i < n; ++i) check_close(row(*context, static_cast<int32_t>(i)), expected[begin + i], 4 * 45);
        }
    }
}

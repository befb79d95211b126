// Makes whole small models with random weights in memory, so that runtime tests need no file from elsewhere.
#pragma once

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "format/gguf_writer.hpp"
#include "support/support.hpp"

namespace hearth::test {

// A transformer of width 32 with 4 heads of 8, 2 key/value heads and 64 tokens, weights in F32.
class TinyModel {
  public:
    static constexpr int64_t kVocab = 64, kEmbd = 32, kFf = 64, kHead = 8, kHeads = 4, kHeadsKv = 2;

    TinyModel(const std::string& arch, int n_layer) : arch_(arch) {
        content_.metadata["general.architecture"] = arch;
        number("context_length", 512);
        number("embedding_length", kEmbd);
        number("block_count", n_layer);
        number("feed_forward_length", kFf);
        number("attention.head_count", kHeads);
        number("attention.head_count_kv", kHeadsKv);
        number("attention.key_length", kHead);
        number("attention.value_length", kHead);
        content_.metadata[arch + ".attention.layer_norm_rms_epsilon"] = double{1e-5f};
        matrix("token_embd.weight", {kVocab, kEmbd});
        vector("output_norm.weight", kEmbd);
    }
    void number(const std::string& key, int64_t value) { content_.metadata[arch_ + "." + key] = value; }
    void numbers(const std::string& key, std::vector<int64_t> v) { content_.metadata[arch_ + "." + key] = std::move(v); }
    void vector(const std::string& name, int64_t n) { matrix(name, {n}); }
    void matrix(const std::string& name, const std::vector<int64_t>& shape) {
        TensorInfo tensor;
        tensor.name = name;
        tensor.n_dim = static_cast<int32_t>(shape.size());
        for (std::size_t i = 0; i < shape.size(); ++i) tensor.shape[i] = shape[i];
        content_.tensors.push_back(tensor);
    }
    void attention(int layer, bool qk_norm) {
        const std::string p = "blk." + std::to_string(layer) + ".";
        matrix(p + "attn_q.weight", {kHeads * kHead, kEmbd});
        matrix(p + "attn_k.weight", {kHeadsKv * kHead, kEmbd});
        matrix(p + "attn_v.weight", {kHeadsKv * kHead, kEmbd});
        matrix(p + "attn_output.weight", {kEmbd, kHeads * kHead});
        if (!qk_norm) return;
        vector(p + "attn_q_norm.weight", kHead);
        vector(p + "attn_k_norm.weight", kHead);
    }
    void short_conv(int layer, int64_t n_tap) {
        const std::string p = "blk." + std::to_string(layer) + ".shortconv.";
        matrix(p + "in_proj.weight", {3 * kEmbd, kEmbd});
        matrix(p + "conv.weight", {kEmbd, n_tap});
        matrix(p + "out_proj.weight", {kEmbd, kEmbd});
    }
    void feed_forward(int layer) {
        const std::string p = "blk." + std::to_string(layer) + ".";
        for (const char* name : {"attn_norm.weight", "ffn_norm.weight"}) vector(p + name, kEmbd);
        matrix(p + "ffn_gate.weight", {kFf, kEmbd});
        matrix(p + "ffn_up.weight", {kFf, kEmbd});
        matrix(p + "ffn_down.weight", {kEmbd, kFf});
    }
    // A tokenizer of single letters, so that a load reads one too.
    void vocabulary() {
        std::vector<std::string> tokens = {"<unk>", "<s>", "</s>"};
        std::vector<double> scores(static_cast<std::size_t>(kVocab), 0.0);
        std::vector<int64_t> types = {2, 3, 3};
        while (static_cast<int64_t>(tokens.size()) < kVocab) {
            tokens.push_back(std::string(1, static_cast<char>('A' + tokens.size() - 3)));
            types.push_back(1);
        }
        content_.metadata["tokenizer.ggml.model"] = std::string("llama");
        content_.metadata["tokenizer.ggml.tokens"] = tokens;
        content_.metadata["tokenizer.ggml.scores"] = scores;
        content_.metadata["tokenizer.ggml.token_type"] = types;
        content_.metadata["tokenizer.ggml.bos_token_id"] = int64_t{1};
        content_.metadata["tokenizer.ggml.eos_token_id"] = int64_t{2};
        content_.metadata["tokenizer.ggml.unknown_token_id"] = int64_t{0};
    }

    // The file's bytes. Vectors are near 1 (they are norms); a matrix keeps the size of what it multiplies.
    std::string file(uint64_t seed_value) const {
        Random random(seed_value);
        std::string bytes;
        const auto data = [&](const TensorInfo& tensor, const ByteSink& out) -> Status {
            const auto n = static_cast<std::size_t>(tensor.n_row() * tensor.row_width());
            const float scale = tensor.n_dim == 1 ? 0.1f : 1 / std::sqrt(static_cast<float>(tensor.row_width()));
            std::vector<float> values = random.normals(n, scale);
            if (tensor.n_dim == 1)
                for (float& v : values) v += 1;
            return out(values.data(), 4 * n);
        };
        const Status written = write_gguf(content_, data, [&](const void* src, std::size_t n) -> Status {
            bytes.append(static_cast<const char*>(src), n);
            return {};
        });
        return written ? bytes : std::string();
    }

  private:
    std::string arch_;
    GgufContent content_;
};

inline TinyModel tiny_llama(int n_layer = 2) {
    TinyModel m("llama", n_layer);
    m.vocabulary();
    m.matrix("output.weight", {TinyModel::kVocab, TinyModel::kEmbd});
    for (int i = 0; i < n_layer; ++i) {
        m.attention(i, false);
        m.feed_forward(i);
    }
    return m;
}

// Four experts in each layer, of which two are used.
inline TinyModel tiny_experts() {
    TinyModel m("llama", 2);
    constexpr int64_t kExperts = 4;
    m.number("expert_count", kExperts);
    m.number("expert_used_count", 2);
    for (int i = 0; i < 2; ++i) {
        const std::string p = "blk." + std::to_string(i) + ".";
        m.attention(i, false);
        for (const char* name : {"attn_norm.weight", "ffn_norm.weight"}) m.vector(p + name, TinyModel::kEmbd);
        m.matrix(p + "ffn_gate_inp.weight", {kExperts, TinyModel::kEmbd});
        m.matrix(p + "ffn_gate_exps.weight", {kExperts, TinyModel::kFf, TinyModel::kEmbd});
        m.matrix(p + "ffn_up_exps.weight", {kExperts, TinyModel::kFf, TinyModel::kEmbd});
        m.matrix(p + "ffn_down_exps.weight", {kExperts, TinyModel::kEmbd, TinyModel::kFf});
    }
    return m;
}

// A window layer below a layer that sees everything.
inline TinyModel tiny_window(int64_t window) {
    TinyModel m("gemma3", 2);
    m.number("attention.sliding_window", window);
    m.numbers("attention.sliding_window_pattern", {1, 0});
    for (int i = 0; i < 2; ++i) {
        m.attention(i, true);
        m.feed_forward(i);
        const std::string p = "blk." + std::to_string(i) + ".";
        m.vector(p + "post_attention_norm.weight", TinyModel::kEmbd);
        m.vector(p + "post_ffw_norm.weight", TinyModel::kEmbd);
    }
    return m;
}

// A short convolution (recurrent state) below a layer that attends.
inline TinyModel tiny_recurrent() {
    TinyModel m("lfm2", 2);
    m.numbers("attention.head_count_kv", {0, TinyModel::kHeadsKv});
    m.number("shortconv.l_cache", 3);
    m.short_conv(0, 3);
    m.attention(1, true);
    m.feed_forward(0);
    m.feed_forward(1);
    return m;
}

// By kind: "full", "window", "recurrent" (what the cache keeps) or "experts".
inline TinyModel tiny(const std::string& kind) {
    if (kind == "window") return tiny_window(20);
    if (kind == "experts") return tiny_experts();
    return kind == "recurrent" ? tiny_recurrent() : tiny_llama();
}

}  // namespace hearth::test

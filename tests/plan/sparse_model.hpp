// Whole models of any size. Weights are a hole in the file, zeros that take no disk and as much memory as others once loaded, or random.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cmath>
#include <string>
#include <vector>

#include "format/gguf_writer.hpp"
#include "support/support.hpp"

namespace hearth::test {

struct SparseModel {
    std::string name, arch = "llama";
    Format format = Format::F16;  // of the matrices
    int64_t n_layer = 8, n_embd = 1024, n_ff = 2816, n_head = 16, n_head_kv = 4, head_width = 64, n_vocab = 8192;
    int64_t n_expert = 0, window = 0, state_every = 0;  // state_every: that many layers in each group but its last keep a state

    bool random = false;  // no hole: weights in F32 that keep the size of what they multiply

    // Writes the file; its path. The caller removes it.
    std::string write() const;

  private:
    void add_layer(GgufContent* content, int64_t layer) const;
    bool keeps_state(int64_t layer) const { return state_every > 0 && layer % state_every != state_every - 1; }
    void add(GgufContent* content, const std::string& tensor, const std::vector<int64_t>& shape) const;
};

inline void SparseModel::add(GgufContent* content, const std::string& tensor, const std::vector<int64_t>& shape) const {
    TensorInfo info;
    info.name = tensor;
    info.format = !random && shape.size() > 1 && shape.back() >= 32 ? format : Format::F32;
    info.n_dim = static_cast<int32_t>(shape.size());
    for (std::size_t i = 0; i < shape.size(); ++i) info.shape[i] = shape[i];
    content->tensors.push_back(info);
}

inline void SparseModel::add_layer(GgufContent* content, int64_t layer) const {
    const std::string p = "blk." + std::to_string(layer) + ".";
    const auto one = [&](const char* tensor, const std::vector<int64_t>& shape) { add(content, p + tensor + ".weight", shape); };
    one("attn_norm", {n_embd});
    one("ffn_norm", {n_embd});
    if (keeps_state(layer)) {
        one("shortconv.in_proj", {3 * n_embd, n_embd});
        one("shortconv.conv", {n_embd, 3});
        one("shortconv.out_proj", {n_embd, n_embd});
    } else {
        one("attn_q", {n_head * head_width, n_embd});
        one("attn_k", {n_head_kv * head_width, n_embd});
        one("attn_v", {n_head_kv * head_width, n_embd});
        one("attn_output", {n_embd, n_head * head_width});
        if (arch != "llama") one("attn_q_norm", {head_width});
        if (arch != "llama") one("attn_k_norm", {head_width});
    }
    if (window > 0) one("post_attention_norm", {n_embd});
    if (window > 0) one("post_ffw_norm", {n_embd});
    if (n_expert > 0) one("ffn_gate_inp", {n_expert, n_embd});
    const std::string of = n_expert > 0 ? "_exps" : "";
    const auto matrix = [&](const char* tensor, int64_t n_out, int64_t n_in) {
        one((tensor + of).c_str(), n_expert > 0 ? std::vector<int64_t>{n_expert, n_out, n_in} : std::vector<int64_t>{n_out, n_in});
    };
    matrix("ffn_gate", n_ff, n_embd);
    matrix("ffn_up", n_ff, n_embd);
    matrix("ffn_down", n_embd, n_ff);
}

inline std::string SparseModel::write() const {
    GgufContent content;
    const auto number = [&](const char* key, int64_t value) { content.metadata[arch + "." + key] = value; };
    content.metadata["general.architecture"] = arch;
    number("context_length", 65536);
    number("embedding_length", n_embd);
    number("block_count", n_layer);
    number("feed_forward_length", n_ff);
    number("attention.head_count", n_head);
    number("attention.head_count_kv", n_head_kv);
    number("attention.key_length", head_width);
    number("attention.value_length", head_width);
    number("vocab_size", n_vocab);
    content.metadata[arch + ".attention.layer_norm_rms_epsilon"] = double{1e-5f};
    if (n_expert > 0) number("expert_count", n_expert);
    if (n_expert > 0) number("expert_used_count", 2);
    std::vector<int64_t> heads, windows;
    for (int64_t i = 0; i < n_layer; ++i) heads.push_back(keeps_state(i) ? 0 : n_head_kv), windows.push_back(i % 2 == 0);
    if (state_every > 0) content.metadata[arch + ".attention.head_count_kv"] = heads;
    if (state_every > 0) number("shortconv.l_cache", 3);
    if (window > 0) content.metadata[arch + ".attention.sliding_window_pattern"] = windows;
    if (window > 0) number("attention.sliding_window", window);
    add(&content, "token_embd.weight", {n_vocab, n_embd});
    add(&content, "output_norm.weight", {n_embd});
    if (arch == "llama") add(&content, "output.weight", {n_vocab, n_embd});
    for (int64_t i = 0; i < n_layer; ++i) add_layer(&content, i);

    const std::string path = temp_path(name + ".gguf");
    const int file = open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    off_t size = 0;
    static constexpr char kHole[1] = {};  // stands for as many zeros as it is said to have
    Random numbers(seed());
    const auto data = [&](const TensorInfo& tensor, const ByteSink& out) -> Status {
        if (!random) return out(kHole, tensor.bytes);
        const auto n = static_cast<std::size_t>(tensor.n_row() * tensor.row_width());
        std::vector<float> values = numbers.normals(n, tensor.n_dim == 1 ? 0.1f : 1 / std::sqrt(static_cast<float>(tensor.row_width())));
        if (tensor.n_dim == 1)
            for (float& v : values) v += 1;  // of a norm
        return out(values.data(), 4 * n);
    };
    const Status written = write_gguf(
        content, data, [&](const void* src, std::size_t n) -> Status {
            if (src != kHole && pwrite(file, src, n, size) != static_cast<ssize_t>(n)) return fail(Code::io, "{}: cannot write", path);
            size += static_cast<off_t>(n);
            return {};
        });
    const bool complete = written && ftruncate(file, size) == 0;
    close(file);
    return complete ? path : std::string();
}

}  // namespace hearth::test

// Reads the hyperparameters of a model: every number is checked here, once.
#include "model/hparams.hpp"

#include <cmath>

namespace hearth {

namespace {

constexpr int64_t kMaxWidth = 1 << 20, kMaxLayers = 1024, kMaxVocab = 1 << 24, kMaxContext = 1 << 30, kMaxExperts = 4096;

// Reads keys "<architecture>.<name>", each with the range that makes sense for it.
class Reader {
  public:
    Reader(const TensorSource& source, const Arch& arch) : source_(source), prefix_(std::string(arch.name) + ".") {}

    Status integer(const char* name, int32_t* out, int64_t low, int64_t high, std::optional<int64_t> fallback = {}) {
        HEARTH_TRY(const int64_t value, source_.get_int(prefix_ + name, fallback));
        if (fallback && value == *fallback) {
            *out = static_cast<int32_t>(value);
            return {};
        }
        if (value < low || value > high)
            return fail(Code::bad_file, "{}: the key {}{} is {}, outside {}..{}", source_.name(), prefix_, name, value,
                        low, high);
        *out = static_cast<int32_t>(value);
        return {};
    }

    template <class T>
    Status number(const char* name, T* out, std::optional<double> fallback = {}) {
        HEARTH_TRY(const double value, source_.get_float(prefix_ + name, fallback));
        if (!std::isfinite(value))
            return fail(Code::bad_file, "{}: the key {}{} is not finite", source_.name(), prefix_, name);
        *out = static_cast<T>(value);
        return {};
    }

    Status boolean(const char* name, bool* out, bool fallback) {
        HEARTH_TRY(*out, source_.get_bool(prefix_ + name, fallback));
        return {};
    }

    Result<std::vector<int64_t>> per_layer(const char* name, int32_t n_layer, int64_t low, int64_t high,
                                           std::optional<int64_t> fallback = {}) {
        HEARTH_TRY(std::vector<int64_t> values, source_.get_ints(prefix_ + name, n_layer, fallback));
        for (int64_t v : values)
            if (v < low || v > high)
                return fail(Code::bad_file, "{}: the key {}{} holds {}, outside {}..{}", source_.name(), prefix_, name,
                            v, low, high);
        return values;
    }

    bool has(const char* name) const { return source_.find(prefix_ + name) != nullptr; }
    std::string key(const char* name) const { return prefix_ + name; }
    const TensorSource& source() const { return source_; }

  private:
    const TensorSource& source_;
    std::string prefix_;
};

Status read_sizes(Reader& r, Hparams* h) {
    HEARTH_CHECK(r.integer("context_length", &h->n_ctx_train, 1, kMaxContext));
    HEARTH_CHECK(r.integer("embedding_length", &h->n_embd, 1, kMaxWidth));
    HEARTH_CHECK(r.integer("block_count", &h->n_layer, 1, kMaxLayers));
    const TensorInfo* embedding = r.source().find_tensor("token_embd.weight");
    if (!embedding || embedding->n_dim != 2)
        return fail(Code::bad_file, "{}: the tensor token_embd.weight is missing or not a matrix", r.source().name());
    if (embedding->shape[0] < 1 || embedding->shape[0] > kMaxVocab)
        return fail(Code::bad_file, "{}: a vocabulary of {} tokens is out of range", r.source().name(),
                    embedding->shape[0]);
    h->n_vocab = static_cast<int32_t>(embedding->shape[0]);
    const char* eps = h->arch->norm == HEARTH_NORM_RMS ? "attention.layer_norm_rms_epsilon" : "attention.layer_norm_epsilon";
    HEARTH_CHECK(r.number(eps, &h->eps, r.has(eps) ? std::nullopt : std::optional<double>(1e-5)));
    HEARTH_CHECK(r.number("logit_scale", &h->logit_scale, 1.0));
    HEARTH_CHECK(r.number("residual_scale", &h->residual_scale, 1.0));
    HEARTH_CHECK(r.number("embedding_scale", &h->embedding_scale, 1.0));
    HEARTH_CHECK(r.number("attention.scale", &h->attention_scale, 0.0));
    HEARTH_CHECK(r.number("attn_logit_softcapping", &h->attention_softcap, 0.0));
    HEARTH_CHECK(r.number("final_logit_softcapping", &h->logit_softcap, 0.0));
    HEARTH_CHECK(r.number("attention.temperature_scale", &h->attention_temperature_scale, 0.0));
    if (h->residual_scale == 0) h->residual_scale = 1;
    if (h->embedding_scale == 0) h->embedding_scale = 1;
    if (h->logit_scale == 0) h->logit_scale = 1;
    if (h->arch->has(kLogitScaleDivides)) h->logit_scale = 1 / h->logit_scale;
    if (h->arch->has(kEmbedTimesSqrtWidth)) h->embedding_scale = std::sqrt(static_cast<float>(h->n_embd));
    return {};
}

Status read_heads(Reader& r, Hparams* h) {
    HEARTH_TRY(const auto heads, r.per_layer("attention.head_count", h->n_layer, 0, 65536));
    std::vector<int64_t> kv = heads;
    if (r.has("attention.head_count_kv")) {
        HEARTH_TRY(kv, r.per_layer("attention.head_count_kv", h->n_layer, 0, 65536));
    }
    HEARTH_TRY(const auto ff, r.per_layer("feed_forward_length", h->n_layer, 0, kMaxWidth, 0));
    int64_t most = 0;
    for (int32_t i = 0; i < h->n_layer; ++i) {
        LayerHparams& l = h->layer[static_cast<std::size_t>(i)];
        const auto at = static_cast<std::size_t>(i);
        l.n_head = static_cast<int32_t>(heads[at]);
        l.n_head_kv = static_cast<int32_t>(kv[at]);
        l.n_ff = static_cast<int32_t>(ff[at]);
        l.short_conv = h->arch->has(kShortConvLayers) && l.n_head_kv == 0;
        most = std::max(most, heads[at]);
        if (l.short_conv) continue;
        if (l.n_head_kv < 1 || l.n_head < 1 || l.n_head % l.n_head_kv != 0)
            return fail(Code::bad_file, "{}: layer {} has {} heads but {} key/value heads", r.source().name(), i,
                        l.n_head, l.n_head_kv);
    }
    const int64_t width = most > 0 ? h->n_embd / most : 0;
    HEARTH_CHECK(r.integer("attention.key_length", &h->key_width, 1, 65536, width));
    HEARTH_CHECK(r.integer("attention.value_length", &h->value_width, 1, 65536, width));
    HEARTH_CHECK(r.integer("rope.dimension_count", &h->n_rot, 1, 65536, h->key_width));
    HEARTH_CHECK(r.integer("attention.key_length_swa", &h->key_width_window, 1, 65536, h->key_width));
    HEARTH_CHECK(r.integer("attention.value_length_swa", &h->value_width_window, 1, 65536, h->value_width));
    HEARTH_CHECK(r.integer("rope.dimension_count_swa", &h->n_rot_window, 1, 65536, h->n_rot));
    if (h->key_width < 1 || h->value_width < 1)
        return fail(Code::bad_file, "{}: the attention heads have no width", r.source().name());
    const bool rotates = h->arch->rope != Rope::none;
    if (rotates && (h->n_rot % 2 || h->n_rot_window % 2 || h->n_rot > h->key_width || h->n_rot_window > h->key_width_window))
        return fail(Code::bad_file, "{}: {} rotated elements do not fit a head of {}", r.source().name(), h->n_rot,
                    h->key_width);
    return {};
}

// Sets which layers see a window only, from the file's pattern or the row's rule.
Status read_windows(Reader& r, Hparams* h) {
    const WindowRule& rule = h->arch->window;
    int32_t window = 0;
    HEARTH_CHECK(r.integer("attention.sliding_window", &window, 0, kMaxContext, rule.default_window));
    if (rule.period == 0 || window == 0) return {};
    std::vector<bool> pattern(h->layer.size());
    const MetaValue* given = r.source().find(r.key("attention.sliding_window_pattern"));
    if (given && std::holds_alternative<std::vector<int64_t>>(*given)) {
        HEARTH_TRY(const auto list, r.per_layer("attention.sliding_window_pattern", h->n_layer, 0, 1));
        for (std::size_t i = 0; i < list.size(); ++i) pattern[i] = list[i] != 0;
    } else {
        int32_t period = rule.period;
        HEARTH_CHECK(r.integer("attention.sliding_window_pattern", &period, 0, kMaxLayers, rule.period));
        for (std::size_t i = 0; i < pattern.size(); ++i)
            pattern[i] = period == 0 || period == kEveryLayer || static_cast<int32_t>(i) % period < period - 1;
    }
    for (std::size_t i = 0; i < pattern.size(); ++i)
        if (pattern[i] && !h->layer[i].short_conv) h->layer[i].window = window;
    return {};
}

Status read_rope(Reader& r, Hparams* h) {
    RopeHparams& rope = h->rope;
    HEARTH_CHECK(r.number("rope.freq_base", &rope.base, 10000.0));
    double factor = 0;
    HEARTH_CHECK(r.number("rope.scaling.factor", &factor, 0.0));
    if (factor == 0) HEARTH_CHECK(r.number("rope.scale_linear", &factor, 0.0));
    HEARTH_TRY(const std::string type, r.source().get_string(r.key("rope.scaling.type"), "linear"));
    if (type != "none" && type != "linear" && type != "yarn" && type != "longrope")
        return fail(Code::unsupported_type, "{}: the rope scaling '{}' is unknown; known are none, linear, yarn, longrope",
                    r.source().name(), type);
    if (rope.base <= 0 || factor < 0)
        return fail(Code::bad_file, "{}: rope base {} and scaling factor {} must be positive", r.source().name(),
                    rope.base, factor);
    rope.yarn = type == "yarn";
    rope.long_rope = type == "longrope";
    rope.scale = factor == 0 || type == "none" ? 1 : 1 / factor;
    const WindowRule& rule = h->arch->window;
    rope.scale_window = rule.plain_rope ? 1 : rope.scale;
    HEARTH_CHECK(r.number("rope.freq_base_swa", &rope.base_window,
                          rule.default_rope_base > 0 ? double{rule.default_rope_base} : rope.base));
    HEARTH_CHECK(r.integer("rope.scaling.original_context_length", &rope.n_ctx_orig, 1, kMaxContext, h->n_ctx_train));
    HEARTH_CHECK(r.number("rope.scaling.attn_factor", &rope.attn_factor, 1.0));
    HEARTH_CHECK(r.number("rope.scaling.yarn_log_multiplier", &rope.yarn_log_mul, 0.0));
    HEARTH_CHECK(r.number("rope.scaling.yarn_beta_fast", &rope.beta_fast, 32.0));
    HEARTH_CHECK(r.number("rope.scaling.yarn_beta_slow", &rope.beta_slow, 1.0));
    if (h->arch->has(kYarnLogMulTimes10)) rope.yarn_log_mul /= 0.1;
    h->attention_temperature_length = rope.n_ctx_orig;
    if (h->arch->rope == Rope::mrope) {
        HEARTH_TRY(const auto sections, r.per_layer("rope.dimension_sections", 4, 0, 65536));
        int64_t sum = 0;
        for (std::size_t i = 0; i < 4; ++i) sum += rope.section[i] = static_cast<int32_t>(sections[i]);
        if (sum == 0) return fail(Code::bad_file, "{}: all rope sections are empty", r.source().name());
    }
    bool finetuned = true;
    if (h->arch->has(kRopeIfFinetuned)) HEARTH_CHECK(r.boolean("rope.scaling.finetuned", &finetuned, true));
    for (std::size_t i = 0; i < h->layer.size(); ++i) {
        const int32_t period = h->arch->no_rope_period, n = static_cast<int32_t>(i) + 1;
        h->layer[i].rope = h->arch->rope != Rope::none && finetuned && (period == 0 || n % period != 0);
    }
    return {};
}

Status read_experts(Reader& r, Hparams* h) {
    HEARTH_CHECK(r.integer("expert_count", &h->n_expert, 0, kMaxExperts, 0));
    if (h->n_expert == 0) return {};
    HEARTH_CHECK(r.integer("expert_used_count", &h->n_expert_used, 1, h->n_expert));
    HEARTH_CHECK(r.integer("expert_feed_forward_length", &h->n_ff_expert, 1, kMaxWidth, 0));
    HEARTH_CHECK(r.integer("leading_dense_block_count", &h->n_layer_dense, 0, h->n_layer, 0));
    if (h->n_ff_expert == 0) h->n_ff_expert = h->layer.back().n_ff;
    int32_t n_shared = 0, gate = 0;
    HEARTH_CHECK(r.integer("expert_shared_count", &n_shared, 0, kMaxExperts, 0));
    HEARTH_CHECK(r.integer("expert_shared_feed_forward_length", &h->n_ff_shared, 0, kMaxWidth,
                           std::min<int64_t>(int64_t{n_shared} * h->n_ff_expert, kMaxWidth)));
    HEARTH_CHECK(r.integer("expert_group_count", &h->n_expert_group, 0, h->n_expert, 0));
    HEARTH_CHECK(r.integer("expert_group_used_count", &h->n_expert_group_used, 0, h->n_expert, 0));
    const bool grouped = h->n_expert_group > 1;
    if (grouped && (h->n_expert % h->n_expert_group || h->n_expert_group_used < 1 ||
                    h->n_expert_group_used > h->n_expert_group))
        return fail(Code::bad_file, "{}: {} experts cannot be routed in {} of {} groups", r.source().name(), h->n_expert,
                    h->n_expert_group_used, h->n_expert_group);
    HEARTH_CHECK(r.integer("expert_gating_func", &gate, 0, 3, 0));
    constexpr int32_t kGates[] = {-1, HEARTH_GATE_SOFTMAX, HEARTH_GATE_SIGMOID, HEARTH_GATE_SOFTMAX_SELECTED};
    h->expert_gate = gate == 0 ? h->arch->gate : kGates[gate];
    HEARTH_CHECK(r.boolean("expert_weights_norm", &h->normalise_experts, h->arch->normalise_experts));
    HEARTH_CHECK(r.number("expert_weights_scale", &h->expert_scale, 1.0));
    if (h->expert_scale == 0) h->expert_scale = 1;
    for (std::size_t i = static_cast<std::size_t>(h->n_layer_dense); i < h->layer.size(); ++i) h->layer[i].experts = true;
    return {};
}

Status read_mixers(Reader& r, Hparams* h) {
    if (h->arch->has(kShortConvLayers)) HEARTH_CHECK(r.integer("shortconv.l_cache", &h->n_conv_tap, 2, 64));
    if (h->arch->mixer != Mixer::latent) return {};
    const bool full_rank = r.source().find_tensor("blk.0.attn_q.weight") != nullptr;  // queries without a low-rank step
    if (!full_rank) HEARTH_CHECK(r.integer("attention.q_lora_rank", &h->q_rank, 1, kMaxWidth));
    HEARTH_CHECK(r.integer("attention.kv_lora_rank", &h->kv_rank, 1, kMaxWidth));
    HEARTH_CHECK(r.integer("attention.key_length_mla", &h->key_width_mla, 1, 65536));
    HEARTH_CHECK(r.integer("attention.value_length_mla", &h->value_width_mla, 1, 65536));
    if (h->key_width_mla <= h->n_rot)
        return fail(Code::bad_file, "{}: latent attention keys of {} leave nothing beside {} rotated elements",
                    r.source().name(), h->key_width_mla, h->n_rot);
    return {};
}

}  // namespace

Result<Hparams> read_hparams(const TensorSource& source) {
    HEARTH_TRY(const std::string name, source.get_string("general.architecture"));
    Hparams h;
    h.arch = find_arch(name);
    if (!h.arch)
        return fail(Code::unsupported_arch, "{}: the architecture '{}' is not supported; supported are {}", source.name(),
                    name, arch_names());
    Reader r(source, *h.arch);
    HEARTH_CHECK(read_sizes(r, &h));
    h.layer.resize(static_cast<std::size_t>(h.n_layer));
    HEARTH_CHECK(read_heads(r, &h));
    HEARTH_CHECK(read_windows(r, &h));
    HEARTH_CHECK(read_rope(r, &h));
    HEARTH_CHECK(read_experts(r, &h));
    HEARTH_CHECK(read_mixers(r, &h));
    return h;
}

}  // namespace hearth

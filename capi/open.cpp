// Reads the C parameter structs.
#include "open.hpp"

#include "guard.hpp"

namespace hearth::capi {

Result<std::unique_ptr<TensorSource>> open_source(const hearth_source* source) {
    HEARTH_CHECK(need(source, "the source"));
    hearth_source s;
    HEARTH_CHECK(read_struct(source, "hearth_source", &s));
    if ((s.path != nullptr) + (s.memory != nullptr) + (s.read != nullptr) != 1)
        return fail(Code::invalid_argument, "a source has exactly one of path, memory and read");
    if (s.path) return open_model_path(field_text(s.path, s.path_size), s.use_mmap == HEARTH_ON ? FileMode::mmap : FileMode::pread);
    if (s.memory) return open_model_memory(s.memory, s.memory_size);
    return open_model_callbacks({s.read_user, s.read_size, s.read});
}

Result<ModelOptions> model_options(const hearth_model_params* params, const hearth_source* source) {
    hearth_model_params p;
    HEARTH_CHECK(read_struct(params, "hearth_model_params", &p));
    HEARTH_CHECK(need(source, "the source"));
    hearth_source s;
    HEARTH_CHECK(read_struct(source, "hearth_source", &s));
    ModelOptions o;
    o.in_place = s.use_mmap == HEARTH_ON;
    if (p.device) o.device = field_text(p.device, p.device_size);
    if (p.pre_tokenizer) o.pre_tokenizer = field_text(p.pre_tokenizer, p.pre_tokenizer_size);
    o.unknown_tensors_warn = p.unknown_tensors_warn == HEARTH_ON;
    o.vocab_only = p.vocab_only == HEARTH_ON;
    if (p.context) {
        HEARTH_TRY(o.context, context_options(p.context));
    }
    if (p.progress)
        o.progress = [p](const LoadProgress& at) { return p.progress(p.progress_user, at.bytes_done, at.bytes_total) == 0; };
    return o;
}

Result<ContextOptions> context_options(const hearth_context_params* params) {
    hearth_context_params p;
    HEARTH_CHECK(read_struct(params, "hearth_context_params", &p));
    constexpr int32_t kTypes[] = {HEARTH_FORMAT_F16,  HEARTH_FORMAT_F32,  HEARTH_FORMAT_F16,
                                  HEARTH_FORMAT_BF16, HEARTH_FORMAT_Q8_0, HEARTH_FORMAT_Q4_0};  // by HEARTH_TYPE_*
    if (p.type_k >= std::size(kTypes) || p.type_v >= std::size(kTypes))
        return fail(Code::unsupported_type, "type_k {} or type_v {} is not a HEARTH_TYPE_*", p.type_k, p.type_v);
    if (p.rope_scaling_type < 0 || p.rope_scaling_type > 4)
        return fail(Code::invalid_argument, "rope_scaling_type is {}, outside 0..4", p.rope_scaling_type);
    ContextOptions o;
    o.n_ctx = p.n_ctx;
    o.n_seq_max = p.n_seq_max ? p.n_seq_max : o.n_seq_max;
    o.n_batch = p.n_batch ? p.n_batch : o.n_batch;
    o.n_output_max = p.n_output_max;
    o.k_type = kTypes[p.type_k];
    o.v_type = kTypes[p.type_v];
    const auto given = [](float value) { return value == 0 ? -1.0 : static_cast<double>(value); };
    o.rope = {p.rope_freq_base,          p.rope_freq_scale,         p.rope_scaling_type - 1, given(p.yarn_ext_factor),
              given(p.yarn_attn_factor), given(p.yarn_beta_fast),   given(p.yarn_beta_slow), p.yarn_orig_ctx};
    return o;
}

namespace {

template <class T>
std::string list_text(const std::vector<T>& values) {
    constexpr std::size_t kMost = 16;
    const auto end = values.begin() + static_cast<std::ptrdiff_t>(std::min(values.size(), kMost));
    return format_text("[{}{}]", join_text(values.begin(), end),
                       values.size() > kMost ? format_text(", ... {} entries", values.size()) : std::string());
}

struct MetaText {
    std::string operator()(bool value) const { return value ? "true" : "false"; }
    std::string operator()(int64_t value) const { return std::to_string(value); }
    std::string operator()(double value) const { return format_text("{}", static_cast<float>(value)); }
    std::string operator()(const std::string& value) const { return value; }
    template <class T>
    std::string operator()(const std::vector<T>& values) const {
        return list_text(values);
    }
};

}  // namespace

std::string meta_text(const MetaValue& value) { return std::visit(MetaText{}, value); }

}  // namespace hearth::capi

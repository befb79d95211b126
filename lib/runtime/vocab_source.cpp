// Hands the tokenizer metadata of a file to the text layer.
#include "runtime/model.hpp"

namespace hearth {

namespace {

template <class T>
const std::vector<T>* list(const TensorSource& source, const char* key) {
    const MetaValue* value = source.find(key);
    return value ? std::get_if<std::vector<T>>(value) : nullptr;
}

std::string_view text(const TensorSource& source, const char* key) {
    const MetaValue* value = source.find(key);
    const auto* string = value ? std::get_if<std::string>(value) : nullptr;
    return string ? std::string_view(*string) : std::string_view();
}

std::optional<bool> flag(const TensorSource& source, const char* key) {
    const Result<bool> value = source.get_bool(key);
    return value ? std::optional<bool>(*value) : std::nullopt;
}

}  // namespace

Result<VocabSource> vocab_source(const TensorSource& source, const std::string& pre_tokenizer) {
    VocabSource v;
    v.model = text(source, "tokenizer.ggml.model");
    v.pre = text(source, "tokenizer.ggml.pre");
    v.pre_override = pre_tokenizer;
    v.name = text(source, "general.name");
    v.architecture = text(source, "general.architecture");
    if (const auto* tokens = list<std::string>(source, "tokenizer.ggml.tokens")) v.tokens.assign(tokens->begin(), tokens->end());
    if (const auto* merges = list<std::string>(source, "tokenizer.ggml.merges")) v.merges.assign(merges->begin(), merges->end());
    if (const auto* scores = list<double>(source, "tokenizer.ggml.scores"))
        for (double score : *scores) v.scores.push_back(static_cast<float>(score));
    if (const auto* types = list<int64_t>(source, "tokenizer.ggml.token_type"))
        for (int64_t type : *types) v.types.push_back(static_cast<int32_t>(type));
    for (const RoleKey& entry : kRoleKeys) {
        if (!source.find(entry.key)) continue;
        HEARTH_TRY(const int64_t id, source.get_int(entry.key));
        if (id < 0 || id >= int64_t{UINT32_MAX}) continue;  // writers mark "none" so
        v.role[static_cast<std::size_t>(entry.role)] = static_cast<uint32_t>(id);
    }
    v.add_bos = flag(source, "tokenizer.ggml.add_bos_token");
    v.add_eos = flag(source, "tokenizer.ggml.add_eos_token");
    v.add_sep = flag(source, "tokenizer.ggml.add_sep_token");
    v.add_space_prefix = flag(source, "tokenizer.ggml.add_space_prefix");
    v.remove_extra_whitespaces = flag(source, "tokenizer.ggml.remove_extra_whitespaces");
    v.lowercase = flag(source, "tokenizer.ggml.normalizer.lowercase");
    v.strip_accents = flag(source, "tokenizer.ggml.normalizer.strip_accents");
    return v;
}

}  // namespace hearth

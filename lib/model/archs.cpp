// The table of architectures.
#include "model/archs.hpp"

#include <iterator>

namespace hearth {

namespace {

constexpr std::string_view kQkvBias = " attn_q.bias attn_k.bias attn_v.bias ";
constexpr std::string_view kClassifier = " cls.weight cls.bias cls.output.weight cls.output.bias ";

constexpr Arch kArchs[] = {
    {.name = "llama"},
    {.name = "mistral3"},
    {.name = "smollm3", .no_rope_period = 4},
    {.name = "granite", .features = kRopeIfFinetuned | kLogitScaleDivides},
    {.name = "qwen2", .rope = Rope::halves},
    {.name = "qwen2vl", .rope = Rope::mrope, .ignored = " output.bias "},
    {.name = "qwen3", .rope = Rope::halves, .features = kQkNorm, .ignored = kClassifier},
    {.name = "qwen3moe", .rope = Rope::halves, .features = kQkNorm},
    {.name = "gemma",
     .rope = Rope::halves,
     .act = HEARTH_ACT_GELU_TANH_HALF,
     .features = kEmbedTimesSqrtWidth | kTied},
    {.name = "gemma2",
     .rope = Rope::halves,
     .act = HEARTH_ACT_GELU_TANH_HALF,
     .wiring = Wiring::sandwich,
     .features = kEmbedTimesSqrtWidth | kTied | kQueryScaleByEmbd,
     .window = {.period = 2, .default_window = 4096},
     .big_n_layer = 46},
    {.name = "gemma3",
     .rope = Rope::halves,
     .act = HEARTH_ACT_GELU_TANH_HALF,
     .wiring = Wiring::sandwich,
     .features = kEmbedTimesSqrtWidth | kQkNorm | kQueryScaleByEmbd,
     .window = {.period = 6, .plain_rope = true, .default_rope_base = 10000},
     .big_n_layer = 62},
    {.name = "phi3", .rope = Rope::halves, .ffn = Ffn::fused},
    {.name = "olmo2",
     .rope = Rope::halves,
     .wiring = Wiring::post,
     .features = kQkNorm | kQkNormWide,
     .window = {.period = 4, .plain_rope = true},
     .ignored = kQkvBias},
    {.name = "gpt2",
     .rope = Rope::none,
     .norm = HEARTH_NORM_LAYER,
     .act = HEARTH_ACT_GELU_TANH_HALF,
     .ffn = Ffn::plain,
     .features = kLearnedPositions},
    {.name = "gpt-oss",
     .rope = Rope::halves,
     .act = HEARTH_ACT_SWIGLU_OAI,
     .features = kSinks,
     .window = {.period = 2},
     .gate = HEARTH_GATE_SOFTMAX_SELECTED,
     .normalise_experts = false},
    {.name = "lfm2", .rope = Rope::halves, .features = kQkNorm | kShortConvLayers, .window = {.period = kEveryLayer}},
    {.name = "deepseek2",
     .mixer = Mixer::latent,
     .features = kYarnLogMulTimes10,
     .normalise_experts = false},
};

// A row must not contradict itself.
constexpr bool consistent(const Arch& a) {
    const bool rope_ok = a.rope != Rope::none || a.features & kLearnedPositions;
    const bool norms_ok = !(a.features & kQkNormWide) || a.features & kQkNorm;
    const bool latent_ok = a.mixer != Mixer::latent || !(a.features & (kQkNorm | kSinks));
    const bool window_ok = a.window.period > 0 || (a.window.default_window == 0 && !a.window.plain_rope);
    const bool big_ok = ((a.features & kQueryScaleByEmbd) != 0) == (a.big_n_layer > 0);
    return !a.name.empty() && rope_ok && norms_ok && latent_ok && window_ok && big_ok;
}
constexpr bool all_consistent() {
    for (const Arch& a : kArchs)
        if (!consistent(a)) return false;
    return true;
}
static_assert(all_consistent(), "a row of kArchs contradicts itself");

}  // namespace

const Arch* find_arch(std::string_view name) {
    for (const Arch& arch : kArchs)
        if (arch.name == name) return &arch;
    return nullptr;
}

std::string arch_names() {
    std::string names;
    for (const Arch& arch : kArchs) {
        if (!names.empty()) names += ", ";
        names += arch.name;
    }
    return names;
}

const Arch* arch_rows(std::size_t* n) {
    *n = std::size(kArchs);
    return kArchs;
}

}  // namespace hearth

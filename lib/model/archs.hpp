// An architecture is a row: everything that sets one family apart from the next, as data.
#pragma once

#include <hearth/backend.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace hearth {

enum class Rope : int32_t { none = -1, pairs = HEARTH_ROPE_PAIRS, halves = HEARTH_ROPE_HALVES, mrope = HEARTH_ROPE_MROPE };

// Where the norms of a layer sit. x is the residual stream, f the mixer or the feed-forward network.
enum class Wiring : int32_t {
    pre,       // x + f(norm(x))
    sandwich,  // x + post(f(norm(x)))
    post,      // x + post(f(x))
};

enum class Mixer : int32_t { attention, latent };
enum class Ffn : int32_t { gated, fused, plain };  // gate and up apart; fused in one matrix; no gate

// Which layers have a sliding window where the file does not say: every layer but each period-th. The window itself comes
// from the file, or from default_window.
constexpr int32_t kEveryLayer = INT32_MAX;
struct WindowRule {
    int32_t period = 0;           // 0: no windows, even where the file has a window size; kEveryLayer: all layers
    int32_t default_window = 0;   // 0: windows only where the file gives a size
    bool plain_rope = false;      // window layers rotate without scaling
    float default_rope_base = 0;  // of window layers; 0 = the model's
};

// Features of a row, or-ed.
enum Feature : uint32_t {
    kQkNorm = 1,                 // q and k are normalised per head before rotation
    kQkNormWide = 2,             // ... over all heads at once
    kSinks = 4,                  // attention has a learned sink per head
    kLearnedPositions = 8,       // a table of positions is added to the embedding
    kEmbedTimesSqrtWidth = 16,   // the token embedding is scaled by sqrt(n_embd)
    kShortConvLayers = 32,       // layers with head_count_kv 0 are gated short convolutions
    kRopeIfFinetuned = 64,       // rotation can be switched off by rope.scaling.finetuned = false
    kLogitScaleDivides = 128,    // logits are divided by logit_scale (else multiplied)
    kQueryScaleByEmbd = 256,     // from big_n_layer layers on, queries are scaled by 1/sqrt(n_embd/n_head)
    kYarnLogMulTimes10 = 512,    // rope.scaling.yarn_log_multiplier was stored times 0.1
    kTied = 1024,                // the output is always the embedding, even if the file has an output tensor
};

struct Arch {
    std::string_view name;  // general.architecture
    Rope rope = Rope::pairs;
    int32_t norm = HEARTH_NORM_RMS;
    int32_t act = HEARTH_ACT_SILU;
    Wiring wiring = Wiring::pre;
    Mixer mixer = Mixer::attention;
    Ffn ffn = Ffn::gated;
    uint32_t features = 0;
    WindowRule window = {};
    int32_t no_rope_period = 0;  // every n-th layer does not rotate; 0 = all rotate
    int32_t big_n_layer = 0;     // see kQueryScaleByEmbd
    int32_t gate = HEARTH_GATE_SOFTMAX;  // routing where the file does not say
    bool normalise_experts = true;       // likewise
    std::string_view ignored = {};  // tensors that files may have and this architecture does not use: " name name "

    bool has(Feature f) const { return (features & f) != 0; }
};

// nullptr where this build does not know the name.
const Arch* find_arch(std::string_view name);
std::string arch_names();  // "llama, qwen2, ..." for errors and `inspect`
// All rows, for tests.
const Arch* arch_rows(std::size_t* n);

}  // namespace hearth

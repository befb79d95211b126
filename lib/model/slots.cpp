// Which slots a model has and what shape each must be.
#include "model/slots.hpp"

#include <iterator>

namespace hearth {

namespace {

// The dimensions that slots.def speaks of.
enum Dim : int32_t {
    vocab, embd, embd_x3, ctx_train, rot_half, head, q_width, k_width, v_width, qkv_width, out_width, q_norm, k_norm,
    q_rank, kv_rank, mla_q_width, latent_key, mla_nope, mla_value, mla_out_width, conv_taps, ff, ff_x2, expert,
    expert_ff, expert_ff_x2, shared_ff,
};

template <class... D>
constexpr SlotInfo make_slot(Slot slot, SlotGroup group, int32_t use, Need need, std::string_view gguf,
                             std::string_view hf, D... dims) {
    SlotInfo info{slot, group, use, need, gguf, hf, static_cast<int32_t>(sizeof...(dims)), {0, 0, 0}};
    int i = 0;
    ((info.dim[i++] = dims), ...);
    return info;
}

constexpr SlotInfo kSlots[] = {
#define HEARTH_SLOT(id, group, use, need, gguf, hf, ...) \
    make_slot(Slot::id, SlotGroup::group, HEARTH_USE_##use, Need::need, gguf, hf, __VA_ARGS__),
#include "model/slots.def"
#undef HEARTH_SLOT
};

int64_t attention_dim(int32_t dim, const Hparams& h, const LayerHparams& l) {
    const int64_t q = int64_t{l.n_head} * h.head_key(l), k = int64_t{l.n_head_kv} * h.head_key(l);
    const int64_t v = int64_t{l.n_head_kv} * h.head_value(l);
    const bool wide = h.arch->has(kQkNormWide);
    switch (dim) {
        case q_width: return q;
        case k_width: return k;
        case v_width: return v;
        case qkv_width: return q + k + v;
        case out_width: return int64_t{l.n_head} * h.head_value(l);
        case q_norm: return wide ? q : h.head_key(l);
        case k_norm: return wide ? k : h.head_key(l);
        case mla_q_width: return int64_t{l.n_head} * h.key_width_mla;
        case latent_key: return int64_t{h.kv_rank} + h.n_rot;
        case mla_nope: return h.key_width_mla - h.n_rot;
        case mla_value: return h.value_width_mla;
        case mla_out_width: return int64_t{l.n_head} * h.value_width_mla;
        default: return l.n_head;
    }
}

int64_t dimension(int32_t dim, const Hparams& h, const LayerHparams& l) {
    switch (dim) {
        case vocab: return h.n_vocab;
        case embd: return h.n_embd;
        case embd_x3: return int64_t{3} * h.n_embd;
        case ctx_train: return h.n_ctx_train;
        case rot_half: return h.n_rot / 2;
        case q_rank: return h.q_rank;
        case kv_rank: return h.kv_rank;
        case conv_taps: return h.n_conv_tap;
        case ff: return l.n_ff;
        case ff_x2: return int64_t{2} * l.n_ff;
        case expert: return h.n_expert;
        case expert_ff: return h.n_ff_expert;
        case expert_ff_x2: return int64_t{2} * h.n_ff_expert;
        case shared_ff: return h.n_ff_shared;
        default: return attention_dim(dim, h, l);
    }
}

bool layer_has_group(SlotGroup group, const Hparams& h, const LayerHparams& l) {
    const Arch& a = *h.arch;
    const bool attends = a.mixer == Mixer::attention && !l.short_conv;
    switch (group) {
        case SlotGroup::Model:
        case SlotGroup::LearnedPosition:
        case SlotGroup::RopeFactors: return false;
        case SlotGroup::PreNorm: return a.wiring != Wiring::post;
        case SlotGroup::PostNorm: return a.wiring != Wiring::pre;
        case SlotGroup::Attention: return attends;
        case SlotGroup::QkNorm: return attends && a.has(kQkNorm);
        case SlotGroup::Sinks: return attends && a.has(kSinks);
        case SlotGroup::Latent: return a.mixer == Mixer::latent;
        case SlotGroup::ShortConv: return l.short_conv;
        case SlotGroup::GatedFfn: return !l.experts && a.ffn == Ffn::gated;
        case SlotGroup::FusedFfn: return !l.experts && a.ffn == Ffn::fused;
        case SlotGroup::PlainFfn: return !l.experts && a.ffn == Ffn::plain;
        case SlotGroup::AnyFfn: return !l.experts;
        case SlotGroup::Experts: return l.experts;
        case SlotGroup::SharedExpert: return l.experts && h.n_ff_shared > 0;
    }
    return false;
}

}  // namespace

const SlotInfo* slots(std::size_t* n) {
    *n = std::size(kSlots);
    return kSlots;
}

bool is_model_slot(const SlotInfo& slot) {
    return slot.group == SlotGroup::Model || slot.group == SlotGroup::LearnedPosition || slot.group == SlotGroup::RopeFactors;
}

bool has_group(SlotGroup group, const Hparams& h, int32_t layer) {
    if (layer >= 0) return layer_has_group(group, h, h.layer[static_cast<std::size_t>(layer)]);
    return group == SlotGroup::Model || (group == SlotGroup::LearnedPosition && h.arch->has(kLearnedPositions)) ||
           (group == SlotGroup::RopeFactors && h.arch->rope != Rope::none);
}

int32_t slot_shape(const SlotInfo& slot, const Hparams& h, int32_t layer, int64_t shape[3]) {
    const LayerHparams& l = h.layer[static_cast<std::size_t>(layer < 0 ? 0 : layer)];
    for (int i = 0; i < slot.n_dim; ++i) shape[i] = dimension(slot.dim[i], h, l);
    return slot.n_dim;
}

}  // namespace hearth

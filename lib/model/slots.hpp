// The weights that a model can have: slots.def as an enum and a table.
#pragma once

#include <cstdint>
#include <string_view>

#include "model/hparams.hpp"

namespace hearth {

enum class Slot : int32_t {
#define HEARTH_SLOT(id, group, use, need, gguf, hf, ...) id,
#include "model/slots.def"
#undef HEARTH_SLOT
};

enum class Need { REQUIRED, OPTIONAL };

// What brings a slot into a model or a layer; see has_group().
enum class SlotGroup {
    Model, LearnedPosition, RopeFactors, PreNorm, PostNorm, Attention, QkNorm, Sinks, Latent, ShortConv,
    GatedFfn, FusedFfn, PlainFfn, AnyFfn, Experts, SharedExpert,
};

struct SlotInfo {
    Slot slot;
    SlotGroup group;
    int32_t use;  // HEARTH_USE_*
    Need need;
    std::string_view gguf, hf;  // alternatives separated by |
    int32_t n_dim;
    int32_t dim[3];  // private to slots.cpp: see slot_shape()
};

const SlotInfo* slots(std::size_t* n);
bool is_model_slot(const SlotInfo& slot);  // one per model, not per layer

// Whether the model (layer < 0) or the layer has the slots of a group.
bool has_group(SlotGroup group, const Hparams& h, int32_t layer);
// The shape that the slot must have, slowest first, into shape[3]; returns the number of dimensions.
int32_t slot_shape(const SlotInfo& slot, const Hparams& h, int32_t layer, int64_t shape[3]);

}  // namespace hearth

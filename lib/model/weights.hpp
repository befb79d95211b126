// Matches the tensors of a file with the slots of its architecture: which weight is which, and that none is left over.
#pragma once

#include <hearth/backend.h>

#include <string>
#include <vector>

#include "format/tensor_source.hpp"
#include "model/slots.hpp"

namespace hearth {

struct WeightEntry {
    const TensorInfo* tensor;  // borrowed from the source
    hearth_weight desc;        // its description in every graph of the model
};

class Weights {
  public:
    struct Options {
        bool unknown_tensors_warn = false;  // list tensors that no slot claims instead of refusing them
    };
    // The source must outlive the table.
    static Result<Weights> match(const TensorSource& source, const Hparams& h, const Options& options);

    // Index into entries() and into every graph's weights; -1 where the model has none. layer -1 = the model's own.
    int32_t find(Slot slot, int32_t layer = -1) const { return index(slot, layer, 0); }
    int32_t find_bias(Slot slot, int32_t layer = -1) const { return index(slot, layer, 1); }

    const std::vector<WeightEntry>& entries() const { return entries_; }
    std::vector<hearth_weight> descriptions() const;
    const std::vector<std::string>& unknown() const { return unknown_; }  // names that no slot claimed

  private:
    int32_t index(Slot slot, int32_t layer, int32_t part) const;

    std::size_t n_slot_ = 0;
    std::vector<WeightEntry> entries_;
    std::vector<int32_t> index_;  // [n_layer + 1, n_slot, 2], layer -1 first
    std::vector<std::string> unknown_;
    friend class WeightMatcher;
};

}  // namespace hearth

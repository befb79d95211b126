// What a host may choose about a model and a context.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "model/decoder.hpp"

namespace hearth {

struct LoadProgress {
    uint64_t bytes_done, bytes_total;
};

struct ContextOptions {
    int32_t n_ctx = 0;         // places shared by all sequences; 0 = the model's training context
    int32_t n_seq_max = 1;     // sequences
    int32_t n_batch = 512;     // tokens of one decode at most
    int32_t n_output_max = 0;  // logit rows of one decode at most; 0 = max(n_seq_max, 32), never more than n_batch
    int32_t k_type = HEARTH_FORMAT_F16, v_type = HEARTH_FORMAT_F16;
    RopeOptions rope;
};

struct ModelOptions {
    std::string device = "auto";  // a device spec
    bool unknown_tensors_warn = false;
    bool vocab_only = false;      // metadata and tokenizer, no weights
    bool in_place = false;        // weights stay in the source's memory, where it has them there and a device can use them so
    std::string pre_tokenizer;    // overrides the file's pre-tokenizer name
    // Called on the loading thread between chunks; false cancels the load.
    std::function<bool(const LoadProgress&)> progress;
    // The context that will be made: layers that "fit" leave room for it, and a load is refused where it would not fit.
    std::optional<ContextOptions> context;
};

}  // namespace hearth

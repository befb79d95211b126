// Claims each tensor of a file for a slot, and says which are missing, misshapen or unknown.
#include "model/weights.hpp"

#include <set>

namespace hearth {

class WeightMatcher {
  public:
    WeightMatcher(const TensorSource& source, const Hparams& h) : source_(source), h_(h) {}

    Status run(Weights* w) {
        std::size_t n_slot = 0;
        const SlotInfo* table = slots(&n_slot);
        w->n_slot_ = n_slot;
        w->index_.assign((h_.layer.size() + 1) * n_slot * 2, -1);
        for (int32_t layer = -1; layer < h_.n_layer; ++layer)
            for (std::size_t i = 0; i < n_slot; ++i)
                if (is_model_slot(table[i]) == (layer < 0) && has_group(table[i].group, h_, layer))
                    HEARTH_CHECK(claim(table[i], layer, w));
        HEARTH_CHECK(check_choices(*w));
        for (const TensorInfo& tensor : source_.tensors())
            if (!claimed_.count(tensor.name) && !ignored(tensor.name)) w->unknown_.push_back(tensor.name);
        return {};
    }

  private:
    // "blk.3." + alternative + ".weight"; the alternative itself where it already ends in .bias
    std::string full_name(std::string_view name, int32_t layer, const char* part) const {
        const bool whole = name.size() > 5 && name.substr(name.size() - 5) == ".bias";
        return format_text("{}{}{}", layer < 0 ? "" : format_text("blk.{}.", layer), name, whole ? "" : part);
    }

    const TensorInfo* find(const SlotInfo& slot, int32_t layer, const char* part, std::string* first_name) const {
        std::string_view rest = slot.gguf;
        while (true) {
            const std::size_t bar = rest.find('|');
            const std::string name = full_name(rest.substr(0, bar), layer, part);
            if (first_name->empty()) *first_name = name;
            if (const TensorInfo* tensor = source_.find_tensor(name)) return tensor;
            if (bar == std::string_view::npos) return nullptr;
            rest = rest.substr(bar + 1);
        }
    }

    // Leading dimensions of 1 may be left out in the file.
    Status check_shape(const TensorInfo& tensor, int32_t n_dim, const int64_t* shape) const {
        std::string wanted, found;
        int32_t skip = 0;
        while (skip + 1 < n_dim && shape[skip] == 1) ++skip;
        int32_t skip_found = 0;
        while (skip_found + 1 < tensor.n_dim && tensor.shape[skip_found] == 1) ++skip_found;
        bool same = n_dim - skip == tensor.n_dim - skip_found;
        for (int32_t i = 0; same && i < n_dim - skip; ++i) same = shape[skip + i] == tensor.shape[skip_found + i];
        if (same) return {};
        for (int32_t i = 0; i < n_dim; ++i) wanted += format_text("{}{}", i ? ", " : "", shape[i]);
        for (int32_t i = 0; i < tensor.n_dim; ++i) found += format_text("{}{}", i ? ", " : "", tensor.shape[i]);
        return fail(Code::bad_file, "{}: tensor {} has shape [{}] but the model's numbers ask for [{}]", source_.name(),
                    tensor.name, found, wanted);
    }

    Result<int32_t> add(const TensorInfo& tensor, int32_t use, int32_t n_dim, const int64_t* shape, Weights* w) {
        HEARTH_CHECK(check_shape(tensor, n_dim, shape));
        claimed_.insert(tensor.name);
        hearth_weight desc{};
        desc.format = static_cast<int32_t>(tensor.format);
        desc.uses = use;
        desc.n_dim = n_dim;
        for (int32_t i = 0; i < n_dim; ++i) desc.shape[i] = shape[i];
        w->entries_.push_back({&tensor, desc});
        return static_cast<int32_t>(w->entries_.size()) - 1;
    }

    int32_t& place(const SlotInfo& slot, int32_t layer, int32_t part, Weights* w) const {
        return w->index_[((static_cast<std::size_t>(layer + 1) * w->n_slot_) + static_cast<std::size_t>(slot.slot)) * 2 +
                         static_cast<std::size_t>(part)];
    }

    Status claim(const SlotInfo& slot, int32_t layer, Weights* w) {
        int64_t shape[3] = {};
        const int32_t n_dim = slot_shape(slot, h_, layer, shape);
        std::string name;
        const bool tied = slot.slot == Slot::output && h_.arch->has(kTied);
        const TensorInfo* tensor = tied ? nullptr : find(slot, layer, ".weight", &name);
        if (!tensor) {
            if (slot.slot == Slot::output) return tie_output(slot, w);
            if (slot.need == Need::OPTIONAL) return {};
            return fail(Code::bad_file, "{}: the tensor {} is missing", source_.name(), name);
        }
        HEARTH_TRY(place(slot, layer, 0, w), add(*tensor, slot.use, n_dim, shape, w));
        const bool linear = slot.use != HEARTH_USE_LOOKUP;
        std::string bias_name;
        const TensorInfo* bias = linear ? find(slot, layer, ".bias", &bias_name) : nullptr;
        if (!bias || bias == tensor || ignored(bias->name)) return {};
        const bool experts = slot.use == HEARTH_USE_EXPERTS;
        const int64_t bias_shape[2] = {shape[0], n_dim > 1 ? shape[1] : 0};
        HEARTH_TRY(place(slot, layer, 1, w), add(*bias, HEARTH_USE_VECTOR, experts ? 2 : 1, bias_shape, w));
        return {};
    }

    // Without an output tensor the embedding serves both: one weight, two uses.
    Status tie_output(const SlotInfo& slot, Weights* w) {
        const int32_t embedding = w->find(Slot::token_embd);
        w->entries_[static_cast<std::size_t>(embedding)].desc.uses |= HEARTH_USE_MATMUL;
        place(slot, -1, 0, w) = embedding;
        return {};
    }

    Status need_one(const Weights& w, Slot a, Slot b, int32_t layer, const char* names) const {
        if (w.find(a, layer) >= 0 || w.find(b, layer) >= 0) return {};
        return fail(Code::bad_file, "{}: layer {} has neither of the tensors {}", source_.name(), layer, names);
    }

    // Of slots that stand for each other, one must be there.
    Status check_choices(const Weights& w) const {
        for (int32_t layer = 0; layer < h_.n_layer; ++layer) {
            if (has_group(SlotGroup::Attention, h_, layer))
                for (Slot part : {Slot::attn_q, Slot::attn_k, Slot::attn_v})
                    HEARTH_CHECK(need_one(w, Slot::attn_qkv, part, layer, "attn_qkv.weight, attn_q/k/v.weight"));
            if (has_group(SlotGroup::Latent, h_, layer)) {
                HEARTH_CHECK(need_one(w, Slot::mla_q, Slot::mla_q_a, layer, "attn_q.weight, attn_q_a.weight"));
                for (Slot part : {Slot::mla_q_a_norm, Slot::mla_q_b})
                    HEARTH_CHECK(need_one(w, Slot::mla_q, part, layer, "attn_q.weight, attn_q_a_norm/q_b.weight"));
            }
            if (has_group(SlotGroup::Experts, h_, layer))
                for (Slot part : {Slot::expert_gate, Slot::expert_up})
                    HEARTH_CHECK(need_one(w, Slot::expert_gate_up, part, layer, "ffn_gate_up_exps, ffn_gate/up_exps"));
        }
        return {};
    }

    // Whether the row says that its models may bring this tensor and do not use it.
    bool ignored(std::string_view name) const {
        std::string_view base = name;
        if (base.substr(0, 4) == "blk.") base = base.substr(std::min(base.size(), base.find('.', 4) + 1));
        return h_.arch->ignored.find(format_text(" {} ", base)) != std::string_view::npos;
    }

    const TensorSource& source_;
    const Hparams& h_;
    std::set<std::string, std::less<>> claimed_;
};

Result<Weights> Weights::match(const TensorSource& source, const Hparams& h, const Options& options) {
    Weights w;
    WeightMatcher matcher(source, h);
    HEARTH_CHECK(matcher.run(&w));
    if (!w.unknown_.empty() && !options.unknown_tensors_warn)
        return fail(Code::bad_file,
                    "{}: the architecture {} has no use for the tensor {} ({} such tensors); unknown_tensors=warn loads "
                    "the model without them",
                    source.name(), h.arch->name, w.unknown_.front(), w.unknown_.size());
    return w;
}

std::vector<hearth_weight> Weights::descriptions() const {
    std::vector<hearth_weight> all;
    all.reserve(entries_.size());
    for (const WeightEntry& entry : entries_) all.push_back(entry.desc);
    return all;
}

int32_t Weights::index(Slot slot, int32_t layer, int32_t part) const {
    return index_[(static_cast<std::size_t>(layer + 1) * n_slot_ + static_cast<std::size_t>(slot)) * 2 +
                  static_cast<std::size_t>(part)];
}

}  // namespace hearth

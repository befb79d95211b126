// A loaded model: its numbers, its tokenizer and its weights on a device.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "format/tensor_source.hpp"
#include "model/decoder.hpp"
#include "runtime/device_spec.hpp"
#include "runtime/options.hpp"
#include "runtime/placement.hpp"
#include "runtime/runtime.hpp"
#include "text/vocab.hpp"

namespace hearth {

// What the graphs of a placement name as weights: those of the model, then slices of them for ranks.
struct WeightMap {
    std::vector<hearth_weight> weights;   // [n_weight] descriptions
    std::vector<WeightSlice> slices;      // of the last ones
    std::vector<std::vector<bool>> used;  // [n_device][n_weight]
    // The model's weight that number `weight` is, or is a slice of.
    std::size_t entry(std::size_t weight) const;
    const WeightSlice* slice(std::size_t weight) const;  // nullptr: all of it
};

// The weights that one device holds.
struct WeightPart {
    static constexpr uint64_t kAbsent = UINT64_MAX;
    std::vector<hearth_layout> layouts;  // [n_weight]
    std::vector<uint64_t> offsets;       // [n_weight] in the buffer, or kAbsent
    std::vector<hearth_place> places;    // [n_weight] once loaded; without buffer where absent
    std::vector<const std::byte*> memory;  // [n_weight] of the source, where the weight stays there, or nullptr
    uint64_t bytes = 0;
    uint64_t mapped_bytes = 0;   // of the weights that stay in the source's memory, beside `bytes`
    uint64_t token_bytes = 0;    // of both, what the step of one token reads
    uint64_t declared_rate = 0;  // bytes per second of the device's memory, 0 = unknown
    DeviceBuffer buffer;
    std::vector<DeviceBuffer> borrowed;
};

class Model {
  public:
    // Reads headers only: numbers, the match of tensors and slots, the tokenizer. With vocab_only a file without tensors, or of an
    // architecture that is not supported, opens too; its hparams() are empty, with no arch, where they cannot be read.
    static Result<std::shared_ptr<Model>> open(std::shared_ptr<Runtime> runtime, std::unique_ptr<TensorSource> source,
                                               const ModelOptions& options);
    // Then the weights, unless vocab_only.
    static Result<std::shared_ptr<Model>> load(std::shared_ptr<Runtime> runtime, std::unique_ptr<TensorSource> source,
                                               const ModelOptions& options);
    ~Model();

    Runtime& runtime() const { return *runtime_; }
    const Placement& placement() const { return placement_; }
    const DeviceSpec& spec() const { return spec_; }
    // Chooses other places for everything; only before the weights are loaded.
    Status place(Placement placement);
    // What each device would hold in such a placement: layouts and bytes, nothing allocated.
    Result<std::vector<WeightPart>> measure(const Placement& placement) const;
    // Once, after open(), or after unload_weights(). On failure nothing is loaded.
    Status load_weights(const std::function<bool(const LoadProgress&)>& progress = nullptr);
    // Weights that had to give way come back, with room for such a context; nothing where they did not. The caller uses the model.
    Status load_again(const ContextOptions& context);
    void unload_weights();  // their memory is back at the system when this returns
    const TensorSource& source() const { return *source_; }
    const Hparams& hparams() const { return hparams_; }
    const Weights& weights() const { return *weights_; }
    const Vocab* vocab() const { return vocab_.get(); }  // nullptr: the model has no tokenizer
    const std::string& no_vocab_reason() const { return no_vocab_reason_; }
    const std::string& chat_template() const { return chat_template_; }  // "" if the file has none
    bool loaded() const { return loaded_.load(); }

    uint64_t weight_bytes() const { return weight_bytes_; }  // on all devices, from tensor_layout
    // A hash of the first row of every tensor, as stored: read when first asked for. From any thread.
    Result<uint64_t> weight_sample() const;
    uint64_t file_bytes() const;                             // of all tensors in the file
    uint64_t n_parameter() const;
    std::string architecture() const;  // what the file says, supported or not
    std::string description() const;   // "llama 1.2B Q4_0"

    // [n_device] Where each weight of the graphs lives: for the bindings of a compiled graph.
    const std::vector<WeightPart>& parts() const { return parts_; }

    // How fast a device really was in the last steps of one token, for the placement report: bytes per second, 0 = not known yet.
    struct Rate {
        std::atomic<uint64_t> achieved{0};
        std::atomic<bool> slow{false};
    };
    const Rate& rate(std::size_t device) const { return rates_[device]; }
    void note_rate(std::size_t device, uint64_t achieved, bool slow) {
        rates_[device].achieved = achieved;
        rates_[device].slow = slow;
    }

  private:
    Model() = default;
    Status read_vocab(const ModelOptions& options);
    Result<WeightMap> map_weights(const Placement& placement) const;
    Result<std::vector<WeightPart>> measure(const Placement& placement, const WeightMap& map) const;
    const std::byte* rows_in_memory(const WeightMap& map, std::size_t weight) const;
    Result<WeightPart> choose_layouts(Device& device, const WeightMap& map, const std::vector<bool>& used) const;
    Status choose_places(const ModelOptions& options);
    Result<std::vector<Claim>> claims(const std::optional<ContextOptions>& context) const;

    std::shared_ptr<Runtime> runtime_;
    std::unique_ptr<TensorSource> source_;
    Hparams hparams_;
    std::unique_ptr<Weights> weights_;
    std::unique_ptr<Vocab> vocab_;
    std::string no_vocab_reason_, chat_template_;
    DeviceSpec spec_;
    bool in_place_ = false;
    Placement placement_;
    WeightMap map_;
    std::vector<WeightPart> parts_;
    std::unique_ptr<Rate[]> rates_;  // [n_device]
    uint64_t weight_bytes_ = 0;
    mutable std::mutex sample_mutex_;
    mutable std::optional<uint64_t> weight_sample_;
    std::mutex load_mutex_;  // of load_again()
    std::atomic<bool> loaded_{false};
};

// The key/value metadata of the tokenizer as what make_vocab() takes; pre_tokenizer overrides the file's name.
Result<VocabSource> vocab_source(const TensorSource& source, const std::string& pre_tokenizer);

}  // namespace hearth

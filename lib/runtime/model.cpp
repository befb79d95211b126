// Opens a model: headers first, then the weights, streamed once into their layouts.
#include "runtime/model.hpp"

#include "base/checksum.hpp"
#include "runtime/loader.hpp"
#include "runtime/plan.hpp"

namespace hearth {

namespace {
constexpr uint64_t kWeightAlign = 64;
constexpr int32_t kUsualContext = 4096;  // what layers that "fit" leave room for, unless a context is named
uint64_t align_up(uint64_t n, uint64_t align) { return (n + align - 1) / align * align; }

uint64_t read_by_a_token(const hearth_weight& weight, const hearth_layout& layout, const Hparams& h) {
    uint64_t bytes = layout.bytes;
    if (weight.uses & HEARTH_USE_EXPERTS)
        bytes = bytes / static_cast<uint64_t>(std::max(h.n_expert, 1)) * static_cast<uint64_t>(h.n_expert_used);
    if (weight.uses == HEARTH_USE_LOOKUP) bytes /= static_cast<uint64_t>(weight.shape[0]);
    return bytes;
}

// Tells files of one shape apart, without reading them all: the first row of every tensor, as stored.
Result<uint64_t> sample_weights(const TensorSource& source) {
    Checksum sum;
    std::vector<std::byte> row;
    for (const TensorInfo& tensor : source.tensors()) {
        row.resize(row_bytes(*find_format(static_cast<int32_t>(tensor.format)), static_cast<uint64_t>(tensor.row_width())));
        HEARTH_CHECK(source.read_rows(tensor, 0, 1, row.data()));
        sum.add(row.data(), row.size());
    }
    return sum.value();
}
}  // namespace

Model::~Model() {
    if (runtime_) runtime_->residents().remove(this);
}

Result<std::shared_ptr<Model>> Model::open(std::shared_ptr<Runtime> runtime, std::unique_ptr<TensorSource> source,
                                           const ModelOptions& options) {
    std::shared_ptr<Model> model(new Model());
    model->runtime_ = std::move(runtime);
    model->source_ = std::move(source);
    model->in_place_ = options.in_place;
    HEARTH_CHECK(model->read_vocab(options));
    Result<Hparams> hparams = read_hparams(*model->source_);
    if (!hparams && !options.vocab_only) return hparams.failure();
    if (hparams) model->hparams_ = *std::move(hparams);
    if (options.vocab_only) return model;
    HEARTH_TRY(Weights weights,
               Weights::match(*model->source_, model->hparams_, {.unknown_tensors_warn = options.unknown_tensors_warn}));
    for (const std::string& name : weights.unknown())
        model->runtime_->log()(LogLevel::warning, "{}: the tensor {} is not used", model->source_->name(), name);
    model->weights_ = std::make_unique<Weights>(std::move(weights));
    HEARTH_CHECK(model->choose_places(options));
    return model;
}

Result<std::shared_ptr<Model>> Model::load(std::shared_ptr<Runtime> runtime, std::unique_ptr<TensorSource> source,
                                           const ModelOptions& options) {
    HEARTH_TRY(auto model, open(std::move(runtime), std::move(source), options));
    if (options.vocab_only) return model;
    model->runtime_->residents().add(model.get());
    const Status loaded = [&]() -> Status {
        HEARTH_TRY(const Reservation reservation, model->runtime_->ledger().reserve([&] { return model->claims(options.context); }));
        return model->load_weights(options.progress);
    }();
    HEARTH_CHECK(loaded);
    model->runtime_->residents().leave(model.get());
    return model;
}

Status Model::read_vocab(const ModelOptions& options) {
    HEARTH_TRY(const VocabSource from, vocab_source(*source_, options.pre_tokenizer));
    if (from.tokens.empty()) {
        no_vocab_reason_ = format_text("{}: the file has no tokenizer", source_->name());
    } else {
        HEARTH_TRY(vocab_, make_vocab(from));
        for (const std::string& warning : vocab_->warnings()) runtime_->log()(LogLevel::warning, "{}", warning);
    }
    HEARTH_TRY(chat_template_, source_->get_string("tokenizer.chat_template", ""));
    return {};
}

std::size_t WeightMap::entry(std::size_t weight) const {
    const WeightSlice* cut = slice(weight);
    return cut ? static_cast<std::size_t>(cut->weight) : weight;
}

const WeightSlice* WeightMap::slice(std::size_t weight) const {
    const std::size_t n_whole = weights.size() - slices.size();
    return weight < n_whole ? nullptr : &slices[weight - n_whole];
}

// Which weights each device's nodes read. The context length chooses among factors of the rotation, so both ends count.
Result<WeightMap> Model::map_weights(const Placement& placement) const {
    WeightMap map;
    map.weights = weights_->descriptions();
    map.used.assign(placement.devices.size(), std::vector<bool>(map.weights.size(), placement.n_device() == 1));
    if (placement.n_device() == 1) return map;
    const CacheGroups groups = cache_groups(hparams_, HEARTH_FORMAT_F16, HEARTH_FORMAT_F16);
    for (const int32_t n_place : {1, INT32_MAX}) {
        HEARTH_TRY(const PlacedGraph placed, placement.place(decoder_graph(hparams_, *weights_, groups, {{1, 1, 1, n_place}, {}})));
        map.weights = placed.graph.weights();
        map.slices = placed.slices;
        for (auto& used : map.used) used.resize(map.weights.size());
        for (std::size_t i = 0; i < placed.device_of_node.size(); ++i)
            for (const int32_t w : placed.graph.nodes()[i].weight)
                if (w >= 0) map.used[static_cast<std::size_t>(placed.device_of_node[i])][static_cast<std::size_t>(w)] = true;
    }
    return map;
}

// Where all rows of a weight follow each other in the source's memory; nullptr = nowhere, or they are not to stay there.
const std::byte* Model::rows_in_memory(const WeightMap& map, std::size_t weight) const {
    const TensorInfo& tensor = *weights_->entries()[map.entry(weight)].tensor;
    const std::byte* data = in_place_ ? source_->data(tensor) : nullptr;
    const WeightSlice* slice = map.slice(weight);
    if (!data || !slice) return data;
    const hearth_weight &local = map.weights[weight], &whole = map.weights[map.entry(weight)];
    const bool one_matrix = local.n_dim < 3 || local.shape[0] == 1;
    if (!slice->columns.empty() || slice->rows.size() > (one_matrix ? 1 : 0)) return nullptr;
    int64_t row = slice->matrices.begin * whole.shape[whole.n_dim == 3 ? 1 : 0];
    if (!slice->rows.empty()) row += slice->rows[0].begin;
    return data + static_cast<uint64_t>(row) * (tensor.bytes / static_cast<uint64_t>(tensor.n_row()));
}

Result<WeightPart> Model::choose_layouts(Device& device, const WeightMap& map, const std::vector<bool>& used) const {
    WeightPart part;
    uint64_t offset = 0;
    for (std::size_t i = 0; i < used.size(); ++i) {
        part.layouts.emplace_back();
        part.offsets.push_back(WeightPart::kAbsent);
        part.memory.push_back(nullptr);
        if (!used[i]) continue;
        const std::byte* memory = rows_in_memory(map, i);
        Result<hearth_layout> layout = memory ? device.borrowed_layout(map.weights[i]) : hearth_layout{};
        const auto address = reinterpret_cast<std::uintptr_t>(memory);
        const bool stays = layout && layout->bytes > 0 && address % std::max<uint64_t>(1, layout->align) == 0;
        if (layout && !stays) layout = device.layout(map.weights[i]);
        if (!layout)
            return fail_again("{}: tensor {}: {}", source_->name(), weights_->entries()[map.entry(i)].tensor->name,
                              std::string(error_record().message));
        part.layouts.back() = *layout;
        part.token_bytes += read_by_a_token(map.weights[i], *layout, hparams_);
        if (stays) {
            part.memory.back() = memory;
            part.mapped_bytes += layout->bytes;
            continue;
        }
        offset = align_up(offset, std::max(kWeightAlign, layout->align));
        part.offsets.back() = offset;
        offset += layout->bytes;
    }
    part.bytes = align_up(offset, kWeightAlign);
    return part;
}

Result<std::vector<WeightPart>> Model::measure(const Placement& placement) const {
    HEARTH_TRY(const WeightMap map, map_weights(placement));
    return measure(placement, map);
}

Result<std::vector<WeightPart>> Model::measure(const Placement& placement, const WeightMap& map) const {
    std::vector<WeightPart> parts;
    for (std::size_t d = 0; d < placement.devices.size(); ++d) {
        HEARTH_TRY(WeightPart part, choose_layouts(*placement.devices[d], map, map.used[d]));
        parts.push_back(std::move(part));
    }
    return parts;
}

Status Model::place(Placement placement) {
    HEARTH_TRY(map_, map_weights(placement));
    HEARTH_TRY(parts_, measure(placement, map_));
    placement_ = std::move(placement);
    weight_bytes_ = 0;
    for (std::size_t d = 0; d < parts_.size(); ++d) {
        weight_bytes_ += parts_[d].bytes;
        HEARTH_TRY(const hearth_backend_device info, placement_.devices[d]->describe());
        parts_[d].declared_rate = info.bytes_per_second;
    }
    rates_ = std::make_unique<Rate[]>(parts_.size());
    return {};
}

Status Model::choose_places(const ModelOptions& options) {
    HEARTH_TRY(spec_, parse_device_spec(options.device));
    ContextOptions usual;
    usual.n_ctx = std::min(hparams_.n_ctx_train, kUsualContext);
    HEARTH_TRY(Placement placement, choose_placement(*this, spec_, options.context ? *options.context : usual));
    return place(std::move(placement));
}

// What the load is about to take, refused where that does not fit with the context that will be made; if none is named, with
// the smallest one.
Result<std::vector<Claim>> Model::claims(const std::optional<ContextOptions>& context) const {
    std::vector<Claim> claims;
    ContextOptions least;
    least.n_ctx = least.n_batch = 1;
    HEARTH_TRY(const PlanReport plan, make_room(*this, context ? *context : least));
    for (std::size_t d = 0; d < parts_.size(); ++d) claims.push_back({placement_.devices[d], parts_[d].bytes});
    return claims;
}

Status Model::load_weights(const std::function<bool(const LoadProgress&)>& progress) {
    struct Undo {
        Model* model;
        ~Undo() {
            if (model) model->unload_weights();
        }
    } undo{this};
    WeightLoader loader(*runtime_, placement_, *source_, *weights_, map_, parts_);
    if (progress && !progress({0, loader.total_bytes()})) return fail(Code::cancelled, "{}: the load was cancelled", source_->name());
    for (std::size_t d = 0; d < parts_.size(); ++d) {
        WeightPart& part = parts_[d];
        if (part.bytes > 0) {
            HEARTH_TRY(part.buffer, placement_.devices[d]->alloc(part.bytes, "weights"));
        }
        for (std::size_t i = 0; i < part.offsets.size(); ++i) {
            part.places.push_back(part.offsets[i] == WeightPart::kAbsent ? hearth_place{} : part.buffer.at(part.offsets[i]));
            if (!part.memory[i]) continue;
            HEARTH_TRY(DeviceBuffer buffer, placement_.devices[d]->borrow(part.memory[i], part.layouts[i].bytes));
            part.borrowed.push_back(std::move(buffer));
            part.places.back() = part.borrowed.back().at(0);
        }
    }
    HEARTH_CHECK(loader.run(progress));
    undo.model = nullptr;
    loaded_ = true;
    return {};
}

void Model::unload_weights() {
    loaded_ = false;
    for (WeightPart& part : parts_) {
        part.places.clear();
        part.borrowed.clear();
        part.buffer = {};
    }
}

Status Model::load_again(const ContextOptions& context) {
    std::lock_guard lock(load_mutex_);
    if (loaded()) return {};
    HEARTH_TRY(const Reservation reservation, runtime_->ledger().reserve([&] { return claims(context); }));
    return load_weights(nullptr);
}

Result<uint64_t> Model::weight_sample() const {
    std::lock_guard lock(sample_mutex_);
    if (!weight_sample_) {
        HEARTH_TRY(weight_sample_, sample_weights(*source_));
    }
    return *weight_sample_;
}

uint64_t Model::file_bytes() const {
    uint64_t bytes = 0;
    for (const TensorInfo& tensor : source_->tensors()) bytes += tensor.bytes;
    return bytes;
}

uint64_t Model::n_parameter() const {
    uint64_t n = 0;
    for (const TensorInfo& tensor : source_->tensors())
        n += static_cast<uint64_t>(tensor.n_row()) * static_cast<uint64_t>(tensor.row_width());
    return n;
}

std::string Model::architecture() const {
    const MetaValue* name = source_->find("general.architecture");
    const auto* text = name ? std::get_if<std::string>(name) : nullptr;
    return text ? *text : "unknown";
}

std::string Model::description() const {
    // The format that holds most of the bytes speaks for the file.
    std::map<Format, uint64_t> bytes;
    for (const TensorInfo& tensor : source_->tensors()) bytes[tensor.format] += tensor.bytes;
    Format most = Format::F32;
    for (const auto& [format, n] : bytes)
        if (n > bytes[most]) most = format;
    const double n = static_cast<double>(n_parameter());
    const std::string size = n >= 1e9 ? format_text("{:.1f}B", n / 1e9) : format_text("{:.1f}M", n / 1e6);
    return format_text("{} {} {}", architecture(), size, find_format(static_cast<int32_t>(most))->name);
}

}  // namespace hearth

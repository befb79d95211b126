// What every row of the architecture table builds, as committed text; and what is said of files that do not fit their row.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <initializer_list>
#include <set>
#include <sstream>

#include "model/decoder.hpp"
#include "support/catch.hpp"
#include "support/support.hpp"

using namespace hearth;

namespace {

using Extra = std::vector<std::pair<std::string, MetaValue>>;  // keys after "<architecture>."

enum class Bias { none, qkv, linear, all };

// What a made-up model of a row has beyond what the row requires, so that its text shows what is particular to it.
struct Case {
    std::string_view name;
    Bias bias = Bias::none;
    std::set<Slot> optional = {};  // OPTIONAL slots that are present, beside the usual q, k, v and output
    bool experts = false;
    int32_t n_layer_dense = 0;
    Extra extra = {};
};

std::vector<Case> cases() {
    const Extra yarn = {{"rope.scaling.type", std::string("yarn")}, {"rope.scaling.factor", 4.0},
                        {"rope.scaling.original_context_length", int64_t{16}}};
    Extra deepseek = yarn, mistral = yarn;
    deepseek.insert(deepseek.end(), {{"rope.scaling.yarn_log_multiplier", 0.0707}, {"expert_shared_count", int64_t{1}},
                                     {"attention.q_lora_rank", int64_t{12}}, {"attention.kv_lora_rank", int64_t{6}},
                                     {"attention.key_length_mla", int64_t{14}}, {"attention.value_length_mla", int64_t{10}},
                                     {"rope.dimension_count", int64_t{4}}, {"expert_weights_scale", 2.5},
                                     {"expert_group_count", int64_t{2}}, {"expert_group_used_count", int64_t{1}}});
    mistral.insert(mistral.end(), {{"attention.temperature_scale", 0.1}, {"rope.scaling.yarn_log_multiplier", 0.5}});
    return {
        {"llama", Bias::none, {Slot::rope_freqs}, true, 1},
        {"mistral3", Bias::none, {}, false, 0, mistral},
        {"smollm3"},
        {"granite", Bias::none, {}, true, 1, {{"logit_scale", 8.0}, {"residual_scale", 0.22}, {"embedding_scale", 12.0},
                                              {"attention.scale", 0.0625}}},
        {"qwen2", Bias::qkv, {}, false, 0, {{"rope.scaling.factor", 2.0}}},
        {"qwen2vl", Bias::qkv, {}, false, 0, {{"rope.dimension_sections", std::vector<int64_t>{2, 1, 1, 0}}}},
        {"qwen3"},
        {"qwen3moe", Bias::none, {}, true},
        {"gemma"},
        {"gemma2", Bias::none, {}, false, 0, {{"attn_logit_softcapping", 50.0}, {"final_logit_softcapping", 30.0}}},
        {"gemma3", Bias::none, {}, false, 0, {{"rope.scaling.factor", 8.0}, {"rope.freq_base", 1e6}}},
        {"phi3", Bias::none, {Slot::attn_qkv, Slot::rope_factors_long, Slot::rope_factors_short}},
        {"olmo2"},
        {"gpt2", Bias::all, {Slot::attn_qkv}},
        {"gpt-oss", Bias::linear, {}, true, 0, yarn},
        {"lfm2", Bias::none, {}, false, 0, {{"attention.head_count_kv", std::vector<int64_t>{0, 2}},
                                            {"shortconv.l_cache", int64_t{3}}}},
        {"deepseek2", Bias::none, {Slot::mla_q_a, Slot::mla_q_a_norm, Slot::mla_q_b, Slot::router_bias}, true, 1, deepseek},
    };
}

// A model file of which only the names, shapes and numbers exist.
class MadeUpSource final : public TensorSource {
  public:
    explicit MadeUpSource(const Case& c) : case_(c) {
        set_numbers();
        // The numbers depend on two tensors; both are made again with the rest.
        add_tensor("token_embd.weight", {kVocab, kEmbd});
        if (c.optional.count(Slot::mla_q_a)) add_tensor("blk.0.attn_q_a.weight", {12, kEmbd});
        const auto h = read_hparams(*this);
        INFO(c.name << ": " << error_record().message);
        REQUIRE(h);
        tensors_.clear();
        tensor_index_.clear();
        std::size_t n = 0;
        const SlotInfo* table = slots(&n);
        for (int32_t layer = -1; layer < h->n_layer; ++layer)
            for (std::size_t i = 0; i < n; ++i)
                if (is_model_slot(table[i]) == (layer < 0) && has_group(table[i].group, *h, layer) && present(table[i], *h))
                    add_slot(table[i], *h, layer);
    }

    const std::string& name() const override { return name_; }
    Status read_rows(const TensorInfo&, int64_t, int64_t, void*) const override {
        return fail(Code::bad_file, "a made-up model has no data");
    }

    void set(const std::string& key, MetaValue value) { metadata_[key] = std::move(value); }
    void add_tensor(const std::string& name, std::initializer_list<int64_t> shape) {
        add_tensor(name, std::vector<int64_t>(shape));
    }
    void add_tensor(const std::string& name, const std::vector<int64_t>& shape) {
        TensorInfo info;
        info.name = name;
        info.n_dim = static_cast<int32_t>(shape.size());
        std::copy(shape.begin(), shape.end(), info.shape);
        tensor_index_[name] = tensors_.size();
        tensors_.push_back(info);
    }
    void hide(const std::string& name) { tensor_index_.erase(name); }
    TensorInfo& tensor(std::size_t i) { return tensors_[i]; }
    std::vector<std::string> required;  // names without which the model must be refused

  private:
    static constexpr int64_t kVocab = 40, kEmbd = 32;

    void set_numbers() {
        const Arch& arch = *find_arch(case_.name);
        const std::string prefix = std::string(case_.name) + ".";
        const int64_t windows = arch.window.period == kEveryLayer ? 0 : arch.window.period;
        set("general.architecture", std::string(case_.name));
        set(prefix + "context_length", int64_t{64});
        set(prefix + "embedding_length", kEmbd);
        set(prefix + "block_count", std::max<int64_t>({2, windows, arch.no_rope_period}));
        set(prefix + "feed_forward_length", int64_t{48});
        set(prefix + "attention.head_count", int64_t{4});
        set(prefix + "attention.head_count_kv", int64_t{arch.mixer == Mixer::latent ? 1 : 2});
        set(prefix + "attention.layer_norm_epsilon", 1e-5);
        set(prefix + "attention.layer_norm_rms_epsilon", 1e-6);
        if (arch.window.period) set(prefix + "attention.sliding_window", int64_t{8});
        if (case_.experts) {
            set(prefix + "expert_count", int64_t{6});
            set(prefix + "expert_used_count", int64_t{2});
            set(prefix + "expert_feed_forward_length", int64_t{20});
            set(prefix + "leading_dense_block_count", int64_t{case_.n_layer_dense});
        }
        for (const auto& [key, value] : case_.extra) set(prefix + key, value);
    }

    static bool usual(Slot slot) {
        return slot == Slot::expert_gate || slot == Slot::expert_up || slot == Slot::output;
    }

    bool present(const SlotInfo& slot, const Hparams& h) const {
        if (slot.slot == Slot::output && h.arch->has(kTied)) return false;
        const bool apart = slot.slot == Slot::attn_q || slot.slot == Slot::attn_k || slot.slot == Slot::attn_v;
        if (apart) return case_.optional.count(Slot::attn_qkv) == 0;
        return slot.need == Need::REQUIRED || usual(slot.slot) || case_.optional.count(slot.slot) != 0;
    }

    bool biased(const SlotInfo& slot) const {
        const bool attention = slot.slot == Slot::attn_q || slot.slot == Slot::attn_k || slot.slot == Slot::attn_v;
        const bool matrix = slot.use == HEARTH_USE_MATMUL || slot.use == HEARTH_USE_EXPERTS;
        const bool norm = slot.slot == Slot::output_norm || slot.group == SlotGroup::PreNorm;
        if (slot.slot == Slot::output) return false;
        switch (case_.bias) {
            case Bias::none: return false;
            case Bias::qkv: return attention;
            case Bias::linear: return matrix;
            case Bias::all: return matrix || norm;
        }
        return false;
    }

    void add_slot(const SlotInfo& slot, const Hparams& h, int32_t layer) {
        int64_t shape[3] = {};
        const int32_t n_dim = slot_shape(slot, h, layer, shape);
        const std::string base = (layer < 0 ? "" : format_text("blk.{}.", layer)) +
                                 std::string(slot.gguf.substr(0, slot.gguf.find('|')));
        const bool whole = slot.slot == Slot::router_bias;
        add_tensor(whole ? base : base + ".weight", std::vector<int64_t>(shape, shape + n_dim));
        if (!whole && slot.slot != Slot::output && slot.group != SlotGroup::RopeFactors) required.push_back(base + ".weight");
        if (!biased(slot)) return;
        if (slot.use == HEARTH_USE_EXPERTS)
            add_tensor(base + ".bias", {shape[0], shape[1]});
        else
            add_tensor(base + ".bias", {shape[0]});
    }

    const Case& case_;
    std::string name_ = "made-up.gguf";
};

Result<Weights> match(const TensorSource& source, const Weights::Options& options = {}) {
    HEARTH_TRY(const Hparams h, read_hparams(source));
    return Weights::match(source, h, options);
}

std::string layer_text(const Case& c) {
    const MadeUpSource source(c);
    const auto h = read_hparams(source);
    REQUIRE(h);
    const auto weights = Weights::match(source, *h, {});
    INFO(c.name << ": " << error_record().message);
    REQUIRE(weights);
    DecoderOptions options;
    options.bounds = {4, 2, 1, 32};
    const Graph graph = decoder_graph(*h, *weights, cache_groups(*h, HEARTH_FORMAT_F16, HEARTH_FORMAT_F16), options);
    std::istringstream lines(print(graph));  // one line per node; behind it the names of its tensors
    std::string text, line;
    for (const hearth_node& node : graph.nodes()) {
        std::getline(lines, line);
        text += line;
        for (int32_t w : node.weight)
            if (w >= 0) text += " <" + weights->entries()[static_cast<std::size_t>(w)].tensor->name + ">";
        text += "\n";
    }
    return text;
}

std::string shape_text(const TensorInfo& tensor) {
    std::string text;
    for (int32_t d = 0; d < tensor.n_dim; ++d) text += format_text("{}{}", d ? ", " : "", tensor.shape[d]);
    return "[" + text + "]";
}

bool says(const std::string& part) { return std::string(error_record().message).find(part) != std::string::npos; }

// Calls see(node, weights) for each node of the operator in the graph that a case builds for contexts of n_place.
template <class F>
void each_node(const Case& c, int32_t n_place, int32_t op, F see) {
    const MadeUpSource source(c);
    const auto h = read_hparams(source);
    REQUIRE(h);
    const auto weights = Weights::match(source, *h, {});
    INFO(c.name << ": " << error_record().message);
    REQUIRE(weights);
    DecoderOptions options;
    options.bounds = {4, 2, 1, n_place};
    const Graph graph = decoder_graph(*h, *weights, cache_groups(*h, HEARTH_FORMAT_F16, HEARTH_FORMAT_F16), options);
    const hearth_graph g = graph.view();
    int n_seen = 0;
    for (int32_t i = 0; i < g.n_node; ++i)
        if (g.node[i].op == op) see(g.node[i], *weights), ++n_seen;
    CHECK(n_seen >= h->n_layer);
}

}  // namespace

TEST_CASE("the layers that a row builds are the committed ones") {
    std::size_t n = 0;
    const Arch* rows = arch_rows(&n);
    const auto all = cases();
    REQUIRE(all.size() == n);
    for (std::size_t i = 0; i < n; ++i) {
        const auto found = std::find_if(all.begin(), all.end(), [&](const Case& c) { return c.name == rows[i].name; });
        INFO("the row " << rows[i].name);
        REQUIRE(found != all.end());
        const std::string path = test::source_path(format_text("tests/golden/layers/{}.txt", rows[i].name));
        const std::string text = layer_text(*found);
        if (std::getenv("HEARTH_UPDATE_GOLDEN")) test::write_bytes(path, text.data(), text.size());
        REQUIRE(std::filesystem::exists(path));
        const auto bytes = test::read_bytes(path);
        CHECK(text == std::string(bytes.begin(), bytes.end()));
    }
}

TEST_CASE("every committed layer text belongs to a row") {
    for (const auto& entry : std::filesystem::directory_iterator(test::source_path("tests/golden/layers")))
        CHECK(find_arch(entry.path().stem().string()) != nullptr);
}

TEST_CASE("a missing tensor is an error that names it, in every architecture") {
    for (const Case& c : cases()) {
        const std::vector<std::string> names = MadeUpSource(c).required;
        REQUIRE(names.size() > 10);
        for (const std::string& name : names) {
            MadeUpSource source(c);
            source.hide(name);
            INFO(c.name << " without " << name);
            CHECK_FALSE(match(source));
            INFO(error_record().message);
            // Of tensors that stand for each other the error names the group: attn_q/k/v, ffn_gate/up_exps.
            const std::string stem = name.substr(name.find('.', 4) + 1, 4);
            CHECK((says(name) || (says("neither of the tensors") && says(stem))));
        }
    }
}

TEST_CASE("a tensor that no slot claims is an error that names it; unknown_tensors=warn lists it instead") {
    for (const Case& c : cases()) {
        MadeUpSource source(c);
        source.add_tensor("blk.1.surprise.weight", {3});
        INFO(c.name);
        CHECK_FALSE(match(source));
        CHECK(says("blk.1.surprise.weight"));
        CHECK(says("unknown_tensors=warn"));
        Weights::Options warn;
        warn.unknown_tensors_warn = true;
        const auto weights = match(source, warn);
        REQUIRE(weights);
        CHECK(weights->unknown() == std::vector<std::string>{"blk.1.surprise.weight"});
    }
}

TEST_CASE("a tensor of the wrong shape is an error with its name and both shapes") {
    for (const Case& c : cases()) {
        const std::size_t n = MadeUpSource(c).tensors().size();
        for (std::size_t i = 0; i < n; ++i) {
            MadeUpSource source(c);
            TensorInfo& tensor = source.tensor(i);
            const std::string wanted = shape_text(tensor);
            ++tensor.shape[tensor.n_dim - 1];
            INFO(c.name << ": " << tensor.name);
            CHECK_FALSE(match(source));
            INFO(error_record().message);
            CHECK((says("tensor " + tensor.name + " ") && says(wanted) && says(shape_text(tensor))));
        }
    }
}

TEST_CASE("tensors that a row declares unused are left alone") {
    const auto all = cases();
    const auto qwen3 = std::find_if(all.begin(), all.end(), [](const Case& c) { return c.name == "qwen3"; });
    MadeUpSource source(*qwen3);
    source.add_tensor("cls.weight", {2, 32});
    const auto weights = match(source);
    REQUIRE(weights);
    CHECK(weights->unknown().empty());
}

TEST_CASE("an unknown architecture is an error that names it and lists the supported ones") {
    const auto all = cases();
    MadeUpSource source(all.front());
    source.set("general.architecture", std::string("llama17"));
    CHECK_FALSE(read_hparams(source));
    CHECK(says("'llama17'"));
    for (const Case& c : all) CHECK(says(std::string(c.name)));
}

TEST_CASE("the long rope factors serve contexts beyond the original length, the short ones those up to it") {
    const Case phi{"phi3", Bias::none, {Slot::attn_qkv, Slot::rope_factors_long, Slot::rope_factors_short}};
    for (int32_t n_place : {32, 64, 65, 1000})  // the original length is 64
        each_node(phi, n_place, HEARTH_OP_ROPE, [&](const hearth_node& node, const Weights& weights) {
            INFO("a context of " << n_place);
            REQUIRE(node.weight[0] >= 0);
            CHECK(node.weight[0] == weights.find(n_place > 64 ? Slot::rope_factors_long : Slot::rope_factors_short));
        });
}

// Gemma 2 27B and Gemma 3 27B scale by the width of the model over the heads, their smaller sisters by the width of a head.
TEST_CASE("attention is scaled by the head's width, in the biggest Gemma by the model's width over the heads") {
    struct {
        const char* name;
        int64_t big;
    } const rows[] = {{"gemma2", 46}, {"gemma3", 62}};
    for (const auto& row : rows)
        for (int64_t n_layer : {row.big - 1, row.big}) {
            const Case c{row.name, Bias::none, {}, false, 0, {{"block_count", n_layer}, {"attention.key_length", int64_t{16}},
                                                              {"attention.value_length", int64_t{16}}}};
            const float width = n_layer == row.big ? 8 : 16;  // 32 over 4 heads, or the key's
            each_node(c, 32, HEARTH_OP_ATTENTION, [&](const hearth_node& node, const Weights&) {
                CHECK(node.p.attention.scale == 1.0f / std::sqrt(width));
            });
        }
}

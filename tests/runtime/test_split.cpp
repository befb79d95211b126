// A model spread over devices computes what it computes on one, wherever it is cut.
#include <functional>

#include "runtime/context_support.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

// The tiny model with its layers, caches and experts where `place` puts them; device 0 is cpu, 1 is ref.
Loaded load_split(const TinyModel& tiny, const std::function<void(Placement*)>& place) {
    Loaded loaded{tiny.file(seed()), make_runtime(), nullptr};
    auto model = try_open(loaded.runtime, loaded.file, "cpu");
    INFO(error_record().message);
    REQUIRE(model);
    Placement placement = Placement::whole(*loaded.runtime->device("cpu"), (*model)->hparams().n_layer);
    placement.devices.push_back(*loaded.runtime->device("ref"));
    place(&placement);
    REQUIRE((*model)->place(placement));
    REQUIRE((*model)->load_weights());
    loaded.model = *model;
    return loaded;
}

}  // namespace

TEST_CASE("wherever a model is cut between two devices, its logits are those of one device") {
    const char* kind = GENERATE("full", "window", "recurrent", "experts");
    INFO(kind << ", HEARTH_TEST_SEED=" << seed());
    const TinyModel tiny_model = tiny(kind);
    const Logits want = work_out(load_split(tiny_model, [](Placement*) {}));
    const int32_t n_layer = load_split(tiny_model, [](Placement*) {}).model->hparams().n_layer;
    for (int32_t cut = 0; cut <= n_layer + 2; ++cut) {
        INFO("from part " << cut << " on ref");
        const Loaded loaded = load_split(tiny_model, [&](Placement* p) {
            std::fill(p->device_of_layer.begin() + cut, p->device_of_layer.end(), 1);
        });
        check_close(work_out(loaded), want);
    }
}

TEST_CASE("caches and experts may be elsewhere than their layers") {
    const char* kind = GENERATE("full", "window", "recurrent", "experts");
    INFO(kind << ", HEARTH_TEST_SEED=" << seed());
    const TinyModel tiny_model = tiny(kind);
    const Logits want = work_out(load_split(tiny_model, [](Placement*) {}));
    for (int32_t layers : {0, 1})
        for (int32_t cache : {-1, 0, 1})
            for (int32_t experts : {-1, 0, 1}) {
                INFO("layers " << layers << " cache " << cache << " experts " << experts);
                const Loaded loaded = load_split(tiny_model, [&](Placement* p) {
                    std::fill(p->device_of_layer.begin(), p->device_of_layer.end(), layers);
                    p->cache = cache;
                    p->experts = experts;
                });
                check_close(work_out(loaded), want);
            }
}

TEST_CASE("experts elsewhere take the activation between their products along, caches the attention over them, and nothing else") {
    const char* kind = GENERATE("experts", "recurrent");
    const Loaded loaded = load_split(tiny(kind), [](Placement*) {});
    const Hparams& h = loaded.model->hparams();
    const CacheGroups groups = cache_groups(h, HEARTH_FORMAT_F16, HEARTH_FORMAT_F16);
    const Graph graph = decoder_graph(h, loaded.model->weights(), groups, {{4, 2, 1, 32}, {}});
    Placement placement = loaded.model->placement();
    std::fill(placement.device_of_layer.begin(), placement.device_of_layer.end(), 2);
    placement.experts = 1;
    placement.cache = 0;
    const std::vector<int32_t> device = placement.of_nodes(graph);
    REQUIRE(device.size() == graph.nodes().size());
    int n_elsewhere = 0;
    for (std::size_t i = 0; i < device.size(); ++i) {
        const std::string label = graph.nodes()[i].label, part = label.substr(label.rfind('.') + 1);
        INFO(label);
        const bool experts = part == "expert_gate" || part == "expert_up" || part == "expert_act" || part == "expert_down";
        const bool cache = part == "cache" || part == "attention" || graph.nodes()[i].op == HEARTH_OP_SHORT_CONV;
        CHECK(device[i] == (experts ? 1 : cache ? 0 : 2));
        n_elsewhere += experts || cache;
    }
    CHECK(n_elsewhere == (std::string(kind) == "experts" ? 2 * (4 + 2) : 1 + 2));
}

TEST_CASE("a model over two devices allocates what its plan says") {
    const Loaded loaded = load_split(tiny("full"), [](Placement* p) { p->device_of_layer.back() = p->device_of_layer[1] = 1; });
    const MemoryCount& memory = loaded.runtime->memory();
    CHECK(memory.now.load() == loaded.model->weight_bytes());
    ContextOptions options;
    options.n_ctx = 128;
    options.k_type = options.v_type = HEARTH_FORMAT_F32;
    const auto plan = Context::plan(*loaded.model, options);
    REQUIRE(plan);
    CHECK(plan->staging_bytes > 0);
    CHECK(plan->devices.size() == 2);
    for (const DeviceBytes& d : plan->devices) CHECK(d.total() > 0);
    const auto context = loaded.context(options);
    CHECK(memory.now.load() == loaded.model->weight_bytes() + plan->total());
}

TEST_CASE("a run over two devices can pause anywhere and go on") {
    const Loaded loaded = load_split(tiny("full"), [](Placement* p) {
        for (std::size_t i = 0; i < p->device_of_layer.size(); i += 2) p->device_of_layer[i] = 1;
    });
    const auto context = loaded.context(), other = loaded.context();
    const Ids tokens = random_tokens(40, 1);
    const Logits want = decode(*context, tokens);
    Batch batch;
    batch.n_token = static_cast<int32_t>(tokens.size());
    batch.token = tokens.data();
    auto outcome = other->decode(batch, 1);  // a deadline long past: a part at a time
    int n_pause = 0;
    while (outcome && *outcome == Outcome::paused) {
        ++n_pause;
        outcome = other->resume(1);
    }
    REQUIRE(outcome);
    CHECK(n_pause > 5);
    CHECK(row(*other, 0) == want);
}

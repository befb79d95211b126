// Device specs that ask for exactness: strict refuses every deviation, deterministic promises bits.
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "plan/sparse_model.hpp"
#include "runtime/context_support.hpp"
#include "runtime/quantize.hpp"

extern "C" const hearth_backend* hearth_backend_ref(void);

using namespace hearth;
using namespace hearth::test;

namespace {

// The logits of 700 tokens' last, in pieces of n_batch; the cache's sums are cut at 512 places.
Logits logits_in_pieces(const std::string& path, const std::string& device, int32_t n_thread, int32_t n_batch, int32_t n_seq) {
    const auto runtime = make_runtime(n_thread);
    auto source = open_model_path(path, FileMode::pread);
    REQUIRE(source);
    auto model = try_load(runtime, std::move(*source), device);
    INFO(error_record().message);
    REQUIRE(model);
    ContextOptions options;
    options.n_ctx = 2048;
    options.n_batch = n_batch * n_seq;
    options.n_seq_max = n_seq;
    auto context = Context::make(*model, options);
    REQUIRE(context);
    const Ids tokens = random_tokens(600, 1), others = random_tokens(600, 2);
    for (std::size_t begin = 0; begin < tokens.size(); begin += static_cast<std::size_t>(n_batch)) {
        Ids token, seq;
        for (std::size_t i = begin; i < std::min(begin + static_cast<std::size_t>(n_batch), tokens.size()); ++i)
            for (int32_t s = 0; s < n_seq; ++s) {
                token.push_back(s == 0 ? tokens[i] : others[i]);
                seq.push_back(s);
            }
        Batch batch;
        batch.n_token = static_cast<int32_t>(token.size());
        batch.token = token.data();
        batch.seq = seq.data();
        const auto done = (*context)->decode(batch);
        INFO(error_record().message);
        REQUIRE(done);
    }
    return row(**context, 0);
}

}  // namespace

TEST_CASE("a strict spec is refused wherever it would not be followed to the letter") {
    struct Row {
        const char *spec, *said;
    };
    const Row row = GENERATE(
        Row{"sim:4MiB,layers=4", "layers=4 is asked for, but"}, Row{"sim:4MiB,experts=cpu", "has no experts"},
        Row{"sim:4MiB,vision=cpu", "no vision encoder"}, Row{"sim:4x4MiB,layers=3", "gets no layer"},
        Row{"sim:64KiB,layers=auto,reserve=64KiB", "none fits"}, Row{"auto", "none is usable"});
    INFO(row.spec);
    const std::string file = tiny_llama(2).file(seed());
    const auto runtime = make_runtime();
    const auto loose = try_load(runtime, file, row.spec);
    INFO(error_record().message);
    CHECK(loose);
    CHECK_FALSE(try_load(make_runtime(), file, std::string(row.spec) + ",strict=on"));
    CHECK(error_record().code == Code::placement);
    CHECK(refused_with(row.said));
}

TEST_CASE("without strict, a word for a part that the model does not have places nothing") {
    const std::string file = tiny_llama(2).file(seed());
    const auto held = [&](const std::string& spec) {
        const auto model = try_load(make_runtime(), file, spec);
        INFO(spec << ": " << error_record().message);
        REQUIRE(model);
        std::vector<std::pair<std::string, uint64_t>> bytes;
        for (std::size_t d = 0; d < (*model)->parts().size(); ++d)
            bytes.push_back({(*model)->placement().devices[d]->spec(), (*model)->parts()[d].bytes});
        return bytes;
    };
    const auto plain = held("sim:2x4MiB,layers=2");
    for (const char* word : {"vision=cpu", "vision=device", "experts=cpu", "experts=device"})
        CHECK(held(std::string("sim:2x4MiB,layers=2,") + word) == plain);
    // Parts that no spec can name yet are not taken for something else.
    for (const char* word : {"draft=cpu", "adapter=cpu", "projector=cpu"}) {
        CHECK_FALSE(try_load(make_runtime(), file, std::string("sim:2x4MiB,") + word));
        CHECK(error_record().code == Code::invalid_argument);
        CHECK(refused_with("unknown device option"));
        CHECK(refused_with("vision=device|cpu"));
    }
}

TEST_CASE("a strict spec that is followed to the letter loads") {
    const char* spec = GENERATE("cpu", "auto,layers=0", "sim:4MiB", "sim:4MiB,layers=2,kv=cpu", "sim:2x4MiB,layers=3,shares=1:0",
                                "sim:3x4MiB", "sim:4MiB,layers=0", "sim:4MiB,layers=auto");
    INFO(spec);
    const auto model = try_load(make_runtime(), tiny_llama(2).file(seed()), std::string(spec) + ",strict=on");
    INFO(error_record().message);
    CHECK(model);
}

TEST_CASE("a deterministic spec refuses a split whose sums depend on it") {
    const std::string file = tiny_llama(2).file(seed());
    CHECK_FALSE(try_load(make_runtime(), file, "sim:2x4MiB,split=tensor,deterministic=on"));
    CHECK(error_record().code == Code::placement);
    CHECK(refused_with("use split=layer"));
    for (const char* spec : {"cpu,deterministic=on", "sim:2x4MiB,deterministic=on", "auto,deterministic=on"})
        CHECK(try_load(make_runtime(), file, spec));
}

// `ref` as a backend that cannot promise deterministic results.
int32_t compile_any_order(hearth_device* device, const hearth_graph* graph, const hearth_bindings* bindings, hearth_program_bytes* bytes,
                          hearth_program** program, hearth_fault* fault) {
    if (!graph->deterministic) return hearth_backend_ref()->compile(device, graph, bindings, bytes, program, fault);
    *fault = {};
    std::snprintf(fault->message, sizeof fault->message, "sums in any order");
    return static_cast<int32_t>(Code::placement);
}

TEST_CASE("a deterministic spec is refused at the load where a backend cannot promise it") {
    const std::string file = tiny_llama(2).file(seed());
    hearth_backend table = *hearth_backend_ref();
    table.name = "anyorder";
    table.compile = compile_any_order;
    RuntimeOptions options;
    options.n_thread = 1;
    options.extra_backends = {&table};
    auto runtime = Runtime::make(options);
    REQUIRE(runtime);
    CHECK(try_load(*runtime, file, "anyorder"));
    CHECK_FALSE(try_load(*runtime, file, "anyorder,deterministic=on"));
    CHECK(error_record().code == Code::placement);
    CHECK(refused_with("anyorder:0: sums in any order"));
}

// A model with matrices of that type; gives its path.
std::string write_random_model(const char* type) {
    SparseModel shape;
    shape.name = "deterministic";
    shape.random = true;
    shape.n_layer = 2;
    shape.n_embd = shape.n_ff = 256;
    shape.n_head = 4;
    shape.n_head_kv = 2;
    shape.n_vocab = TinyModel::kVocab;
    const std::string plain = shape.write(), path = temp_path(std::string("deterministic-") + type + ".gguf");
    QuantizeOptions quantize;
    quantize.type = type;
    REQUIRE(quantize_file(*make_runtime(), plain, path, quantize));
    unlink(plain.c_str());
    return path;
}

TEST_CASE("batches, neighbours, threads and layers per device do not change a bit of the logits") {
    const char* type = GENERATE("F32", "F16", "BF16", "Q4_0", "Q8_0", "Q5_1", "Q4_K", "Q6_K", "Q2_K", "IQ4_XS", "MXFP4");
    INFO(type << ", HEARTH_TEST_SEED=" << seed());
    const std::string path = write_random_model(type);
    const Logits want = logits_in_pieces(path, "cpu,deterministic=on", 1, 600, 1);
    CHECK(want[0] != want[1]);
    struct Way {
        const char* device;
        int32_t n_thread, n_batch, n_seq;
    };
    for (const Way& way : {Way{"cpu", 3, 600, 1}, Way{"cpu", 2, 1, 1}, Way{"cpu", 1, 7, 1}, Way{"cpu", 2, 64, 1}, Way{"cpu", 3, 33, 3},
                           Way{"sim:2x64MiB,layers=2", 2, 100, 1}}) {
        INFO(way.device << ", " << way.n_thread << " threads, batches of " << way.n_batch << ", " << way.n_seq << " sequences");
        CHECK(logits_in_pieces(path, std::string(way.device) + ",deterministic=on", way.n_thread, way.n_batch, way.n_seq) == want);
    }
    unlink(path.c_str());
}

TEST_CASE("where a level has tiles, batches change no bit of the logits of a deterministic spec, and some of another") {
    const std::string path = write_random_model("Q4_K");
    const ScopedVariable forced("HEARTH_CPU_LEVEL", "generic-tiles");
    const Logits want = logits_in_pieces(path, "cpu,deterministic=on", 1, 600, 1);
    CHECK(logits_in_pieces(path, "cpu,deterministic=on", 2, 9, 1) == want);
    CHECK(logits_in_pieces(path, "cpu", 2, 600, 1) != want);
    unlink(path.c_str());
}

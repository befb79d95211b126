// Weights that stay in the file's memory: the same bits as copies of them, no allocation, and the same refusals.
#include <cstdio>
#include <memory>

#include "format/gguf.hpp"
#include "quant/format.hpp"
#include "runtime/context_support.hpp"
#include "runtime/plan.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

constexpr int64_t kVocab = 77, kWidth = 256, kHidden = 512;  // rows that end within a panel; whole blocks of every format

TensorInfo tensor(const std::string& name, Format format, const std::vector<int64_t>& shape) {
    TensorInfo t;
    t.name = name;
    t.format = shape.size() == 1 ? Format::F32 : format;
    t.n_dim = static_cast<int32_t>(shape.size());
    for (std::size_t i = 0; i < shape.size(); ++i) t.shape[i] = shape[i];
    return t;
}

// A llama of two layers, its matrices in one format; with experts in both layers, or without.
std::string quantised_model(Format format, int64_t n_expert) {
    GgufContent c;
    const auto number = [&](const char* key, int64_t value) { c.metadata[std::string("llama.") + key] = value; };
    const auto add = [&](const std::string& name, const std::vector<int64_t>& shape) { c.tensors.push_back(tensor(name, format, shape)); };
    c.metadata["general.architecture"] = std::string("llama");
    c.metadata["llama.attention.layer_norm_rms_epsilon"] = double{1e-5f};
    number("context_length", 512), number("embedding_length", kWidth), number("block_count", 2), number("feed_forward_length", kHidden);
    number("attention.head_count", 4), number("attention.head_count_kv", 2);
    if (n_expert > 0) number("expert_count", n_expert), number("expert_used_count", 2);
    add("token_embd.weight", {kVocab, kWidth});  // the output too: read by row and multiplied
    add("output_norm.weight", {kWidth});
    for (int layer = 0; layer < 2; ++layer) {
        const std::string p = "blk." + std::to_string(layer) + ".";
        for (const char* norm : {"attn_norm.weight", "ffn_norm.weight"}) add(p + norm, {kWidth});
        for (const char* name : {"attn_q.weight", "attn_output.weight"}) add(p + name, {kWidth, kWidth});
        for (const char* name : {"attn_k.weight", "attn_v.weight"}) add(p + name, {kWidth / 2, kWidth});
        if (n_expert > 0) add(p + "ffn_gate_inp.weight", {n_expert, kWidth});
        const auto matrix = [&](const char* name, int64_t n_out, int64_t n_in) {
            if (n_expert > 0)
                add(p + name + "_exps.weight", {n_expert, n_out, n_in});
            else
                add(p + name + ".weight", {n_out, n_in});
        };
        matrix("ffn_gate", kHidden, kWidth), matrix("ffn_up", kHidden, kWidth), matrix("ffn_down", kWidth, kHidden);
    }
    Random random(seed());
    std::string bytes;
    const auto data = [&](const TensorInfo& t, const ByteSink& out) -> Status {
        const auto n = static_cast<std::size_t>(t.n_row() * t.row_width());
        std::vector<float> values = random.normals(n, t.n_dim == 1 ? 0.1f : 1 / std::sqrt(static_cast<float>(t.row_width())));
        if (t.n_dim == 1)
            for (float& v : values) v += 1;
        std::vector<uint8_t> coded(row_bytes(*find_format(static_cast<int32_t>(t.format)), n));
        encode(t.format, values.data(), coded.data(), n);
        return out(coded.data(), coded.size());
    };
    const Status written = write_gguf(c, data, [&](const void* src, std::size_t n) -> Status {
        bytes.append(static_cast<const char*>(src), n);
        return {};
    });
    REQUIRE(written);
    return bytes;
}

// A file's bytes so that reading past the last one is seen, at an address that nothing is aligned to.
struct Block {
    std::unique_ptr<char[]> memory;
    const char* data;
    std::size_t size;
    explicit Block(const std::string& file) : memory(new char[file.size() + 3]), data(memory.get() + 3), size(file.size()) {
        std::copy(file.begin(), file.end(), memory.get() + 3);
    }
};

std::shared_ptr<Model> load(const std::shared_ptr<Runtime>& runtime, std::unique_ptr<TensorSource> source, const std::string& device,
                            bool in_place) {
    ModelOptions options;
    options.device = device;
    options.in_place = in_place;
    auto model = Model::load(runtime, std::move(source), options);
    INFO(error_record().message);
    REQUIRE(model);
    return *model;
}
std::shared_ptr<Model> load(const Block& block, const std::string& device, bool in_place) {
    auto source = open_model_memory(block.data, block.size);
    REQUIRE(source);
    return load(make_runtime(), std::move(*source), device, in_place);
}
std::shared_ptr<Model> load(const std::string& path, const std::string& device, bool in_place) {
    auto source = open_model_path(path, in_place ? FileMode::mmap : FileMode::pread);
    REQUIRE(source);
    return load(make_runtime(), std::move(*source), device, in_place);
}

// Logits of prompts of several lengths, each followed by a single token; the order of a kernel's paths.
Logits logits_of(const std::shared_ptr<Model>& model, const std::vector<int>& lengths = {1, 3, 40}) {
    ContextOptions options;
    options.n_ctx = 128;
    options.n_batch = 64;
    auto context = make_context(model, options);
    INFO(error_record().message);
    REQUIRE(context);
    const auto n_vocab = static_cast<std::size_t>(model->hparams().n_vocab);
    Random random(seed());
    Logits all;
    for (const int length : lengths)
        for (const int n : {length, 1}) {
            std::vector<int32_t> tokens(static_cast<std::size_t>(n));
            for (int32_t& t : tokens) t = static_cast<int32_t>(random.below(n_vocab));
            Batch batch;
            batch.n_token = n;
            batch.token = tokens.data();
            const auto outcome = (*context)->decode(batch);
            INFO(error_record().message);
            REQUIRE(outcome);
            const float* row = (*context)->logits(0);
            all.insert(all.end(), row, row + n_vocab);
        }
    return all;
}

uint64_t matrix_bytes(const Model& model) {
    uint64_t bytes = 0;
    for (const TensorInfo& t : model.source().tensors()) bytes += t.n_dim > 1 ? t.bytes : 0;
    return bytes;
}
uint64_t vector_room(const Model& model) {  // copies in float32, each at a multiple of 64 bytes
    uint64_t bytes = 0;
    for (const TensorInfo& t : model.source().tensors())
        if (t.n_dim == 1) bytes += (static_cast<uint64_t>(t.row_width()) * 4 + 63) / 64 * 64;
    return bytes;
}

}  // namespace

TEST_CASE("weights of every format that stay in the file's memory give the bits of copies, and nothing is allocated for matrices") {
    INFO("HEARTH_TEST_SEED=" << seed());
    for (const FormatInfo& format : kFormats)
        for (const int64_t n_expert : {0, 4}) {
            INFO(format.name << ", " << n_expert << " experts");
            const Block file(quantised_model(format.format, n_expert));
            const auto copied = load(file, "cpu", false), stays = load(file, "cpu", true);
            CHECK(logits_of(stays) == logits_of(copied));
            REQUIRE(stays->parts().size() == 1);
            CHECK(stays->parts()[0].mapped_bytes == matrix_bytes(*stays));
            CHECK(stays->weight_bytes() == vector_room(*stays));
            CHECK(copied->parts()[0].mapped_bytes == 0);
            CHECK(stays->parts()[0].token_bytes <= copied->parts()[0].token_bytes);
        }
}

TEST_CASE("at levels without vector instructions and with tiles, too, they give the bits of copies") {
    INFO("HEARTH_TEST_SEED=" << seed());
    const char* level = GENERATE("generic", "generic-tiles");
    const Format format = GENERATE(Format::F16, Format::Q4_0, Format::Q6_K);
    INFO(level << ", format " << static_cast<int>(format));
    const ScopedVariable forced("HEARTH_CPU_LEVEL", level);
    for (const int64_t n_expert : {0, 4}) {
        const Block file(quantised_model(format, n_expert));
        CHECK(logits_of(load(file, "cpu", true), {1, 40}) == logits_of(load(file, "cpu", false), {1, 40}));
    }
}

TEST_CASE("mapped files of every architecture give the bits of copies") {
    for (const char* name : {"llama-dense", "llama-tied", "gemma3-dense", "gpt2-dense", "lfm2-dense", "deepseek2-moe", "gpt-oss-moe"}) {
        const std::string path = fixture(std::string("arch/") + name + ".gguf");
        if (path.empty()) return skip(std::string("fixture arch/") + name + " is absent");
        INFO(name);
        const auto stays = load(path, "cpu", true);
        CHECK(stays->parts()[0].mapped_bytes > stays->weight_bytes());
        CHECK(logits_of(stays) == logits_of(load(path, "cpu", false)));
    }
}

TEST_CASE("devices that cannot use the file's memory copy, and the CPU beside them does not") {
    INFO("HEARTH_TEST_SEED=" << seed());
    const Block file(quantised_model(Format::Q4_K, 4));
    const char* spec = GENERATE("sim:64MiB", "sim:64MiB,layers=1", "sim:64MiB,experts=cpu", "cpu,sim:64MiB,split=tensor,shares=1:1",
                                "sim:64MiB,cpu,split=tensor,shares=1:1", "cpu,sim:64MiB,split=tensor,shares=1:1,experts=cpu");
    INFO(spec);
    const auto copied = load(file, spec, false), stays = load(file, spec, true);
    CHECK(logits_of(stays) == logits_of(copied));
    for (std::size_t d = 0; d < stays->parts().size(); ++d) {
        const WeightPart &in_place = stays->parts()[d], &all = copied->parts()[d];
        const bool host = stays->placement().devices[d]->spec() == "cpu";
        const bool mapped = in_place.mapped_bytes > 0;
        CHECK(mapped == (host && all.bytes > 0));
        CHECK(in_place.bytes <= all.bytes);
        if (!host) CHECK(in_place.bytes == all.bytes);
    }
}

TEST_CASE("a plan says what stays in the file, and the load takes what it says") {
    const Block file(quantised_model(Format::Q5_K, 0));
    const auto runtime = make_runtime();
    ModelOptions options;
    options.device = "cpu";
    options.in_place = true;
    auto source = open_model_memory(file.data, file.size);
    REQUIRE(source);
    ContextOptions context;
    context.n_ctx = 64;
    uint64_t planned = 0;
    {
        const auto model = Model::open(runtime, std::move(*source), options);
        REQUIRE(model);
        const auto plan = make_plan(**model, context);
        REQUIRE(plan);
        CHECK(plan->devices[0].mapped_bytes == matrix_bytes(**model));
        CHECK(plan->devices[0].weight_bytes == vector_room(**model));
        planned = plan->total();
    }
    source = open_model_memory(file.data, file.size);
    const auto model = load(runtime, std::move(*source), "cpu", true);
    {
        const auto made = make_context(model, context);
        REQUIRE(made);
        CHECK(runtime->memory().now == planned);
        const auto placed = placement_report(*model);
        REQUIRE(placed);
        CHECK(placed->devices[0].mapped_bytes == matrix_bytes(*model));
    }
    model->unload_weights();
    CHECK(runtime->memory().now == 0);
    const auto again = model->load_again(context);
    CHECK(again);
    CHECK(logits_of(model) == logits_of(load(file, "cpu", false)));
}

TEST_CASE("a mapped file that ends too early is refused with a sentence, not read") {
    const std::string file = quantised_model(Format::Q8_0, 0), path = temp_path("cut.gguf");
    write_bytes(path, file.data(), file.size() - 1);
    CHECK_FALSE(open_model_path(path, FileMode::mmap));
    CHECK(error_record().code == Code::bad_file);
    CHECK(refused_with("truncated download?"));
    std::remove(path.c_str());
}

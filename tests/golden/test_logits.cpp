// Every architecture against expected logits, on every backend: in one batch, token by token, and split in two.
#include "golden/fixture_logits.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

void check_fixture(const char* name, const char* device) {
    const std::string base = std::string("arch/") + name;
    const std::string path = test::fixture(base + ".gguf");
    if (path.empty()) return test::skip(std::string("fixture arch/") + name + " is absent");
    const auto model = load_fixture(path, device);
    const auto tokens = read_tokens(test::fixture(base + ".tokens.txt"));
    const auto expected = read_floats(test::fixture(base + ".logits.f32"));
    for (std::size_t step : {tokens.size(), std::size_t{1}, tokens.size() / 2 - 3, std::size_t{7}}) {
        const auto got = run(model, tokens, step);
        REQUIRE(got.size() == expected.size());
        INFO("pieces of " << step);
        CHECK(nmse(got, expected) < bar(name, device));
    }
}

}  // namespace

TEST_CASE("logits of every architecture equal the expected ones, however the tokens are split") {
    const char* device = GENERATE("ref", "cpu");
    for (const char* name : kFixtures) {
        DYNAMIC_SECTION(name << " on " << device) { check_fixture(name, device); }
    }
}

TEST_CASE("at every number of layers on every number of devices, the logits of four kinds of model are those of the CPU") {
    for (const char* name : {"llama-dense", "gpt-oss-moe", "lfm2-dense", "deepseek2-moe"}) {
        const std::string path = test::fixture(std::string("arch/") + name + ".gguf");
        if (path.empty()) return test::skip(std::string("fixture arch/") + name + " is absent");
        const auto tokens = read_tokens(test::fixture(std::string("arch/") + name + ".tokens.txt"));
        int32_t n_layer = 0;
        const auto logits_on = [&](const std::string& device) {
            const auto model = load_fixture(path, device);
            n_layer = model->hparams().n_layer;
            return run(model, tokens, tokens.size() / 2 + 1);
        };
        const auto want = logits_on("cpu");
        for (const char* devices : {"sim:64MiB", "sim:2x64MiB", "sim:3x64MiB", "sim:4x64MiB"})
            for (const char* kv : {"device", "cpu"})
                for (int32_t layers = 0; layers <= n_layer + 1; ++layers) {
                    INFO(name << " " << devices << " kv " << kv << " layers " << layers);
                    // The kernels are the same and no sum is cut: bit for bit.
                    CHECK(logits_on(std::string(devices) + ",kv=" + kv + ",layers=" + std::to_string(layers)) == want);
                }
    }
}

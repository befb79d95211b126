// Every architecture with its layers spread over several devices, against the logits of one.
#include "golden/fixture_logits.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

// The ranks' sums are added up in another order, and that is all that differs: float32 noise, under the fixtures' own bar. A
// GELU that is a step function (see bar()) may tip over either way.
double bar_of_split(const std::string& name) {
    return name == "gpt2-dense" ? 1e-9 : name.rfind("gemma", 0) == 0 ? 1e-10 : 1e-12;
}

}  // namespace

TEST_CASE("spread over two, three and four devices, every architecture gives the logits of one") {
    for (const char* name : kFixtures) {
        DYNAMIC_SECTION(name) {
            const std::string path = fixture(std::string("arch/") + name + ".gguf");
            if (path.empty()) return skip(std::string("fixture arch/") + name + " is absent");
            const auto tokens = read_tokens(fixture(std::string("arch/") + name + ".tokens.txt"));
            const auto want = run(load_fixture(path, "cpu"), tokens, tokens.size() / 2 + 1);
            for (const char* devices : {"sim:2x64MiB", "sim:3x64MiB,shares=3:1:2", "sim:4x64MiB", "cpu,sim:64MiB,shares=1:1"}) {
                const std::string spec = format_text("{},split=tensor", devices);
                INFO(name << " on " << spec);
                const double error = nmse(run(load_fixture(path, spec), tokens, tokens.size() / 2 + 1), want);
                CHECK(error < bar_of_split(name));
                CHECK(error > 0);  // some sum was cut: the layers are spread
            }
        }
    }
}

TEST_CASE("at every number of spread layers, with the cache on the devices or not, four kinds of model give the logits of the CPU") {
    for (const char* name : {"llama-dense", "gpt-oss-moe", "lfm2-dense", "deepseek2-moe"}) {
        const std::string path = fixture(std::string("arch/") + name + ".gguf");
        if (path.empty()) return skip(std::string("fixture arch/") + name + " is absent");
        const auto tokens = read_tokens(fixture(std::string("arch/") + name + ".tokens.txt"));
        const auto whole = load_fixture(path, "cpu");
        const auto want = run(whole, tokens, tokens.size() / 2 + 1);
        for (int n_device : {2, 3, 4})
            for (const char* more : {"", ",kv=cpu", ",experts=cpu"})
                for (int32_t layers = 0; layers <= whole->hparams().n_layer + 1; ++layers) {
                    const std::string spec = format_text("sim:{}x64MiB,split=tensor,layers={}{}", n_device, layers, more);
                    INFO(name << " on " << spec);
                    CHECK(nmse(run(load_fixture(path, spec), tokens, tokens.size() / 2 + 1), want) < bar_of_split(name));
                }
    }
}

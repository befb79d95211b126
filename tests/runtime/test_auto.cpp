// What "auto" makes of several accelerators and of a host that is short of memory.
#include <unistd.h>

#include "base/platform.hpp"
#include "device/sim/sim.hpp"
#include "plan/sparse_model.hpp"
#include "runtime/context_support.hpp"
#include "runtime/plan.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

// Two accelerators that a host registers, simulated: the second reads its memory three times as fast. Each has HEARTH_TEST_ROOM.
#define HEARTH_TEST_ROOM "4MiB"
int32_t count_two(const hearth_host*, int32_t* n, hearth_fault*) {
    *n = 2;
    return 0;
}
int32_t open_of_two(const hearth_host* host, int32_t index, const char*, hearth_device** device, hearth_fault* fault) {
    return hearth_backend_sim()->open(host, index, "2x" HEARTH_TEST_ROOM ";memory=10GB/s:30GB/s", device, fault);
}
hearth_backend two_accelerators() {
    hearth_backend table = *hearth_backend_sim();
    table.name = "twin";
    table.device_count = count_two;
    table.open = open_of_two;
    return table;
}

Result<std::shared_ptr<Model>> load_on(const hearth_backend* backend, const std::string& file, const std::string& spec) {
    RuntimeOptions options;
    options.n_thread = 1;
    options.extra_backends = {backend};
    HEARTH_TRY(auto runtime, Runtime::make(options));
    HEARTH_TRY(auto source, open_model_memory(file.data(), file.size()));
    ModelOptions model;
    model.device = spec;
    return Model::load(runtime, std::move(source), model);
}

int32_t layers_on(const Model& model, const std::string& device) {
    const Placement& p = model.placement();
    int32_t n = 0;
    for (int32_t d = 0; d < p.n_device(); ++d)
        for (int32_t layer = 0; layer <= model.hparams().n_layer; ++layer)
            n += p.devices[static_cast<std::size_t>(d)]->spec() == device && p.has(d, layer);
    return n;
}

}  // namespace

TEST_CASE("auto, strictly, may leave a slower accelerator empty, as named devices may not be") {
    const hearth_backend twin = two_accelerators();
    const std::string file = tiny_llama(2).file(seed());
    for (const char* spec : {"auto,reserve=0", "auto,reserve=0,strict=on"}) {
        const auto model = load_on(&twin, file, spec);
        INFO(spec << ": " << error_record().message);
        REQUIRE(model);
        CHECK(layers_on(**model, "twin:1") == 3);
        CHECK(layers_on(**model, "twin:0") == 0);
    }
    CHECK(load_on(&twin, file, "twin:0,twin:1,reserve=0"));
    CHECK_FALSE(load_on(&twin, file, "twin:0,twin:1,layers=3,shares=0.0001:1,reserve=0,strict=on"));
    CHECK(error_record().code == Code::placement);
    CHECK_FALSE(load_on(&twin, file, "auto,layers=auto,reserve=" HEARTH_TEST_ROOM ",strict=on"));  // no room on any
    CHECK(error_record().code == Code::placement);
}

TEST_CASE("layers=auto puts as many on a device as fit, although the host could not hold what few would leave to it") {
    constexpr uint64_t kGiB = uint64_t{1} << 30;
    const uint64_t available = os::available_bytes();
    if (available < 4 * kGiB) return skip("a short host: less than 4 GiB of memory are available");
    SparseModel shape;  // 33 layers of 126 MB
    shape.name = "short-host";
    shape.n_layer = 32, shape.n_embd = 2048, shape.n_ff = 8192, shape.n_head = 32, shape.n_head_kv = 8;
    const std::string path = shape.write();
    // It leaves the host 1.5 GiB, which is 12 layers, and the device 3 GiB, which is 25.
    const uint64_t reserve = available - 3 * kGiB / 2;
    auto source = open_model_path(path, FileMode::pread);
    ::unlink(path.c_str());
    REQUIRE(source);
    RuntimeOptions options;
    options.n_thread = 1;
    auto runtime = Runtime::make(options);
    REQUIRE(runtime);
    ModelOptions where;
    where.device = format_text("sim:{}B,layers=auto,reserve={}B", reserve + 3 * kGiB, reserve);
    where.context.emplace().n_ctx = 256;
    const auto model = Model::open(*runtime, std::move(*source), where);
    INFO(error_record().message);
    REQUIRE(model);
    const auto plan = make_plan(**model, *where.context);
    INFO(error_record().message);
    REQUIRE(plan);
    CHECK(plan->n_layer >= 20);
    CHECK(plan->n_layer <= 27);
    CHECK(plan->fits());
}

// Simulated devices: limits, counts and guarded memory as their options say, and the same logits as the CPU.
#include <atomic>
#include <csignal>
#include <cstring>
#include <thread>
#ifndef _WIN32
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "base/platform.hpp"
#include "device/sim/sim.hpp"
#include "runtime/context_support.hpp"

using namespace hearth;
using namespace hearth::test;

namespace {

constexpr int32_t kOomDevice = static_cast<int32_t>(Code::oom_device);

// A host of one thread.
hearth_host host() {
    hearth_host h{};
    h.size = sizeof h;
    h.allocate = [](void*, std::size_t, std::size_t) -> void* { return nullptr; };  // the device's memory is its own
    h.free = [](void*, void*, std::size_t, std::size_t) {};
    h.log = [](void*, int32_t, const char*) {};
    h.now_ns = [](void*) { return os::now_ns(); };
    h.n_thread = 1;
    h.parallel = [](void*, int64_t n, void (*fn)(void*, int64_t, int32_t), void* context, int32_t (*stop)(void*)) {
        int64_t i = 0;
        for (; i < n && !(stop && stop(context)); ++i) fn(context, i, 0);
        return i;
    };
    h.burst = [](void*, int32_t) {};
    return h;
}

// One simulated device behind its bare table.
struct Sim {
    const hearth_backend& table = *hearth_backend_sim();
    hearth_host services = host();
    hearth_device* device = nullptr;
    hearth_fault fault{};
    int32_t code;

    explicit Sim(const char* options, int32_t index = 0) : code(table.open(&services, index, options, &device, &fault)) {}
    Sim(const Sim&) = delete;
    Sim& operator=(const Sim&) = delete;
    ~Sim() {
        if (device) table.close(device);
    }
    hearth_buffer* alloc(uint64_t bytes) {
        hearth_buffer* buffer = nullptr;
        fault = {};
        code = table.alloc(device, bytes, "weights", &buffer, &fault);
        return buffer;
    }
    hearth_backend_device describe() {
        hearth_backend_device d{};
        REQUIRE(table.describe(device, &d, &fault) == 0);
        return d;
    }
    bool says(const char* words) const {
        INFO(fault.message);
        CHECK(std::string(fault.message).find(words) != std::string::npos);
        return std::string(fault.message).find(words) != std::string::npos;
    }
};

}  // namespace

TEST_CASE("sim options name the devices and what they have") {
    struct Row {
        const char *options, *name;
        int32_t index;
        uint64_t total, free;
    };
    constexpr uint64_t kGiB = uint64_t{1} << 30;
    const Row row = GENERATE(
        Row{"", "sim device 0 of 1, 1.0 GiB", 0, kGiB, kGiB}, Row{"2x4GiB", "sim device 1 of 2, 4.0 GiB", 1, 4 * kGiB, 4 * kGiB},
        Row{"65536", "sim device 0 of 1, 64.0 KiB", 0, 65536, 65536},
        Row{"4KB;latency=1.5us", "sim device 0 of 1, 3.9 KiB", 0, 4000, 4000},
        Row{"free=2MiB", "sim device 0 of 1, 1.0 GiB", 0, kGiB, 2 << 20}, Row{"1000B", "sim device 0 of 1, 1000 bytes", 0, 1000, 1000},
        Row{"16x4.5GiB;fail=2;free=3GiB", "sim device 15 of 16, 4.5 GiB", 15, 9 * kGiB / 2, 3 * kGiB});
    Sim sim(row.options, row.index);
    INFO(sim.fault.message);
    REQUIRE(sim.code == 0);
    const hearth_backend_device d = sim.describe();
    CHECK(std::string(d.name) == row.name);
    CHECK(std::string(d.id) == "sim:" + std::to_string(row.index));
    CHECK(d.total_bytes == row.total);
    CHECK(d.free_bytes == row.free);
}

TEST_CASE("sim options that make no sense are refused with the word and what is known") {
    struct Row {
        const char *options, *said;
    };
    const Row row =
        GENERATE(Row{"4GiB;lnk=8GB/s", "did you mean 'link'"}, Row{"4GiB;lnk=8GB/s", "known are"}, Row{"big", "unknown word 'big'"},
                 Row{"4GiB;", "unknown word ''"}, Row{";4GiB", "unknown word ''"}, Row{"=4", "unknown word '=4'"},
                 Row{"4Gib", "expected a size"}, Row{"free=1MiB;4GiB", "as the first word"}, Row{"0", "expected a size"},
                 Row{"17x1GiB", "at most 16"}, Row{"0x1GiB", "expected a size"}, Row{"0.5B", "expected a size"},
                 Row{"99999999TiB", "expected a size"}, Row{"1.5x4GiB", "expected a size"}, Row{"99999999999999999999999", "expected"},
                 Row{"1GiB;2GiB", "unknown word '2GiB'"}, Row{"fail=1;fail=2", "'fail' comes twice"}, Row{"fail=0", "from 1"},
                 Row{"fail=", "from 1"}, Row{"link=0GB/s", "8GB/s"}, Row{"link=8GB", "8GB/s"}, Row{"link=/s", "8GB/s"},
                 Row{"latency=-1us", "20us"}, Row{"compute=0", "0.5"}, Row{"compute=2", "at most 1"},
                 Row{"1GiB;free=2GiB", "cannot have"}, Row{"2x1GiB;memory=1GB/s:2GB/s:3GB/s", "3 values for 2 devices"},
                 Row{"1GiB;fail=1:2", "2 values for 1 devices"}, Row{"2x1GiB;fail=1:a", "'fail=1:a'"}, Row{"lost=0", "from 1"});
    Sim sim(row.options);
    CHECK(sim.code == static_cast<int32_t>(Code::invalid_argument));
    CHECK(sim.device == nullptr);
    sim.says(row.said);
}

TEST_CASE("sim options may differ by device, and an empty one is the default") {
    constexpr const char* kOptions = "3x8MiB;free=1MiB::3MiB;memory=1GB/s:2GB/s:;fail=:1:";
    constexpr uint64_t kFree[] = {1 << 20, 8 << 20, 3 << 20}, kRate[] = {1000000000, 2000000000, 0};
    for (int32_t i = 0; i < 3; ++i) {
        Sim sim(kOptions, i);
        INFO(sim.fault.message);
        REQUIRE(sim.code == 0);
        CHECK(sim.describe().free_bytes == kFree[i]);
        CHECK(sim.describe().bytes_per_second == kRate[i]);
        CHECK((sim.alloc(64) == nullptr) == (i == 1));
    }
}

TEST_CASE("there are as many sim devices as the options say") {
    for (const int32_t index : {-1, 2}) {
        Sim sim("2x1MiB", index);
        CHECK(sim.code == static_cast<int32_t>(Code::not_found));
        sim.says("make 2");
    }
}

TEST_CASE("a sim device gives no more than its free bytes and takes them back") {
    Sim sim("4MiB;free=3MiB");
    hearth_buffer* first = sim.alloc(3 << 19);
    REQUIRE(first);
    CHECK(sim.describe().free_bytes == 3 << 19);
    CHECK(sim.alloc(2 << 20) == nullptr);
    CHECK(sim.code == kOomDevice);
    CHECK(sim.fault.code == kOomDevice);
    CHECK(sim.fault.bytes_wanted == 2 << 20);
    CHECK(sim.fault.bytes_free == 3 << 19);
    CHECK(std::string(sim.fault.message) == "2.0 MiB for weights are wanted but 1.5 MiB of 4.0 MiB are free");
    CHECK(sim.alloc(UINT64_MAX) == nullptr);
    CHECK(sim.code == kOomDevice);
    hearth_buffer* rest = sim.alloc(3 << 19);  // to the last byte
    REQUIRE(rest);
    CHECK(sim.describe().free_bytes == 0);
    CHECK(sim.alloc(1) == nullptr);
    sim.table.free(sim.device, first);
    CHECK(sim.describe().free_bytes == 3 << 19);
    sim.table.free(sim.device, rest);
    sim.table.free(sim.device, nullptr);
    CHECK(sim.describe().free_bytes == 3 << 20);
    CHECK(sim::counters(sim.device).n_alloc == 5);
}

TEST_CASE("the allocation that the options choose fails once") {
    Sim sim("1MiB;fail=3");
    CHECK(sim.alloc(100));
    CHECK(sim.alloc(100));
    CHECK(sim.alloc(100) == nullptr);
    CHECK(sim.code == kOomDevice);
    CHECK(sim.fault.bytes_wanted == 100);
    sim.says("fail=3");
    CHECK(sim.alloc(100));
    CHECK(sim.describe().free_bytes == (1 << 20) - 300);
}

TEST_CASE("what moves to and from a sim device comes back and is counted") {
    Sim sim("1MiB");
    const hearth_place a{sim.alloc(1000), 8}, b{sim.alloc(500), 100};
    const std::vector<float> sent = Random(seed()).normals(64);
    std::vector<float> got(64);
    REQUIRE(sim.table.upload(sim.device, a, sent.data(), 256, &sim.fault) == 0);
    REQUIRE(sim.table.copy(sim.device, a, b, 256, &sim.fault) == 0);
    REQUIRE(sim.table.copy(sim.device, b, {b.buffer, 0}, 100, &sim.fault) == 0);  // inside one buffer
    REQUIRE(sim.table.download(sim.device, b, got.data(), 256, &sim.fault) == 0);
    REQUIRE(sim.table.download(sim.device, {b.buffer, 0}, got.data(), 100, &sim.fault) == 0);
    CHECK(got == sent);
    CHECK(sim.table.upload(sim.device, a, sent.data(), 1000, &sim.fault) < 0);  // does not fit, counts nothing
    const sim::Counters n = sim::counters(sim.device);
    CHECK(n.uploaded_bytes == 256);
    CHECK(n.copied_bytes == 356);
    CHECK(n.downloaded_bytes == 356);
    const std::string detail = sim.describe().detail;
    INFO(detail);
    CHECK(detail.find("up 256 down 356 copied 356 allocs 2 runs 0") != std::string::npos);
}

TEST_CASE("a buffer of one sim device is refused by another") {
    Sim one("2x1MiB", 0), two("2x1MiB", 1);
    const hearth_place place{one.alloc(64), 0};
    char byte = 1;
    CHECK(two.table.upload(two.device, place, &byte, 1, &two.fault) < 0);
    two.says("not one of this sim device");
    CHECK(two.table.copy(two.device, {two.alloc(64), 0}, place, 1, &two.fault) < 0);
    CHECK(one.table.upload(one.device, place, &byte, 1, &one.fault) == 0);
}

TEST_CASE("a slow link makes transfers take their time") {
    Sim sim("1MiB;link=1MB/s;latency=1ms");
    const std::vector<char> bytes(20000);
    const hearth_place place{sim.alloc(bytes.size()), 0};
    const int64_t begin = os::now_ns();
    for (int i = 0; i < 2; ++i) REQUIRE(sim.table.upload(sim.device, place, bytes.data(), bytes.size(), &sim.fault) == 0);
    CHECK(os::now_ns() - begin >= 42000000);  // twice 1 ms and 20 ms; how much more depends on the machine
}

TEST_CASE("weights uploaded to a sim device by many threads arrive whole", "[thread]") {
    constexpr int kThreads = 4, kWeights = 8;
    constexpr int64_t kRows = 64, kWidth = 32;
    Sim sim("2x16MiB", 1), other("2x16MiB", 0);
    const hearth_weight weight{HEARTH_FORMAT_F32, HEARTH_USE_LOOKUP, 2, {kRows * kThreads, kWidth, 0}};
    hearth_layout layout{};
    REQUIRE(sim.table.tensor_layout(sim.device, &weight, &layout, &sim.fault) == 0);
    const auto n = static_cast<std::size_t>(kRows * kThreads * kWidth);
    REQUIRE(layout.bytes == n * 4);
    const std::vector<float> rows = Random(seed()).normals(n);
    for (Sim* device : {&sim, &other}) {
        hearth_buffer* buffer = device->alloc(layout.bytes * kWeights);
        REQUIRE(buffer);
        std::atomic<int32_t> failed{0};
        std::vector<std::thread> threads;
        for (int t = 0; t < kThreads; ++t)
            threads.emplace_back([&, t] {
                hearth_fault fault{};
                for (uint64_t w = 0; w < kWeights; ++w)
                    failed += device->table.upload_weight(device->device, &weight, &layout, {buffer, w * layout.bytes}, t * kRows,
                                                          kRows, rows.data() + t * kRows * kWidth, &fault) < 0;
            });
        for (std::thread& thread : threads) thread.join();
        CHECK(failed == 0);
        std::vector<float> got(n);
        for (uint64_t w = 0; w < kWeights; ++w) {
            REQUIRE(device->table.download(device->device, {buffer, w * layout.bytes}, got.data(), n * 4, &device->fault) == 0);
            CHECK(got == rows);
        }
        CHECK(sim::counters(device->device).uploaded_bytes == n * 4 * kWeights);
    }
}

#ifndef _WIN32
namespace {

// The signal that ends a child process which reads (or writes) what p points to; 0 = none.
int signal_of(const void* p, bool write) {
    const pid_t child = fork();
    if (child == 0) {
        std::signal(SIGSEGV, SIG_DFL);  // the test program's handler would report a failed test
        std::signal(SIGBUS, SIG_DFL);
        auto* byte = static_cast<volatile char*>(const_cast<void*>(p));
        if (write)
            *byte = 1;
        else
            static_cast<void>(*byte);
        _exit(0);
    }
    int how = 0;
    REQUIRE(waitpid(child, &how, 0) == child);
    return WIFSIGNALED(how) ? WTERMSIG(how) : 0;
}

}  // namespace

TEST_CASE("the host crashes when it follows a pointer into device memory") {
    Sim sim("2x1MiB", 0), other("2x1MiB", 1);
    const hearth_place place{sim.alloc(4096), 0}, last{place.buffer, 4095};
    const char* address = static_cast<const char*>(sim::host_address(sim.device, place));
    REQUIRE(address);
    CHECK(sim::host_address(other.device, place) == nullptr);
    const char here = 1, two_bytes[2] = {};
    const auto guarded = [&] {
        for (const void* p : {static_cast<const void*>(address), sim::host_address(sim.device, last)})
            for (const bool write : {false, true}) {
                const int signal = signal_of(p, write);
                CHECK((signal == SIGSEGV || signal == SIGBUS));
            }
    };
    CHECK(signal_of(&here, false) == 0);  // the test itself can tell
    guarded();
    REQUIRE(sim.table.upload(sim.device, place, &here, 1, &sim.fault) == 0);
    guarded();  // closed again after a call
    CHECK(sim.table.upload(sim.device, last, two_bytes, 2, &sim.fault) < 0);
    guarded();  // and after one that failed
}
#endif

TEST_CASE("a model on a sim device gives the CPU's logits bit for bit") {
    const char* kind = GENERATE("full", "window", "recurrent");
    INFO(kind << " HEARTH_TEST_SEED=" << seed());
    const TinyModel tiny = std::string(kind) == "full"     ? tiny_llama()
                           : std::string(kind) == "window" ? tiny_window(20)
                                                           : tiny_recurrent();
    std::vector<Logits> logits;
    for (const char* device : {"cpu", "sim"}) {
        const Loaded loaded = load_model(tiny, device);
        const auto context = loaded.context(256, 2, 16);
        const Ids prompt = random_tokens(75, 1);
        logits.push_back(decode(*context, prompt));
        REQUIRE(context->copy(0, 1, 0, -1));  // shared pages are copied on the device when both go on
        logits.push_back(decode(*context, random_tokens(3, 2), 1));
        logits.push_back(decode(*context, random_tokens(3, 3), 0));
    }
    REQUIRE(logits.size() == 6);
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(logits[i] == logits[i + 3]);
        CHECK(std::memcmp(logits[i].data(), logits[i + 3].data(), logits[i].size() * sizeof(float)) == 0);
    }
}

TEST_CASE("unloading a model gives all memory of its sim device back") {
    auto runtime = Runtime::make({});
    REQUIRE(runtime);
    const std::string file = tiny_llama().file(seed());
    auto device = (*runtime)->device("sim");
    REQUIRE(device);
    const uint64_t before = (*device)->describe()->free_bytes;
    {
        ModelOptions options;
        options.device = "sim";
        auto source = open_model_memory(file.data(), file.size());
        REQUIRE(source);
        auto model = Model::load(*runtime, std::move(*source), options);
        REQUIRE(model);
        auto context = Context::make(*model, {});
        REQUIRE(context);
        const auto during = (*device)->describe();
        CHECK(during->free_bytes < before);
        CHECK(std::string(during->detail).find("up 0 ") == std::string::npos);
    }
    CHECK((*device)->describe()->free_bytes == before);
}

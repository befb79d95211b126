// Planned memory is there, zeroed and aligned, from pages and from a host's allocator, however large.
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <vector>

#include <unistd.h>

#include "runtime/runtime.hpp"
#include "support/catch.hpp"

using namespace hearth;

namespace {

constexpr std::size_t kMuch = (std::size_t{71} << 20) + 5;  // enough for several threads, and no whole number of their pieces

// A host's allocator that counts, fills what it gives with bits of NaN, and can fail or return what is not aligned.
struct Host {
    std::size_t n_live = 0, skew = 0;
    bool fails = false;
    std::vector<std::string> messages;
    static void* allocate(void* user, std::size_t bytes, std::size_t align) {
        auto& self = *static_cast<Host*>(user);
        if (self.fails) return nullptr;
        ++self.n_live;
        char* p = static_cast<char*>(std::aligned_alloc(align, (bytes + 2 * align - 1) / align * align));
        std::memset(p, 0xff, bytes);
        return p + self.skew;
    }
    static void free(void* user, void* p, std::size_t, std::size_t) {
        auto& self = *static_cast<Host*>(user);
        --self.n_live;
        std::free(static_cast<char*>(p) - self.skew);
    }
    static void log(void* user, int32_t, const char* message) { static_cast<Host*>(user)->messages.emplace_back(message); }
    std::shared_ptr<Runtime> runtime(int32_t n_thread) {
        RuntimeOptions options;
        options.n_thread = n_thread;
        options.allocator = {this, allocate, free};
        options.log = {this, log, LogLevel::info};
        auto made = Runtime::make(options);
        REQUIRE(made);
        return *made;
    }
};

bool all_zero(const HostMemory& memory) {
    for (std::size_t i = 0; i < memory.size(); ++i)
        if (memory.data()[i] != std::byte{0}) return false;
    return true;
}

std::size_t resident_bytes() {
    std::ifstream in("/proc/self/statm");
    std::size_t all = 0, resident = 0;
    in >> all >> resident;
    return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace

TEST_CASE("planned memory is zeroed and counted, from pages and from a host's allocator that returns what it likes", "[thread]") {
    Host host;
    for (const int32_t n_thread : {1, 3}) {
        RuntimeOptions pages;
        pages.n_thread = n_thread;
        const auto plain = Runtime::make(pages);
        REQUIRE(plain);
        for (const std::shared_ptr<Runtime>& runtime : {*plain, host.runtime(n_thread)})
            for (const std::size_t bytes : {std::size_t{1}, std::size_t{100001}, kMuch}) {
                const auto memory = runtime->host_memory(bytes, "test");
                REQUIRE(memory);
                CHECK(memory->size() == bytes);
                CHECK(reinterpret_cast<std::uintptr_t>(memory->data()) % 64 == 0);
                CHECK(all_zero(*memory));
                CHECK(runtime->memory().now == bytes);
                CHECK(runtime->memory().peak == bytes);
            }
    }
    CHECK(host.n_live == 0);
}

TEST_CASE("planned memory is there once it is had, not when it is first used") {
    RuntimeOptions options;
    options.n_thread = 2;
    const auto runtime = Runtime::make(options);
    REQUIRE(runtime);
    const std::size_t before = resident_bytes();
    const auto memory = (*runtime)->host_memory(kMuch, "test");
    REQUIRE(memory);
    CHECK(resident_bytes() >= before + kMuch - (std::size_t{1} << 20));  // other memory may have been given back
}

TEST_CASE("memory that a host's allocator does not give, or not aligned, is OOM_HOST and nothing leaks") {
    Host host;
    const auto runtime = host.runtime(2);
    host.fails = true;
    CHECK(runtime->host_memory(100, "KV cache").code() == Code::oom_host);
    CHECK(error_record().bytes_wanted == 100);
    CHECK(std::string_view(error_record().message).find("KV cache") == 0);
    CHECK(host.messages.empty());
    host.fails = false;
    host.skew = 4;
    CHECK(runtime->host_memory(100, "KV cache").code() == Code::oom_host);
    CHECK(host.n_live == 0);
    CHECK(runtime->memory().now == 0);
    REQUIRE(host.messages.size() == 1);
    CHECK(host.messages[0].find("not aligned to the 64 bytes") != std::string::npos);
}

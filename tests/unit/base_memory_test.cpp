// Pages, limits of the machine and the fork guard keep their promises.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "base/checksum.hpp"
#include "base/platform.hpp"
#include "support/catch.hpp"
#include "support/support.hpp"

using namespace hearth;

namespace {

// A tree of files that stands for /proc and /sys.
class FakeRoot {
  public:
    FakeRoot() : path_(test::temp_path("root")) { std::filesystem::remove_all(path_); }
    ~FakeRoot() { std::filesystem::remove_all(path_); }
    void put(const std::string& relative, const std::string& text) const {
        const std::filesystem::path full = path_ + relative;
        std::filesystem::create_directories(full.parent_path());
        std::ofstream(full) << text;
    }
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

}  // namespace

TEST_CASE("pages are zeroed and aligned as asked, or refused") {
    for (std::size_t bytes : {std::size_t{1}, std::size_t{4096}, std::size_t{100001}, std::size_t{9} << 20}) {
        for (std::size_t align : {std::size_t{1}, std::size_t{64}, std::size_t{4096}, std::size_t{1} << 16, std::size_t{4} << 20}) {
            std::byte* pages = os::reserve_pages(bytes, align);
            REQUIRE(pages);
            CHECK(reinterpret_cast<std::uintptr_t>(pages) % align == 0);
            CHECK(std::all_of(pages, pages + bytes, [](std::byte b) { return b == std::byte{0}; }));
            std::memset(pages, 1, bytes);
            os::release_pages(pages, bytes);
        }
    }
    for (std::size_t bytes : {std::size_t{0}, std::size_t{1} << 60, SIZE_MAX, SIZE_MAX - 4096})
        CHECK(os::reserve_pages(bytes, 64) == nullptr);
}

TEST_CASE("available memory is the least of what the system, a container of version 1 or 2 and its parents allow") {
    FakeRoot root;
    CHECK(os::available_bytes(root.path()) == 0);
    root.put("/proc/meminfo", "MemTotal:       9999999 kB\nMemAvailable:    1000 kB\n");
    CHECK(os::available_bytes(root.path()) == 1000 * 1024);
    root.put("/proc/self/cgroup", "5:cpu,memory:/old\n0::/a/b\n");
    root.put("/sys/fs/cgroup/a/b/memory.max", "max\n");
    root.put("/sys/fs/cgroup/a/b/memory.current", "5000\n");
    CHECK(os::available_bytes(root.path()) == 1000 * 1024);
    root.put("/sys/fs/cgroup/a/memory.max", "900000\n");
    root.put("/sys/fs/cgroup/a/memory.current", "500000\n");
    CHECK(os::available_bytes(root.path()) == 400000);
    root.put("/sys/fs/cgroup/a/memory.stat", "anon 400000\ninactive_file 100000\n");  // page cache can be taken back
    CHECK(os::available_bytes(root.path()) == 500000);
    root.put("/sys/fs/cgroup/memory/old/memory.limit_in_bytes", "300000\n");
    root.put("/sys/fs/cgroup/memory/old/memory.usage_in_bytes", "100000\n");
    CHECK(os::available_bytes(root.path()) == 200000);
    root.put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "100\n");
    root.put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "200\n");
    CHECK(os::available_bytes(root.path()) == 1);  // none, which is not "unknown"
}

TEST_CASE("cores are counted once per core and bounded by the container's quota") {
    FakeRoot root;
    const int n_allowed = os::n_physical_core(root.path());  // no topology: every hardware thread counts
    CHECK(n_allowed >= 1);
    for (int cpu = 0; cpu < 1024; ++cpu)
        root.put("/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/thread_siblings_list", "0-1023\n");
    CHECK(os::n_physical_core(root.path()) == 1);
    FakeRoot quota;
    quota.put("/proc/self/cgroup", "0::/a\n");
    quota.put("/sys/fs/cgroup/a/cpu.max", "max 100000\n");
    CHECK(os::n_physical_core(quota.path()) == n_allowed);
    quota.put("/sys/fs/cgroup/cpu.max", "50000 100000\n");
    CHECK(os::n_physical_core(quota.path()) == 1);
    quota.put("/sys/fs/cgroup/cpu.max", "150000 100000\n");
    CHECK(os::n_physical_core(quota.path()) == std::min(2, n_allowed));
}

TEST_CASE("the fork guard tells a child from its parent", "[fork]") {
    os::ForkGuard guard;
    CHECK(!guard.forked());
    const pid_t child = fork();
    if (child == 0) _exit(guard.forked() ? 3 : 4);
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    CHECK(WEXITSTATUS(status) == 3);
    CHECK(!guard.forked());
}

TEST_CASE("the checksum is FNV-1a, fed in any pieces") {
    Checksum none, whole, pieces;
    CHECK(none.value() == 0xcbf29ce484222325u);
    whole.add("foobar", 6);
    CHECK(whole.value() == 0x85944171f73967e8u);  // the published value
    pieces.add("foo", 3);
    pieces.add("", 0);
    pieces.add("bar", 3);
    CHECK(pieces.value() == whole.value());
}

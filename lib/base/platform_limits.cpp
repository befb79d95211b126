// How much memory and how many cores the system, the container and the limits of this process still allow.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>

#include "base/platform.hpp"

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#ifndef NOMINMAX
#define NOMINMAX  // MinGW's standard library defines it too
#endif
#include <windows.h>
#else
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>
#endif
#ifdef __linux__
#include <sched.h>
#endif

namespace hearth::os {

#ifdef _WIN32

uint64_t available_bytes(const std::string&) {
    MEMORYSTATUSEX status{};
    status.dwLength = sizeof status;
    if (!GlobalMemoryStatusEx(&status)) return 0;
    return std::max<uint64_t>(1, std::min<uint64_t>(status.ullAvailPhys, status.ullAvailPageFile));
}

int n_physical_core(const std::string&) {
    DWORD_PTR allowed = 0, all = 0;
    if (!GetProcessAffinityMask(GetCurrentProcess(), &allowed, &all)) return 1;
    SYSTEM_LOGICAL_PROCESSOR_INFORMATION info[256];
    DWORD bytes = sizeof info;
    if (!GetLogicalProcessorInformation(info, &bytes)) return 1;
    int n = 0;
    for (DWORD i = 0; i < bytes / sizeof info[0]; ++i)
        n += info[i].Relationship == RelationProcessorCore && (info[i].ProcessorMask & allowed) != 0;
    return std::max(n, 1);
}

#else

namespace {

constexpr uint64_t kNoLimit = UINT64_MAX;

struct Descriptor {
    const int file;
    ~Descriptor() {
        if (file >= 0) ::close(file);
    }
};

// Not by stdio, which needs memory of its own: where that ran out, a limit would seem to be absent.
std::string read_text(const std::string& path) {
    const Descriptor descriptor{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    std::string text;
    char piece[4096];
    for (ssize_t n = 1; n > 0 && descriptor.file >= 0;) {
        n = ::read(descriptor.file, piece, sizeof piece);
        if (n > 0) text.append(piece, static_cast<std::size_t>(n));
    }
    return text;
}

// The number after `key` at the start of a line; kNoLimit where the line is absent.
uint64_t field(const std::string& text, const char* key) {
    for (std::size_t at = 0; at < text.size();) {
        if (text.compare(at, std::strlen(key), key) == 0)
            return std::strtoull(text.c_str() + at + std::strlen(key), nullptr, 10);
        at = text.find('\n', at);
        if (at == std::string::npos) break;
        ++at;
    }
    return kNoLimit;
}

// A file that holds one number; "max", garbage and absence are kNoLimit.
uint64_t number(const std::string& path) {
    const std::string text = read_text(path);
    return text.empty() || text[0] < '0' || text[0] > '9' ? kNoLimit : std::strtoull(text.c_str(), nullptr, 10);
}

// Is `word` one of the comma-separated words? (The empty word is in the empty list.)
bool has_word(const std::string& list, const std::string& word) {
    for (std::size_t begin = 0; begin <= list.size();) {
        const std::size_t end = std::min(list.find(',', begin), list.size());
        if (list.compare(begin, end - begin, word) == 0) return true;
        begin = end + 1;
    }
    return false;
}

// This process's folder in a hierarchy: the line "id:controllers:/path" whose controllers contain `controller`
// (the line of version 2 has none).
std::string cgroup_path(const std::string& groups, const std::string& controller) {
    for (std::size_t begin = 0; begin < groups.size();) {
        const std::size_t end = std::min(groups.find('\n', begin), groups.size());
        const std::string line = groups.substr(begin, end - begin);
        const std::size_t first = line.find(':'), second = line.find(':', first + 1);
        if (first != std::string::npos && second != std::string::npos) {
            if (has_word(line.substr(first + 1, second - first - 1), controller)) return line.substr(second + 1);
        }
        begin = end + 1;
    }
    return "/";
}

// Calls visit(folder) for the process's group and each of its ancestors, the mount point last.
template <class Visit>
void for_each_ancestor(const std::string& mount, std::string path, Visit visit) {
    while (path.size() > 1) {
        visit(mount + path);
        const std::size_t slash = path.rfind('/');
        if (slash == std::string::npos) break;
        path.resize(slash);
    }
    visit(mount);
}

struct MemoryFiles {
    const char *limit, *usage, *reclaimable;
};
constexpr MemoryFiles kMemoryV2 = {"/memory.max", "/memory.current", "inactive_file "};
constexpr MemoryFiles kMemoryV1 = {"/memory.limit_in_bytes", "/memory.usage_in_bytes", "total_inactive_file "};

uint64_t cgroup_headroom(const std::string& folder, const MemoryFiles& files) {
    const uint64_t limit = number(folder + files.limit), usage = number(folder + files.usage);
    if (limit == kNoLimit || usage == kNoLimit) return kNoLimit;
    const uint64_t cache = field(read_text(folder + "/memory.stat"), files.reclaimable);
    const uint64_t used = cache == kNoLimit ? usage : usage - std::min(usage, cache);
    return limit - std::min(limit, used);
}

uint64_t limit_headroom(int resource, uint64_t used) {
    rlimit limit{};
    if (::getrlimit(resource, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY) return kNoLimit;
    return limit.rlim_cur - std::min<uint64_t>(limit.rlim_cur, used);
}

}  // namespace

uint64_t available_bytes(const std::string& root) {
    uint64_t least = kNoLimit;
    const uint64_t kib = field(read_text(root + "/proc/meminfo"), "MemAvailable:");
    if (kib != kNoLimit) least = kib * 1024;
    const std::string groups = read_text(root + "/proc/self/cgroup");
    for_each_ancestor(root + "/sys/fs/cgroup", cgroup_path(groups, ""),
                      [&](const std::string& f) { least = std::min(least, cgroup_headroom(f, kMemoryV2)); });
    for_each_ancestor(root + "/sys/fs/cgroup/memory", cgroup_path(groups, "memory"),
                      [&](const std::string& f) { least = std::min(least, cgroup_headroom(f, kMemoryV1)); });
    const std::string status = read_text(root + "/proc/self/status");
    const uint64_t mapped = field(status, "VmSize:"), data = field(status, "VmData:");
    if (mapped != kNoLimit) least = std::min(least, limit_headroom(RLIMIT_AS, mapped * 1024));
    if (data != kNoLimit) least = std::min(least, limit_headroom(RLIMIT_DATA, data * 1024));
    return least == kNoLimit ? 0 : std::max<uint64_t>(least, 1);
}

namespace {

// Cores that the container's quota amounts to, rounded up; kNoLimit without one.
uint64_t quota_cores(uint64_t quota_us, uint64_t period_us) {
    if (quota_us == kNoLimit || period_us == kNoLimit || period_us == 0) return kNoLimit;
    return std::max<uint64_t>(1, quota_us / period_us + (quota_us % period_us != 0));
}

uint64_t cgroup_cores(const std::string& root) {
    const std::string groups = read_text(root + "/proc/self/cgroup");
    uint64_t least = kNoLimit;
    for_each_ancestor(root + "/sys/fs/cgroup", cgroup_path(groups, ""), [&](const std::string& folder) {
        const std::string line = read_text(folder + "/cpu.max");  // "max 100000" or "150000 100000"
        const std::size_t space = line.find(' ');
        if (line.empty() || line[0] == 'm' || space == std::string::npos) return;
        least = std::min(least, quota_cores(std::strtoull(line.c_str(), nullptr, 10),
                                            std::strtoull(line.c_str() + space, nullptr, 10)));
    });
    for_each_ancestor(root + "/sys/fs/cgroup/cpu", cgroup_path(groups, "cpu"), [&](const std::string& folder) {
        least = std::min(least, quota_cores(number(folder + "/cpu.cfs_quota_us"), number(folder + "/cpu.cfs_period_us")));
    });
    return least;
}

}  // namespace

int n_physical_core(const std::string& root) {
    std::set<std::string> cores;  // the list of hardware threads of each core, or the CPU itself where not told
#ifdef __linux__
    constexpr std::size_t kMaxCpu = 8192;
    alignas(cpu_set_t) char set[kMaxCpu / 8] = {};
    if (::sched_getaffinity(0, sizeof set, reinterpret_cast<cpu_set_t*>(set)) == 0) {
        for (std::size_t cpu = 0; cpu < kMaxCpu; ++cpu) {
            if (!CPU_ISSET_S(cpu, sizeof set, reinterpret_cast<cpu_set_t*>(set))) continue;
            const std::string text = std::to_string(cpu);
            const std::string siblings =
                read_text(root + "/sys/devices/system/cpu/cpu" + text + "/topology/thread_siblings_list");
            cores.insert(siblings.empty() ? text + "\n" : siblings);
        }
    }
#endif
    uint64_t n = cores.size();
    if (n == 0) n = static_cast<uint64_t>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
    return static_cast<int>(std::min(n, cgroup_cores(root)));
}

#endif

}  // namespace hearth::os

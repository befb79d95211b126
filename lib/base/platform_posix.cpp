// The POSIX side of platform.hpp (Linux first; macOS and other systems get the portable subset).
#ifndef _WIN32
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/auxv.h>
#include <sys/syscall.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <new>
#include <system_error>
#include <type_traits>
#include <utility>

#include "base/platform.hpp"

namespace hearth::os {

int64_t now_ns() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return int64_t{t.tv_sec} * 1000000000 + t.tv_nsec;
}

int64_t local_seconds() {
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    return localtime_r(&now, &local) ? now + local.tm_gmtoff : now;
}

Failure fail_system(Code code, std::string_view name, const char* what, int error) {
    const std::string sentence = std::generic_category().message(error);
    Failure failure = fail(error == ENOMEM ? Code::oom_host : code, "{}: {}: {}", name, what, sentence);
    error_record().subcode = error;
    return failure;
}

File::File(File&& other) noexcept : handle_(other.handle_), size_(other.size_) { other.handle_ = -1; }

File& File::operator=(File&& other) noexcept {
    File old(std::move(*this));  // closed on return
    handle_ = std::exchange(other.handle_, -1);
    size_ = other.size_;
    return *this;
}

File::~File() {
    if (handle_ >= 0) ::close(static_cast<int>(handle_));
}

namespace {

// Calls again what a signal interrupts; -1 or nullptr says that something failed.
template <class F>
auto retried(F call) {
    for (;;) {
        const auto got = call();
        if constexpr (std::is_pointer_v<decltype(call())>) {
            if (got || errno != EINTR) return got;
        } else {
            if (got >= 0 || errno != EINTR) return got;
        }
    }
}

}  // namespace

Result<File> File::open_read(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // a FIFO must not block us
    if (fd < 0) {
        const Code code = errno == ENOENT || errno == ENOTDIR ? Code::not_found : Code::io;
        return fail_system(code, path, "cannot open", errno);
    }
    File file(fd);
    struct stat info {};
    if (::fstat(fd, &info) != 0) return fail_system(Code::io, path, "cannot read its size", errno);
    if (!S_ISREG(info.st_mode))
        return fail(Code::io, "{}: {} instead of a file", path,
                    S_ISDIR(info.st_mode) ? "is a directory" : "is a device or pipe");
    file.size_ = static_cast<uint64_t>(info.st_size);
    return file;
}

Result<File> File::create(const std::string& path) {
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) return fail_system(Code::io, path, "cannot create", errno);
    return File(fd);
}

constexpr std::size_t kMaxTransfer = std::size_t{1} << 30;  // Linux moves at most 2 GiB per call

Status File::read_at(uint64_t offset, void* dst, std::size_t n, std::string_view name) const {
    char* out = static_cast<char*>(dst);
    while (n > 0) {
        const ssize_t got = retried(
            [&] { return ::pread(static_cast<int>(handle_), out, std::min(n, kMaxTransfer), static_cast<off_t>(offset)); });
        if (got < 0) return fail_system(Code::io, name, "cannot read", errno);
        if (got == 0) return fail(Code::bad_file, "{}: ends at {} while it is read (truncated meanwhile?)", name, offset);
        out += got;
        offset += static_cast<uint64_t>(got);
        n -= static_cast<std::size_t>(got);
    }
    return {};
}

Status File::write(const void* src, std::size_t n, std::string_view name) {
    const char* in = static_cast<const char*>(src);
    while (n > 0) {
        const ssize_t done = retried([&] { return ::write(static_cast<int>(handle_), in, std::min(n, kMaxTransfer)); });
        if (done < 0) return fail_system(Code::io, name, "cannot write", errno);
        in += done;
        size_ += static_cast<uint64_t>(done);
        n -= static_cast<std::size_t>(done);
    }
    return {};
}

Status File::sync(std::string_view name) {
    if (::fsync(static_cast<int>(handle_)) != 0 && errno != EINVAL && errno != EROFS)
        return fail_system(Code::io, name, "cannot write", errno);
    return {};
}

Result<const std::byte*> File::map(std::string_view name) const {
    void* p = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, static_cast<int>(handle_), 0);
    if (p == MAP_FAILED) return fail_system(Code::io, name, "cannot map", errno);
    return static_cast<const std::byte*>(p);
}

void unmap(const std::byte* data, uint64_t n) { ::munmap(const_cast<std::byte*>(data), n); }

Status rename_over(const std::string& from, const std::string& to) {
    if (::rename(from.c_str(), to.c_str()) != 0) return fail_system(Code::io, to, "cannot replace", errno);
    return {};
}

void remove_file(const std::string& path) { ::unlink(path.c_str()); }

bool file_exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

uint64_t process_id() { return static_cast<uint64_t>(::getpid()); }

namespace {

std::size_t page_bytes() { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }
std::size_t round_up(std::size_t n, std::size_t to) { return (n + to - 1) / to * to; }

}  // namespace

bool touch_pages(std::byte* data, std::size_t n) {
    const std::size_t page = page_bytes();
    n = round_up(n, page);
#ifdef MADV_POPULATE_WRITE  // since Linux 5.14; fails as a value where touching would be killed
    if (::madvise(data, n, MADV_POPULATE_WRITE) == 0) return true;
    if (errno != EINVAL) return false;
#endif
    for (std::size_t i = 0; i < n; i += page) *reinterpret_cast<volatile char*>(data + i) = 0;
    return true;
}

std::byte* map_pages(std::size_t n, std::size_t align) {
    const std::size_t page = page_bytes();
    if (n >= 2 * kTouchBytes) align = std::max(align, kTouchBytes);
    align = std::max(align, page);
    if (n == 0 || n > SIZE_MAX - 2 * align - page) return nullptr;
    const std::size_t n_mapped = round_up(n, page), slack = align - page;
    void* p = ::mmap(nullptr, n_mapped + slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return nullptr;
    std::byte* begin = static_cast<std::byte*>(p);
    const std::size_t head = round_up(reinterpret_cast<std::uintptr_t>(p), align) - reinterpret_cast<std::uintptr_t>(p);
    if (head > 0) ::munmap(begin, head);
    if (slack > head) ::munmap(begin + head + n_mapped, slack - head);
    begin += head;
#ifdef MADV_HUGEPAGE
    if (n >= 2 * kTouchBytes) ::madvise(begin, n_mapped, MADV_HUGEPAGE);  // a wish; refusal costs speed only
#endif
    return begin;
}

std::byte* reserve_pages(std::size_t n, std::size_t align) {
    std::byte* pages = map_pages(n, align);
    if (!pages || touch_pages(pages, n)) return pages;
    release_pages(pages, n);
    return nullptr;
}

void release_pages(std::byte* data, std::size_t n) {
    if (data) ::munmap(data, round_up(n, page_bytes()));
}

bool protect_pages(std::byte* data, std::size_t n, bool accessible) {
    return ::mprotect(data, n, accessible ? PROT_READ | PROT_WRITE : PROT_NONE) == 0;
}

namespace {

struct ThreadStart {
    char name[16];  // what Linux shows, with its terminator
    void (*body)(void*);
    void* argument;
};

void* thread_main(void* p) {
    const ThreadStart start = *static_cast<ThreadStart*>(p);
    delete static_cast<ThreadStart*>(p);
#ifdef __linux__
    pthread_setname_np(pthread_self(), start.name);
#endif
    start.body(start.argument);
    return nullptr;
}

}  // namespace

Thread::Thread(Thread&& other) noexcept : handle_(other.handle_) { other.handle_ = 0; }

Thread::~Thread() { join(); }

Result<Thread> Thread::start(const char* name, void (*body)(void*), void* argument) {
    auto* start = new (std::nothrow) ThreadStart{{}, body, argument};
    if (!start) return fail_oom(Code::oom_host, "thread", sizeof(ThreadStart), 0);
    std::snprintf(start->name, sizeof start->name, "%s", name);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);  // inherited by the new thread
    pthread_t id{};
    const int error = pthread_create(&id, nullptr, thread_main, start);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (error != 0) {
        delete start;
        return fail_system(Code::oom_host, name, "cannot start a thread", error);
    }
    static_assert(sizeof(pthread_t) <= sizeof(intptr_t));
    Thread thread;
    thread.handle_ = (intptr_t)id;  // an integer or a pointer, by system
    return thread;
}

void Thread::join() {
    if (handle_) pthread_join((pthread_t)handle_, nullptr);
    handle_ = 0;
}

void Thread::abandon() { handle_ = 0; }

Library::Library(Library&& other) noexcept : handle_(std::exchange(other.handle_, 0)) {}

Library& Library::operator=(Library&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
}

Library::~Library() {
    if (handle_) dlclose(reinterpret_cast<void*>(handle_));
}

namespace {

// Does the loader lack memory? It says so in words alone. glibc leaves out the system's reason where its own allocations fail: files that
// it cannot open or tables that it cannot make, for no reason.
bool is_out_of_memory(std::string_view text) {
    constexpr std::string_view kEnds[] = {": Cannot allocate memory", ": Out of memory", "out of memory",
                                          ": cannot open shared object file"};
    if (std::any_of(std::begin(kEnds), std::end(kEnds), [&](std::string_view end) { return text.ends_with(end); })) return true;
    if (text.find("static TLS block") != text.npos) return false;  // there is room, but not for this library
    return text.find(": cannot create ") != text.npos || text.find(": cannot allocate ") != text.npos;
}

}  // namespace

Result<Library> Library::open(const std::string& path) {
    void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!handle) {
        const char* why = dlerror();
        const std::string_view text = why ? why : "the loader does not say why";
        return fail(is_out_of_memory(text) ? Code::oom_host : Code::io, "{}: cannot be opened: {}", path, text);
    }
    return Library(reinterpret_cast<intptr_t>(handle));
}

void* Library::symbol(const char* name) const { return handle_ ? dlsym(reinterpret_cast<void*>(handle_), name) : nullptr; }

namespace {
#ifdef __APPLE__
constexpr std::string_view kLibraryEnds[] = {".dylib", ".so"};  // plugins are often named .so here too
#else
constexpr std::string_view kLibraryEnds[] = {".so"};
#endif
constexpr std::string_view kLibraryBegin = "lib";
}  // namespace

std::string library_file(std::string_view stem) {
    return std::string(kLibraryBegin) + std::string(stem) + std::string(kLibraryEnds[0]);
}

std::string_view library_stem(std::string_view file) {
    for (const std::string_view end : kLibraryEnds)
        if (file.substr(0, kLibraryBegin.size()) == kLibraryBegin && file.size() > kLibraryBegin.size() + end.size() &&
            file.substr(file.size() - end.size()) == end)
            return file.substr(kLibraryBegin.size(), file.size() - kLibraryBegin.size() - end.size());
    return {};
}

char path_list_separator() { return ':'; }

std::string trusted_variable(const char* name) {
#ifdef __linux__
    const bool trusted = getauxval(AT_SECURE) == 0;
#else
    const bool trusted = getuid() == geteuid() && getgid() == getegid();
#endif
    const char* value = trusted ? std::getenv(name) : nullptr;
    return value ? value : "";
}

bool allow_tiles() {
#if defined(__linux__) && defined(__x86_64__)
    constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, a bit of XCR0
    return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
    return false;
#endif
}

ArmFeatures arm_features() {
#if defined(__linux__) && defined(__aarch64__)
    constexpr unsigned long kDot = 1 << 20, kI8mm = 1 << 13;  // HWCAP_ASIMDDP, HWCAP2_I8MM, of kernel headers of 2018 and 2020
    return {(getauxval(AT_HWCAP) & kDot) != 0, (getauxval(AT_HWCAP2) & kI8mm) != 0};
#elif defined(__APPLE__) && defined(__aarch64__)
    const auto has = [](const char* name) {
        int value = 0;
        std::size_t bytes = sizeof value;
        return sysctlbyname(name, &value, &bytes, nullptr, 0) == 0 && value != 0;
    };
    return {has("hw.optional.arm.FEAT_DotProd"), has("hw.optional.arm.FEAT_I8MM")};
#else
    return {};
#endif
}

#ifdef __linux__
// Asks the kernel: what dladdr says of a program is argv[0], which the caller of the program chooses.
std::string own_folder() {
    static const char kHere = 0;
    const auto here = reinterpret_cast<uintptr_t>(&kHere);
    const struct Opened {
        int file;
        ~Opened() {
            if (file >= 0) ::close(file);
        }
    } maps{retried([] { return ::open("/proc/self/maps", O_RDONLY | O_CLOEXEC); })};  // stdio would take missing memory for the end
    char block[1024];
    std::string folder, line;
    ssize_t n = 0, at = 0;
    const auto next = [&] {
        if (at == n) n = retried([&] { return ::read(maps.file, block, sizeof block); }), at = 0;
        return n > 0 ? static_cast<unsigned char>(block[at++]) : -1;
    };
    for (int c = 0; folder.empty() && (c = next()) >= 0;) {
        if (c != '\n') {
            line += static_cast<char>(c);
            continue;
        }
        char* end = nullptr;
        const uintptr_t first = std::strtoull(line.c_str(), &end, 16);
        const uintptr_t last = *end == '-' ? std::strtoull(end + 1, nullptr, 16) : 0;
        const std::size_t path = line.find('/'), slash = line.rfind('/');
        if (here >= first && here < last && path != std::string::npos) folder = line.substr(path, std::max(slash, path + 1) - path);
        line.clear();
    }
    return folder;
}
#else
std::string own_folder() {
    static const char kHere = 0;
    Dl_info info{};
    if (!dladdr(&kHere, &info) || !info.dli_fname) return {};
    const std::string path = info.dli_fname;
    const std::size_t slash = path.rfind('/');
    return slash == std::string::npos || path[0] != '/' ? std::string() : path.substr(0, std::max<std::size_t>(slash, 1));
}
#endif

Result<std::vector<std::string>> list_folder(const std::string& folder) {
    struct Close {
        void operator()(DIR* d) const { ::closedir(d); }
    };
    const std::unique_ptr<DIR, Close> open(retried([&] { return ::opendir(folder.c_str()); }));
    if (!open) return fail_system(Code::io, folder, "cannot be listed", errno);
    const auto next = [&] {
        errno = 0;  // what readdir leaves at the end
        return ::readdir(open.get());
    };
    std::vector<std::string> names;
    while (const dirent* entry = retried(next)) names.emplace_back(entry->d_name);
    if (errno != 0) return fail_system(Code::io, folder, "cannot be listed", errno);
    return names;
}

ForkGuard::ForkGuard() : process_id_(os::process_id()) {
#ifdef MADV_WIPEONFORK
    void* p = ::mmap(nullptr, page_bytes(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) return;
    if (::madvise(p, page_bytes(), MADV_WIPEONFORK) != 0) {
        ::munmap(p, page_bytes());
        return;
    }
    page_ = static_cast<uint32_t*>(p);
    *page_ = 1;
#endif
}

ForkGuard::~ForkGuard() {
    if (page_) ::munmap(const_cast<uint32_t*>(page_), page_bytes());
}

bool ForkGuard::forked() const { return page_ ? *page_ == 0 : os::process_id() != process_id_; }

}  // namespace hearth::os
#endif

// The Windows side of platform.hpp: UTF-8 paths become wide ones, reads carry their offset, pages come from VirtualAlloc.
#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#ifndef NOMINMAX
#define NOMINMAX  // MinGW's standard library defines it too
#endif
#include <windows.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <new>
#include <system_error>
#include <utility>

#include "base/platform.hpp"

namespace hearth::os {

namespace {

HANDLE handle_of(intptr_t value) { return reinterpret_cast<HANDLE>(value); }
int last_error() { return static_cast<int>(GetLastError()); }

// Empty where the path is not UTF-8.
std::wstring wide(const std::string& text) {
    const int n_in = static_cast<int>(text.size());
    const int n = MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text.data(), n_in, nullptr, 0);
    std::wstring out(static_cast<std::size_t>(std::max(n, 0)), L'\0');
    if (n > 0) MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, text.data(), n_in, out.data(), n);
    return out;
}

constexpr std::size_t kMaxTransfer = std::size_t{1} << 30;

}  // namespace

int64_t now_ns() {
    LARGE_INTEGER count, per_second;
    QueryPerformanceCounter(&count);
    QueryPerformanceFrequency(&per_second);
    const int64_t whole = count.QuadPart / per_second.QuadPart, rest = count.QuadPart % per_second.QuadPart;
    return whole * 1000000000 + rest * 1000000000 / per_second.QuadPart;
}

int64_t local_seconds() {
    SYSTEMTIME local;
    FILETIME since_1601;  // in 100 ns
    GetLocalTime(&local);
    if (!SystemTimeToFileTime(&local, &since_1601)) return 0;
    const uint64_t ticks = uint64_t{since_1601.dwHighDateTime} << 32 | since_1601.dwLowDateTime;
    return static_cast<int64_t>(ticks / 10000000) - 11644473600;
}

Failure fail_system(Code code, std::string_view name, const char* what, int error) {
    const std::string sentence = std::system_category().message(error);
    Failure failure = fail(code, "{}: {}: {}", name, what, sentence);
    error_record().subcode = error;
    return failure;
}

File::File(File&& other) noexcept : handle_(std::exchange(other.handle_, -1)), size_(other.size_) {}

File& File::operator=(File&& other) noexcept {
    File old(std::move(*this));  // closed on return
    handle_ = std::exchange(other.handle_, -1);
    size_ = other.size_;
    return *this;
}

File::~File() {
    if (handle_ != -1) CloseHandle(handle_of(handle_));
}

Result<File> File::open_read(const std::string& path) {
    const DWORD sharing = FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE;
    const HANDLE handle = CreateFileW(wide(path).c_str(), GENERIC_READ, sharing, nullptr, OPEN_EXISTING,
                                      FILE_ATTRIBUTE_NORMAL, nullptr);
    if (handle == INVALID_HANDLE_VALUE) {
        const int error = last_error();
        const bool absent = error == ERROR_FILE_NOT_FOUND || error == ERROR_PATH_NOT_FOUND;
        return fail_system(absent ? Code::not_found : Code::io, path, "cannot open", error);
    }
    File file(reinterpret_cast<intptr_t>(handle));
    if (GetFileType(handle) != FILE_TYPE_DISK) return fail(Code::io, "{}: is a device or pipe instead of a file", path);
    LARGE_INTEGER size;
    if (!GetFileSizeEx(handle, &size)) return fail_system(Code::io, path, "cannot read its size", last_error());
    file.size_ = static_cast<uint64_t>(size.QuadPart);
    return file;
}

Result<File> File::create(const std::string& path) {
    const HANDLE handle =
        CreateFileW(wide(path).c_str(), GENERIC_WRITE, 0, nullptr, CREATE_NEW, FILE_ATTRIBUTE_NORMAL, nullptr);
    if (handle == INVALID_HANDLE_VALUE) return fail_system(Code::io, path, "cannot create", last_error());
    return File(reinterpret_cast<intptr_t>(handle));
}

Status File::read_at(uint64_t offset, void* dst, std::size_t n, std::string_view name) const {
    char* out = static_cast<char*>(dst);
    while (n > 0) {
        OVERLAPPED place{};
        place.Offset = static_cast<DWORD>(offset);
        place.OffsetHigh = static_cast<DWORD>(offset >> 32);
        DWORD got = 0;
        if (!ReadFile(handle_of(handle_), out, static_cast<DWORD>(std::min(n, kMaxTransfer)), &got, &place) &&
            last_error() != ERROR_HANDLE_EOF)
            return fail_system(Code::io, name, "cannot read", last_error());
        if (got == 0) return fail(Code::bad_file, "{}: ends at {} while it is read (truncated meanwhile?)", name, offset);
        out += got;
        offset += got;
        n -= got;
    }
    return {};
}

Status File::write(const void* src, std::size_t n, std::string_view name) {
    const char* in = static_cast<const char*>(src);
    while (n > 0) {
        DWORD done = 0;
        if (!WriteFile(handle_of(handle_), in, static_cast<DWORD>(std::min(n, kMaxTransfer)), &done, nullptr))
            return fail_system(Code::io, name, "cannot write", last_error());
        in += done;
        size_ += done;
        n -= done;
    }
    return {};
}

Status File::sync(std::string_view name) {
    if (!FlushFileBuffers(handle_of(handle_))) return fail_system(Code::io, name, "cannot write", last_error());
    return {};
}

Result<const std::byte*> File::map(std::string_view name) const {
    const HANDLE mapping = CreateFileMappingW(handle_of(handle_), nullptr, PAGE_READONLY, 0, 0, nullptr);
    if (!mapping) return fail_system(Code::io, name, "cannot map", last_error());
    const void* p = MapViewOfFile(mapping, FILE_MAP_READ, 0, 0, 0);
    const int error = last_error();
    CloseHandle(mapping);  // the view keeps it alive
    if (!p) return fail_system(Code::io, name, "cannot map", error);
    return static_cast<const std::byte*>(p);
}

void unmap(const std::byte* data, uint64_t) { UnmapViewOfFile(data); }

Status rename_over(const std::string& from, const std::string& to) {
    if (!MoveFileExW(wide(from).c_str(), wide(to).c_str(), MOVEFILE_REPLACE_EXISTING))
        return fail_system(Code::io, to, "cannot replace", last_error());
    return {};
}

void remove_file(const std::string& path) { DeleteFileW(wide(path).c_str()); }

bool file_exists(const std::string& path) { return GetFileAttributesW(wide(path).c_str()) != INVALID_FILE_ATTRIBUTES; }

uint64_t process_id() { return GetCurrentProcessId(); }

std::byte* map_pages(std::size_t n, std::size_t align) {
    constexpr std::size_t kGranularity = std::size_t{64} << 10;  // what VirtualAlloc aligns to
    if (n == 0 || align > kGranularity) return nullptr;
    return static_cast<std::byte*>(VirtualAlloc(nullptr, n, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE));
}

bool touch_pages(std::byte*, std::size_t) { return true; }  // committed pages are backed

std::byte* reserve_pages(std::size_t n, std::size_t align) { return map_pages(n, align); }

void release_pages(std::byte* data, std::size_t) {
    if (data) VirtualFree(data, 0, MEM_RELEASE);
}

bool protect_pages(std::byte* data, std::size_t n, bool accessible) {
    DWORD before = 0;
    return VirtualProtect(data, n, accessible ? PAGE_READWRITE : PAGE_NOACCESS, &before) != 0;
}

namespace {

struct ThreadStart {
    void (*body)(void*);
    void* argument;
};

DWORD WINAPI thread_main(void* p) {
    const ThreadStart start = *static_cast<ThreadStart*>(p);
    delete static_cast<ThreadStart*>(p);
    start.body(start.argument);
    return 0;
}

}  // namespace

Thread::Thread(Thread&& other) noexcept : handle_(std::exchange(other.handle_, 0)) {}

Thread::~Thread() { join(); }

Result<Thread> Thread::start(const char* name, void (*body)(void*), void* argument) {
    auto* start = new (std::nothrow) ThreadStart{body, argument};
    if (!start) return fail_oom(Code::oom_host, "thread", sizeof(ThreadStart), 0);
    const HANDLE handle = CreateThread(nullptr, 0, thread_main, start, 0, nullptr);
    if (!handle) {
        const int error = last_error();
        delete start;
        return fail_system(Code::oom_host, name, "cannot start a thread", error);
    }
    Thread thread;
    thread.handle_ = reinterpret_cast<intptr_t>(handle);
    return thread;
}

void Thread::join() {
    if (!handle_) return;
    WaitForSingleObject(handle_of(handle_), INFINITE);
    CloseHandle(handle_of(handle_));
    handle_ = 0;
}

void Thread::abandon() { handle_ = 0; }

Library::Library(Library&& other) noexcept : handle_(std::exchange(other.handle_, 0)) {}

Library& Library::operator=(Library&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
}

Library::~Library() {
    if (handle_) FreeLibrary(reinterpret_cast<HMODULE>(handle_));
}

Result<Library> Library::open(const std::string& path) {
    // What the library needs is looked for beside it and in the system's folders, never in the current one.
    const HMODULE handle = LoadLibraryExW(wide(path).c_str(), nullptr,
                                          LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR | LOAD_LIBRARY_SEARCH_DEFAULT_DIRS);
    if (!handle) return fail_system(Code::io, path, "cannot be opened", last_error());
    return Library(reinterpret_cast<intptr_t>(handle));
}

void* Library::symbol(const char* name) const {
    return handle_ ? reinterpret_cast<void*>(GetProcAddress(reinterpret_cast<HMODULE>(handle_), name)) : nullptr;
}

std::string library_file(std::string_view stem) { return std::string(stem) + ".dll"; }

std::string_view library_stem(std::string_view file) {
    constexpr std::string_view kEnd = ".dll";
    const bool is_library = file.size() > kEnd.size() && file.substr(file.size() - kEnd.size()) == kEnd;
    return is_library ? file.substr(0, file.size() - kEnd.size()) : std::string_view();
}

char path_list_separator() { return ';'; }

std::string trusted_variable(const char* name) {
    const char* value = std::getenv(name);  // there is no setuid here
    return value ? value : "";
}

std::string own_folder() {
    static const char kHere = 0;
    HMODULE module = nullptr;
    wchar_t path[4096];
    if (!GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
                            reinterpret_cast<const wchar_t*>(&kHere), &module))
        return {};
    const DWORD n = GetModuleFileNameW(module, path, static_cast<DWORD>(std::size(path)));
    if (n == 0 || n == std::size(path)) return {};
    const int n_byte = WideCharToMultiByte(CP_UTF8, 0, path, static_cast<int>(n), nullptr, 0, nullptr, nullptr);
    std::string text(static_cast<std::size_t>(std::max(n_byte, 0)), 0);
    WideCharToMultiByte(CP_UTF8, 0, path, static_cast<int>(n), text.data(), n_byte, nullptr, nullptr);
    return text.substr(0, text.find_last_of("\\/"));
}

Result<std::vector<std::string>> list_folder(const std::string& folder) {
    std::wstring pattern(folder.size() + 1, 0);
    pattern.resize(static_cast<std::size_t>(std::max(0, MultiByteToWideChar(CP_UTF8, 0, folder.data(), static_cast<int>(folder.size()),
                                                                            pattern.data(), static_cast<int>(pattern.size())))));
    pattern += L"\\*";
    WIN32_FIND_DATAW found;
    const HANDLE search = FindFirstFileW(pattern.c_str(), &found);
    if (search == INVALID_HANDLE_VALUE)
        return fail(Code::io, "{}: cannot be listed: {}", folder, std::system_category().message(static_cast<int>(GetLastError())));
    std::vector<std::string> names;
    do {
        char name[4 * MAX_PATH];
        const int n = WideCharToMultiByte(CP_UTF8, 0, found.cFileName, -1, name, static_cast<int>(sizeof name), nullptr, nullptr);
        if (n > 0) names.emplace_back(name);
    } while (FindNextFileW(search, &found));
    FindClose(search);
    return names;
}

bool allow_tiles() { return false; }  // nobody has tried
ArmFeatures arm_features() { return {}; }  // likewise

ForkGuard::ForkGuard() = default;  // there is no fork here
ForkGuard::~ForkGuard() = default;
bool ForkGuard::forked() const { return false; }

}  // namespace hearth::os
#endif

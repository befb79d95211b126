// The one door to the operating system: files, pages, threads, clocks and what the machine allows this process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace hearth::os {

int64_t now_ns();         // monotonic
int64_t local_seconds();  // what a wall clock here shows, as seconds since the first moment of 1970 by that clock

// Fails with `what: sentence of the system (number)` and the number as subcode; name is a path or another subject.
Failure fail_system(Code code, std::string_view name, const char* what, int error);

// A file opened by a UTF-8 path.
class File {
  public:
    File() = default;
    File(File&& other) noexcept;
    File& operator=(File&& other) noexcept;
    ~File();
    static Result<File> open_read(const std::string& path);  // a directory or device is refused
    static Result<File> create(const std::string& path);     // fails where the file exists already
    uint64_t size() const { return size_; }
    // Fewer bytes than asked for = the file has shrunk: Code::bad_file. Thread-safe.
    Status read_at(uint64_t offset, void* dst, std::size_t n, std::string_view name) const;
    Status write(const void* src, std::size_t n, std::string_view name);  // appends
    Status sync(std::string_view name);
    // The whole file, read-only and shared; valid after the File is gone. size() must not be 0.
    Result<const std::byte*> map(std::string_view name) const;

  private:
    explicit File(intptr_t handle) : handle_(handle) {}
    intptr_t handle_ = -1;
    uint64_t size_ = 0;
};
void unmap(const std::byte* data, uint64_t n);
Status rename_over(const std::string& from, const std::string& to);  // replaces `to` in one step
void remove_file(const std::string& path);
bool file_exists(const std::string& path);
uint64_t process_id();

// Zeroed pages of our own, aligned to `align` (a power of two); nullptr = not to be had. What the system promises it may not have:
// it does once all are touched, whole or in pieces that begin and end at multiples of kTouchBytes. False = it has not.
constexpr std::size_t kTouchBytes = std::size_t{2} << 20;
std::byte* map_pages(std::size_t n, std::size_t align);
bool touch_pages(std::byte* data, std::size_t n);
std::byte* reserve_pages(std::size_t n, std::size_t align);  // both
void release_pages(std::byte* data, std::size_t n);
// Reserved pages stay but can (not) be read and written: touching them is then a fault. False = refused, nothing changed.
bool protect_pages(std::byte* data, std::size_t n, bool accessible);

// Bytes that the system, its containers and its limits still allow; 0 = unknown, never 0 when known.
// `root` stands before /proc and /sys, for tests.
uint64_t available_bytes(const std::string& root = "");
// Asks the system to let all threads of this process use the tile registers of AMX; false = refused. Afterwards a signal stack of 8 KiB
// or less is refused, and one that exists makes the system refuse this.
bool allow_tiles();
// What a 64-bit Arm processor has beyond the least, by the word of the system (programs cannot ask it themselves); false where
// the system does not say.
struct ArmFeatures {
    bool dot = false;   // SDOT, UDOT
    bool i8mm = false;  // SMMLA, USDOT
};
ArmFeatures arm_features();
int n_physical_core(const std::string& root = "");  // allowed by affinity and CPU quota, at least 1

// A thread with every signal blocked, so that the host's handlers never run on it.
class Thread {
  public:
    Thread() = default;
    Thread(Thread&& other) noexcept;
    Thread& operator=(Thread&&) = delete;
    ~Thread();
    static Result<Thread> start(const char* name, void (*body)(void*), void* argument);
    void join();
    void abandon();  // after a fork: the thread does not exist in this process

  private:
    intptr_t handle_ = 0;
};

// A shared library opened at run time, its symbols kept to itself; closed with the object.
class Library {
  public:
    Library() = default;
    Library(Library&& other) noexcept;
    Library& operator=(Library&& other) noexcept;
    ~Library();
    static Result<Library> open(const std::string& path);  // a path with a folder: nothing is searched
    void* symbol(const char* name) const;                  // nullptr = absent
    void keep() { handle_ = 0; }                           // it stays mapped until the process ends

  private:
    explicit Library(intptr_t handle) : handle_(handle) {}
    intptr_t handle_ = 0;
};
std::string library_file(std::string_view stem);  // "hearth_cuda" -> "libhearth_cuda.so"
// The stem of a file name; "" where it is not named like a library of this system.
std::string_view library_stem(std::string_view file);
char path_list_separator();  // of variables like PATH
// The folder of the library or program that this code is part of; "" = unknown.
std::string own_folder();
// The names in a folder. (The standard library's iterator ends the process where memory runs out.)
Result<std::vector<std::string>> list_folder(const std::string& folder);
// An environment variable; "" where it is absent, or where the process has rights that its caller has not (setuid).
std::string trusted_variable(const char* name);

// Tells whether this process is a fork of the one that made the object: a page that the kernel wipes in children.
class ForkGuard {
  public:
    ForkGuard();
    ~ForkGuard();
    ForkGuard(const ForkGuard&) = delete;
    ForkGuard& operator=(const ForkGuard&) = delete;
    bool forked() const;

  private:
    volatile uint32_t* page_ = nullptr;  // 1 here, 0 in a child
    uint64_t process_id_ = 0;            // where the kernel has no such pages
};

}  // namespace hearth::os

// What the calls of hearth.hpp answer with: a value or an error, and the handles that release themselves. Included by it.
#ifndef HEARTH_RESULT_HPP
#define HEARTH_RESULT_HPP

#include <hearth/hearth.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hearth {
// An own namespace inside, so that a static libhearth, whose core has classes of the same names, links
// without a clash.
inline namespace api {

// What went wrong: the status, and a sentence that names the thing and what to do.
struct Error {
    hearth_status status = HEARTH_OK;
    std::string message;
    uint64_t bytes_wanted = 0, bytes_free = 0;  // of an OOM or a plan that does not fit
    uint32_t line = 0, column = 0;              // 1-based place in a text, 0 if none
    // The device concerned: its number among those of its backend, -1 if none, and what names it in specs: "cuda:1".
    int32_t device = -1;
    std::string device_spec{};
    const char* name() const { return hearth_status_name(status); }

    // The record of this thread after a call that returned `status`.
    static Error last(hearth_status status) {
        hearth_error e{};
        e.struct_size = sizeof e;
        if (hearth_last_error(&e) != HEARTH_OK || e.code != status)
            return {status, hearth_status_name(status)};
        return {status, e.message, e.bytes_wanted, e.bytes_free, e.line, e.column, e.device, e.device_spec};
    }
};

// A value, or why there is none. Test it, then read it: *result of a failure is not defined.
template <class T>
class [[nodiscard]] Result {
  public:
    Result(T value) : value_(std::move(value)) {}
    Result(Error error) : error_(std::move(error)) {}
    explicit operator bool() const { return value_.has_value(); }
    hearth_status status() const { return error_.status; }
    const Error& error() const { return error_; }
    T& operator*() & { return *value_; }
    const T& operator*() const& { return *value_; }
    T&& operator*() && { return std::move(*value_); }
    T* operator->() { return &*value_; }
    const T* operator->() const { return &*value_; }

  private:
    std::optional<T> value_;
    Error error_;
};
template <>
class [[nodiscard]] Result<void> {
  public:
    Result() = default;
    Result(Error error) : error_(std::move(error)) {}
    explicit operator bool() const { return error_.status == HEARTH_OK; }
    hearth_status status() const { return error_.status; }
    const Error& error() const { return error_; }

  private:
    Error error_;
};

namespace detail {

inline Result<void> result(hearth_status status) {
    if (status != HEARTH_OK) return Error::last(status);
    return {};
}
template <class T>
Result<T> result(hearth_status status, T value) {
    if (status != HEARTH_OK) return Error::last(status);
    return value;
}
template <class T>
T sized() {
    T params{};
    params.struct_size = sizeof params;
    return params;
}
// An info struct that f(T*) fills.
template <class T, class F>
Result<T> info(F f) {
    T out = sized<T>();
    const hearth_status status = f(&out);
    return result(status, out);
}
// A text that f(buf, cap, &size) writes: once for the length, once for the bytes.
template <class F>
Result<std::string> text(F f) {
    std::string out;
    std::size_t size = 0;
    hearth_status status = f(nullptr, 0, &size);
    if (status == HEARTH_OK && size > 0) {
        out.resize(size);
        status = f(out.data(), out.size(), &size);
    }
    return result(status, std::move(out));
}
// The devices that f(array, cap, &n) writes.
template <class F>
Result<std::vector<hearth_device_plan>> devices(F f) {
    constexpr std::size_t kMost = 65;  // the host and what a spec can name
    std::vector<hearth_device_plan> all(kMost, sized<hearth_device_plan>());
    std::size_t n = 0;
    const hearth_status status = f(all.data(), all.size(), &n);
    all.resize(n < all.size() ? n : all.size());
    return result(status, std::move(all));
}
using Progress = std::function<bool(uint64_t bytes_done, uint64_t bytes_total)>;
inline int32_t call_progress(void* user, uint64_t done, uint64_t total) {
    return (*static_cast<const Progress*>(user))(done, total) ? 0 : 1;
}

// A counted reference to a C handle.
template <class H, hearth_status (*kRetain)(H*), hearth_status (*kRelease)(H*)>
class Handle {
  public:
    Handle() = default;
    explicit Handle(H* owned) : handle_(owned) {}
    Handle(const Handle& other) : handle_(other.handle_) {
        if (handle_) kRetain(handle_);
    }
    Handle(Handle&& other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    Handle& operator=(Handle other) noexcept {
        std::swap(handle_, other.handle_);
        return *this;
    }
    ~Handle() {
        if (handle_) kRelease(handle_);
    }
    H* get() const { return handle_; }  // for calls of the C ABI; still owned by this
    explicit operator bool() const { return handle_ != nullptr; }

  private:
    H* handle_ = nullptr;
};

}  // namespace detail

}  // namespace api
}  // namespace hearth
#endif

// Errors as values: a Result<T> is either a value or a code, and the sentence that explains it waits in
// a fixed-size record of this thread (so that reporting "out of memory" needs no memory).
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "base/format_text.hpp"

namespace hearth {

// Same numbers as the HEARTH_E_* constants of hearth.h (checked by static_assert in capi/).
enum class Code : int32_t {
    ok = 0,
    invalid_argument = -1,
    not_found = -2,
    io = -3,
    bad_file = -4,
    unsupported_arch = -5,
    unsupported_type = -6,
    unsupported_struct = -7,
    oom_host = -8,
    oom_device = -9,
    device_lost = -10,
    placement = -11,
    context_full = -12,
    cancelled = -13,
    timeout = -14,
    busy = -15,
    state = -16,
    template_error = -17,
    grammar = -18,
    version = -19,
    forked = -20,
    internal = -21,
};

// The explanation of the last failure on this thread.
struct ErrorRecord {
    Code code = Code::ok;
    int32_t subcode = 0;  // errno or a driver's code, 0 if none
    int32_t device = -1;  // number of the device concerned among those of its backend, -1 if none
    uint64_t bytes_wanted = 0, bytes_free = 0;
    uint32_t line = 0, column = 0;  // 1-based place in a text (template, grammar), 0 if none
    char message[1024] = {};
    char device_spec[64] = {};  // of the device concerned, "sim:1"
};

ErrorRecord& error_record() noexcept;           // this thread's record
void begin_error(Code code) noexcept;           // clears the record and sets its code
void end_error(std::size_t n_written) noexcept;  // terminates the message after n_written bytes

void name_device(std::string_view spec, int32_t index) noexcept;  // the failure of this thread is about that device

// What a failing function returns; converts to any Result<T>.
struct [[nodiscard]] Failure {
    Code code;
};

// Fills this thread's record and returns the failure: `return fail(Code::io, "{}: cannot open", path);`
// Allocates nothing; a message longer than the record is cut.
template <class... Args>
Failure fail(Code code, fmt::format_string<Args...> format, Args&&... args) {
    begin_error(code);
    end_error(format_text_to(error_record().message, sizeof(ErrorRecord::message) - 1, format, std::forward<Args>(args)...));
    return {code};
}

// The same about what has failed already: its numbers and its device stay.
template <class... Args>
Failure fail_again(fmt::format_string<Args...> format, Args&&... args) {
    const ErrorRecord before = error_record();
    const Failure failure = fail(before.code, format, std::forward<Args>(args)...);
    ErrorRecord& record = error_record();
    record.subcode = before.subcode;
    record.bytes_wanted = before.bytes_wanted;
    record.bytes_free = before.bytes_free;
    name_device(before.device_spec, before.device);
    return failure;
}

// The same for memory: says how much was wanted and how much there was (0 = unknown).
Failure fail_oom(Code code, const char* what, uint64_t bytes_wanted, uint64_t bytes_free);

template <class T>
class [[nodiscard]] Result {
  public:
    Result(T value) : value_(std::move(value)) {}  // NOLINT: implicit by design
    Result(Failure failure) : code_(failure.code) {}
    explicit operator bool() const { return value_.has_value(); }
    T& operator*() & { return *value_; }
    const T& operator*() const& { return *value_; }
    T&& operator*() && { return std::move(*value_); }
    T* operator->() { return &*value_; }
    const T* operator->() const { return &*value_; }
    Code code() const { return code_; }
    Failure failure() const { return {code_}; }

  private:
    std::optional<T> value_;
    Code code_ = Code::ok;
};

template <>
class [[nodiscard]] Result<void> {
  public:
    Result() = default;
    Result(Failure failure) : code_(failure.code) {}
    explicit operator bool() const { return code_ == Code::ok; }
    Code code() const { return code_; }
    Failure failure() const { return {code_}; }

  private:
    Code code_ = Code::ok;
};

using Status = Result<void>;

}  // namespace hearth

#define HEARTH_CAT2(a, b) a##b
#define HEARTH_CAT(a, b) HEARTH_CAT2(a, b)

// HEARTH_TRY(auto file, open(path));  assigns the value or returns the failure from the enclosing function.
#define HEARTH_TRY(declaration, expression)                                \
    auto HEARTH_CAT(result_, __LINE__) = (expression);                     \
    if (!HEARTH_CAT(result_, __LINE__)) return HEARTH_CAT(result_, __LINE__).failure(); \
    declaration = *std::move(HEARTH_CAT(result_, __LINE__))

// HEARTH_CHECK(write(...));  for a Status.
#define HEARTH_CHECK(expression) \
    if (auto status_ = (expression); !status_) return status_.failure()

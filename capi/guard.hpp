// The one wall of the library: no exception passes, structs of any age are read, floats behave.
#pragma once

#include <hearth/hearth.h>

#include <algorithm>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <string_view>

#include "base/float_env.hpp"
#include "base/result.hpp"

namespace hearth::capi {

// Runs f, which returns a Status or a Result, and turns everything that can happen into a hearth_status.
template <class F>
hearth_status guarded(F f) noexcept {
    const FloatGuard floats;
    try {
        const auto result = f();
        return static_cast<hearth_status>(result.code());
    } catch (const std::bad_alloc&) {
        return static_cast<hearth_status>(fail_oom(Code::oom_host, "host memory", 0, 0).code);
    } catch (const std::exception& e) {
        return static_cast<hearth_status>(fail(Code::internal, "unexpected: {}", e.what()).code);
    } catch (...) {
        return static_cast<hearth_status>(fail(Code::internal, "unexpected exception").code);
    }
}

// A zeroed copy of a caller's struct: as many bytes as both know; what lies beyond must be zero. NULL = all defaults.
template <class T>
Status read_struct(const T* in, const char* name, T* out) {
    *out = {};
    if (!in) return {};
    const std::size_t size = in->struct_size;
    if (size < sizeof(uint32_t) || size > 65536)
        return fail(Code::unsupported_struct, "{}.struct_size is {}; set it to sizeof({})", name, size, name);
    const auto* bytes = reinterpret_cast<const unsigned char*>(in);
    if (std::any_of(bytes + std::min(size, sizeof(T)), bytes + size, [](unsigned char b) { return b != 0; }))
        return fail(Code::unsupported_struct, "{} uses fields that this library (version {}.{}) does not know", name,
                    HEARTH_VERSION_MAJOR, HEARTH_VERSION_MINOR);
    std::memcpy(static_cast<void*>(out), in, std::min(size, sizeof(T)));
    return {};
}

// Writes as much of `value` as the caller's struct has room for; struct_size stays the caller's.
template <class T>
Status write_struct(T value, const char* name, T* out) {
    if (!out) return fail(Code::invalid_argument, "the output {} is NULL", name);
    const std::size_t size = out->struct_size;
    if (size < sizeof(uint32_t))
        return fail(Code::unsupported_struct, "{}.struct_size is {}; set it to sizeof({})", name, size, name);
    value.struct_size = out->struct_size;
    std::memcpy(static_cast<void*>(out), &value, std::min(size, sizeof(T)));
    return {};
}

inline std::string_view text_of(const char* p, std::size_t n) {
    if (!p) return {};
    return n == HEARTH_NUL_TERMINATED ? std::string_view(p) : std::string_view(p, n);
}

// A C text parameter struct field whose length may have been left at 0: then it is NUL-terminated.
inline std::string_view field_text(const char* p, std::size_t n) { return text_of(p, n ? n : HEARTH_NUL_TERMINATED); }

// The two-call convention: *size always, the bytes if they fit, a NUL if that fits too.
inline Status write_text(std::string_view text, char* buf, std::size_t cap, std::size_t* size) {
    if (!size) return fail(Code::invalid_argument, "the output size is NULL");
    if (cap > 0 && !buf) return fail(Code::invalid_argument, "the buffer is NULL but its capacity is {}", cap);
    if (cap > 0 && cap < text.size())
        return fail(Code::invalid_argument, "the buffer has room for {} bytes, {} are needed", cap, text.size());
    if (cap > 0) std::copy(text.begin(), text.end(), buf);
    if (cap > text.size()) buf[text.size()] = 0;
    *size = text.size();
    return {};
}

// Copies into a fixed char array, cut at a character boundary if it must be.
template <std::size_t N>
void fill_text(char (&out)[N], std::string_view text) {
    std::size_t n = std::min(text.size(), N - 1);
    while (n < text.size() && n > 0 && (static_cast<unsigned char>(text[n]) & 0xc0) == 0x80) --n;
    std::copy_n(text.data(), n, out);
    out[n] = 0;
}

inline Status need(const void* pointer, const char* name) {
    return pointer ? Status() : Status(fail(Code::invalid_argument, "{} is NULL", name));
}

}  // namespace hearth::capi

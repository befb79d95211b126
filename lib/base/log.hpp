// Where messages go: the host's callback, or nowhere. The library itself prints nothing.
#pragma once

#include <cstdint>
#include <utility>

#include "base/format_text.hpp"

namespace hearth {

enum class LogLevel : int32_t { error = 1, warning = 2, info = 3, debug = 4 };

struct LogSink {
    void* user = nullptr;
    void (*write)(void* user, int32_t level, const char* message) = nullptr;  // NUL-terminated, one line, any thread
    LogLevel level = LogLevel::info;                                          // messages above it are dropped

    template <class... Args>
    void operator()(LogLevel message_level, fmt::format_string<Args...> format, Args&&... args) const {
        if (!write || message_level > level) return;
        char text[1024];
        text[format_text_to(text, sizeof text - 1, format, std::forward<Args>(args)...)] = 0;
        write(user, static_cast<int32_t>(message_level), text);
    }
};

}  // namespace hearth

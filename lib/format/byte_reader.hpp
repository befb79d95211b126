// Reads a source front to back through a window, checking every length against what is left.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "base/source.hpp"

namespace hearth {

class ByteReader {
  public:
    explicit ByteReader(const Source& source) : source_(source) {}
    const std::string& name() const { return source_.name(); }
    uint64_t position() const { return position_; }
    uint64_t remaining() const { return source_.size() - position_; }

    Status read(void* dst, std::size_t n) {
        if (n > remaining())
            return fail(Code::bad_file, "{}: {} more bytes are needed at {}, but the file ends at {} (truncated download?)",
                        name(), n, position_, source_.size());
        if (n <= window_.size() - used_) {
            if (n > 0) std::memcpy(dst, window_.data() + used_, n);
            used_ += n;
            position_ += n;
            return {};
        }
        return read_past_window(static_cast<char*>(dst), n);
    }
    template <class T>
    Status read(T* value) {  // little-endian, as this machine is
        static_assert(std::is_arithmetic_v<T>);
        return read(value, sizeof(T));
    }
    // u64 length, then that many bytes.
    Status read(std::string* text) {
        uint64_t n = 0;
        HEARTH_CHECK(read(&n));
        if (n > remaining() || n > kMaxString)
            return fail(Code::bad_file, "{}: a string at {} claims {} bytes, but the file ends at {} (damaged file?)",
                        name(), position_ - sizeof n, n, source_.size());
        text->resize(static_cast<std::size_t>(n));
        return read(text->data(), text->size());
    }

  private:
    static constexpr std::size_t kWindow = std::size_t{1} << 18;
    static constexpr uint64_t kMaxString = uint64_t{1} << 30;

    Status read_past_window(char* dst, std::size_t n) {
        const std::size_t n_held = window_.size() - used_;
        if (n_held > 0) std::memcpy(dst, window_.data() + used_, n_held);
        position_ += n_held;
        dst += n_held;
        n -= n_held;
        used_ = 0;
        window_.clear();
        if (n < kWindow) {
            window_.resize(static_cast<std::size_t>(std::min<uint64_t>(kWindow, remaining())));
            HEARTH_CHECK(source_.read_at(position_, window_.data(), window_.size()));
            std::memcpy(dst, window_.data(), n);
            used_ = n;
        } else {
            HEARTH_CHECK(source_.read_at(position_, dst, n));
        }
        position_ += n;
        return {};
    }

    const Source& source_;
    uint64_t position_ = 0;
    std::vector<char> window_;
    std::size_t used_ = 0;  // of the window; its first unused byte is the one at position_
};

}  // namespace hearth

// Numbers texts: a compact list of strings with a hash index from a text back to its number.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace hearth {

class TextTable {
  public:
    void reserve(std::size_t n_text, std::size_t text_bytes);
    // Appends a text and returns its number. A text that is there already, or an empty one, gets a number but
    // find() keeps answering with the first.
    int32_t push(std::string_view text);
    // The number of a text; pushes it where it is new.
    int32_t intern(std::string_view text);
    int32_t find(std::string_view text) const;  // -1 where absent
    std::string_view text(int32_t id) const {
        const auto i = static_cast<std::size_t>(id);
        return std::string_view(bytes_).substr(begins_[i], begins_[i + 1] - begins_[i]);
    }
    int32_t size() const { return static_cast<int32_t>(begins_.size() - 1); }
    std::size_t longest_bytes() const { return longest_bytes_; }

  private:
    struct Slot {
        uint32_t hash = 0;
        int32_t id = -1;
    };
    void grow(std::size_t n_slot);
    void index(int32_t id);

    std::string bytes_;
    std::vector<std::size_t> begins_ = {0};  // [size + 1]
    std::vector<Slot> slots_;                // open addressing, a power of two long
    std::size_t n_indexed_ = 0, longest_bytes_ = 0;
};

}  // namespace hearth

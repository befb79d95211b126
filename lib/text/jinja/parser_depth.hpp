// The parser's nesting limit, which bounds the stack that it uses.
#pragma once

namespace hearth::jinja {

inline constexpr int kParserDepth = 80;

// Counts one level while it lives; false once there are too many.
class Level {
  public:
    explicit Level(int& depth) : depth_(depth) { ++depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    ~Level() { --depth_; }
    explicit operator bool() const { return depth_ <= kParserDepth; }

  private:
    int& depth_;
};

inline constexpr const char* kTooDeep = "the template is nested too deeply";

}  // namespace hearth::jinja

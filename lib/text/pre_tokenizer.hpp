// How BPE vocabularies cut text into words before merging: a table of named rules, and the cutting itself.
#pragma once

#include "base/result.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hearth {

// What else comes with a name.
enum PreFlag : uint32_t {
    kPreIgnoreMerges = 1,  // a word that is a token stays whole, whatever the merges say
    kPreAddBos = 2,
    kPreAddSep = 4,
    kPreRawUtf8 = 8,       // tokens are plain UTF-8 with U+2581 for space, not the byte alphabet
    kPreNewlineRuns = 16,  // a word of newlines that is a token stays whole
};

// A step cuts every piece that the steps before it left: its matches stand alone, and so does what lies
// between. digits_from_right cuts its matches further, into groups of three.
struct PreStep {
    enum class Kind { regex, digits_from_right } kind;
    const char* pattern;  // PCRE2 syntax
};

constexpr int kMaxPreStep = 6;
struct PreRule {
    const char* names[24];  // ends with nullptr
    PreStep steps[kMaxPreStep];
    int n_step;
    uint32_t flags;
};

// The rule of a name, or an error that lists the known names and the option that overrides.
Result<const PreRule*> find_pre_rule(std::string_view name);
std::vector<std::string_view> pre_tokenizer_names();

// A rule made ready for use. Immutable; may be used from any thread.
class PreTokenizer {
  public:
    static Result<std::unique_ptr<PreTokenizer>> make(const PreRule& rule);
    ~PreTokenizer();
    uint32_t flags() const { return rule_.flags; }
    // Replaces ends with the end of each word of text, which must be UTF-8.
    Status split(std::string_view text, std::vector<std::size_t>& ends) const;

  private:
    struct Regex;
    explicit PreTokenizer(const PreRule& rule);
    const PreRule& rule_;
    std::vector<std::unique_ptr<Regex>> regexes_;  // [n_step]
};

}  // namespace hearth

// A model's vocabulary: text to tokens, tokens to bytes, and what each token means.
#pragma once

#include "base/result.hpp"
#include "text/special_split.hpp"
#include "text/tokenizer.hpp"
#include "text/tokens.hpp"

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hearth {

// Tokens with a role, each with its GGUF key ("seperator" is spelled so in the format; prefix, suffix and
// middle are old names of the fim_ ones and come first, so that the newer name wins when a reader goes down
// this table).
enum class Role : uint32_t {  // clang-format off
    bos, eos, eot, eom, unk, sep, pad, mask, cls, newline,
    fim_pre, fim_suf, fim_mid, fim_pad, fim_rep, fim_sep
};  // clang-format on
constexpr std::size_t kNRole = 16;
struct RoleKey {
    const char* key;
    Role role;
};
constexpr RoleKey kRoleKeys[] = {
    {"tokenizer.ggml.prefix_token_id", Role::fim_pre},  {"tokenizer.ggml.suffix_token_id", Role::fim_suf},
    {"tokenizer.ggml.middle_token_id", Role::fim_mid},  {"tokenizer.ggml.bos_token_id", Role::bos},
    {"tokenizer.ggml.eos_token_id", Role::eos},         {"tokenizer.ggml.eot_token_id", Role::eot},
    {"tokenizer.ggml.eom_token_id", Role::eom},         {"tokenizer.ggml.unknown_token_id", Role::unk},
    {"tokenizer.ggml.seperator_token_id", Role::sep},   {"tokenizer.ggml.padding_token_id", Role::pad},
    {"tokenizer.ggml.mask_token_id", Role::mask},       {"tokenizer.ggml.cls_token_id", Role::cls},
    {"tokenizer.ggml.fim_pre_token_id", Role::fim_pre}, {"tokenizer.ggml.fim_suf_token_id", Role::fim_suf},
    {"tokenizer.ggml.fim_mid_token_id", Role::fim_mid}, {"tokenizer.ggml.fim_pad_token_id", Role::fim_pad},
    {"tokenizer.ggml.fim_rep_token_id", Role::fim_rep}, {"tokenizer.ggml.fim_sep_token_id", Role::fim_sep},
};

// Everything a file says about its vocabulary. All views are borrowed during make_vocab only.
struct VocabSource {
    std::string_view
        model;             // tokenizer.ggml.model: llama, gpt2, gemma4, bert; none or no_vocab: no tokenizer
    std::string_view pre;  // tokenizer.ggml.pre
    std::string_view pre_override;         // the option pre_tokenizer: used instead of pre where not empty
    std::string_view name;                 // general.name: decides known quirks of one model's special tokens
    std::string_view architecture;         // general.architecture: the same
    std::vector<std::string_view> tokens;  // tokenizer.ggml.tokens
    std::vector<float> scores;             // tokenizer.ggml.scores, empty: all zero
    std::vector<int32_t> types;            // tokenizer.ggml.token_type, empty: all normal
    std::vector<std::string_view> merges;  // tokenizer.ggml.merges, "left right", best first
    std::array<std::optional<uint32_t>, kNRole> role;  // kRoleKeys
    std::optional<bool> add_bos;                       // tokenizer.ggml.add_bos_token
    std::optional<bool> add_eos;                       // tokenizer.ggml.add_eos_token
    std::optional<bool> add_sep;                       // tokenizer.ggml.add_sep_token
    std::optional<bool> add_space_prefix;              // tokenizer.ggml.add_space_prefix
    std::optional<bool> remove_extra_whitespaces;  // tokenizer.ggml.remove_extra_whitespaces (unigram only)
    std::optional<bool> lowercase;                 // tokenizer.ggml.normalizer.lowercase (bert only)
    std::optional<bool> strip_accents;             // tokenizer.ggml.normalizer.strip_accents (bert only)
};

enum class VocabKind { none, spm, bpe, wordpiece };

struct TokenizeOptions {
    bool add_special = true;     // BOS, EOS or CLS and SEP where the model wants them
    bool parse_special = false;  // "<|im_end|>" in the text becomes that token; else it is plain text
};

struct DetokenizeOptions {
    bool special = false;            // print control tokens, too
    bool strip_space_prefix = true;  // drop the space that the tokenizer put before the first word
};

// Immutable once made: every method may be called from any thread at any time.
class Vocab {
  public:
    VocabKind kind() const { return kind_; }
    const std::string& pre_tokenizer() const { return pre_name_; }  // empty where the kind has none
    int32_t n_token() const { return tokens_.n_token(); }
    bool has(int32_t id) const { return tokens_.has(id); }

    // For an id out of range these answer "", 0 and 0.
    std::string_view token_text(int32_t id) const { return has(id) ? tokens_.text(id) : std::string_view(); }
    float score(int32_t id) const { return has(id) ? tokens_.score[static_cast<std::size_t>(id)] : 0.0f; }
    uint32_t attributes(int32_t id) const { return has(id) ? tokens_.attr[static_cast<std::size_t>(id)] : 0; }
    bool is_control(int32_t id) const { return attributes(id) & kTokenControl; }
    bool is_special(int32_t id) const { return attributes(id) & kTokenSpecial; }  // not printed by default
    bool is_eog(int32_t id) const {
        return has(id) && eog_[static_cast<std::size_t>(id)];
    }                                                                                     // ends a generation
    int32_t find(std::string_view token_text) const { return tokens_.find(token_text); }  // -1 where absent

    int32_t token(Role role) const {
        return role_[static_cast<std::size_t>(role)];
    }  // -1 where there is none
    int32_t bos() const { return token(Role::bos); }
    int32_t eos() const { return token(Role::eos); }
    bool add_bos() const { return add_bos_; }
    bool add_eos() const { return add_eos_; }
    bool add_space_prefix() const { return add_space_prefix_; }
    bool strips_first_space() const { return strip_first_space_; }
    // Harmless oddities of the file, one sentence each, for the log.
    const std::vector<std::string>& warnings() const { return warnings_; }

    // text may be any bytes, see docs/tokenizers.md for what happens to invalid UTF-8.
    Result<std::vector<int32_t>> tokenize(std::string_view text, TokenizeOptions options = {}) const;
    // The bytes that a token stands for: "" out of range, and for control and unknown tokens unless special
    // is set. Can be part of a character. Lives as long as the vocabulary.
    std::string_view piece(int32_t id, bool special = false) const;
    // All bytes of ids, exactly; fails on an id out of range.
    Result<std::string> detokenize(const std::vector<int32_t>& ids, DetokenizeOptions options = {}) const;

  private:
    friend class VocabBuilder;
    Vocab() = default;

    VocabKind kind_ = VocabKind::none;
    std::string pre_name_;
    Tokens tokens_;
    std::string piece_bytes_;
    std::vector<std::size_t> piece_begin_;  // [n_token + 1] into piece_bytes_
    std::vector<bool> eog_;                 // [n_token]
    std::array<int32_t, kNRole> role_{};
    bool add_bos_ = false, add_eos_ = false, add_sep_ = false;
    bool add_space_prefix_ = false;   // a space goes before text at the start and after special tokens
    bool strip_first_space_ = false;  // the first word's piece starts with a space that the text did not have
    bool escape_white_space_ = false;  // spaces are written U+2581 in tokens
    std::vector<std::string> warnings_;
    std::optional<SpecialSplitter> splitter_;
    std::unique_ptr<Tokenizer> tokenizer_;
};

// Fails with bad_file where lists contradict each other, and with unsupported_struct for a tokenizer model or
// pre-tokenizer that is not known.
Result<std::unique_ptr<Vocab>> make_vocab(const VocabSource& source);

}  // namespace hearth

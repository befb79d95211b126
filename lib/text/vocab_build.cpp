// Builds a Vocab: checks what the file says, adds what the field takes for granted, and makes the tokenizer.
#include "text/byte_alphabet.hpp"
#include "text/pre_tokenizer.hpp"
#include "text/utf8.hpp"
#include "text/vocab.hpp"
#include "text/vocab_roles.hpp"

#include <cmath>
#include <limits>

namespace hearth {

namespace {

struct KindRow {
    std::string_view model;
    VocabKind kind;
    const char* pre;  // the pre-tokenizer that this model implies
};
constexpr KindRow kKinds[] = {
    {"llama", VocabKind::spm, nullptr},   {"gpt2", VocabKind::bpe, nullptr},
    {"gemma4", VocabKind::bpe, "gemma4"}, {"bert", VocabKind::wordpiece, nullptr},
    {"none", VocabKind::none, nullptr},   {"no_vocab", VocabKind::none, nullptr},
};

// GGUF token types 1 to 6; others carry no attribute.
constexpr uint32_t kAttrOfType[] = {
    0, kTokenNormal, kTokenUnknown, kTokenControl, kTokenUserDefined, kTokenUnused, kTokenByte};

int32_t hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

// The byte of a token text <0xNN>, -1 for any other text.
int32_t byte_of_text(std::string_view text) {
    if (text.size() != 6 || text.substr(0, 3) != "<0x" || text[5] != '>') return -1;
    const int32_t high = hex_digit(text[3]), low = hex_digit(text[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

void append_unescaped(std::string& out, std::string_view text) {
    constexpr std::string_view kMark = "\xE2\x96\x81";
    for (std::size_t at = 0; at < text.size();) {
        const bool mark = text.substr(at, kMark.size()) == kMark;
        out += mark ? ' ' : text[at];
        at += mark ? kMark.size() : 1;
    }
}

// A token with a character outside the byte alphabet was added as plain text and stands for itself.
void append_from_alphabet(std::string& out, std::string_view text) {
    const std::size_t before = out.size();
    for (std::size_t at = 0; at < text.size();) {
        const Utf8Char c = decode_utf8(text, at);
        const int32_t byte = c.code < std::size(kByteAlphabet.byte) ? kByteAlphabet.byte[c.code] : -1;
        if (!c.valid || byte < 0) {
            out.resize(before);
            out += text;
            return;
        }
        out += static_cast<char>(static_cast<uint8_t>(byte));
        at += c.n_byte;
    }
}

}  // namespace

class VocabBuilder {
  public:
    explicit VocabBuilder(const VocabSource& source) : source_(source), vocab_(new Vocab()) {}
    Result<std::unique_ptr<Vocab>> build();

  private:
    Status check_lists() const;
    Status fill_tokens();
    void fill_bytes();
    void fill_roles();
    void fill_flags();
    void drop_impossible(bool* flag, Role role, const char* name);
    void fill_pieces();
    Status make_tokenizer();
    void find_newline();
    int32_t& role(Role r) { return vocab_->role_[static_cast<std::size_t>(r)]; }
    template <class... Args>
    void warn(fmt::format_string<Args...> format, Args&&... args) {
        vocab_->warnings_.push_back(format_text(format, std::forward<Args>(args)...));
    }

    const VocabSource& source_;
    std::unique_ptr<Vocab> vocab_;
    const PreRule* rule_ = nullptr;
};

Status VocabBuilder::check_lists() const {
    const std::size_t n = source_.tokens.size();
    if (n == 0) return fail(Code::bad_file, "the vocabulary has no tokens (tokenizer.ggml.tokens)");
    if (n > static_cast<std::size_t>(std::numeric_limits<int32_t>::max()))
        return fail(Code::bad_file, "the vocabulary has {} tokens, more than ids can number", n);
    if (!source_.scores.empty() && source_.scores.size() != n)
        return fail(Code::bad_file, "tokenizer.ggml.scores has {} entries for {} tokens",
                    source_.scores.size(), n);
    if (!source_.types.empty() && source_.types.size() != n)
        return fail(Code::bad_file, "tokenizer.ggml.token_type has {} entries for {} tokens",
                    source_.types.size(), n);
    for (std::size_t i = 0; i < source_.scores.size(); ++i)
        if (std::isnan(source_.scores[i]))
            return fail(Code::bad_file, "tokenizer.ggml.scores: entry {} is not a number", i);
    return {};
}

Status VocabBuilder::fill_tokens() {
    Tokens& tokens = vocab_->tokens_;
    std::size_t n_byte = 0;
    for (const std::string_view text : source_.tokens) n_byte += text.size();
    tokens.table.reserve(source_.tokens.size(), n_byte);
    for (const std::string_view text : source_.tokens) tokens.table.push(text);
    tokens.score = source_.scores;
    tokens.score.resize(source_.tokens.size(), 0.0f);
    tokens.attr.assign(source_.tokens.size(), kTokenNormal);
    for (std::size_t i = 0; i < source_.types.size(); ++i) {
        const auto type = static_cast<uint32_t>(source_.types[i]);
        tokens.attr[i] = type < std::size(kAttrOfType) ? kAttrOfType[type] : 0;
    }
    if (vocab_->kind_ == VocabKind::spm && source_.types.empty())
        for (int32_t id = 0; id < tokens.n_token(); ++id)
            if (byte_of_text(tokens.text(id)) >= 0) tokens.attr[static_cast<std::size_t>(id)] = kTokenByte;
    return {};
}

void VocabBuilder::fill_bytes() {
    Tokens& tokens = vocab_->tokens_;
    for (uint32_t byte = 0; byte < 256; ++byte) {
        const int32_t named = tokens.find(format_text("<0x{:02X}>", byte));
        const char raw = static_cast<char>(static_cast<uint8_t>(byte));
        tokens.byte_token[byte] = named >= 0 ? named : tokens.find(std::string_view(&raw, 1));
    }
}

void VocabBuilder::fill_roles() {
    struct Default {
        VocabKind kind;
        Role role;
        int32_t id;
    };
    // What files that state nothing mean.
    static constexpr Default kDefaults[] = {
        {VocabKind::spm, Role::bos, 1},         {VocabKind::spm, Role::eos, 2},
        {VocabKind::spm, Role::unk, 0},         {VocabKind::wordpiece, Role::bos, 101},
        {VocabKind::wordpiece, Role::unk, 100}, {VocabKind::wordpiece, Role::sep, 102},
        {VocabKind::wordpiece, Role::pad, 0},   {VocabKind::wordpiece, Role::mask, 103},
    };
    vocab_->role_.fill(-1);
    for (const Default& d : kDefaults)
        if (d.kind == vocab_->kind_ && vocab_->has(d.id)) role(d.role) = d.id;
    for (std::size_t i = 0; i < kNRole; ++i) {
        if (!source_.role[i]) continue;
        const uint32_t id = *source_.role[i];
        // All ones is how writers say "none".
        if (id == std::numeric_limits<uint32_t>::max()) {
            vocab_->role_[i] = -1;
        } else if (id < static_cast<uint32_t>(vocab_->n_token())) {
            vocab_->role_[i] = static_cast<int32_t>(id);
        } else {
            warn("special token id {} is outside the vocabulary of {} tokens, ignored", id,
                 vocab_->n_token());
        }
    }
    if (vocab_->kind_ == VocabKind::wordpiece && source_.role[static_cast<std::size_t>(Role::cls)] &&
        !source_.role[static_cast<std::size_t>(Role::bos)] && role(Role::cls) >= 0)
        role(Role::bos) = role(Role::cls);
    assign_roles(vocab_->tokens_, vocab_->role_, vocab_->eog_);
    vocab_->tokens_.unk = role(Role::unk);
    assign_strip_rules(vocab_->tokens_, source_.name, source_.architecture, vocab_->pre_name_);
}

// A token that must be added but does not exist cannot be added.
void VocabBuilder::drop_impossible(bool* flag, Role r, const char* name) {
    if (!*flag || role(r) >= 0) return;
    *flag = false;
    warn("the vocabulary asks for a {} token but has none; none is added", name);
}

void VocabBuilder::fill_flags() {
    const VocabKind kind = vocab_->kind_;
    const uint32_t pre = rule_ ? rule_->flags : 0;
    const bool spm = kind == VocabKind::spm, wordpiece = kind == VocabKind::wordpiece;
    vocab_->add_bos_ = source_.add_bos.value_or(spm || wordpiece || (pre & kPreAddBos));
    // Published Gemma 4 files say false by mistake.
    if (rule_ && (pre & kPreNewlineRuns)) vocab_->add_bos_ = true;
    vocab_->add_eos_ = source_.add_eos.value_or(false);
    vocab_->add_sep_ = source_.add_sep.value_or(wordpiece || (pre & kPreAddSep));
    vocab_->add_space_prefix_ = source_.add_space_prefix.value_or(spm);
    vocab_->escape_white_space_ = spm || (pre & kPreRawUtf8);
    vocab_->strip_first_space_ = wordpiece || (vocab_->escape_white_space_ && vocab_->add_space_prefix_);
    drop_impossible(&vocab_->add_bos_, Role::bos, "BOS");
    drop_impossible(&vocab_->add_eos_, Role::eos, "EOS");
    drop_impossible(&vocab_->add_sep_, Role::sep, "SEP");
}

void VocabBuilder::fill_pieces() {
    const Tokens& tokens = vocab_->tokens_;
    std::string& out = vocab_->piece_bytes_;
    vocab_->piece_begin_.reserve(static_cast<std::size_t>(tokens.n_token()) + 1);
    const bool alphabet = vocab_->kind_ == VocabKind::bpe && !vocab_->escape_white_space_;
    for (int32_t id = 0; id < tokens.n_token(); ++id) {
        vocab_->piece_begin_.push_back(out.size());
        const std::string_view text = tokens.text(id);
        const int32_t byte = tokens.is(id, kTokenByte) ? byte_of_text(text) : -1;
        if (tokens.is(id, kTokenSpecial | kTokenUserDefined)) {
            out += text;
        } else if (tokens.is(id, kTokenNormal)) {
            alphabet ? append_from_alphabet(out, text) : append_unescaped(out, text);
        } else if (byte >= 0) {
            out += static_cast<char>(static_cast<uint8_t>(byte));
        }
    }
    vocab_->piece_begin_.push_back(out.size());
}

Status VocabBuilder::make_tokenizer() {
    switch (vocab_->kind_) {
        case VocabKind::none:
            break;
        case VocabKind::spm:
            vocab_->tokenizer_ = make_spm(vocab_->tokens_);
            break;
        case VocabKind::wordpiece: {
            WordPieceOptions options;
            options.lowercase = source_.lowercase.value_or(true);
            options.strip_accents = source_.strip_accents.value_or(options.lowercase);
            vocab_->tokenizer_ = make_wordpiece(vocab_->tokens_, options);
            break;
        }
        case VocabKind::bpe: {
            HEARTH_TRY(auto pre, PreTokenizer::make(*rule_));
            HEARTH_TRY(vocab_->tokenizer_, make_bpe(vocab_->tokens_, source_.merges, std::move(pre)));
            break;
        }
    }
    return {};
}

void VocabBuilder::find_newline() {
    if (vocab_->kind_ == VocabKind::spm) {
        role(Role::newline) = vocab_->tokens_.byte_token['\n'];
    } else if (vocab_->kind_ == VocabKind::bpe) {
        const auto ids = vocab_->tokenize("\n", {false, false});
        if (ids && !ids->empty()) role(Role::newline) = ids->front();
    }
    if (role(Role::newline) < 0) role(Role::newline) = role(Role::pad);
}

Result<std::unique_ptr<Vocab>> VocabBuilder::build() {
    const KindRow* row = nullptr;
    for (const KindRow& k : kKinds)
        if (k.model == source_.model) row = &k;
    if (!row)
        return fail(Code::unsupported_struct,
                    "tokenizer model '{}' is not supported; supported are llama (SPM), gpt2 and gemma4 "
                    "(BPE), bert (WordPiece)",
                    source_.model);
    vocab_->kind_ = row->kind;
    vocab_->role_.fill(-1);
    if (row->kind == VocabKind::none) return std::move(vocab_);
    HEARTH_CHECK(check_lists());
    if (row->kind == VocabKind::bpe) {
        const std::string_view stated = row->pre ? std::string_view(row->pre) : source_.pre;
        const std::string_view name = !source_.pre_override.empty() ? source_.pre_override : stated;
        HEARTH_TRY(rule_, find_pre_rule(name.empty() ? "default" : name));
        if (name.empty())
            warn("the file names no pre-tokenizer; 'default' is used, which may tokenize worse");
        vocab_->pre_name_ = name.empty() ? "default" : name;
    }
    HEARTH_CHECK(fill_tokens());
    fill_bytes();
    fill_roles();
    fill_flags();
    fill_pieces();
    vocab_->splitter_.emplace(vocab_->tokens_);
    HEARTH_CHECK(make_tokenizer());
    find_newline();
    return std::move(vocab_);
}

Result<std::unique_ptr<Vocab>> make_vocab(const VocabSource& source) { return VocabBuilder(source).build(); }

}  // namespace hearth

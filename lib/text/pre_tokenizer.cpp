// Runs the steps of a rule: PCRE2 for the patterns, bounded in time and memory.
#include "text/pre_tokenizer.hpp"

#include <pcre2.h>

#include <algorithm>

namespace hearth {

namespace {

// Backtracks allowed per match, over what is linear in the piece. The table's patterns stay far below; the
// limits keep a slip in one of them from becoming a hang or a full memory.
constexpr uint32_t kMaxBacktrack = 10'000'000;
constexpr uint32_t kMaxHeapKib = 64 * 1024;

struct MatchState {
    pcre2_match_data* data = pcre2_match_data_create(1, nullptr);
    pcre2_match_context* context = pcre2_match_context_create(nullptr);
    MatchState() = default;
    MatchState(const MatchState&) = delete;
    MatchState& operator=(const MatchState&) = delete;
    ~MatchState() {
        pcre2_match_data_free(data);
        pcre2_match_context_free(context);
    }
    void allow(std::size_t n_byte) {
        const uint64_t limit = kMaxBacktrack + uint64_t{8} * n_byte;
        pcre2_set_match_limit(context, static_cast<uint32_t>(std::min<uint64_t>(limit, UINT32_MAX)));
        pcre2_set_heap_limit(context, kMaxHeapKib);
    }
};

// Ends of groups of three characters, counted from the right, of the digits in [begin, end).
void push_groups(std::string_view text, std::size_t begin, std::size_t end, std::vector<std::size_t>& ends) {
    std::size_t n_char = 0;
    const auto starts_char = [&](std::size_t i) { return (static_cast<uint8_t>(text[i]) & 0xC0) != 0x80; };
    for (std::size_t i = begin; i < end; ++i) n_char += starts_char(i);
    for (std::size_t i = begin; i < end; ++i) {
        if (!starts_char(i)) continue;
        if (i > begin && n_char % 3 == 0) ends.push_back(i);
        --n_char;
    }
    ends.push_back(end);
}

}  // namespace

struct PreTokenizer::Regex {
    pcre2_code* code = nullptr;
    Regex() = default;
    Regex(const Regex&) = delete;
    Regex& operator=(const Regex&) = delete;
    ~Regex() { pcre2_code_free(code); }

    // Appends the ends of the pieces that step makes of text[begin, end).
    Status cut(const PreStep& step, std::string_view text, std::size_t begin, std::size_t end,
               MatchState& state, std::vector<std::size_t>& ends) const;
};

Status PreTokenizer::Regex::cut(const PreStep& step, std::string_view text, std::size_t begin,
                                std::size_t end, MatchState& state, std::vector<std::size_t>& ends) const {
    const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data() + begin);
    const std::size_t n = end - begin;
    std::size_t at = 0, done = 0;
    while (at < n) {
        const int rc =
            pcre2_match(code, subject, n, at, PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY, state.data, state.context);
        if (rc == PCRE2_ERROR_NOMATCH) break;
        if (rc == PCRE2_ERROR_NOMEMORY) return fail_oom(Code::oom_host, "cutting text into words", 0, 0);
        if (rc < 0)
            return fail(Code::invalid_argument,
                        "the text is too intricate to cut into words at byte {} (PCRE2 error {})", begin + at,
                        rc);
        const PCRE2_SIZE* span = pcre2_get_ovector_pointer(state.data);
        if (span[0] > done) ends.push_back(begin + span[0]);
        if (step.kind == PreStep::Kind::digits_from_right) {
            push_groups(text, begin + span[0], begin + span[1], ends);
        } else {
            ends.push_back(begin + span[1]);
        }
        at = done = span[1];
    }
    if (done < n) ends.push_back(end);
    return {};
}

PreTokenizer::PreTokenizer(const PreRule& rule) : rule_(rule) {}
PreTokenizer::~PreTokenizer() = default;

Result<std::unique_ptr<PreTokenizer>> PreTokenizer::make(const PreRule& rule) {
    std::unique_ptr<PreTokenizer> made(new PreTokenizer(rule));
    for (int i = 0; i < rule.n_step; ++i) {
        auto regex = std::make_unique<Regex>();
        int error = 0;
        PCRE2_SIZE place = 0;
        const auto* pattern = reinterpret_cast<PCRE2_SPTR>(rule.steps[i].pattern);
        regex->code = pcre2_compile(pattern, PCRE2_ZERO_TERMINATED,
                                    PCRE2_UTF | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY, &error, &place, nullptr);
        if (!regex->code)
            return fail(Code::internal,
                        "pre-tokenizer {}: pattern {} does not compile at {} (PCRE2 error {})", rule.names[0],
                        i, place, error);
        made->regexes_.push_back(std::move(regex));
    }
    return made;
}

Status PreTokenizer::split(std::string_view text, std::vector<std::size_t>& ends) const {
    ends.clear();
    if (text.empty()) return {};
    ends.push_back(text.size());
    MatchState state;
    if (!state.data || !state.context) return fail_oom(Code::oom_host, "cutting text into words", 0, 0);
    state.allow(text.size());
    std::vector<std::size_t> before;
    for (std::size_t i = 0; i < regexes_.size(); ++i) {
        before.swap(ends);
        ends.clear();
        std::size_t begin = 0;
        for (const std::size_t end : before) {
            HEARTH_CHECK(regexes_[i]->cut(rule_.steps[i], text, begin, end, state, ends));
            begin = end;
        }
    }
    return {};
}

}  // namespace hearth

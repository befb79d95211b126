// The table of pre-tokenizers. Patterns are those of the models' own tokenizer.json files, in PCRE2 syntax,
// with characters outside ASCII as \x{...}. Possessive quantifiers and lookbehinds that theirs do not have
// change no match: they keep long runs of spaces or digits from costing the square of their length.
#include "text/pre_tokenizer.hpp"

namespace hearth {

namespace {

// Pieces that many patterns share.
#define CONTRACTION "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define SPACES R"(\s*[\r\n]+|\s+(?!\S)|\s+)"
#define UPPER R"([\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}])"
#define LOWER R"([\p{Ll}\p{Lm}\p{Lo}\p{M}])"
#define LEAD R"([^\r\n\p{L}\p{N}]?)"
#define MARKS R"( ?[^\s\p{L}\p{N}]+[\r\n]*)"
#define MARKS_SLASH R"( ?[^\s\p{L}\p{N}]+[\r\n/]*)"
// clang-format off
#define HAN \
    R"(\x{2E80}-\x{2E99}\x{2E9B}-\x{2EF3})" \
    R"(\x{2F00}-\x{2FD5}\x{3005}\x{3007}\x{3021}-\x{3029}\x{3038}-\x{303B})" \
    R"(\x{3400}-\x{4DBF}\x{4E00}-\x{9FFF}\x{F900}-\x{FA6D}\x{FA70}-\x{FAD9}\x{16FE2}\x{16FE3}\x{16FF0})" \
    R"(\x{16FF1}\x{20000}-\x{2A6DF}\x{2A700}-\x{2EBE0}\x{2F800}-\x{2FA1D}\x{30000}-\x{323AF})"
// clang-format on
// Complements, because PCRE2 has no intersection: UPPER without Han, LOWER without Han.
#define UPPER_NOT_HAN R"([^\p{Ll}\p{N}\p{P}\p{S}\p{Z}\p{C})" HAN "]"
#define LOWER_NOT_HAN R"([^\p{Lu}\p{Lt}\p{N}\p{P}\p{S}\p{Z}\p{C})" HAN "]"

constexpr char kGpt2[] = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr char kLlama3[] = CONTRACTION "|" LEAD R"(\p{L}+|\p{N}{1,3}|)" MARKS "|" SPACES;
constexpr char kQwen2[] = CONTRACTION "|" LEAD R"(\p{L}+|\p{N}|)" MARKS "|" SPACES;
constexpr char kQwen35[] =
    CONTRACTION "|" LEAD R"([\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|)" SPACES;
constexpr char kTekken[] =
    LEAD UPPER "*" LOWER "+|" LEAD UPPER "+" LOWER R"(*|\p{N}|)" MARKS_SLASH "|" SPACES;
constexpr char kGpt4o[] = LEAD UPPER "*" LOWER "+" CONTRACTION "?|" LEAD UPPER "+" LOWER "*" CONTRACTION
                                     R"(?|\p{N}{1,3}|)" MARKS_SLASH "|" SPACES;
constexpr char kYoutu[] = LEAD UPPER "*" LOWER "+" CONTRACTION "?|" LEAD UPPER "+" LOWER "*" CONTRACTION
                                     R"(?|\p{N}|)" MARKS_SLASH "|" SPACES;
constexpr char kYoutuScripts[] =
    R"([\x{AC00}-\x{D7A3}\x{3131}-\x{318E}]+|)"
    R"([\x{FF01}\x{2026}\x{201C}\x{201D}\x{2018}\x{2019}\x{2014})"
    R"(\x{FF1A}\x{FF1B}\x{FF0C}\x{3001}-\x{303F}\x{FE30}-\x{FE4F}]+|)"
    R"([\x{3105}-\x{312F}]+|[\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)";
constexpr char kKimi[] =
    "[" HAN "]+|" LEAD UPPER_NOT_HAN "*" LOWER_NOT_HAN "+" CONTRACTION "?|" LEAD UPPER_NOT_HAN
    "+" LOWER_NOT_HAN "*" CONTRACTION R"(?|\p{N}{1,3}|)" MARKS "|" SPACES;
constexpr char kSeedCoder[] = CONTRACTION "|" LEAD R"(\p{L}+|\p{N}| ?[^\s\p{L}\p{N}\r\n]+|)" SPACES;
constexpr char kBailing[] =
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|)"
    R"(\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr char kExaoneMoe[] = CONTRACTION "|" LEAD R"(\p{L}[\p{L}\p{M}]*+(?: \p{L}[\p{L}\p{M}]*+)*+|\p{N}|)"
                                          R"( ?[^\s\p{L}\p{N}]+[\r\n/]?|\s*[\r\n]|\s+(?!\S)|\s+)";
constexpr char kJais2[] =
    CONTRACTION "|" LEAD R"(\p{L}+|\p{N}{1,3}|)" MARKS R"(|(?<![^\S\r\n])\s*[\r\n]+|\s{512}(?!\S)|)"
                R"(\s{256}(?!\S)|\s{128}(?!\S)|\s{64}(?!\S)|\s{32}(?!\S)|\s{16}(?!\S)|\s{8}(?!\S)|)"
                R"(\s{4}(?!\S)|\s{1,2}(?!\S)|\s)";
constexpr char kMiniCpm[] = CONTRACTION "|" LEAD R"(\p{L}+|\p{N}+|)" MARKS "|" SPACES;
constexpr char kDeepseekWords[] =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|)"
    R"( ?[\p{P}\p{S}]+[\r\n]*|)" SPACES;
constexpr char kCjkRuns[] = R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)";
constexpr char kDeepseekCjk[] = R"([\x{800}-\x{9FA5}\x{AC00}-\x{D7FF}]+)";
constexpr char kCased[] =  // letters that have case, as the model's tokenizer.json lists them
    R"(\s?[)"
    R"(A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF}\x{1C4}-\x{293})"
    R"(\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F}\x{386}\x{388}-\x{38A}\x{38C})"
    R"(\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481}\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5})"
    R"(\x{13A0}-\x{13F5}\x{13F8}-\x{13FD}\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B})"
    R"(\x{1D6B}-\x{1D77}\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45})"
    R"(\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D}\x{1F80}-\x{1FB4})"
    R"(\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC}\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB})"
    R"(\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4}\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115})"
    R"(\x{2119}-\x{211D}\x{2124}\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139})"
    R"(\x{213C}-\x{213F}\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4})"
    R"(\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F})"
    R"(\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06}\x{FB13}-\x{FB17})"
    R"(\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F}\x{104B0}-\x{104D3}\x{104D8}-\x{104FB})"
    R"(\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2}\x{118A0}-\x{118DF}\x{1E900}-\x{1E943})"
    "]+";
constexpr char kDeepseekMarks[] =
    R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)";
constexpr char kAsianRuns[] =
    R"([\x{4E00}-\x{9FFF}\x{3400}-\x{4DBF}\x{F900}-\x{FAFF}\x{3040}-\x{309F}\x{30A0}-\x{30FF})"
    R"(\x{FF65}-\x{FF9F})"
    R"(\x{2F00}-\x{2FDF}\x{E00}-\x{E7F}\x{E80}-\x{EFF}\x{1780}-\x{17FF}\x{1000}-\x{109F}\x{AA60}-\x{AA7F})"
    R"(\x{A9E0}-\x{A9FF}\x{AC00}-\x{D7AF}\x{1100}-\x{11FF}]+)";
constexpr char kBloom[] = R"( ?[^(\s|.,!?\x{2026}\x{3002}\x{FF0C}\x{3001}\x{964}\x{6D4}\x{60C})]+)";
constexpr char kNewlines[] = R"([^\n]+|\n+)";
constexpr char kDigit[] = R"(\p{N})";
constexpr char kDigits[] = R"(\p{N}+)";
constexpr char kDigits3[] = R"(\p{N}{1,3})";
constexpr char kAscii3[] = "[0-9][0-9][0-9]";
constexpr char kNewline[] = R"([\r\n])";

constexpr auto kRegex = PreStep::Kind::regex;
constexpr auto kGroups = PreStep::Kind::digits_from_right;

constexpr PreRule kRules[] = {
    {{"llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
      "jina-v5-nano"},
     {{kRegex, kLlama3}},
     1,
     kPreIgnoreMerges | kPreAddBos},
    {{"dbrx", "smaug-bpe"}, {{kRegex, kLlama3}}, 1, 0},
    {{"glm4", "chatglm-bpe", "chatglm4"}, {{kRegex, kLlama3}}, 1, 0},
    {{"laguna"}, {{kRegex, kNewlines}, {kRegex, kQwen2}}, 2, 0},
    {{"minicpm5"}, {{kRegex, kDigits3}, {kRegex, kMiniCpm}}, 2, kPreIgnoreMerges},
    {{"qwen2", "deepseek-r1-qwen", "stablelm2", "hunyuan", "megrez", "kormo", "openpangu", "f2llmv2",
      "solar-open", "grok-2"},
     {{kRegex, kQwen2}},
     1,
     0},
    {{"qwen35"}, {{kRegex, kQwen35}}, 1, 0},
    {{"gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"}, {{kRegex, kGpt4o}}, 1, 0},
    {{"granite-embed-multi-97m"}, {{kRegex, kGpt4o}}, 1, kPreIgnoreMerges},
    {{"tiny_aya", "cohere2moe"}, {{kGroups, R"((?<!\d)\d++\b)"}, {kRegex, kGpt4o}}, 2, 0},
    {{"tekken"}, {{kRegex, kTekken}}, 1, kPreIgnoreMerges | kPreAddBos},
    {{"deepseek-llm"},
     {{kRegex, kNewline},
      {kRegex, kCased},
      {kRegex, kDeepseekMarks},
      {kRegex, R"((?<!\s)\s++$)"},
      {kRegex, kDeepseekCjk},
      {kRegex, kDigits}},
     6,
     0},
    {{"deepseek-coder"},
     {{kRegex, kNewline},
      {kRegex, R"(\s?\p{L}+)"},
      {kRegex, R"(\s?\p{P}+)"},
      {kRegex, kDeepseekCjk},
      {kRegex, kDigit}},
     5,
     0},
    {{"deepseek-v3", "hunyuan-dense", "joyai-llm"},
     {{kRegex, kDigits3}, {kRegex, kCjkRuns}, {kRegex, kDeepseekWords}},
     3,
     0},
    {{"afmoe"}, {{kGroups, kDigits}, {kRegex, kAsianRuns}, {kRegex, kDeepseekWords}}, 3, 0},
    {{"youtu"}, {{kRegex, kYoutuScripts}, {kRegex, kYoutu}}, 2, kPreIgnoreMerges},
    {{"gpt-2", "phi-2", "jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "gigachat", "a.x-4.0", "mellum",
      "modern-bert", "mpt", "olmo", "jais", "trillion", "granite-docling", "exaone4"},
     {{kRegex, kGpt2}},
     1,
     0},
    {{"jina-v1-en", "jina-v2-code", "roberta-bpe"}, {{kRegex, kGpt2}}, 1, kPreAddSep},
    {{"starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2"},
     {{kRegex, kDigit}, {kRegex, kGpt2}},
     2,
     0},
    {{"falcon"}, {{kRegex, R"([\p{P}\$\+<=>\^~\|`]+)"}, {kRegex, kGpt2}, {kRegex, kAscii3}}, 3, 0},
    {{"bloom", "poro-chat", "gpt3-finnish"}, {{kRegex, kBloom}}, 1, 0},
    {{"viking"}, {{kRegex, kBloom}, {kRegex, kDigit}}, 2, 0},
    {{"gemma4", "granite-embed-multi-311m"}, {{kRegex, kNewlines}}, 1, kPreRawUtf8 | kPreNewlineRuns},
    {{"sarvam-moe"}, {{kRegex, kNewlines}}, 1, kPreRawUtf8},
    {{"kimi-k2"}, {{kRegex, kKimi}}, 1, 0},
    {{"superbpe"}, {{kGroups, kDigits}}, 1, 0},
    {{"bailingmoe", "bailingmoe2", "llada-moe"}, {{kRegex, kBailing}}, 1, 0},
    {{"seed-coder"}, {{kRegex, kSeedCoder}}, 1, 0},
    {{"exaone-moe"}, {{kRegex, kExaoneMoe}}, 1, 0},
    {{"jais-2"}, {{kRegex, kJais2}}, 1, 0},
    {{"chameleon"},
     {{kRegex, "<sentinel:[0-9]+>"},
      {kRegex, "IMGIMG[A-I]{1,4}Z"},
      {kRegex, R"([\t\n]|    |  )"},
      {kRegex, kDigit},
      {kRegex, R"([\p{P}!-/:-@\[-`{-~])"},
      {kRegex, kGpt2}},
     6,
     kPreAddBos},
    {{"default"},
     {{kRegex, R"([\p{P}\$\+<=>\^~\|]+)"}, {kRegex, kGpt2}, {kRegex, kDigits}, {kRegex, kAscii3}},
     4,
     0},
};

}  // namespace

std::vector<std::string_view> pre_tokenizer_names() {
    std::vector<std::string_view> names;
    for (const PreRule& rule : kRules)
        for (int i = 0; rule.names[i]; ++i) names.push_back(rule.names[i]);
    return names;
}

Result<const PreRule*> find_pre_rule(std::string_view name) {
    for (const PreRule& rule : kRules)
        for (int i = 0; rule.names[i]; ++i)
            if (name == rule.names[i]) return &rule;
    return fail(Code::unsupported_struct,
                "unknown pre-tokenizer '{}'; set the option pre_tokenizer to one of: {}", name,
                join_text(pre_tokenizer_names()));
}

}  // namespace hearth

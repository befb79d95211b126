// The name tables. ASCII source: U+FF5C is \xEF\xBD\x9C and U+2581 is \xE2\x96\x81.
#include "text/vocab_roles.hpp"

#include <algorithm>
#include <cctype>

namespace hearth {

namespace {

struct KnownName {
    Role role;
    std::string_view text;
};

// In order of preference within a role.
constexpr KnownName kKnownNames[] = {
    {Role::eot, "<|eot_id|>"},
    {Role::eot, "<|im_end|>"},
    {Role::eot, "<|end|>"},
    {Role::eot, "<end_of_turn>"},
    {Role::eot, "<|endoftext|>"},
    {Role::eot, "<|end_of_text|>"},
    {Role::eot, "<EOT>"},
    {Role::eot, "_<EOT>"},
    {Role::eot, "[EOT]"},
    {Role::eot,
     "<\xEF\xBD\x9C"
     "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>"},
    {Role::eot, "<end_of_utterance>"},
    {Role::eom, "<|eom_id|>"},
    {Role::fim_pre, "<|fim_prefix|>"},
    {Role::fim_pre, "<fim-prefix>"},
    {Role::fim_pre, "<fim_prefix>"},
    {Role::fim_pre,
     "<\xEF\xBD\x9C"
     "fim\xE2\x96\x81"
     "begin\xEF\xBD\x9C>"},
    {Role::fim_pre, "<PRE>"},
    {Role::fim_pre, "\xE2\x96\x81<PRE>"},
    {Role::fim_pre, "<|code_prefix|>"},
    {Role::fim_pre, "<|prefix|>"},
    {Role::fim_suf, "<|fim_suffix|>"},
    {Role::fim_suf, "<fim-suffix>"},
    {Role::fim_suf, "<fim_suffix>"},
    {Role::fim_suf,
     "<\xEF\xBD\x9C"
     "fim\xE2\x96\x81hole\xEF\xBD\x9C>"},
    {Role::fim_suf, "<SUF>"},
    {Role::fim_suf, "\xE2\x96\x81<SUF>"},
    {Role::fim_suf, "<|code_suffix|>"},
    {Role::fim_suf, "<|suffix|>"},
    {Role::fim_mid, "<|fim_middle|>"},
    {Role::fim_mid, "<fim-middle>"},
    {Role::fim_mid, "<fim_middle>"},
    {Role::fim_mid,
     "<\xEF\xBD\x9C"
     "fim\xE2\x96\x81"
     "end\xEF\xBD\x9C>"},
    {Role::fim_mid, "<MID>"},
    {Role::fim_mid, "\xE2\x96\x81<MID>"},
    {Role::fim_mid, "<|code_middle|>"},
    {Role::fim_mid, "<|middle|>"},
    {Role::fim_pad, "<|fim_pad|>"},
    {Role::fim_pad, "<fim-pad>"},
    {Role::fim_pad, "<fim_pad>"},
    {Role::fim_pad, "<PAD>"},
    {Role::fim_pad, "[PAD]"},
    {Role::fim_rep, "<|fim_repo|>"},
    {Role::fim_rep, "<|repo_name|>"},
    {Role::fim_rep, "<fim-repo>"},
    {Role::fim_rep, "<REPO>"},
    {Role::fim_rep, "<reponame>"},
    {Role::fim_sep, "<|file_sep|>"},
};

// Every one of these that a vocabulary has ends a generation, stated or not.
constexpr std::string_view kEogNames[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<\xEF\xBD\x9C"
    "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>",
    "[e~[",
};

constexpr Role kEogRoles[] = {Role::fim_pad, Role::fim_rep, Role::fim_sep, Role::eos, Role::eot, Role::eom};

// Parts of the harmony format: control tokens that must be seen in the output to be parsed.
constexpr std::string_view kShownNames[] = {"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"};

uint32_t& attr_of(Tokens& tokens, int32_t id) { return tokens.attr[static_cast<std::size_t>(id)]; }

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

// A name that ends a generation in most vocabularies does not where these stand beside it.
void except_eog(Tokens& tokens, std::vector<bool>& eog) {
    const auto ends = [&](std::string_view name) {
        const int32_t id = tokens.find(name);
        return id >= 0 && eog[static_cast<std::size_t>(id)];
    };
    const auto release = [&](std::string_view name, uint32_t attr) {
        const int32_t id = tokens.find(name);
        eog[static_cast<std::size_t>(id)] = false;
        attr_of(tokens, id) = attr;
    };
    const bool call = ends("<|call|>") || ends("<|calls|>");
    // Harmony and solar-open: <|end|> ends one message of several.
    if (call && (ends("<|return|>") || ends("<|flush|>")) && ends("<|end|>"))
        release("<|end|>", kTokenUserDefined);
    // Gemma 4: </s> is an HTML tag there.
    if (ends("<|tool_response>") && ends("</s>")) release("</s>", kTokenNormal);
}

}  // namespace

void assign_roles(Tokens& tokens, std::array<int32_t, kNRole>& role, std::vector<bool>& eog) {
    eog.assign(static_cast<std::size_t>(tokens.n_token()), false);
    for (const KnownName& known : kKnownNames) {
        int32_t& holder = role[static_cast<std::size_t>(known.role)];
        const int32_t id = holder < 0 ? tokens.find(known.text) : -1;
        if (id < 0) continue;
        holder = id;
        attr_of(tokens, id) |= kTokenControl;
    }
    for (const Role r : kEogRoles) {
        const int32_t id = role[static_cast<std::size_t>(r)];
        if (id >= 0) eog[static_cast<std::size_t>(id)] = true;
    }
    for (const std::string_view name : kEogNames) {
        const int32_t id = tokens.find(name);
        if (id < 0) continue;
        eog[static_cast<std::size_t>(id)] = true;
        attr_of(tokens, id) |= kTokenControl;
    }
    for (const std::string_view name : kShownNames) {
        const int32_t id = tokens.find(name);
        if (id >= 0) attr_of(tokens, id) = kTokenUserDefined;
    }
    except_eog(tokens, eog);
}

void assign_strip_rules(Tokens& tokens, std::string_view name, std::string_view architecture,
                        std::string_view pre) {
    std::string lower(name);
    for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const auto add = [&](std::string_view text, uint32_t bit) {
        const int32_t id = tokens.find(text);
        if (id >= 0) attr_of(tokens, id) |= bit;
    };
    if (contains(pre, "jina-v2-de") || contains(pre, "jina-v2-es") || contains(pre, "jina-v2-code") ||
        contains(architecture, "nomic-bert-moe") || contains(architecture, "jina-bert-v3")) {
        add("<mask>", kTokenStripLeft);
    } else if (contains(lower, "phi-3") || contains(lower, "phi3")) {
        for (uint32_t& attr : tokens.attr)
            if (attr & (kTokenSpecial | kTokenUserDefined)) attr |= kTokenStripRight;
        add("</s>", kTokenStripRight);
        for (const std::string_view text : {"<unk>", "<s>", "<|endoftext|>"}) {
            const int32_t id = tokens.find(text);
            if (id >= 0) attr_of(tokens, id) &= ~static_cast<uint32_t>(kTokenStripRight);
        }
    } else if (contains(lower, "modern-bert")) {
        add("[MASK]", kTokenStripLeft);
    }
}

}  // namespace hearth

// UTF-8 and the character classes of Python strings, on utf8proc's tables.
#include "text/jinja/unicode.hpp"

#include <utf8proc.h>

#include <algorithm>

namespace hearth::jinja {

namespace {

constexpr uint32_t kSharpS = 0xdf;  // the one letter of everyday text whose capital is two letters

int length_of(unsigned char lead) { return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4; }

utf8proc_category_t category(uint32_t c) { return utf8proc_category(static_cast<utf8proc_int32_t>(c)); }

void append_upper(std::string& out, uint32_t c) {
    if (c == kSharpS)
        out += "SS";
    else
        append_char(out, static_cast<uint32_t>(utf8proc_toupper(static_cast<utf8proc_int32_t>(c))));
}
void append_title(std::string& out, uint32_t c) {
    if (c == kSharpS)
        out += "Ss";
    else
        append_char(out, static_cast<uint32_t>(utf8proc_totitle(static_cast<utf8proc_int32_t>(c))));
}
void append_lower(std::string& out, uint32_t c) {
    append_char(out, static_cast<uint32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c))));
}

template <class Each>
std::string mapped(std::string_view text, Each each) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) each(out, next_char(text, at));
    return out;
}

}  // namespace

bool valid_utf8(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const auto lead = static_cast<unsigned char>(text[i]);
        if (lead < 0x80) {
            ++i;
            continue;
        }
        const auto n = static_cast<std::size_t>(length_of(lead));
        if (lead < 0xc2 || lead > 0xf4 || n > text.size() - i) return false;
        uint32_t c = lead & (0x7fu >> n);
        for (std::size_t k = 1; k < n; ++k) {
            const auto byte = static_cast<unsigned char>(text[i + k]);
            if ((byte & 0xc0) != 0x80) return false;
            c = c << 6 | (byte & 63u);
        }
        if ((n == 3 && c < 0x800) || (n == 4 && c < 0x10000) || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
            return false;
        i += n;
    }
    return true;
}

std::size_t count_chars(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(
        text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

uint32_t next_char(std::string_view text, std::size_t& at) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const int n = length_of(lead);
    if (n == 1) return ++at, lead;
    uint32_t c = lead & (0x7fu >> n);
    std::size_t end = at + 1;
    for (int k = 1; k < n && end < text.size(); ++k, ++end)
        c = c << 6 | (static_cast<unsigned char>(text[end]) & 63u);
    at = end;
    return c;
}

void append_char(std::string& out, uint32_t c) {
    if (c < 0x80) {
        out += static_cast<char>(c);
    } else if (c < 0x800) {
        out += static_cast<char>(0xc0 | c >> 6);
        out += static_cast<char>(0x80 | (c & 63));
    } else if (c < 0x10000) {
        out += static_cast<char>(0xe0 | c >> 12);
        out += static_cast<char>(0x80 | (c >> 6 & 63));
        out += static_cast<char>(0x80 | (c & 63));
    } else {
        out += static_cast<char>(0xf0 | c >> 18);
        out += static_cast<char>(0x80 | (c >> 12 & 63));
        out += static_cast<char>(0x80 | (c >> 6 & 63));
        out += static_cast<char>(0x80 | (c & 63));
    }
}

std::size_t char_offset(std::string_view text, std::size_t index) {
    std::size_t at = 0;
    while (index-- > 0 && at < text.size())
        at += static_cast<std::size_t>(length_of(static_cast<unsigned char>(text[at])));
    return std::min(at, text.size());
}

bool is_space(uint32_t c) {
    if (c < 128) return c == ' ' || (c >= 9 && c <= 13) || (c >= 0x1c && c <= 0x1f);
    return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
           c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000;
}

bool is_printable(uint32_t c) {
    if (c < 128) return c >= 32 && c < 127;
    const utf8proc_category_t k = category(c);
    return k != UTF8PROC_CATEGORY_CN &&
           k < UTF8PROC_CATEGORY_ZS;  // separators, controls and the rest come last
}

bool is_alpha(uint32_t c) {
    const utf8proc_category_t k = category(c);
    return k >= UTF8PROC_CATEGORY_LU && k <= UTF8PROC_CATEGORY_LO;
}
bool is_digit(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_ND; }
bool is_upper(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_LU; }
bool is_lower(uint32_t c) { return category(c) == UTF8PROC_CATEGORY_LL; }
bool is_cased(uint32_t c) { return is_upper(c) || is_lower(c) || category(c) == UTF8PROC_CATEGORY_LT; }

std::string upper(std::string_view text) { return mapped(text, append_upper); }
std::string lower(std::string_view text) { return mapped(text, append_lower); }

std::string title(std::string_view text) {
    bool inside = false;
    return mapped(text, [&](std::string& out, uint32_t c) {
        inside ? append_lower(out, c) : append_title(out, c);
        inside = is_cased(c);
    });
}

std::string capitalize(std::string_view text) {
    bool inside = false;
    return mapped(text, [&](std::string& out, uint32_t c) {
        inside ? append_lower(out, c) : append_title(out, c);
        inside = true;
    });
}

std::string_view strip(std::string_view text, bool left, bool right, const std::string_view* set) {
    const auto drop = [&](uint32_t c) {
        if (!set) return is_space(c);
        for (std::size_t at = 0; at < set->size();)
            if (next_char(*set, at) == c) return true;
        return false;
    };
    std::size_t begin = 0, end = text.size();
    while (left && begin < end) {
        std::size_t at = begin;
        if (!drop(next_char(text, at))) break;
        begin = at;
    }
    while (right && end > begin) {
        std::size_t at = end - 1;
        while (at > begin && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) --at;
        std::size_t past = at;
        if (!drop(next_char(text, past))) break;
        end = at;
    }
    return text.substr(begin, end - begin);
}

}  // namespace hearth::jinja

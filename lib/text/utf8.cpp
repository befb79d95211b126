// UTF-8 decoding by the table of well-formed byte sequences (Unicode standard, table 3-7).
#include "text/utf8.hpp"

#include <algorithm>

namespace hearth {

namespace {

constexpr uint32_t kReplacement = 0xFFFD;

// First byte -> how many bytes follow, and the range that the second byte must be in.
struct Lead {
    uint32_t n_follow, bits;
    uint8_t low, high;
};

bool lead_of(uint8_t byte, Lead* lead) {
    if (byte >= 0xC2 && byte <= 0xDF) return *lead = {1, byte & 0x1Fu, 0x80, 0xBF}, true;
    if (byte >= 0xE0 && byte <= 0xEF) {
        // E0 would allow overlong forms, ED surrogates.
        const uint8_t low = byte == 0xE0 ? 0xA0 : 0x80;
        const uint8_t high = byte == 0xED ? 0x9F : 0xBF;
        return *lead = {2, byte & 0x0Fu, low, high}, true;
    }
    if (byte >= 0xF0 && byte <= 0xF4) {
        const uint8_t low = byte == 0xF0 ? 0x90 : 0x80;
        const uint8_t high = byte == 0xF4 ? 0x8F : 0xBF;
        return *lead = {3, byte & 0x07u, low, high}, true;
    }
    return false;
}

}  // namespace

Utf8Char decode_utf8(std::string_view text, std::size_t at) {
    const auto byte = [&](std::size_t i) { return static_cast<uint8_t>(text[i]); };
    if (byte(at) < 0x80) return {byte(at), 1, true, false};
    Lead lead;
    if (!lead_of(byte(at), &lead)) return {kReplacement, 1, false, false};
    uint32_t code = lead.bits;
    for (uint32_t i = 1; i <= lead.n_follow; ++i) {
        if (at + i >= text.size()) return {kReplacement, i, false, true};
        const uint8_t next = byte(at + i);
        const uint8_t low = i == 1 ? lead.low : 0x80, high = i == 1 ? lead.high : 0xBF;
        if (next < low || next > high) return {kReplacement, i, false, false};
        code = code << 6 | (next & 0x3Fu);
    }
    return {code, lead.n_follow + 1, true, false};
}

void append_utf8(std::string& out, uint32_t code) {
    const auto push = [&](uint32_t byte) { out.push_back(static_cast<char>(static_cast<uint8_t>(byte))); };
    const auto follow = [&](uint32_t shift) { push(0x80 | (code >> shift & 0x3F)); };
    if (code < 0x80) return push(code);
    if (code < 0x800) return push(0xC0 | code >> 6), follow(0);
    if (code < 0x10000) return push(0xE0 | code >> 12), follow(6), follow(0);
    push(0xF0 | code >> 18), follow(12), follow(6), follow(0);
}

bool is_utf8(std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
        const Utf8Char c = decode_utf8(text, at);
        if (!c.valid) return false;
        at += c.n_byte;
    }
    return true;
}

std::string to_utf8(std::string_view text, Replace replace) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t at = 0; at < text.size();) {
        const Utf8Char c = decode_utf8(text, at);
        const std::size_t n = c.valid || replace == Replace::each_sequence ? c.n_byte : 1;
        if (c.valid) {
            out.append(text.substr(at, n));
        } else {
            append_utf8(out, kReplacement);
        }
        at += n;
    }
    return out;
}

std::size_t cut_tail(std::string_view text) {
    // At most three bytes can wait for the rest of a character; the lead byte is the first that is not
    // 10xxxxxx.
    for (std::size_t n = 1; n <= std::min<std::size_t>(3, text.size()); ++n) {
        const std::size_t at = text.size() - n;
        if ((static_cast<uint8_t>(text[at]) & 0xC0) == 0x80) continue;
        const Utf8Char c = decode_utf8(text, at);
        return c.cut && c.n_byte == n ? n : 0;
    }
    return 0;
}

}  // namespace hearth

// Reads the options of the sim backend word by word; a word that is not known is an error that names the known ones.
#include "device/sim/options.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <span>
#include <string>

#include "base/byte_size.hpp"
#include "base/closest.hpp"

namespace hearth::sim {

namespace {

struct Unit {
    std::string_view name;
    double factor;
};
constexpr Unit kTimes[] = {{"ns", 1}, {"us", 1e3}, {"ms", 1e6}, {"s", 1e9}};
constexpr Unit kPlain[] = {{"", 1}};
constexpr double kMaxNumber = 0x1p50;  // doubles hold every integer up to here

bool digit(char c) { return c >= '0' && c <= '9'; }

// A decimal number without sign or exponent, and its unit.
bool read_number(std::string_view text, std::span<const Unit> units, double* out) {
    std::size_t i = 0;
    double value = 0, place = 1;
    for (; i < text.size() && digit(text[i]); ++i) value = value * 10 + (text[i] - '0');
    if (i == 0) return false;
    if (i + 1 < text.size() && text[i] == '.' && digit(text[i + 1]))
        for (++i; i < text.size() && digit(text[i]); ++i) value += (text[i] - '0') * (place /= 10);
    for (const Unit& unit : units) {
        if (unit.name != text.substr(i)) continue;
        if (!(value * unit.factor <= kMaxNumber)) return false;
        *out = value * unit.factor;
        return true;
    }
    return false;
}

bool read_count(std::string_view text, uint64_t* out) {
    double value = 0;
    if (!read_number(text, kPlain, &value) || value < 1 || value != std::floor(value)) return false;
    *out = static_cast<uint64_t>(value);
    return true;
}

bool read_size(std::string_view text, uint64_t* out) {
    const Result<uint64_t> bytes = parse_byte_size(text, "the size");
    if (!bytes || *bytes == 0) return false;
    *out = *bytes;
    return true;
}

// "[<devices>x]<size>"
bool read_devices(Options& o, std::string_view text) {
    uint64_t n = 1;
    if (const std::size_t x = text.find('x'); x != std::string_view::npos) {
        if (!read_count(text.substr(0, x), &n) || n > uint64_t{kMaxDevices}) return false;
        text.remove_prefix(x + 1);
    }
    o.n_device = static_cast<int32_t>(n);
    return read_size(text, &o.total_bytes);
}

bool read_rate(std::string_view text, uint64_t* out) {
    constexpr std::string_view kPerSecond = "/s";
    if (text.size() < kPerSecond.size() || text.substr(text.size() - kPerSecond.size()) != kPerSecond) return false;
    return read_size(text.substr(0, text.size() - kPerSecond.size()), out);
}
bool read_link(Options& o, std::string_view text) {
    uint64_t bytes = 0;
    if (!read_rate(text, &bytes)) return false;
    o.link_bytes_per_second = static_cast<double>(bytes);
    return true;
}
bool read_memory(Options& o, std::string_view text) { return read_rate(text, &o.memory_bytes_per_second); }
bool read_latency(Options& o, std::string_view text) { return read_number(text, kTimes, &o.latency_ns); }
bool read_compute(Options& o, std::string_view text) {
    return read_number(text, kPlain, &o.compute) && o.compute >= 0.001 && o.compute <= 1;
}
bool read_free(Options& o, std::string_view text) { return read_size(text, &o.free_bytes); }
bool read_fail(Options& o, std::string_view text) { return read_count(text, &o.fail_at); }
bool read_lost(Options& o, std::string_view text) { return read_count(text, &o.lost_at); }

struct Word {
    std::string_view name, wanted;  // the name is empty for the word without '='
    bool (*read)(Options&, std::string_view value);
};
constexpr Word kWords[] = {
    {"", "a size such as 4GiB or 2x512MiB, of at most 16 devices", read_devices},
    {"link", "a rate such as 8GB/s", read_link},
    {"memory", "a rate such as 8GB/s", read_memory},
    {"latency", "a time such as 20us", read_latency},
    {"compute", "a fraction such as 0.5, at least 0.001 and at most 1", read_compute},
    {"free", "a size such as 3GiB", read_free},
    {"fail", "the number of the allocation that fails, from 1", read_fail},
    {"lost", "the number of the run at which it is lost, from 1", read_lost},
};
constexpr std::size_t kWordCount = std::size(kWords);

Status unknown(std::string_view word, std::string_view name) {
    std::string_view names[kWordCount - 1];
    for (std::size_t i = 1; i < kWordCount; ++i) names[i - 1] = kWords[i].name;
    return fail(Code::invalid_argument,
                "unknown word '{}' in the options of a sim device{}; known are a size (4GiB, 2x512MiB) as the first word, "
                "link=, memory=, latency=, compute=, free=, fail= and lost=, separated by ';'",
                word, did_you_mean(name, names));
}

// One value, or one per device: that of device `index` goes into the options, and all of them must be good.
Status read_values(const Word& word, std::string_view text, int32_t index, Options* options) {
    const auto n = 1 + std::count(text.begin(), text.end(), ':');
    if (n > 1 && n != options->n_device)
        return fail(Code::invalid_argument, "'{}={}' in the options of a sim device: there are {} values for {} devices", word.name, text,
                    n, options->n_device);
    int32_t at = 0;
    for (std::size_t begin = 0; begin <= text.size(); ++at) {
        const std::size_t end = std::min(text.find(':', begin), text.size());
        const std::string_view value = text.substr(begin, end - begin);
        begin = end + 1;
        if (n > 1 && value.empty()) continue;
        Options other = *options;
        if (!word.read(n == 1 || at == index ? *options : other, value))
            return fail(Code::invalid_argument, "'{}={}' in the options of a sim device: expected {}", word.name, text, word.wanted);
    }
    return {};
}

Status read_word(Options& options, int32_t index, bool (&seen)[kWordCount], bool first, std::string_view word) {
    const std::size_t equals = std::min(word.find('='), word.size());
    const bool bare = equals == word.size();
    const std::string_view name = bare ? std::string_view() : word.substr(0, equals);
    const std::string_view value = bare ? word : word.substr(equals + 1);
    if (bare ? !first || word.empty() || !digit(word[0]) : name.empty()) return unknown(word, word.substr(0, equals));
    for (std::size_t i = 0; i < kWordCount; ++i) {
        if (kWords[i].name != name) continue;
        if (seen[i]) return fail(Code::invalid_argument, "'{}' comes twice in the options of a sim device", name);
        seen[i] = true;
        if (!bare) return read_values(kWords[i], value, index, &options);
        if (!kWords[i].read(options, value))
            return fail(Code::invalid_argument, "'{}' in the options of a sim device: expected {}", word, kWords[i].wanted);
        return {};
    }
    return unknown(word, name);
}

}  // namespace

Result<Options> parse_options(std::string_view text, int32_t index) {
    Options options;
    bool seen[kWordCount] = {};
    for (std::size_t begin = 0; !text.empty() && begin <= text.size();) {
        const std::size_t end = std::min(text.find(';', begin), text.size());
        HEARTH_CHECK(read_word(options, index, seen, begin == 0, text.substr(begin, end - begin)));
        begin = end + 1;
    }
    if (options.free_bytes == 0) options.free_bytes = options.total_bytes;
    if (options.free_bytes > options.total_bytes)
        return fail(Code::invalid_argument, "a sim device of {} bytes cannot have {} bytes free", options.total_bytes,
                    options.free_bytes);
    return options;
}

}  // namespace hearth::sim

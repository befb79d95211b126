// Reads and prints device specs.
#include "runtime/device_spec.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "base/byte_size.hpp"
#include "base/closest.hpp"

namespace hearth {
namespace {

constexpr std::size_t kMostText = 4096, kMostDevices = 64, kMostName = 32;
constexpr uint64_t kMostIndex = 1023;

// ---- options: one row each ----
struct Switch {
    std::string_view key, yes, no;
    bool DeviceSpec::*member;
};
constexpr Switch kSwitches[] = {
    {"kv", "device", "cpu", &DeviceSpec::kv_on_device},
    {"experts", "device", "cpu", &DeviceSpec::experts_on_device},
    {"vision", "device", "cpu", &DeviceSpec::vision_on_device},
    {"strict", "on", "off", &DeviceSpec::strict},
    {"deterministic", "on", "off", &DeviceSpec::deterministic},
};

bool read_number(std::string_view text, uint64_t most, uint64_t* out) {
    uint64_t value = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
    if (text.empty() || read.ec != std::errc() || read.ptr != text.data() + text.size() || value > most) return false;
    *out = value;
    return true;
}

Status read_layers(std::string_view value, DeviceSpec* spec) {
    uint64_t n = 0;
    if (value == "auto") {
        spec->n_layer = DeviceSpec::kLayersThatFit;
    } else if (value == "all") {
        spec->n_layer = DeviceSpec::kAllLayers;
    } else if (read_number(value, INT32_MAX, &n)) {
        spec->n_layer = static_cast<int32_t>(n);
    } else {
        return fail(Code::invalid_argument, "layers is '{}'; it is a number of layers from 0 on, auto (as many as fit) or all", value);
    }
    return {};
}

Status read_split(std::string_view value, DeviceSpec* spec) {
    constexpr std::string_view kWords[] = {"layer", "tensor"};
    if (value != kWords[0] && value != kWords[1])
        return fail(Code::invalid_argument, "split is '{}'; it is layer or tensor{}", value, did_you_mean(value, kWords));
    spec->split = value == kWords[1] ? SplitMode::tensor : SplitMode::layer;
    return {};
}

// Shares are decimals of at most six places, so that every one has an exact short text.
constexpr uint64_t kShareUnit = 1000000, kMostShare = 1000000;

bool read_share(std::string_view text, double* out) {
    std::size_t at = 0;
    uint64_t whole = 0, part = 0;
    if (!detail::read_digits(text, &at, &whole) || whole > kMostShare) return false;
    if (at < text.size()) {
        if (text[at] != '.') return false;
        const std::size_t point = at++;
        const std::size_t n_decimal = text.size() - at;
        if (n_decimal > 6 || !detail::read_digits(text, &at, &part) || at != text.size()) return false;
        for (std::size_t i = at - point - 1; i < 6; ++i) part *= 10;
    }
    *out = static_cast<double>(whole * kShareUnit + part) / kShareUnit;
    return true;
}

Status read_shares(std::string_view value, DeviceSpec* spec) {
    double sum = 0;
    for (std::size_t at = 0; at <= value.size();) {
        const std::size_t end = std::min(value.find(':', at), value.size());
        double share = 0;
        if (!read_share(value.substr(at, end - at), &share) || spec->shares.size() == kMostDevices)
            return fail(Code::invalid_argument,
                        "shares is '{}'; it is one number per device with ':' between them, like 3:1 or 0.75:0.25 "
                        "(0 to {}, at most 6 decimals)", value, kMostShare);
        spec->shares.push_back(share);
        sum += share;
        at = end + 1;
    }
    if (sum == 0) return fail(Code::invalid_argument, "shares is '{}'; at least one share must be above 0", value);
    return {};
}

Status read_reserve(std::string_view value, DeviceSpec* spec) {
    HEARTH_TRY(spec->reserve_bytes, parse_byte_size(value, "reserve"));
    spec->has_reserve = true;
    return {};
}

struct Option {
    std::string_view key, usage;
    Status (*read)(std::string_view value, DeviceSpec* spec);  // nullptr: one of kSwitches
};
constexpr std::array<Option, 9> kOptions = {{
    {"layers", "layers=N|auto|all", read_layers},
    {"split", "split=layer|tensor", read_split},
    {"shares", "shares=3:1", read_shares},
    {"kv", "kv=device|cpu", nullptr},
    {"experts", "experts=device|cpu", nullptr},
    {"vision", "vision=device|cpu", nullptr},
    {"reserve", "reserve=SIZE", read_reserve},
    {"strict", "strict=on|off", nullptr},
    {"deterministic", "deterministic=on|off", nullptr},
}};
constexpr std::string_view kDeviceUsage = "auto, cpu, ref, sim, sim:2x4GiB, cuda:0 or another NAME:INDEX";

Status read_switch(std::string_view key, std::string_view value, DeviceSpec* spec) {
    for (const Switch& s : kSwitches) {
        if (key != s.key) continue;
        const std::string_view words[] = {s.yes, s.no};
        if (value != s.yes && value != s.no)
            return fail(Code::invalid_argument, "{} is '{}'; it is {} or {}{}", key, value, s.yes, s.no, did_you_mean(value, words));
        spec->*s.member = value == s.yes;
    }
    return {};
}

std::string known_options() {
    std::string all;
    for (const Option& o : kOptions) all += (all.empty() ? "" : ", ") + std::string(o.usage);
    return all;
}

std::vector<std::string_view> option_keys() {
    std::vector<std::string_view> keys;
    for (const Option& o : kOptions) keys.push_back(o.key);
    return keys;
}

// `seen`: bit i = row i of kOptions was given.
Status read_option(std::string_view key, std::string_view value, uint32_t* seen, DeviceSpec* spec) {
    for (std::size_t i = 0; i < kOptions.size(); ++i) {
        if (key != kOptions[i].key) continue;
        if (*seen & 1u << i) return fail(Code::invalid_argument, "{}= is given twice in one device spec", key);
        *seen |= 1u << i;
        return kOptions[i].read ? kOptions[i].read(value, spec) : read_switch(key, value, spec);
    }
    return fail(Code::invalid_argument, "unknown device option '{}'{} (known: {})", key, did_you_mean(key, option_keys()),
                known_options());
}

// ---- devices ----
std::string_view trimmed(std::string_view text) {
    const std::size_t begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

bool only_one(std::string_view backend) { return backend == "cpu" || backend == "ref"; }

bool is_name(std::string_view text) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
    return !text.empty() && text.size() <= kMostName && text[0] >= 'a' && text[0] <= 'z' &&
           std::all_of(text.begin(), text.end(), letter);
}

// How many devices options like "link=8GB/s;2x4GiB" stand for: what is before the 'x' of the word that is a size, else 1.
bool sim_count(std::string_view options, uint64_t* n) {
    *n = 1;
    for (std::size_t at = 0; at <= options.size();) {
        const std::size_t stop = std::min(options.find(';', at), options.size());
        const std::string_view word = trimmed(options.substr(at, stop - at));
        const std::size_t end = word.find_first_not_of("0123456789");
        if (end != std::string_view::npos && end > 0 && word[end] == 'x')
            return read_number(word.substr(0, end), kMostDevices, n) && *n > 0;
        at = stop + 1;
    }
    return true;
}

Status add_device(DeviceRef device, DeviceSpec* spec) {
    if (spec->devices.size() == kMostDevices)
        return fail(Code::invalid_argument, "a device spec names more than {} devices", kMostDevices);
    if (std::find(spec->devices.begin(), spec->devices.end(), device) != spec->devices.end())
        return fail(Code::invalid_argument, "{} is named twice in one device spec", device_name(device));
    spec->devices.push_back(std::move(device));
    return {};
}

Status read_sim(std::string_view word, std::string_view options, DeviceSpec* spec) {
    uint64_t n = 0;
    if (options.empty()) return fail(Code::invalid_argument, "'{}' is not a device: write sim, sim:0 or sim:2x4GiB", word);
    if (read_number(options, kMostIndex, &n)) return add_device({"sim", static_cast<int32_t>(n), ""}, spec);
    if (!sim_count(options, &n))
        return fail(Code::invalid_argument, "'{}' asks for a number of devices outside 1..{}", word, kMostDevices);
    for (uint64_t i = 0; i < n; ++i) HEARTH_CHECK(add_device({"sim", static_cast<int32_t>(i), std::string(options)}, spec));
    return {};
}

Status read_device(std::string_view word, DeviceSpec* spec) {
    const std::size_t colon = word.find(':');
    const std::string_view name = word.substr(0, colon);
    const std::vector<std::string_view> keys = option_keys();
    if (std::find(keys.begin(), keys.end(), name) != keys.end())
        return fail(Code::invalid_argument, "'{}' is an option and needs a value: {}", name,
                    kOptions[static_cast<std::size_t>(std::find(keys.begin(), keys.end(), name) - keys.begin())].usage);
    if (!is_name(name))
        return fail(Code::invalid_argument, "'{}' is not a device; devices are {}; options are {}", word, kDeviceUsage, known_options());
    if (word == "auto") {
        if (spec->automatic) return fail(Code::invalid_argument, "auto is named twice in one device spec");
        spec->automatic = true;
        return {};
    }
    if (colon == std::string_view::npos) return add_device({std::string(name), 0, ""}, spec);
    const std::string_view rest = word.substr(colon + 1);
    if (name == "sim") return read_sim(word, rest, spec);
    uint64_t index = 0;
    if (!read_number(rest, kMostIndex, &index) || name == "auto")
        return fail(Code::invalid_argument, "'{}' is not a device: behind the colon stands an index from 0 to {}; devices are {}", word,
                    kMostIndex, kDeviceUsage);
    if (only_one(name) && index != 0) return fail(Code::invalid_argument, "'{}' is not a device: there is one {}", word, name);
    return add_device({std::string(name), static_cast<int32_t>(index), ""}, spec);
}

Status read_word(std::string_view word, uint32_t* seen, DeviceSpec* spec) {
    if (word.empty())
        return fail(Code::invalid_argument, "a device spec has nothing between two commas; devices are {}; options are {}",
                    kDeviceUsage, known_options());
    const std::size_t first = word.find_first_of("=:");
    if (first != std::string_view::npos && word[first] == '=')
        return read_option(trimmed(word.substr(0, first)), trimmed(word.substr(first + 1)), seen, spec);
    return read_device(word, spec);
}

// What only the whole spec shows.
Status complete(bool layers_given, DeviceSpec* spec) {
    if (spec->automatic && !spec->devices.empty())
        return fail(Code::invalid_argument, "auto chooses the devices itself and cannot stand beside {}", device_name(spec->devices[0]));
    spec->automatic = spec->devices.empty();
    if (!layers_given) spec->n_layer = spec->automatic ? DeviceSpec::kLayersThatFit : DeviceSpec::kAllLayers;
    if (!spec->automatic && !spec->shares.empty() && spec->shares.size() != spec->devices.size())
        return fail(Code::invalid_argument, "shares has {} numbers for {} devices", spec->shares.size(), spec->devices.size());
    return {};
}

std::string shares_text(const std::vector<double>& shares) {
    std::string text;
    for (const double share : shares) {
        std::string one = format_text("{:.6f}", share);
        one.erase(one.find_last_not_of('0') + 1);
        if (one.back() == '.') one.pop_back();
        text += (text.empty() ? "" : ":") + one;
    }
    return text;
}

std::string devices_text(const std::vector<DeviceRef>& devices) {
    std::string text;
    for (const DeviceRef& d : devices) {
        // One word stands for all devices of a group; their order within a spec is always 0..N-1.
        if (!d.options.empty() && d.index > 0) continue;
        text += (text.empty() ? "" : ",") + (d.options.empty() ? device_name(d) : d.backend + ":" + d.options);
    }
    return text;
}

}  // namespace

Result<DeviceSpec> parse_device_spec(std::string_view text) {
    if (text.size() > kMostText) return fail(Code::invalid_argument, "a device spec is longer than {} bytes", kMostText);
    if (!std::all_of(text.begin(), text.end(), [](char c) { return c == '\t' || (c >= ' ' && c <= '~'); }))
        return fail(Code::invalid_argument, "a device spec holds a character that is not printable ASCII");
    DeviceSpec spec;
    uint32_t seen = 0;
    if (trimmed(text).empty()) text = "auto";
    for (std::size_t at = 0; at <= text.size();) {
        const std::size_t end = std::min(text.find(',', at), text.size());
        HEARTH_CHECK(read_word(trimmed(text.substr(at, end - at)), &seen, &spec));
        at = end + 1;
    }
    HEARTH_CHECK(complete((seen & 1u) != 0, &spec));
    return spec;
}

std::string device_name(const DeviceRef& device) {
    return only_one(device.backend) ? device.backend : device.backend + ":" + std::to_string(device.index);
}

std::string to_string(const DeviceSpec& spec) {
    const DeviceSpec usual;
    std::string text = spec.automatic ? "auto" : devices_text(spec.devices);
    if (spec.n_layer >= 0)
        text += ",layers=" + std::to_string(spec.n_layer);
    else if (spec.n_layer != (spec.automatic ? DeviceSpec::kLayersThatFit : DeviceSpec::kAllLayers))
        text += spec.n_layer == DeviceSpec::kAllLayers ? ",layers=all" : ",layers=auto";
    if (spec.split == SplitMode::tensor) text += ",split=tensor";
    if (!spec.shares.empty()) text += ",shares=" + shares_text(spec.shares);
    if (spec.has_reserve) text += ",reserve=" + byte_size_text(spec.reserve_bytes);
    for (const Switch& s : kSwitches)
        if (spec.*s.member != usual.*s.member) text += format_text(",{}={}", s.key, spec.*s.member ? s.yes : s.no);
    return text;
}

}  // namespace hearth

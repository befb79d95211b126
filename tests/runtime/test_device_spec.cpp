// The device spec: what each word means, what the defaults are, and what every wrong word is answered with.
#include "support/catch.hpp"

#include <limits>

#include "base/byte_size.hpp"
#include "runtime/device_spec.hpp"
#include "support/support.hpp"

using namespace hearth;

namespace {

DeviceSpec good(std::string_view text) {
    INFO(text);
    const Result<DeviceSpec> spec = parse_device_spec(text);
    if (!spec) FAIL(error_record().message);
    return *spec;
}

// The sentence that a text is refused with.
std::string refused(std::string_view text) {
    INFO(text);
    const Result<DeviceSpec> spec = parse_device_spec(text);
    REQUIRE_FALSE(spec);
    CHECK(spec.code() == Code::invalid_argument);
    return error_record().message;
}

bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

using Devices = std::vector<DeviceRef>;

}  // namespace

TEST_CASE("Device words name devices, sim words a whole group of them", "[device_spec]") {
    CHECK(good("auto").automatic);
    CHECK(good("auto").devices.empty());
    CHECK(good("cpu").devices == Devices{{"cpu", 0, ""}});
    CHECK_FALSE(good("cpu").automatic);
    CHECK(good("cpu:0") == good("cpu"));
    CHECK(good("ref").devices == Devices{{"ref", 0, ""}});
    CHECK(good("cuda") == good("cuda:0"));
    CHECK(good(" cuda:0 ,\tcuda:12,cpu").devices == Devices{{"cuda", 0, ""}, {"cuda", 12, ""}, {"cpu", 0, ""}});
    CHECK(good("sim").devices == Devices{{"sim", 0, ""}});
    CHECK(good("sim:1").devices == Devices{{"sim", 1, ""}});
    CHECK(good("sim:4GiB").devices == Devices{{"sim", 0, "4GiB"}});
    CHECK(good("sim:2x4GiB").devices == Devices{{"sim", 0, "2x4GiB"}, {"sim", 1, "2x4GiB"}});
    const std::string linked = "2x4GiB;link=8GB/s";
    CHECK(good("sim:" + linked + ",layers=3").devices == Devices{{"sim", 0, linked}, {"sim", 1, linked}});
    CHECK(good("sim:link=8GB/s; 2x4GiB").devices == Devices{{"sim", 0, "link=8GB/s; 2x4GiB"}, {"sim", 1, "link=8GB/s; 2x4GiB"}});
    CHECK(good("sim:4096").devices == Devices{{"sim", 0, "4096"}});
    CHECK(good("sim:64x1GiB").devices.size() == 64);
    CHECK(good("onednn").devices == Devices{{"onednn", 0, ""}});
}

TEST_CASE("Option words set what they say and leave the rest at its default", "[device_spec]") {
    CHECK(good("auto").n_layer == -1);
    CHECK(good("cuda:0").n_layer == -2);
    CHECK(good("cpu").n_layer == -2);
    CHECK(good("cuda:0,layers=auto").n_layer == -1);
    CHECK(good("auto,layers=all").n_layer == -2);
    CHECK(good("cuda:0,layers=0").n_layer == 0);
    CHECK(good("cpu,layers=20").n_layer == 20);
    CHECK(good("cuda:0,layers=2147483647").n_layer == std::numeric_limits<int32_t>::max());
    CHECK(good("").automatic);
    CHECK(good("layers=20").automatic);
    const DeviceSpec usual = good("cuda:0,cuda:1");
    CHECK(usual.split == SplitMode::layer);
    CHECK(usual.shares.empty());
    CHECK((usual.kv_on_device && usual.experts_on_device && usual.vision_on_device));
    CHECK_FALSE((usual.strict || usual.deterministic || usual.has_reserve));
    const DeviceSpec all = good("split=tensor, cuda:0, shares=3:0.25, kv = cpu, experts=cpu, vision=cpu, cuda:1, strict=on,"
                                "deterministic=on,reserve=512MiB");
    CHECK(all.split == SplitMode::tensor);
    CHECK(all.shares == std::vector<double>{3, 0.25});
    CHECK_FALSE((all.kv_on_device || all.experts_on_device || all.vision_on_device));
    CHECK((all.strict && all.deterministic && all.has_reserve));
    CHECK(all.reserve_bytes == uint64_t{512} << 20);
    CHECK(good("cpu,reserve=0").has_reserve);
    CHECK(good("auto,shares=1:2:3").shares.size() == 3);
}

TEST_CASE("An unknown option or value is answered with the known ones and the nearest", "[device_spec]") {
    const std::string option = refused("cuda:0,layer=20");
    CHECK(has(option, "'layer'; did you mean 'layers'?"));
    for (const char* key : {"layers=", "split=", "shares=", "kv=", "experts=", "vision=", "reserve=", "strict=", "deterministic="})
        CHECK(has(option, key));
    CHECK(has(refused("cuda:0,split=tenser"), "layer or tensor; did you mean 'tensor'?"));
    CHECK(has(refused("cuda:0,kv=gpu"), "kv is 'gpu'; it is device or cpu"));
    CHECK(has(refused("cuda:0,experts=devise"), "did you mean 'device'?"));
    CHECK(has(refused("cuda:0,strict=yes"), "strict is 'yes'; it is on or off"));
    CHECK(has(refused("cuda:0,strict"), "strict=on|off"));
    CHECK(has(refused("cuda:0,layers:20"), "layers=N|auto|all"));
    CHECK(has(refused("CUDA:0"), "devices are auto, cpu"));
    CHECK(has(refused("cuda:0,=3"), "unknown device option ''"));
}

TEST_CASE("A number that means nothing is refused with a sentence", "[device_spec]") {
    for (const char* layers : {"-1", "1.5", "x", "", "2147483648", "99999999999999999999", "+3", "0x10"})
        CHECK(has(refused(std::string("cpu,layers=") + layers), "layers is '"));
    for (const char* device : {"cuda:-1", "cuda:", "cuda:1024", "cuda:99999999999999999999", "cuda:0x", "auto:0", "cuda:0:1"})
        CHECK(has(refused(device), "is not a device"));
    CHECK(has(refused("cpu:1"), "there is one cpu"));
    CHECK(has(refused("sim:"), "is not a device"));
    CHECK(has(refused("sim:0x4GiB"), "outside 1..64"));
    CHECK(has(refused("sim:65x4GiB"), "outside 1..64"));
    CHECK(has(refused("sim:99999999999999999999x4GiB"), "outside 1..64"));
    CHECK(has(refused("sim:64x4GiB,cpu"), "more than 64 devices"));
    for (const char* shares : {"", "1:", "-1:2", "1:x", "1.0000001:2", "1e3:1", "1000001:1", "nan:1", "1.:1", ".5:1"})
        CHECK(has(refused(std::string("cuda:0,cuda:1,shares=") + shares), "shares is '"));
    CHECK(has(refused("cuda:0,cuda:1,shares=0:0"), "above 0"));
    CHECK(has(refused("cuda:0,cuda:1,shares=1:2:3"), "3 numbers for 2 devices"));
    for (const char* size : {"", "GiB", "4 apples", "-1GiB", "1.1234567GiB", "4gib"})
        CHECK(has(refused(std::string("cpu,reserve=") + size), "reserve is '"));
    CHECK(has(refused("cpu,reserve=99999999TiB"), "64 bits"));
}

TEST_CASE("Words that contradict each other are refused", "[device_spec]") {
    CHECK(has(refused("cuda:0,cuda:0"), "cuda:0 is named twice"));
    CHECK(has(refused("cuda,cuda:0"), "cuda:0 is named twice"));
    CHECK(has(refused("auto,auto"), "twice"));
    CHECK(has(refused("auto,cuda:0"), "cannot stand beside cuda:0"));
    CHECK(has(refused("cuda:0,auto"), "cannot stand beside cuda:0"));
    CHECK(has(refused("cpu,layers=1,layers=1"), "layers= is given twice"));
    CHECK(has(refused("cuda:0,,cpu"), "between two commas"));
    CHECK(has(refused("cuda:0,"), "between two commas"));
    CHECK(has(refused(std::string_view("cpu\0", 4)), "printable"));
    CHECK(has(refused(std::string(4097, 'a')), "longer than"));
    CHECK(has(refused(std::string(40, 'a')), "is not a device"));
}

TEST_CASE("The canonical text means the same and is its own canonical text", "[device_spec]") {
    CHECK(to_string(good("layers=all")) == "auto,layers=all");
    CHECK(to_string(good("cuda , layers=all,strict=off,kv=device")) == "cuda:0");
    CHECK(to_string(good("cpu,layers=0,reserve=1024MiB")) == "cpu,layers=0,reserve=1GiB");
    CHECK(to_string(good("shares=3:0.50,sim:2x4GiB;link=1GB/s,kv=cpu")) == "sim:2x4GiB;link=1GB/s,shares=3:0.5,kv=cpu");
    CHECK(to_string(good("auto,reserve=1000")) == "auto,reserve=1000B");
    test::Random random(test::seed());
    const std::vector<std::vector<const char*>> choices = {
        {"auto", "", "cpu", "cuda:0,cuda:3", "sim:2x1GiB,cpu", "cuda:1,sim:0", "sim:3x1KiB;link=1MB/s"},
        {"", "layers=0", "layers=17", "layers=auto", "layers=all"},
        {"", "split=layer", "split=tensor"},
        {"", "kv=cpu", "kv=device"},
        {"", "experts=cpu"},
        {"", "vision=cpu"},
        {"", "reserve=0", "reserve=1.25GB", "reserve=3MiB", "reserve=18446744073709551615"},
        {"", "strict=on"},
        {"", "deterministic=on"},
    };
    for (int round = 0; round < 500; ++round) {
        std::string text;
        for (const auto& words : choices)
            if (const std::string word = words[random.below(words.size())]; !word.empty()) text += (text.empty() ? "" : " , ") + word;
        DeviceSpec spec = good(text);
        const std::size_t n_share = spec.automatic ? random.below(4) : random.below(2) * spec.devices.size();
        for (std::size_t i = 0; i < n_share; ++i) spec.shares.push_back(static_cast<double>(1 + random.below(1000000000)) / 1e6);
        const std::string canonical = to_string(spec);
        INFO(text << " -> " << canonical);
        CHECK(good(canonical) == spec);
        CHECK(to_string(good(canonical)) == canonical);
    }
}

TEST_CASE("Byte sizes are exact to the last byte that 64 bits can count", "[device_spec]") {
    CHECK(*parse_byte_size("18446744073709551615", "x") == std::numeric_limits<uint64_t>::max());
    CHECK_FALSE(parse_byte_size("18446744073709551616", "x"));
    CHECK(*parse_byte_size("1.5KiB", "x") == 1536);
    CHECK(*parse_byte_size("0.000001MB", "x") == 1);
    CHECK(*parse_byte_size("16777215.999999TiB", "x") == (uint64_t{16777215} << 40) + 999999 * (uint64_t{1} << 40) / 1000000);
    CHECK_FALSE(parse_byte_size("16777216TiB", "x"));
    CHECK(byte_size_text(0) == "0B");
    CHECK(byte_size_text(uint64_t{1} << 40) == "1TiB");
    CHECK(byte_size_text(1025) == "1025B");
}

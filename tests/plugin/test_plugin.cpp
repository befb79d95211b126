// Plugins are found where they may be, opened only when asked for, and the ones that cannot be used say why.
#include "support/catch.hpp"

#ifdef __linux__
#include <dirent.h>
#include <dlfcn.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/platform.hpp"
#include "runtime/context_support.hpp"
#include "runtime/runtime.hpp"
#include "support/support.hpp"

using namespace hearth;

#ifdef __linux__
namespace {
std::atomic<int> g_n_listed{0};
}

// The C library's, counted: every folder that is listed passes here.
extern "C" DIR* opendir(const char* name) {
    ++g_n_listed;
    return reinterpret_cast<DIR* (*)(const char*)>(dlsym(RTLD_NEXT, "opendir"))(name);
}
#endif

namespace {

const std::string kFolder = HEARTH_TEST_PLUGINS;

// A runtime that looks in `variable` and `path`, and always beside this program.
std::shared_ptr<Runtime> make_runtime(const std::string& variable, const std::string& path = "") {
    setenv("HEARTH_PLUGIN_PATH", variable.c_str(), 1);
    RuntimeOptions options;
    options.n_thread = 1;
    options.plugin_path = path;
    auto made = Runtime::make(options);
    REQUIRE(made);
    return *made;
}

bool is_mapped(const char* file) {
    std::ifstream maps("/proc/self/maps");
    const std::string text((std::istreambuf_iterator<char>(maps)), {});
    REQUIRE(text.find("test_plugin") != std::string::npos);  // or this would hold of an empty text
    return text.find(file) != std::string::npos;
}

const DeviceInfo* find(const std::vector<DeviceInfo>& all, const std::string& spec) {
    const auto at = std::find_if(all.begin(), all.end(), [&](const DeviceInfo& d) { return d.spec == spec; });
    return at == all.end() ? nullptr : &*at;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string refused(Runtime& runtime, const char* spec) {
    INFO(spec);
    CHECK_FALSE(runtime.device(spec));
    return error_record().message;
}

void load_on(const std::shared_ptr<Runtime>& runtime, const char* device) {
    const std::string file = test::tiny_llama(1).file(1);
    auto source = open_model_memory(file.data(), file.size());
    REQUIRE(source);
    ModelOptions options;
    options.device = device;
    const auto model = Model::load(runtime, std::move(*source), options);
    INFO(error_record().message);
    REQUIRE(model);
}

}  // namespace

TEST_CASE("A model on the CPU maps no plugin, although one is installed beside the library", "[.][maps_cpu]") {
    const auto runtime = make_runtime(kFolder + "/good");
    for (const char* device : {"cpu", "ref", "sim:16MiB", "cpu,layers=3,kv=cpu"}) load_on(runtime, device);
    REQUIRE(runtime->device_info(0));
    CHECK(runtime->device_info(0)->spec == "cpu");
    CHECK_FALSE(is_mapped("libhearth_"));
    const std::vector<DeviceInfo> all = *runtime->devices();
    CHECK(find(all, "beside:1"));
    CHECK(is_mapped("libhearth_beside.so"));
    CHECK(is_mapped("libhearth_good.so"));
}

TEST_CASE("A named device opens its own plugin alone", "[.][maps_named]") {
    const auto runtime = make_runtime(kFolder + "/good");
    REQUIRE(runtime->device("good:1"));
    CHECK(is_mapped("libhearth_good.so"));
    CHECK_FALSE(is_mapped("libhearth_beside.so"));
    CHECK_FALSE(is_mapped("libhearth_onednn.so"));
}

TEST_CASE("auto looks at accelerators, the best first, and at nothing host-side", "[.][maps_auto]") {
    const auto runtime = make_runtime(kFolder + "/good");
    const auto found = runtime->resolve(*parse_device_spec("auto"));
    REQUIRE(found);
    CHECK(*found == std::vector<DeviceRef>{{"good", 0, ""}, {"good", 1, ""}, {"beside", 0, ""}, {"beside", 1, ""}});
    CHECK(is_mapped("libhearth_good.so"));
    CHECK_FALSE(is_mapped("libhearth_onednn.so"));
    CHECK_FALSE(runtime->resolve(*parse_device_spec("auto,shares=1:2")));
    CHECK(has(error_record().message, "2 numbers for the 4 devices"));
}

TEST_CASE("Every plugin that cannot be used is listed with its reason", "[plugin]") {
    const auto runtime = make_runtime(kFolder + "/bad:" + kFolder + "/absent:" + kFolder + "/test_plugin");
    const std::vector<DeviceInfo> all = *runtime->devices();
    const std::pair<const char*, const char*> wanted[] = {
        {"abi", "made for backend ABI 7, this library has 1"},
        {"silent", "does not serve backend ABI 1"},
        {"entry", "does not export hearth_backend_v1"},
        {"size", "its table has 64 bytes, "},
        {"slot", "of its table is empty"},
        {"name", "it calls itself 'other', its file is named for 'name'"},
        {"score", "this machine cannot run it"},
        {"throws", "it threw an exception: no luck with the score"},
        {"opens:0", "the backend threw an exception: no luck with the device"},
        {"opens:1", "the backend threw an exception: no luck with the device"},
        {"garbage", "cannot be opened: "},
    };
    for (const auto& [spec, reason] : wanted) {
        INFO(spec);
        const DeviceInfo* info = find(all, spec);
        REQUIRE(info);
        INFO(info->unavailable);
        CHECK(has(info->unavailable, reason));
    }
    CHECK(has(find(all, kFolder + "/absent")->unavailable, "no such file or folder"));
    CHECK(has(find(all, kFolder + "/test_plugin")->unavailable, "is named libhearth_NAME.so"));
    CHECK(has(refused(*runtime, "abi:0"), "libhearth_abi.so cannot be used: it is made for backend ABI 7"));
    CHECK(has(refused(*runtime, "opens:0"), "threw an exception"));
    const DeviceInfo* beside = find(all, "beside:1");
    REQUIRE(beside);
    CHECK(beside->unavailable == "");
    CHECK(beside->name == "test device 1");
    CHECK(beside->free_bytes == 600);
}

TEST_CASE("A path that the host gives is a folder or a file, and comes before the variable", "[plugin]") {
    const auto by_file = make_runtime("", kFolder + "/good/libhearth_good.so");
    CHECK(find(*by_file->devices(), "good:1"));
    CHECK_FALSE(find(*by_file->devices(), "onednn:0"));
    const auto by_folder = make_runtime(kFolder + "/bad", kFolder + "/good");
    const std::vector<DeviceInfo> all = *by_folder->devices();
    REQUIRE((find(all, "onednn:0") && find(all, "abi")));
    CHECK(find(all, "onednn:0") < find(all, "abi"));
    // The same plugin by another path is no second backend.
    const auto twice = make_runtime(kFolder + "/./good", kFolder + "/good");
    const std::vector<DeviceInfo> listed = *twice->devices();
    REQUIRE(find(listed, "good"));
    CHECK(has(find(listed, "good")->unavailable, "another backend of this name comes before it"));
    // One that cannot be used does not hide the next of its name.
    const auto behind = make_runtime(kFolder + "/good", kFolder + "/bad/libhearth_good.so");
    CHECK(behind->device("good"));
}

TEST_CASE("A device is opened once, and an index beyond the last is an error", "[plugin]") {
    const auto runtime = make_runtime(kFolder + "/good");
    const auto one = runtime->device("good:1"), again = runtime->device(DeviceRef{"good", 1, ""}), zero = runtime->device("good");
    REQUIRE((one && again && zero));
    CHECK(*one == *again);
    CHECK(*one != *zero);
    CHECK((*one)->spec() == "good:1");
    CHECK(has(refused(*runtime, "good:5"), "none with index 5"));
    CHECK_FALSE(runtime->device_info(1000));
    CHECK(error_record().code == Code::not_found);
}

TEST_CASE("A device that does not exist is answered with what does", "[plugin]") {
    const auto runtime = make_runtime(kFolder + "/good");
    CHECK(has(refused(*runtime, "cuda:0"), "device 'cuda' needs the plugin libhearth_cuda.so, which is not in " + kFolder));
    CHECK(has(refused(*runtime, "god:0"), "unknown device 'god'; did you mean 'good'? (known: auto, cpu, ref, sim, good, onednn, beside"));
    CHECK(has(refused(*runtime, "good:0,good:1"), "one device as a whole"));
    CHECK(has(refused(*runtime, "cpu,layer=3"), "did you mean 'layers'?"));
}

#ifdef __linux__
TEST_CASE("A device that nobody knows is looked for in each folder once", "[plugin]") {
    const auto runtime = make_runtime(kFolder + "/good");
    g_n_listed = 0;
    CHECK(has(refused(*runtime, "god:0"), "known: auto, cpu"));
    CHECK(g_n_listed == 2);  // the variable's, and the one that this program is in
}

TEST_CASE("With rights that its caller has not, a process ignores the variable", "[.][setuid_child]") {
    REQUIRE(std::getenv("HEARTH_PLUGIN_PATH"));
    if (getauxval(AT_SECURE) == 0) return test::skip("setuid: the build folder's file system ignores the bit");
    CHECK(os::trusted_variable("HEARTH_PLUGIN_PATH") == "");
    CHECK_FALSE(has(Plugins("").places(), "good"));
    // Such a process cannot be traced, which is how LeakSanitizer looks through its memory at the end.
    CHECK((setresuid(geteuid(), geteuid(), geteuid()) == 0 && prctl(PR_SET_DUMPABLE, 1) == 0));
}

TEST_CASE("The variable counts in an ordinary process, and not in a setuid one", "[plugin]") {
    setenv("HEARTH_PLUGIN_PATH", (kFolder + "/good").c_str(), 1);
    CHECK(os::trusted_variable("HEARTH_PLUGIN_PATH") == kFolder + "/good");
    CHECK(has(Plugins("").places(), "good"));
    CHECK(os::own_folder() == kFolder);
    constexpr uid_t kNobody = 65534;
    const std::string copy = test::temp_path("setuid_test_plugin");
    std::error_code error;
    std::filesystem::copy_file("/proc/self/exe", copy, error);
    if (error || chown(copy.c_str(), kNobody, kNobody) != 0 || chmod(copy.c_str(), 04755) != 0) {
        test::skip("setuid: only root can make a program that runs as somebody else");
    } else {
        CHECK(std::system(("'" + copy + "' '[setuid_child]' >&2").c_str()) == 0);
    }
    std::filesystem::remove(copy, error);
}
#endif

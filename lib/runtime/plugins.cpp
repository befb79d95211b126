// Finds and opens backend plugins.
#include "runtime/plugins.hpp"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <exception>
#include <filesystem>
#include <utility>

#include "base/platform.hpp"

namespace hearth {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kStem = "hearth_";
constexpr std::string_view kHostSide[] = {"onednn"};
constexpr const char* kVariable = "HEARTH_PLUGIN_PATH";
// Every slot up to here is called without a look at `size`; later ones are optional.
constexpr std::size_t kNeededBytes = offsetof(hearth_backend, wait) + sizeof(hearth_backend::wait);

fs::path path_of(std::string_view utf8) {
    return fs::path(std::u8string(reinterpret_cast<const char8_t*>(utf8.data()), utf8.size()));
}

std::string text_of(const fs::path& path) {
    const std::u8string text = path.u8string();
    return std::string(text.begin(), text.end());
}

// "cuda" from "libhearth_cuda.so"; "" from any other name.
std::string plugin_name(const std::string& file) {
    const std::string_view stem = os::library_stem(file);
    if (stem.substr(0, kStem.size()) != kStem) return {};
    const std::string_view name = stem.substr(kStem.size());
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; };
    return std::all_of(name.begin(), name.end(), letter) ? std::string(name) : std::string();
}

std::vector<std::string> split_list(const std::string& list) {
    std::vector<std::string> parts;
    for (std::size_t at = 0; at < list.size();) {
        const std::size_t end = std::min(list.find(os::path_list_separator(), at), list.size());
        if (end > at) parts.push_back(list.substr(at, end - at));
        at = end + 1;
    }
    return parts;
}

Status add_folder(const fs::path& folder, std::vector<PluginFile>* out) {
    const Result<std::vector<std::string>> names = os::list_folder(text_of(folder));
    if (!names) {
        if (names.code() == Code::oom_host) return names.failure();
        out->push_back({"", text_of(folder), error_record().message});
        return {};
    }
    std::vector<PluginFile> found;
    for (const std::string& file : *names)
        if (const std::string name = plugin_name(file); !name.empty()) found.push_back({name, text_of(folder / path_of(file))});
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
    out->insert(out->end(), found.begin(), found.end());
    return {};
}

// One entry of a path list: a folder of plugins, or one plugin.
Status add_entry(const std::string& entry, std::vector<PluginFile>* out) {
    std::error_code error;
    fs::path path = fs::absolute(path_of(entry), error);  // the loader searches for names without a folder
    if (error) path = path_of(entry);
    if (fs::is_directory(path, error)) return add_folder(path, out);
    const std::string file = text_of(path.filename());
    PluginFile plugin{plugin_name(file), text_of(path), ""};
    if (!fs::exists(path, error))
        plugin.unusable = "there is no such file or folder";
    else if (plugin.name.empty())
        plugin.unusable = "a plugin's file is named " + os::library_file("hearth_NAME");
    out->push_back(std::move(plugin));
    return {};
}

const hearth_backend* table_of(const os::Library& library, std::string* reason) {
    const auto entry = reinterpret_cast<hearth_backend_entry>(library.symbol(HEARTH_BACKEND_ENTRY));
    if (!entry) {
        *reason = "it does not export " HEARTH_BACKEND_ENTRY;
        return nullptr;
    }
    const hearth_backend* table = entry(HEARTH_BACKEND_ABI);
    if (!table) *reason = "it does not serve backend ABI " + std::to_string(HEARTH_BACKEND_ABI);
    return table;
}

// The sentence that says what is wrong with a table, or "". abi and size are read before anything else.
std::string fault_of(const hearth_backend& table, const std::string& name) {
    if (table.abi != HEARTH_BACKEND_ABI)
        return "it is made for backend ABI " + std::to_string(table.abi) + ", this library has " + std::to_string(HEARTH_BACKEND_ABI);
    if (table.size < kNeededBytes)
        return "its table has " + std::to_string(table.size) + " bytes, " + std::to_string(kNeededBytes) + " are needed";
    for (std::size_t at = offsetof(hearth_backend, name); at < kNeededBytes; at += sizeof(void*)) {
        void* slot = nullptr;
        std::memcpy(&slot, reinterpret_cast<const char*>(&table) + at, sizeof slot);
        if (!slot) return "the slot at byte " + std::to_string(at) + " of its table is empty";
    }
    if (name != table.name) return "it calls itself '" + std::string(table.name) + "', its file is named for '" + name + "'";
    if (table.score() <= 0) return "it says that this machine cannot run it";
    return {};
}

Result<Plugin> open_file(const PluginFile& file) {
    Plugin plugin{file, nullptr, file.unusable};
    if (!plugin.reason.empty()) return plugin;
    Result<os::Library> library = os::Library::open(file.path);
    if (library.code() == Code::oom_host) return library.failure();
    if (!library) {
        plugin.reason = error_record().message;
        return plugin;
    }
    try {  // the plugin's code runs here
        const hearth_backend* table = table_of(*library, &plugin.reason);
        if (table) plugin.reason = fault_of(*table, file.name);
        if (plugin.reason.empty()) plugin.backend = table;
    } catch (const std::exception& e) {
        plugin.reason = std::string("it threw an exception: ") + e.what();
    } catch (...) {
        plugin.reason = "it threw an exception";
    }
    // Drivers start threads and register exit handlers, so what is used is never unmapped.
    if (plugin.backend) library->keep();
    return plugin;
}

}  // namespace

bool is_host_side(std::string_view backend) {
    return std::find(std::begin(kHostSide), std::end(kHostSide), backend) != std::end(kHostSide);
}

Result<std::vector<PluginFile>> Plugins::files() const {
    std::vector<PluginFile> found;
    for (const std::string& entry : split_list(paths_)) HEARTH_CHECK(add_entry(entry, &found));
    for (const std::string& entry : split_list(os::trusted_variable(kVariable))) HEARTH_CHECK(add_entry(entry, &found));
    if (const std::string folder = os::own_folder(); !folder.empty()) {
        std::vector<PluginFile> beside;
        HEARTH_CHECK(add_folder(path_of(folder), &beside));
        for (PluginFile& file : beside)
            if (!file.name.empty()) found.push_back(std::move(file));  // nobody asked for this folder: not to read it is no fault
    }
    std::vector<PluginFile> once;
    for (PluginFile& file : found)
        if (std::none_of(once.begin(), once.end(), [&](const PluginFile& f) { return f.path == file.path; }))
            once.push_back(std::move(file));
    return once;
}

std::string Plugins::places() const {
    std::string all;
    const auto add = [&all](const std::string& place) { all += (all.empty() ? "" : ", ") + place; };
    for (const std::string& entry : split_list(paths_)) add(entry);
    for (const std::string& entry : split_list(os::trusted_variable(kVariable))) add(entry);
    if (const std::string folder = os::own_folder(); !folder.empty()) add(folder);
    return all;
}

Result<Plugin> Plugins::open(const PluginFile& file) {
    for (const Plugin& plugin : opened_)
        if (plugin.file.path == file.path) return plugin;
    HEARTH_TRY(Plugin plugin, open_file(file));
    opened_.push_back(std::move(plugin));
    return opened_.back();
}

}  // namespace hearth

// Which devices there are: built-in backends, those registered by pointer, and plugins.
#include <algorithm>
#include <utility>

#include "base/closest.hpp"
#include "runtime/runtime.hpp"

// The built-in backends; their folders are not included by anybody.
extern "C" const hearth_backend* hearth_backend_cpu(void);
extern "C" const hearth_backend* hearth_backend_ref(void);
extern "C" const hearth_backend* hearth_backend_sim(void);

namespace hearth {
namespace {

using BuiltIn = const hearth_backend* (*)();
constexpr BuiltIn kBuiltIn[] = {hearth_backend_cpu, hearth_backend_ref, hearth_backend_sim};

// Plugins that may exist, for "did you mean" where none is installed.
constexpr std::string_view kPluginNames[] = {"cuda", "onednn"};

// Does it take a plan to honour this? On the CPU alone, where layers and caches are is settled.
bool needs_plan(const DeviceSpec& spec, const std::vector<DeviceRef>& devices) {
    const bool host = devices.size() == 1 && (devices[0].backend == "cpu" || devices[0].backend == "ref");
    if (spec.has_reserve) return true;
    if (host) return false;
    DeviceSpec plain;
    plain.automatic = spec.automatic;
    plain.devices = spec.devices;
    plain.n_layer = spec.automatic ? spec.n_layer : DeviceSpec::kAllLayers;
    plain.strict = spec.strict;
    plain.deterministic = spec.deterministic;
    return !(plain == spec);
}

}  // namespace

std::vector<const hearth_backend*> Runtime::backends() const {
    std::vector<const hearth_backend*> all;
    for (const BuiltIn backend : kBuiltIn) all.push_back(backend());
    all.insert(all.end(), options_.extra_backends.begin(), options_.extra_backends.end());
    return all;
}

std::vector<std::string> Runtime::known_names(const std::vector<PluginFile>& files) const {
    std::vector<std::string> known = {"auto"};
    for (const hearth_backend* backend : backends()) known.push_back(backend->name);
    for (const PluginFile& file : files)
        if (!file.name.empty() && std::find(known.begin(), known.end(), file.name) == known.end()) known.push_back(file.name);
    return known;
}

Failure Runtime::fail_unknown(const std::string& name, const std::vector<PluginFile>& files) const {
    const std::string file = os::library_file("hearth_" + name), places = plugins_.places();
    std::vector<std::string> names = known_names(files);
    const std::string known = join_text(names);
    if (std::find(std::begin(kPluginNames), std::end(kPluginNames), name) != std::end(kPluginNames))
        return fail(Code::placement, "device '{}' needs the plugin {}, which is not in {} (known: {})", name, file, places, known);
    names.insert(names.end(), std::begin(kPluginNames), std::end(kPluginNames));
    return fail(Code::placement, "unknown device '{}'{} (known: {}; no plugin {} in {})", name, did_you_mean(name, names), known,
                file, places);
}

Result<const hearth_backend*> Runtime::find_backend(const std::string& name) {
    for (const hearth_backend* backend : backends())
        if (name == backend->name) return backend;
    Plugin unusable;
    HEARTH_TRY(const std::vector<PluginFile> files, plugins_.files());
    for (const PluginFile& file : files) {
        if (file.name != name) continue;
        HEARTH_TRY(const Plugin plugin, plugins_.open(file));
        if (plugin.backend) return plugin.backend;
        if (unusable.reason.empty()) unusable = plugin;
    }
    if (!unusable.reason.empty())
        return fail(Code::placement, "device '{}': the plugin {} cannot be used: {}", name, unusable.file.path, unusable.reason);
    return fail_unknown(name, files);
}

Result<Device*> Runtime::device(const DeviceRef& ref) {
    std::lock_guard lock(devices_mutex_);
    for (const Opened& opened : devices_)
        if (opened.ref == ref) return opened.device.get();
    HEARTH_TRY(const hearth_backend* const backend, find_backend(ref.backend));
    HEARTH_TRY(auto device, Device::open(*backend, host_, ref.index, ref.options));
    devices_.push_back({ref, std::move(device)});
    return devices_.back().device.get();
}

Result<Device*> Runtime::device(std::string_view text) {
    HEARTH_TRY(const DeviceSpec spec, parse_device_spec(text));
    HEARTH_TRY(const std::vector<DeviceRef> refs, resolve(spec));
    if (needs_plan(spec, refs) || (refs.size() != 1 && !spec.automatic))
        return fail(Code::placement, "'{}' cannot be done here: a model goes to one device as a whole in this version",
                    to_string(spec));
    return device(refs.front());
}

Result<std::vector<DeviceRef>> Runtime::resolve(const DeviceSpec& spec) {
    if (!spec.automatic) return spec.devices;
    HEARTH_TRY(std::vector<DeviceRef> found, accelerators());
    if (!found.empty() && !spec.shares.empty() && spec.shares.size() != found.size())
        return fail(Code::placement, "shares has {} numbers for the {} devices of auto", spec.shares.size(), found.size());
    if (!found.empty()) return found;
    if (spec.n_layer > 0 || spec.n_layer == DeviceSpec::kAllLayers || (spec.strict && spec.n_layer != 0)) {
        std::lock_guard lock(devices_mutex_);
        std::string why;
        HEARTH_TRY(const std::vector<PluginFile> files, plugins_.files());
        for (const PluginFile& file : files)
            if (!is_host_side(file.name)) {
                HEARTH_TRY(const Plugin plugin, plugins_.open(file));
                why += "; " + file.path + ": " + plugin.reason;
            }
        return fail(Code::placement, "'{}' asks for layers on an accelerator, and none is usable (known: {}; plugins in {}{})",
                    to_string(spec), join_text(known_names(files)), plugins_.places(), why);
    }
    return std::vector<DeviceRef>{{"cpu", 0, ""}};
}

Result<std::vector<DeviceRef>> Runtime::accelerators() {
    std::lock_guard lock(devices_mutex_);
    std::vector<const hearth_backend*> usable;
    const auto add = [&usable](const hearth_backend* backend) {
        const auto same = [&](const hearth_backend* b) { return std::string_view(b->name) == backend->name; };
        if (!is_host_side(backend->name) && std::none_of(usable.begin(), usable.end(), same)) usable.push_back(backend);
    };
    for (const hearth_backend* backend : options_.extra_backends)
        if (backend->score() > 0) add(backend);
    HEARTH_TRY(const std::vector<PluginFile> files, plugins_.files());
    for (const PluginFile& file : files) {
        if (is_host_side(file.name)) continue;
        HEARTH_TRY(const Plugin plugin, plugins_.open(file));
        if (plugin.backend) add(plugin.backend);
    }
    std::stable_sort(usable.begin(), usable.end(), [](const auto* a, const auto* b) { return a->score() > b->score(); });
    std::vector<DeviceRef> found;
    for (const hearth_backend* backend : usable) {
        const Result<int32_t> n = count_devices(*backend, host_);
        if (n.code() == Code::oom_host) return n.failure();  // or auto would mean the CPU
        for (int32_t i = 0; n && i < *n; ++i) found.push_back({backend->name, i, ""});
    }
    return found;
}

void Runtime::list_backend(const hearth_backend& backend, std::vector<Listed>* out) const {
    const Result<int32_t> n = count_devices(backend, host_);
    for (int32_t i = 0; n && i < *n; ++i) {
        DeviceRef ref{backend.name, i, ""};
        std::string spec = device_name(ref);
        out->push_back({std::move(ref), &backend, std::move(spec), ""});
    }
    if (!n) out->push_back({{}, nullptr, backend.name, error_record().message});
    if (n && *n <= 0) out->push_back({{}, nullptr, backend.name, "there is no such device"});
}

// The first entries, at least n_wanted of them where there are so many.
Result<std::vector<Runtime::Listed>> Runtime::list(std::size_t n_wanted) {
    std::vector<Listed> all;
    std::vector<std::string> names;  // a plugin does not replace what is built in, nor another one before it
    for (const hearth_backend* backend : backends()) {
        if (all.size() >= n_wanted) return all;
        list_backend(*backend, &all);
        names.push_back(backend->name);
    }
    if (all.size() >= n_wanted) return all;
    HEARTH_TRY(const std::vector<PluginFile> files, plugins_.files());
    for (const PluginFile& file : files) {
        if (all.size() >= n_wanted) return all;
        HEARTH_TRY(const Plugin plugin, plugins_.open(file));
        const std::string subject = file.name.empty() ? file.path : file.name;
        if (!plugin.backend) {
            all.push_back({{}, nullptr, subject, plugin.reason + " (" + file.path + ")"});
        } else if (std::find(names.begin(), names.end(), file.name) != names.end()) {
            all.push_back({{}, nullptr, subject, "another backend of this name comes before it (" + file.path + ")"});
        } else {
            list_backend(*plugin.backend, &all);
            names.push_back(file.name);
        }
    }
    return all;
}

DeviceInfo Runtime::describe(const Listed& entry) {
    DeviceInfo info;
    info.spec = entry.spec;
    info.unavailable = entry.reason;
    if (!entry.backend) return info;
    const auto open = std::find_if(devices_.begin(), devices_.end(), [&](const Opened& o) { return o.ref == entry.ref; });
    std::unique_ptr<Device> temporary;
    if (open == devices_.end()) {
        Result<std::unique_ptr<Device>> opened = Device::open(*entry.backend, host_, entry.ref.index, "");
        if (opened) temporary = *std::move(opened);
    }
    Device* device = open == devices_.end() ? temporary.get() : open->device.get();
    const Result<hearth_backend_device> d = device ? device->describe() : Failure{error_record().code};
    if (!d) {
        info.unavailable = error_record().message;
        return info;
    }
    info.name = d->name;
    info.detail = d->detail;
    info.total_bytes = d->total_bytes;
    info.free_bytes = d->free_bytes;
    return info;
}

Result<std::vector<DeviceInfo>> Runtime::devices() {
    std::lock_guard lock(devices_mutex_);
    std::vector<DeviceInfo> all;
    HEARTH_TRY(const std::vector<Listed> listed, list(SIZE_MAX));
    for (const Listed& entry : listed) all.push_back(describe(entry));
    return all;
}

Result<DeviceInfo> Runtime::device_info(std::size_t index) {
    std::lock_guard lock(devices_mutex_);
    HEARTH_TRY(const std::vector<Listed> all, list(index + 1));
    if (index >= all.size()) return fail(Code::not_found, "there are {} devices, none with index {}", all.size(), index);
    return describe(all[index]);
}

}  // namespace hearth

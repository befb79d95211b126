// Opens libhearth_onednn.so as a host would and asks it about itself.
#include "onednn/plugin.hpp"

#include <dlfcn.h>

#include <string>

#include "base/result.hpp"
#include "runtime/runtime.hpp"
#include "support/catch.hpp"

namespace hearth::test {

hearth_backend_entry plugin_entry() {
    void* library = dlopen(HEARTH_ONEDNN_PLUGIN, RTLD_NOW | RTLD_LOCAL);  // counted by the loader; stays until the end
    INFO((library ? "" : dlerror()));
    REQUIRE(library);
    const auto entry = reinterpret_cast<hearth_backend_entry>(dlsym(library, HEARTH_BACKEND_ENTRY));
    REQUIRE(entry);
    return entry;
}

const hearth_backend& plugin() {
    const hearth_backend* table = plugin_entry()(HEARTH_BACKEND_ABI);
    REQUIRE(table);
    return *table;
}

bool plugin_keeps_bf16() {
    RuntimeOptions options;
    options.n_thread = 1;
    options.extra_backends = {&plugin()};
    const auto runtime = Runtime::make(options);
    REQUIRE(runtime);
    const auto device = (*runtime)->device("onednn");
    REQUIRE(device);
    const auto info = (*device)->describe();
    REQUIRE(info);
    return std::string(info->detail).find("as bf16") != std::string::npos;
}

}  // namespace hearth::test

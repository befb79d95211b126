// Backends in shared libraries of their own: where they are looked for, and why one cannot be used.
#pragma once

#include <hearth/backend.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"

namespace hearth {

struct PluginFile {
    std::string name, path;    // "cuda", ".../libhearth_cuda.so"
    std::string unusable{};    // what is wrong with the file or folder before anything is opened; "" = nothing
};

struct Plugin {
    PluginFile file;
    const hearth_backend* backend = nullptr;  // nullptr: unusable, see reason
    std::string reason;
};

// Looks in this order: the paths that the host gave, HEARTH_PLUGIN_PATH (not in setuid processes), the folder of this library.
// Only open() maps a file. One thread at a time.
class Plugins {
  public:
    // `paths`: folders or files, separated as in PATH.
    explicit Plugins(std::string paths) : paths_(std::move(paths)) {}

    // In that order, without opening any. Fails where memory is out: then nobody knows what there is.
    Result<std::vector<PluginFile>> files() const;
    std::string places() const;             // where files() looked, for an error
    // Opens a file once and checks it; the answer stays the same afterwards. What is usable stays mapped until the process ends.
    // Fails where memory is out, and then another try may do better.
    Result<Plugin> open(const PluginFile& file);

  private:
    std::string paths_;
    std::vector<Plugin> opened_;
};

// A plugin that serves the host's own memory, so that "auto" need not look at it.
bool is_host_side(std::string_view backend);

}  // namespace hearth

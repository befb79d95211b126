// What the commands share: opening models, reporting failures, texts and files.
#include "common.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <map>

#include "terminal.hpp"

namespace cli {

namespace {

Error bad(hearth_status status, std::string message) { return {status, std::move(message)}; }

void log_line(void*, int32_t, const char* message) { say(message); }

}  // namespace

void say(const std::string& line) { std::cerr << line << '\n'; }

int failed(const Error& error) {
    say("hearth: " + error.message);
    return kFailed;
}

int usage(const std::string& sentence) {
    say("hearth: " + sentence);
    return kUsage;
}

Result<hearth::Runtime> make_runtime(const ModelFlags& flags) {
    hearth::RuntimeOptions options;
    options.n_threads = flags.n_threads;
    options.log = log_line;
    options.log_level = flags.verbose ? 4 : 2;
    return hearth::Runtime::create(options);
}

hearth::ModelOptions model_options(const ModelFlags& flags) {
    hearth::ModelOptions options;
    options.device = flags.device;
    options.pre_tokenizer = flags.pre_tokenizer;
    options.use_mmap = flags.use_mmap;
    return options;
}

Result<hearth::Model> load_model(const hearth::Runtime& runtime, const ModelFlags& flags, bool vocab_only,
                                 const hearth::ContextOptions* context) {
    hearth::ModelOptions options = model_options(flags);
    if (context && context->n_ctx > 0) options.context = *context;
    options.vocab_only = vocab_only;
    ProgressBar bar("loading");
    if (bar.visible()) {
        options.progress = [&bar](uint64_t done, uint64_t total) {
            bar.show(done, total);
            return true;
        };
    }
    return hearth::Model::load(runtime, flags.path, options);
}

Result<hearth::ContextOptions> context_options(const ContextFlags& flags, const char* default_kv) {
    hearth::ContextOptions options;
    options.n_ctx = flags.n_ctx;
    options.n_batch = flags.n_batch;
    const std::map<std::string, uint32_t> types = {{"f32", HEARTH_TYPE_F32}, {"f16", HEARTH_TYPE_F16}, {"bf16", HEARTH_TYPE_BF16},
                                                   {"q8_0", HEARTH_TYPE_Q8_0}, {"q4_0", HEARTH_TYPE_Q4_0}};
    const std::string both = flags.kv.empty() ? default_kv : flags.kv;  // the parser has checked all three
    options.type_k = types.at(flags.kv_k.empty() ? both : flags.kv_k);
    options.type_v = types.at(flags.kv_v.empty() ? both : flags.kv_v);
    return options;
}

Result<std::string> read_text(const TextFlags& flags) {
    if (flags.file.empty()) return flags.text;
    if (flags.file == "-") return std::string(std::istreambuf_iterator<char>(std::cin), {});
    std::error_code no_folder;
    if (std::filesystem::is_directory(flags.file, no_folder))
        return bad(HEARTH_E_IO, flags.file + ": is a folder, not a text");
    std::ifstream file(flags.file, std::ios::binary);
    if (!file) return bad(HEARTH_E_NOT_FOUND, flags.file + ": cannot be opened");
    std::string text(std::istreambuf_iterator<char>(file), {});
    if (file.bad()) return bad(HEARTH_E_IO, flags.file + ": reading failed");
    return text;
}

Result<void> write_file(const std::string& path, std::span<const float> values) {
    const std::string part = path + ".part";
    std::error_code error;
    {
        std::ofstream file(part, std::ios::binary);
        if (!file) return bad(HEARTH_E_IO, path + ": cannot be written");
        file.write(reinterpret_cast<const char*>(values.data()),
                   static_cast<std::streamsize>(values.size_bytes()));
        file.close();
        if (!file) {
            std::filesystem::remove(part, error);
            return bad(HEARTH_E_IO, path + ": writing failed (disk full?)");
        }
    }
    std::filesystem::rename(part, path, error);
    if (!error) return {};
    const std::string reason = error.message();
    std::filesystem::remove(part, error);
    return bad(HEARTH_E_IO, path + ": cannot be written: " + reason);
}

Result<void> decode_all(hearth::Context& context, std::span<const int32_t> tokens, int32_t n_batch) {
    while (!tokens.empty()) {
        const std::size_t n = std::min(tokens.size(), static_cast<std::size_t>(n_batch));
        if (auto done = context.decode(tokens.first(n)); !done) return done;
        tokens = tokens.subspan(n);
    }
    return {};
}

std::string bytes_text(uint64_t bytes) {
    constexpr const char* kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1024 && unit + 1 < std::size(kUnits)) value /= 1024, ++unit;
    char text[32];
    std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.2f %s", value, kUnits[unit]);
    return text;
}

std::string count_text(uint64_t n) {
    constexpr const char* kUnits[] = {"", " K", " M", " B", " T"};
    double value = static_cast<double>(n);
    std::size_t unit = 0;
    while (value >= 1000 && unit + 1 < std::size(kUnits)) value /= 1000, ++unit;
    char text[32];
    std::snprintf(text, sizeof text, unit == 0 ? "%.0f%s" : "%.2f%s", value, kUnits[unit]);
    return text;
}

}  // namespace cli

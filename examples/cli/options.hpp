// What the command line says, per command; filled by flags.cpp, read by the commands.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cli {

// The program's exit codes.
enum Exit : int { kOk = 0, kFailed = 1, kUsage = 2 };

struct ModelFlags {
    std::string path, device = "auto", pre_tokenizer;
    int32_t n_threads = 0;  // 0 = physical cores
    bool use_mmap = false, verbose = false;
};
struct ContextFlags {
    int32_t n_ctx = 0, n_batch = 512;
    std::string kv, kv_k, kv_v;  // "f16", ...; empty = the command's default, and of both
};
// Exactly one of text and file names a text; file "-" is stdin.
struct TextFlags {
    std::string text, file;
    bool given = false;
};

struct RunOptions {
    ModelFlags model;
    ContextFlags context;
    TextFlags prompt;
    std::string system, preset = "llama.cpp", sampling;  // sampling: name=value,...
    std::optional<uint64_t> seed;
    int32_t n_predict = -1;  // -1 = until the model ends or the context is full
    bool interactive = false, chat = false, special = false;
};
struct BenchOptions {
    ModelFlags model;
    ContextFlags context;
    std::vector<int32_t> n_prompt{512}, n_gen{128}, n_seq{1}, depth{0};
    int32_t repetitions = 3;
    bool json = false, profile = false;
};
struct TokenizeOptions {
    ModelFlags model;
    TextFlags text;
    bool json = false, no_special = false;
};
struct LogitsOptions {
    ModelFlags model;
    ContextFlags context;
    TextFlags tokens;  // ids, apart by spaces or commas
    std::string out_path;
};
struct PerplexityOptions {
    ModelFlags model;
    ContextFlags context;
    TextFlags text;
    int32_t n_window = 0;  // 0 = all
    bool json = false;
};
struct InspectOptions {
    ModelFlags model;
    bool json = false;
};
struct PlanOptions {
    ModelFlags model;
    ContextFlags context;
    bool json = false;
};
struct DevicesOptions {
    bool json = false;
};
struct QuantizeOptions {
    std::string in_path, out_path, type;
    int32_t n_threads = 0;
};

// Each returns an Exit.
int run(const RunOptions& options);
int bench(const BenchOptions& options);
int tokenize(const TokenizeOptions& options);
int logits(const LogitsOptions& options);
int perplexity(const PerplexityOptions& options);
int inspect(const InspectOptions& options);
int plan(const PlanOptions& options);
int devices(const DevicesOptions& options);
int quantize(const QuantizeOptions& options);

}  // namespace cli

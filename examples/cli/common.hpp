// What the commands share: opening models, reporting failures, texts and files.
#pragma once

#include <hearth/hearth.hpp>

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "options.hpp"

namespace cli {

using hearth::Error;
using hearth::Result;

// Leaves the calling function with exit code 1 and the sentence on stderr, or binds the value to `name`.
#define CLI_JOIN2(a, b) a##b
#define CLI_JOIN(a, b) CLI_JOIN2(a, b)
#define CLI_TRY_AS(result, name, expression)           \
    auto result = (expression);                        \
    if (!result) return ::cli::failed(result.error()); \
    name = *std::move(result)
#define CLI_TRY(name, expression) CLI_TRY_AS(CLI_JOIN(cli_result_, __LINE__), name, expression)
#define CLI_CHECK(expression) \
    if (auto cli_checked = (expression); !cli_checked) return ::cli::failed(cli_checked.error())

int failed(const Error& error);          // says the sentence, returns kFailed
int usage(const std::string& sentence);  // says the sentence, returns kUsage
void say(const std::string& line);       // a line on stderr

Result<hearth::Runtime> make_runtime(const ModelFlags& flags);
// Loads with a progress bar where stderr is a terminal.
// context: the one that will be made, if it is known; layers that "fit" leave room for it.
Result<hearth::Model> load_model(const hearth::Runtime& runtime, const ModelFlags& flags, bool vocab_only = false,
                                 const hearth::ContextOptions* context = nullptr);
hearth::ModelOptions model_options(const ModelFlags& flags);
// Errors name a cache type that is not known.
Result<hearth::ContextOptions> context_options(const ContextFlags& flags, const char* default_kv = "f16");

Result<std::string> read_text(const TextFlags& flags);
// The file appears whole or, on failure, not at all.
Result<void> write_file(const std::string& path, std::span<const float> values);
// Runs tokens of sequence 0 in pieces of n_batch at most.
Result<void> decode_all(hearth::Context& context, std::span<const int32_t> tokens, int32_t n_batch);

std::string bytes_text(uint64_t bytes);  // "1.2 GiB"
std::string count_text(uint64_t n);      // "1.2 B"

}  // namespace cli

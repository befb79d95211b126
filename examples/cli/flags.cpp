// The command line of every command, in one table.
#include "flags.hpp"

#include <hearth/hearth.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <iostream>
#include <memory>

#include "options.hpp"

namespace cli {

namespace {

// A whole number in a range; the help then shows just "N".
CLI::Validator in_range(int32_t low, int32_t high = 1 << 30) { return CLI::Range(low, high).description(""); }
const CLI::Validator kAtLeastOne = in_range(1), kNotNegative = in_range(0);

void add_threads(CLI::App& app, int32_t* n_threads) {
    app.add_option("-t,--threads", *n_threads, "Threads that compute (default: physical cores)")
        ->check(kNotNegative);
}

void add_model(CLI::App& app, ModelFlags* flags) {
    app.add_option("-m,--model", flags->path, "GGUF file (the first one of a split model)")->required();
    app.add_option("--pre-tokenizer", flags->pre_tokenizer,
                   "Use this pre-tokenizer instead of the one that the file names");
    app.add_flag("--mmap", flags->use_mmap, "Map the file instead of reading it");
    app.add_flag("-v,--verbose", flags->verbose, "Log to stderr");
}

void add_device(CLI::App& app, ModelFlags* flags) {
    app.add_option("--device", flags->device, "Where to compute: auto, cpu, cuda:0, ... (see: hearth devices)");
    add_threads(app, &flags->n_threads);
}

void add_cache_types(CLI::App& app, ContextFlags* flags) {
    const CLI::IsMember known({"f16", "f32", "bf16", "q8_0", "q4_0"});
    app.add_option("--kv", flags->kv, "Type of cached keys and values: f16 (default), f32, bf16, q8_0 or q4_0")->check(known);
    app.add_option("--cache-type-k", flags->kv_k, "Of keys alone")->check(known);
    app.add_option("--cache-type-v", flags->kv_v, "Of values alone")->check(known);
}

void add_context(CLI::App& app, ContextFlags* flags, const std::string& default_ctx) {
    app.add_option("-c,--ctx", flags->n_ctx, "Tokens that the context holds (default: " + default_ctx + ")")
        ->check(kAtLeastOne);
    app.add_option("--batch", flags->n_batch, "Tokens of one step at most (default: 512)")
        ->check(kAtLeastOne);
    add_cache_types(app, flags);
}

// -p TEXT or -f FILE, not both.
void add_text(CLI::App& app, TextFlags* flags, const std::string& text_name, const std::string& what) {
    auto* text = app.add_option_function<std::string>(
        text_name,
        [flags](const std::string& value) {
            flags->text = value;
            flags->given = true;
        },
        what);
    app.add_option_function<std::string>(
           "-f,--file",
           [flags](const std::string& value) {
               flags->file = value;
               flags->given = true;
           },
           "The same from a file; - is stdin")
        ->excludes(text);
}

void add_json(CLI::App& app, bool* json) { app.add_flag("--json", *json, "Print JSON"); }

// Flags that are another spelling of one sampling option; docs/sampling.md has the rest for --sampling.
struct SamplingFlag {
    const char *flag, *option, *help;
};
constexpr SamplingFlag kSamplingFlags[] = {
    {"--temp", "temperature", "Temperature; 0 takes the likeliest token"},
    {"--top-k", "top_k", "Keep the k likeliest; 0 off"},
    {"--top-p", "top_p", "Keep the likeliest up to this mass; 1 off"},
    {"--min-p", "min_p", "Keep what has this share of the likeliest; 0 off"},
    {"--typical-p", "typical_p", "Keep the typical up to this mass; 1 off"},
    {"--top-n-sigma", "top_n_sigma", "Keep logits within n standard deviations of the best; <= 0 off"},
    {"--repeat-penalty", "repeat_penalty", "Penalty on tokens that occurred; 1 off"},
    {"--repeat-last-n", "repeat_last_n", "How far back penalties look; -1 all"},
    {"--frequency-penalty", "frequency_penalty", "Per occurrence; 0 off"},
    {"--presence-penalty", "presence_penalty", "Once per token that occurred; 0 off"},
    {"--dry-multiplier", "dry_multiplier", "Strength of the penalty on repeated passages; 0 off"},
    {"--xtc-probability", "xtc_probability", "How often the likeliest are excluded; 0 off"},
    {"--xtc-threshold", "xtc_threshold", "Above which probability XTC excludes"},
    {"--mirostat", "mirostat", "0 off, 1 or 2"},
    {"--mirostat-tau", "mirostat_tau", "Target surprise in bits"},
    {"--mirostat-eta", "mirostat_eta", "Learning rate"},
};

void add_sampling(CLI::App& app, RunOptions* o) {
    const std::string group = "Sampling";
    app.add_option("--preset", o->preset,
                   "llama.cpp (default), llama-cpp-python, llama-cpp-python-chat, koboldcpp or greedy")
        ->group(group);
    app.add_flag_callback(
           "--greedy", [o] { o->preset = "greedy"; }, "Always the likeliest token: --preset greedy")
        ->group(group);
    app.add_option_function<uint64_t>(
           "-s,--seed", [o](uint64_t seed) { o->seed = seed; }, "Seed (default: a new one each time)")
        ->group(group);
    const auto append = [o](const std::string& pair) {
        o->sampling += (o->sampling.empty() ? "" : ",") + pair;
    };
    for (const SamplingFlag& flag : kSamplingFlags) {
        app.add_option_function<std::string>(
               flag.flag,
               [append, flag](const std::string& value) { append(std::string(flag.option) + "=" + value); },
               flag.help)
            ->check(CLI::Validator(CLI::Number).description(""))
            ->type_name("NUMBER")
            ->group(group);
    }
    app.add_option_function<std::string>("--sampling", append, "Any options: \"name=value,...\"")
        ->type_name("LIST")
        ->group(group);
}

std::function<int()> add_run(CLI::App& app) {
    auto o = std::make_shared<RunOptions>();
    add_model(app, &o->model);
    add_text(app, &o->prompt, "-p,--prompt", "Text to go on from (with --chat: the message)");
    app.add_flag("-i,--interactive", o->interactive,
                 "Converse through the model's chat template; Ctrl-C stops an answer");
    app.add_flag("--chat", o->chat, "Put the prompt through the model's chat template");
    app.add_option("--system", o->system, "System message of a chat");
    app.add_option("-n,--predict", o->n_predict, "Tokens to generate at most (default: until the end)")
        ->check(in_range(-1));
    app.add_flag("--special", o->special, "Print control tokens too");
    add_device(app, &o->model);
    add_context(app, &o->context, "the model's, 4096 at most");
    add_sampling(app, o.get());
    return [o] { return run(*o); };
}

std::function<int()> add_bench(CLI::App& app) {
    auto o = std::make_shared<BenchOptions>();
    add_model(app, &o->model);
    app.add_option("-p,--prompt", o->n_prompt, "Prompt lengths; 0 for none")
        ->delimiter(',')
        ->check(kNotNegative)
        ->capture_default_str();
    app.add_option("-n,--predict", o->n_gen, "Tokens to generate; 0 for none")
        ->delimiter(',')
        ->check(kNotNegative)
        ->capture_default_str();
    app.add_option("-b,--sequences", o->n_seq, "Sequences that generate together")
        ->delimiter(',')
        ->check(kAtLeastOne)
        ->capture_default_str();
    app.add_option("-d,--depth", o->depth, "Tokens in the cache before")
        ->delimiter(',')
        ->check(kNotNegative)
        ->capture_default_str();
    app.add_option("-r,--repetitions", o->repetitions, "Runs of each test")
        ->check(kAtLeastOne)
        ->capture_default_str();
    app.add_option("--batch", o->context.n_batch, "Tokens of one prompt step (default: 512)")
        ->check(kAtLeastOne);
    add_cache_types(app, &o->context);
    add_device(app, &o->model);
    app.add_flag("--profile", o->profile, "Time every operator of the CPU; a table per test on stderr (slows down by a percent or so)");
    add_json(app, &o->json);
    return [o] { return bench(*o); };
}

std::function<int()> add_tokenize(CLI::App& app) {
    auto o = std::make_shared<TokenizeOptions>();
    add_model(app, &o->model);
    add_text(app, &o->text, "-p,--prompt", "Text");
    app.add_flag("--no-special", o->no_special, "Add no BOS or EOS");
    add_json(app, &o->json);
    return [o] { return tokenize(*o); };
}

std::function<int()> add_logits(CLI::App& app) {
    auto o = std::make_shared<LogitsOptions>();
    add_model(app, &o->model);
    add_text(app, &o->tokens, "--tokens", "Token ids: \"1 2 3\"");
    app.add_option("-o,--output", o->out_path, "File for the logits: float32 [n_token, n_vocab]")->required();
    add_device(app, &o->model);
    add_context(app, &o->context, "as many as there are tokens");
    return [o] { return logits(*o); };
}

std::function<int()> add_perplexity(CLI::App& app) {
    auto o = std::make_shared<PerplexityOptions>();
    o->context.n_ctx = 512;
    add_model(app, &o->model);
    add_text(app, &o->text, "-p,--prompt", "Text");
    app.add_option("--windows", o->n_window, "Windows to score at most (default: all)")->check(kNotNegative);
    add_device(app, &o->model);
    add_context(app, &o->context, "512; the length of a window, at least 3");
    add_json(app, &o->json);
    app.parse_complete_callback([o] {
        if (o->context.n_ctx < 3)
            throw CLI::ValidationError("--ctx", "a window of fewer than 3 tokens scores nothing");
    });
    return [o] { return perplexity(*o); };
}

std::function<int()> add_inspect(CLI::App& app) {
    auto o = std::make_shared<InspectOptions>();
    app.add_option("model", o->model.path, "GGUF file")->required();
    add_json(app, &o->json);
    return [o] { return inspect(*o); };
}

std::function<int()> add_plan(CLI::App& app) {
    auto o = std::make_shared<PlanOptions>();
    add_model(app, &o->model);
    add_device(app, &o->model);
    add_context(app, &o->context, "the model's");
    add_json(app, &o->json);
    app.footer("Exit codes: 0 it fits, 1 it does not (one sentence on stderr says what would), 2 wrong usage.");
    return [o] { return plan(*o); };
}

std::function<int()> add_devices(CLI::App& app) {
    auto o = std::make_shared<DevicesOptions>();
    add_json(app, &o->json);
    return [o] { return devices(*o); };
}

std::function<int()> add_quantize(CLI::App& app) {
    auto o = std::make_shared<QuantizeOptions>();
    app.add_option("in", o->in_path, "GGUF file to read")->required();
    app.add_option("out", o->out_path, "GGUF file to write")->required();
    app.add_option("type", o->type, "Q4_0, Q6_K, ...")->required();
    add_threads(app, &o->n_threads);
    return [o] { return quantize(*o); };
}

struct Command {
    const char *name, *help;
    std::function<int()> (*add)(CLI::App&);
};
constexpr Command kCommands[] = {
    {"run", "Generate text, answer a message, or converse", add_run},
    {"bench", "Measure tokens per second", add_bench},
    {"tokenize", "Print the token ids of a text", add_tokenize},
    {"logits", "Write the logits of given tokens to a file", add_logits},
    {"perplexity", "Score a text: exp of the mean negative log-likelihood", add_perplexity},
    {"inspect", "Show what a model file holds", add_inspect},
    {"plan", "Show the memory that a model would take, before loading it", add_plan},
    {"devices", "List the devices", add_devices},
    {"quantize", "Write a copy of a model in another tensor type", add_quantize},
};

}  // namespace

int parse_and_run(int argc, char** argv) {
    CLI::App app(
        "Hearth runs language models. Results go to stdout, all else to stderr.\n"
        "Exit codes: 0 done, 1 the work failed (one sentence on stderr), 2 wrong usage.",
        "hearth");
    const uint32_t version = hearth_version();
    app.set_version_flag("--version",
                         "hearth " + std::to_string(version >> 16) + "." + std::to_string(version & 0xffff));
    app.require_subcommand(1);
    std::vector<std::pair<CLI::App*, std::function<int()>>> commands;
    for (const Command& command : kCommands) {
        CLI::App* sub = app.add_subcommand(command.name, command.help);
        commands.emplace_back(sub, command.add(*sub));
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& asked) {  // --help, --version
        app.exit(asked);
        return kOk;
    } catch (const CLI::ParseError& wrong) {
        std::cerr << "hearth: " << wrong.what() << " (see hearth --help)\n";
        return kUsage;
    }
    for (const auto& [sub, command] : commands)
        if (sub->parsed()) return command();
    return kUsage;
}

}  // namespace cli

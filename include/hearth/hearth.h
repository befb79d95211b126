/* Hearth: language models inside your program. This is the whole promise: a C11 ABI that only grows.
 *
 * Rules that hold for every function:
 *  - It returns HEARTH_OK or a negative hearth_status; hearth_last_error() then has the sentence. Outputs come last and are
 *    untouched on failure.
 *  - Handles are opaque and reference counted: retain, release; releasing NULL is fine; a stale handle is an error code.
 *  - Parameter structs start with struct_size = sizeof(the struct); zero in a field means its default. Fields are only ever
 *    appended; bytes beyond what the library knows must be zero.
 *  - Strings are UTF-8 with a length in bytes; HEARTH_NUL_TERMINATED as the length means "up to the NUL". Text that comes back
 *    uses two calls: with cap = 0 for the length (without the NUL), then with a buffer; a NUL is written when there is room.
 *  - Nothing prints, aborts, throws, or starts a thread that was not asked for.
 *  - Thread classes: [F] free-threaded, any thread at any time; [O] externally owned, one thread at a time per handle;
 *    [S] serialised inside, may wait for another call on the same runtime. */
#ifndef HEARTH_H
#define HEARTH_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#ifdef HEARTH_BUILD
#define HEARTH_API __declspec(dllexport)
#else
#define HEARTH_API
#endif
#else
#define HEARTH_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define HEARTH_VERSION_MAJOR 0
#define HEARTH_VERSION_MINOR 1
#define HEARTH_NUL_TERMINATED SIZE_MAX

typedef int32_t hearth_status;
enum {
    HEARTH_OK = 0,
    HEARTH_E_INVALID_ARGUMENT = -1,
    HEARTH_E_NOT_FOUND = -2,
    HEARTH_E_IO = -3,
    HEARTH_E_BAD_FILE = -4,
    HEARTH_E_UNSUPPORTED_ARCH = -5,
    HEARTH_E_UNSUPPORTED_TYPE = -6,
    HEARTH_E_UNSUPPORTED_STRUCT = -7,
    HEARTH_E_OOM_HOST = -8,
    HEARTH_E_OOM_DEVICE = -9,
    HEARTH_E_DEVICE_LOST = -10,
    HEARTH_E_PLACEMENT = -11,
    HEARTH_E_CONTEXT_FULL = -12,
    HEARTH_E_CANCELLED = -13,
    HEARTH_E_TIMEOUT = -14,
    HEARTH_E_BUSY = -15,
    HEARTH_E_STATE = -16,
    HEARTH_E_TEMPLATE = -17,
    HEARTH_E_GRAMMAR = -18,
    HEARTH_E_VERSION = -19,
    HEARTH_E_FORKED = -20,
    HEARTH_E_INTERNAL = -21
};
/* Three-valued switches: 0 = default. */
enum { HEARTH_DEFAULT = 0, HEARTH_ON = 1, HEARTH_OFF = 2 };

typedef struct hearth_runtime hearth_runtime;
typedef struct hearth_model hearth_model;
typedef struct hearth_context hearth_context;
typedef struct hearth_sampler hearth_sampler;
typedef struct hearth_detokenizer hearth_detokenizer;

/* ---- version and errors ---- */
/* major << 16 | minor of the library that is loaded. [F] */
HEARTH_API uint32_t hearth_version(void);
/* "OK", "CONTEXT_FULL", ...; "UNKNOWN" for any other number. [F] */
HEARTH_API const char *hearth_status_name(hearth_status status);

typedef struct hearth_error {
    uint32_t struct_size;
    int32_t code;    /* the hearth_status of the last failure on this thread, 0 if none */
    int32_t subcode; /* errno or a driver's code, 0 if none */
    int32_t device;  /* number of the device concerned among those of its backend, 1 for "cuda:1"; -1 if none */
    uint64_t bytes_wanted, bytes_free;
    uint32_t line, column; /* 1-based place in a text, 0 if none */
    char message[1024];    /* a sentence, NUL-terminated */
    char device_spec[64];  /* of the device concerned, as specs and plans name it: "cuda:1"; empty if none */
} hearth_error;
/* What went wrong last on this thread. Allocates nothing; works when memory is out. [F] */
HEARTH_API hearth_status hearth_last_error(hearth_error *out);

/* ---- runtime: threads, memory, log, devices ---- */
typedef struct hearth_runtime_params {
    uint32_t struct_size;
    int32_t n_threads; /* that compute, the caller included; 0 = physical cores that this process may use */
    /* Your job system instead of own threads: queue job(arg) to run once, on any thread, soon or late; 0 = queued. A late job is
     * harmless: the caller does what no one else takes. At most n_threads - 1 jobs are queued per piece of work. */
    int32_t (*submit)(void *user, void (*job)(void *), void *arg);
    void *submit_user;
    /* All planned memory (weights, cache, activations): zero-filled or not, aligned as asked; NULL = out of
     * memory. Both or neither. */
    void *(*allocate)(void *user, size_t bytes, size_t align);
    void (*deallocate)(void *user, void *p, size_t bytes, size_t align);
    void *allocator_user;
    /* Messages, one line each, from any thread; level 1 error, 2 warning, 3 info, 4 debug. NULL = silence. */
    void (*log)(void *user, int32_t level, const char *message);
    void *log_user;
    int32_t log_level; /* 0 = 3 */
    /* Folders or files of device plugins, separated as in PATH; looked at before HEARTH_PLUGIN_PATH and the library's own folder. */
    const char *plugin_path;
    size_t plugin_path_size;
    /* HEARTH_ON: where memory is short for a load or a context, models without a context give their weights up, the one that was in
     * use longest ago first. Their handles stay good; the next context loads the weights again, from the source, to the same places.
     * Unused memory then counts as free in plans. */
    uint32_t unload_unused;
    uint32_t reserved;
} hearth_runtime_params;

/* params may be NULL. [F] */
HEARTH_API hearth_status hearth_runtime_create(const hearth_runtime_params *params, hearth_runtime **out);
HEARTH_API hearth_status hearth_runtime_retain(hearth_runtime *runtime);  /* [F] */
HEARTH_API hearth_status hearth_runtime_release(hearth_runtime *runtime); /* [F] */

typedef struct hearth_device_info {
    uint32_t struct_size;
    char spec[64];         /* what names it in a device spec: "cpu", "cuda:0"; of a plugin that is unusable its name or path */
    char name[96];         /* "AMD EPYC ..." */
    char detail[128];      /* "level v3" */
    char unavailable[256]; /* why it cannot be used; empty = it can */
    uint64_t total_bytes, free_bytes; /* 0 = unknown */
} hearth_device_info;
/* The i-th device, or plugin that cannot be used; HEARTH_E_NOT_FOUND past the last. The built-in ones come first (0 is the CPU);
 * beyond them plugins are opened, and devices for as long as they are asked. [S] */
HEARTH_API hearth_status hearth_runtime_device(hearth_runtime *runtime, uint32_t index, hearth_device_info *out);
/* Planned bytes allocated now, and at most so far. Either may be NULL. [F] */
HEARTH_API hearth_status hearth_runtime_memory(hearth_runtime *runtime, uint64_t *now_bytes, uint64_t *peak_bytes);
/* Threads that compute, the caller included. [F] */
HEARTH_API hearth_status hearth_runtime_n_thread(hearth_runtime *runtime, int32_t *out);

/* ---- model ---- */
/* Where a model comes from: exactly one of path, memory and read. */
typedef struct hearth_source {
    uint32_t struct_size;
    /* HEARTH_ON: the file is mapped, and weights stay in it, or in `memory`, where their device can use them so (the CPU: matrices;
     * others copy). Loads take hardly any time and processes share the pages, but every step interleaves what it reads: single
     * tokens then come at about a third of the rate, long prompts as fast as before. And a file that is truncated meanwhile kills
     * the process. docs/formats.md has the figures. */
    uint32_t use_mmap;
    const char *path;  /* of the first file of a split model */
    size_t path_size;
    const void *memory; /* a whole GGUF file; must stay until the model is released */
    size_t memory_size;
    /* Fills dst with size bytes at offset, 0 = done; called from several threads; must work until the model is released. */
    int32_t (*read)(void *user, uint64_t offset, void *dst, size_t size);
    void *read_user;
    uint64_t read_size; /* of the whole content */
} hearth_source;

/* Q8_0 and Q4_0 are blocks of 32 numbers with a scale: heads must be multiples of 32 wide, and not those of latent attention. */
enum { HEARTH_TYPE_DEFAULT = 0, HEARTH_TYPE_F32 = 1, HEARTH_TYPE_F16 = 2, HEARTH_TYPE_BF16 = 3, HEARTH_TYPE_Q8_0 = 4,
       HEARTH_TYPE_Q4_0 = 5 };
typedef struct hearth_context_params {
    uint32_t struct_size;
    int32_t n_ctx;        /* tokens that all sequences hold together; 0 = the model's training context */
    int32_t n_seq_max;    /* sequences; 0 = 1 */
    int32_t n_batch;      /* tokens of one decode at most; 0 = 512 */
    int32_t n_output_max; /* logit rows of one decode at most; 0 = max(n_seq_max, 32) */
    uint32_t type_k, type_v; /* HEARTH_TYPE_* of cached keys and values, any two; 0 = F16 */
    int32_t rope_scaling_type;  /* 0 = the model's, 1 none, 2 linear, 3 YaRN, 4 LongRoPE */
    float rope_freq_base, rope_freq_scale; /* 0 = the model's, here and below */
    float yarn_ext_factor, yarn_attn_factor, yarn_beta_fast, yarn_beta_slow;
    int32_t yarn_orig_ctx;
} hearth_context_params;

typedef struct hearth_model_params {
    uint32_t struct_size;
    uint32_t unknown_tensors_warn; /* HEARTH_ON: load a model with tensors that nothing uses, and log their names */
    uint32_t vocab_only;           /* HEARTH_ON: metadata and tokenizer, no weights; any architecture, unknown numbers are 0 */
    uint32_t reserved;
    const char *device; /* a device spec (docs/devices.md): "auto" (default), "cpu", "cuda:0"; only the plugin that it names is opened */
    size_t device_size;
    const char *pre_tokenizer; /* use this pre-tokenizer instead of the one that the file names */
    size_t pre_tokenizer_size;
    /* Called on the loading thread with bytes read; return nonzero to cancel (HEARTH_E_CANCELLED). */
    int32_t (*progress)(void *user, uint64_t bytes_done, uint64_t bytes_total);
    void *progress_user;
    /* The context that will be made, or NULL: layers=auto leaves room for it, and a load is refused where it would not fit. */
    const hearth_context_params *context;
} hearth_model_params;

/* Reads headers, reserves, then streams the weights; blocks until done. params may be NULL. [F] */
HEARTH_API hearth_status hearth_model_load(hearth_runtime *runtime, const hearth_source *source,
                                           const hearth_model_params *params, hearth_model **out);
HEARTH_API hearth_status hearth_model_retain(hearth_model *model);  /* [F] */
HEARTH_API hearth_status hearth_model_release(hearth_model *model); /* [F] memory is back at the system when this returns */

typedef struct hearth_model_info {
    uint32_t struct_size;
    int32_t n_vocab, n_ctx_train, n_embd, n_layer, n_head, n_head_kv;
    int32_t n_pos_axis;     /* positions per token: 1, or 4 for M-RoPE */
    uint64_t n_parameter;   /* elements of all tensors */
    uint64_t file_bytes;    /* of all tensors in the file */
    uint64_t weight_bytes;  /* on the device; 0 for vocab_only; mapped ones are not in it */
    char architecture[64];  /* "llama" */
    char description[128];  /* "llama 1.2B Q4_0" */
    char device[64];        /* where the weights go: "cpu", "cpu, sim:0" */
    uint32_t has_vocab, has_chat_template; /* 0 or 1 */
    uint32_t is_loaded; /* 1: the weights are in memory; 0 for vocab_only, and after unload_unused made room */
    uint32_t reserved;
} hearth_model_info;
HEARTH_API hearth_status hearth_model_get_info(hearth_model *model, hearth_model_info *out); /* [F] */
/* Number of metadata entries; the i-th key; the text form of a key's value (arrays are cut after 16 entries). [F] */
HEARTH_API hearth_status hearth_model_meta_count(hearth_model *model, size_t *out);
HEARTH_API hearth_status hearth_model_meta_key(hearth_model *model, size_t index, char *buf, size_t cap, size_t *size);
HEARTH_API hearth_status hearth_model_meta_value(hearth_model *model, const char *key, size_t key_size, char *buf, size_t cap,
                                                 size_t *size);

typedef struct hearth_tensor_info {
    uint32_t struct_size;
    int32_t n_dim;
    char name[128];   /* cut if longer */
    char type[16];    /* "Q4_0" */
    int64_t shape[4]; /* slowest first; unused entries are 1 */
    uint64_t bytes;   /* in the file */
} hearth_tensor_info;
/* The i-th tensor of the file; HEARTH_E_NOT_FOUND past the last. [F] */
HEARTH_API hearth_status hearth_model_tensor(hearth_model *model, size_t index, hearth_tensor_info *out);

/* ---- text ---- */
enum { HEARTH_TOKENIZE_SPECIAL = 1, /* add BOS, EOS where the model wants them */
       HEARTH_TOKENIZE_PARSE = 2    /* "<|im_end|>" in the text becomes that token */ };
/* Tokens of a text: *n is their number; the first cap of them are written. HEARTH_E_STATE for a model without tokenizer. [F] */
HEARTH_API hearth_status hearth_tokenize(hearth_model *model, const char *text, size_t text_size, uint32_t flags, int32_t *tokens,
                                         size_t cap, size_t *n);
/* The bytes of one token, perhaps part of a character. special: HEARTH_ON prints control tokens too. [F] */
HEARTH_API hearth_status hearth_token_piece(hearth_model *model, int32_t token, uint32_t special, char *buf, size_t cap,
                                            size_t *size);
/* The text of many tokens. [F] */
HEARTH_API hearth_status hearth_detokenize(hearth_model *model, const int32_t *tokens, size_t n, uint32_t special, char *buf,
                                           size_t cap, size_t *size);

/* Text of tokens that arrive one at a time, in whole UTF-8 characters: the bytes of one that is not complete wait for the next
 * token, and bytes that are no UTF-8 become U+FFFD. */
enum { HEARTH_DETOKENIZE_SPECIAL = 1, /* print control tokens too */
       HEARTH_DETOKENIZE_CONTINUE = 2 /* the tokens go on from others, a prompt: a space before the first word stays */ };
HEARTH_API hearth_status hearth_detokenizer_create(hearth_model *model, uint32_t flags, hearth_detokenizer **out); /* [F] */
HEARTH_API hearth_status hearth_detokenizer_retain(hearth_detokenizer *detokenizer);  /* [F] */
HEARTH_API hearth_status hearth_detokenizer_release(hearth_detokenizer *detokenizer); /* [F] */
/* The text that this token completes, perhaps of 0 bytes; not NUL-terminated, valid until the next call. [O] */
HEARTH_API hearth_status hearth_detokenizer_feed(hearth_detokenizer *detokenizer, int32_t token, const char **text, size_t *size);
/* What still waits, as U+FFFD; then it starts anew. [O] */
HEARTH_API hearth_status hearth_detokenizer_flush(hearth_detokenizer *detokenizer, const char **text, size_t *size);

typedef struct hearth_vocab_info {
    uint32_t struct_size;
    int32_t n_token;
    int32_t bos, eos, eot, unk, pad, newline; /* -1 = none */
    int32_t add_bos, add_eos;                 /* 0 or 1 */
    char kind[32], pre_tokenizer[32];         /* "bpe", "qwen2" */
} hearth_vocab_info;
HEARTH_API hearth_status hearth_vocab_get_info(hearth_model *model, hearth_vocab_info *out); /* [F] */
HEARTH_API hearth_status hearth_token_is_eog(hearth_model *model, int32_t token, int32_t *out); /* [F] ends a generation */

/* Renders the model's chat template (or `source` instead, NULL = the model's). context_json: an object with "messages" and what
 * else the template reads ("tools", "add_generation_prompt", ...); bos_token and eos_token are filled in. A template error is
 * HEARTH_E_TEMPLATE with line and column; nothing is ever replaced by another template. [F] */
HEARTH_API hearth_status hearth_chat_render(hearth_model *model, const char *source, size_t source_size,
                                            const char *context_json, size_t context_size, char *buf, size_t cap, size_t *size);

/* ---- plan and context ---- */
typedef struct hearth_plan_info {
    uint32_t struct_size;
    uint32_t fits; /* 1: total_bytes <= available_bytes (or that is unknown) */
    uint64_t weight_bytes, cache_bytes, activation_bytes, scratch_bytes, output_bytes;
    uint64_t total_bytes, available_bytes, reserve_bytes;
    int32_t n_ctx_fits; /* the largest n_ctx that fits, 0 = not even one page */
    uint64_t mapped_bytes; /* of weights that stay in the file or memory they come from (use_mmap): in none of the sums above */
} hearth_plan_info;
/* What loading this model and creating such a context will take, from headers only: no weight is read. [F] */
HEARTH_API hearth_status hearth_plan_make(hearth_runtime *runtime, const hearth_source *source,
                                          const hearth_model_params *model_params, const hearth_context_params *context_params,
                                          hearth_plan_info *out);

/* One device of a plan, or of a loaded model (then the weights are what lies there, and the rest of the bytes is 0). */
typedef struct hearth_device_plan {
    uint32_t struct_size;
    uint32_t fits;        /* 1: total_bytes <= available_bytes - reserve_bytes (or that is unknown) */
    char device[64];      /* "sim:1" */
    int32_t n_layer;      /* transformer layers here, and one more for the output */
    int32_t n_layer_fits; /* the most layers that would fit on all devices but the host */
    uint32_t is_host, has_embedding, has_output, has_cache; /* 0 or 1 */
    uint64_t weight_bytes, cache_bytes, activation_bytes, scratch_bytes;
    uint64_t host_bytes; /* host: logits, and what travels between devices */
    uint64_t total_bytes, available_bytes, reserve_bytes;
    uint64_t token_bytes;   /* of the weights, mapped ones too, what the step of one token reads here */
    uint64_t declared_rate; /* bytes per second that the backend declares for this memory, 0 = unknown */
    uint64_t achieved_rate; /* of a loaded model: that of the last steps of one token, weights and cache; 0 = none yet */
    uint32_t is_slow;       /* 1: achieved_rate is far below declared_rate; the log has said so */
    uint32_t reserved;
    uint64_t mapped_bytes; /* of weights that stay in the file or memory they come from (use_mmap): in none of the sums above */
} hearth_device_plan;
/* The same plan device by device: *n is their number; the first cap are written (out[0].struct_size is that of all). [F] */
HEARTH_API hearth_status hearth_plan_devices(hearth_runtime *runtime, const hearth_source *source,
                                             const hearth_model_params *model_params, const hearth_context_params *context_params,
                                             hearth_device_plan *out, size_t cap, size_t *n);
/* Where a loaded model really is; HEARTH_E_STATE while its weights are not in memory. [F] */
HEARTH_API hearth_status hearth_model_placement(hearth_model *model, hearth_device_plan *out, size_t cap, size_t *n);

HEARTH_API hearth_status hearth_context_create(hearth_model *model, const hearth_context_params *params,
                                               hearth_context **out); /* [F] */
HEARTH_API hearth_status hearth_context_retain(hearth_context *context);  /* [F] */
HEARTH_API hearth_status hearth_context_release(hearth_context *context); /* [F] */

typedef struct hearth_batch {
    uint32_t struct_size;
    int32_t n_token;
    const int32_t *token;       /* [n_token]; -1 = the next row of embedding */
    const float *embedding;     /* [number of -1, n_embd] or NULL */
    const int32_t *seq;         /* [n_token], NULL = all 0 */
    const int32_t *pos;         /* [n_token, n_pos_axis], NULL = go on from each sequence's last position */
    const uint8_t *want_logits; /* [n_token], NULL = the last token of each sequence */
} hearth_batch;

/* Runs the tokens; one transaction: on failure, cancellation included, the context is as it was. [O] */
HEARTH_API hearth_status hearth_context_decode(hearth_context *context, const hearth_batch *batch);
/* The same within a time budget: *paused = 1 when there is work left; then call resume until it is 0, or abandon. [O] */
HEARTH_API hearth_status hearth_context_decode_for(hearth_context *context, const hearth_batch *batch, uint64_t budget_us,
                                                   int32_t *paused);
HEARTH_API hearth_status hearth_context_resume(hearth_context *context, uint64_t budget_us, int32_t *paused);
HEARTH_API hearth_status hearth_context_abandon(hearth_context *context);
/* Stops the decode that is running (or the next, if none is) with HEARTH_E_CANCELLED. [F], also in a signal handler. */
HEARTH_API hearth_status hearth_context_cancel(hearth_context *context);
/* Logits of token `batch_index` of the last decode (-1 = its last output): *out points at n_vocab floats, valid until the next
 * decode on this context. HEARTH_E_NOT_FOUND where none were asked for. [O] */
HEARTH_API hearth_status hearth_context_logits(hearth_context *context, int32_t batch_index, const float **out);

/* Sequences, by positions [begin, end); end < 0 = to the end. [O] */
HEARTH_API hearth_status hearth_sequence_remove(hearth_context *context, int32_t seq, int32_t begin, int32_t end);
HEARTH_API hearth_status hearth_sequence_copy(hearth_context *context, int32_t src, int32_t dst, int32_t begin, int32_t end);
HEARTH_API hearth_status hearth_sequence_keep(hearth_context *context, int32_t seq);
HEARTH_API hearth_status hearth_sequence_shift(hearth_context *context, int32_t seq, int32_t begin, int32_t end, int32_t delta);
/* Number of tokens, first and last position (-1 when empty); any output may be NULL. */
HEARTH_API hearth_status hearth_sequence_range(hearth_context *context, int32_t seq, int32_t *n_token, int32_t *first,
                                               int32_t *last);
HEARTH_API hearth_status hearth_context_clear(hearth_context *context);
/* A sequence as bytes, with version and checksum, to be loaded into any context of the same model and cache types. Another model is
 * refused, told by its shape and by the first row of each of its tensors, which the first of these calls reads from the file; one that
 * differs in other rows alone is not told. [O] */
HEARTH_API hearth_status hearth_sequence_save(hearth_context *context, int32_t seq, void *buf, size_t cap, size_t *size);
HEARTH_API hearth_status hearth_sequence_load(hearth_context *context, int32_t seq, const void *data, size_t size);

/* ---- sampler ---- */
/* Fields at zero take the preset's default, and a value that means "off" switches a stage off: see docs/sampling.md. NAN-free. */
typedef struct hearth_sampler_params {
    uint32_t struct_size;
    uint32_t has_seed; /* 1: use seed (0 is a seed too); 0: one is drawn and can be read back */
    uint64_t seed;
    const char *preset; /* "llama.cpp" (default), "llama-cpp-python", "llama-cpp-python-chat", "koboldcpp", "greedy" */
    size_t preset_size;
    /* name=value pairs separated by commas, over the preset: "temperature=0.7,top_k=0,dry_multiplier=0.8" */
    const char *options;
    size_t options_size;
    const int32_t *bias_token; /* [n_bias] logit bias: -INFINITY bans, +INFINITY forces */
    const float *bias;         /* [n_bias] */
    size_t n_bias;
} hearth_sampler_params;

HEARTH_API hearth_status hearth_sampler_create(hearth_model *model, const hearth_sampler_params *params,
                                               hearth_sampler **out); /* [F] */
HEARTH_API hearth_status hearth_sampler_retain(hearth_sampler *sampler);  /* [F] */
HEARTH_API hearth_status hearth_sampler_release(hearth_sampler *sampler); /* [F] */
/* The next token from n_vocab logits (not changed); position numbers the choice for the random draw. [O] */
HEARTH_API hearth_status hearth_sampler_sample(hearth_sampler *sampler, const float *logits, size_t n_vocab, uint64_t position,
                                               int32_t *token);
/* Tells the sampler that a token was used (prompt tokens too, if penalties shall see them). [O] */
HEARTH_API hearth_status hearth_sampler_accept(hearth_sampler *sampler, int32_t token);
HEARTH_API hearth_status hearth_sampler_reset(hearth_sampler *sampler);               /* [O] forgets what was accepted */
HEARTH_API hearth_status hearth_sampler_seed(hearth_sampler *sampler, uint64_t *out); /* [O] */
/* Natural log probabilities under the plain softmax of the logits: of `token`, and the k best (ids and values). [F] */
HEARTH_API hearth_status hearth_logprobs(const float *logits, size_t n_vocab, int32_t token, float *logprob, int32_t *top_token,
                                         float *top_logprob, size_t k);

/* ---- tools ---- */
typedef struct hearth_quantize_params {
    uint32_t struct_size;
    uint32_t reserved;
    const char *type; /* "Q4_0", "Q6_K", ... */
    size_t type_size;
    int32_t (*progress)(void *user, uint64_t bytes_done, uint64_t bytes_total); /* nonzero cancels */
    void *progress_user;
} hearth_quantize_params;
/* Writes a copy of a GGUF file with its matrices in another type; vectors stay, and so do rows that no block divides. The output
 * appears when it is complete. [F] */
HEARTH_API hearth_status hearth_quantize(hearth_runtime *runtime, const char *in_path, size_t in_size, const char *out_path,
                                         size_t out_size, const hearth_quantize_params *params);

#ifdef __cplusplus
}
#endif
#endif

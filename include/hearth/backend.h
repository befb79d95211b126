/* The contract between Hearth and a device backend: a graph is plain C data, a backend is one table of functions.
 * C11, includes nothing but <stdint.h> and <stddef.h>. Structs are append-only; the reader checks `size`.
 * All functions of one device are called by one thread at a time unless said otherwise. Pointers passed in are
 * borrowed for the call, graphs and their arrays until the program is freed. */
#ifndef HEARTH_BACKEND_H
#define HEARTH_BACKEND_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HEARTH_BACKEND_ABI 1u
#define HEARTH_PAGE_TOKENS 32 /* tokens per KV page */
#define HEARTH_UPLOAD_ROWS 64 /* upload_weight: row_begin is a multiple of this within each matrix */

/* ---- lists ---- */
enum {
#define HEARTH_OP(id, name, params) HEARTH_OP_##name = id,
#include <hearth/ops.def>
#undef HEARTH_OP
    HEARTH_OP_LIMIT /* one more than the last id */
};
enum {
#define HEARTH_FORMAT(id, name, elements, bytes) HEARTH_FORMAT_##name = id,
#include <hearth/formats.def>
#undef HEARTH_FORMAT
    HEARTH_FORMAT_LIMIT
};
enum { HEARTH_ROWS_TOKEN = 0, HEARTH_ROWS_OUTPUT = 1 };
enum { HEARTH_NORM_RMS = 0, HEARTH_NORM_LAYER = 1 };
enum {
    HEARTH_ROPE_PAIRS = 0,  /* rotates (2i, 2i+1) */
    HEARTH_ROPE_HALVES = 1, /* rotates (i, i + n_rot/2) */
    HEARTH_ROPE_MROPE = 2,  /* halves; frequency i uses the axis whose section of n_rot/2 holds i */
    HEARTH_ROPE_IMROPE = 3  /* halves; axes interleaved: i % 3 = 0,1,2 -> axis 0,1,2 while within 3*section, else axis 3 */
};
enum {
    HEARTH_ACT_SILU = 0,      /* x / (1 + exp(-x)) */
    HEARTH_ACT_GELU_TANH = 1, /* 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
    HEARTH_ACT_GELU_ERF = 2,  /* 0.5 x (1 + erf(x / sqrt 2)) */
    HEARTH_ACT_RELU = 3,
    HEARTH_ACT_RELU2 = 4, /* max(x,0)^2 */
    /* GELU_TANH of x rounded to half, rounded to half; 0 for x <= -10, x for x >= 10: what models in GGUF were checked with */
    HEARTH_ACT_GELU_TANH_HALF = 6,
    HEARTH_ACT_SWIGLU_OAI = 5 /* GLU only: g = min(gate, limit), u = clamp(up, -limit, limit): g/(1+exp(-alpha g)) * (u+1) */
};
enum { HEARTH_GATE_SOFTMAX = 0, HEARTH_GATE_SIGMOID = 1, HEARTH_GATE_SOFTMAX_SELECTED = 2 /* softmax over the chosen k */ };
enum {
    HEARTH_CACHE_FULL = 0,
    HEARTH_CACHE_WINDOW = 1,   /* only the last `window` places of a sequence are kept */
    HEARTH_CACHE_CHUNK = 2,    /* only the chunk of `window` places that holds the token */
    HEARTH_CACHE_LATENT = 3,   /* k only; v is the first v_width elements of k */
    HEARTH_CACHE_RECURRENT = 4 /* state slots instead of pages */
};
/* How a weight is used: a backend chooses one layout that serves all uses of it. */
enum {
    HEARTH_USE_VECTOR = 1,  /* norm weights, biases, factors: read as float32 [n] */
    HEARTH_USE_MATMUL = 2,  /* W[out,in] */
    HEARTH_USE_LOOKUP = 4,  /* rows by token id or position */
    HEARTH_USE_EXPERTS = 8, /* W[n_expert,out,in] by expert id */
    HEARTH_USE_HEADS = 16   /* W[n_head,out,in], one matrix per head */
};

/* ---- a graph ---- */
/* A view of float32 (int32 for ROUTE's ids) rows in the arena. Element (r, g, i) is at byte
 * offset + 4 * (r * row_stride + g * group_stride + i). Distinct values may overlap (views of one buffer). */
typedef struct hearth_value {
    int32_t rows;        /* HEARTH_ROWS_* */
    int32_t row_factor;  /* rows per token or output: 1, or the number of experts used */
    int32_t n_group;     /* heads; 1 for a plain row */
    int32_t group_width; /* elements of one group */
    int64_t row_stride, group_stride; /* in elements */
    int64_t offset;                   /* bytes from the start of the arena, a multiple of 64 for whole buffers */
} hearth_value;

typedef struct hearth_weight {
    int32_t format;   /* HEARTH_FORMAT_* as stored in the file */
    int32_t uses;     /* HEARTH_USE_* bits */
    int32_t n_dim;    /* 1..3 */
    int64_t shape[3]; /* slowest first: [n], [out,in], [n_expert,out,in] */
} hearth_weight;

typedef struct hearth_cache {
    int32_t kind, n_layer;
    int32_t n_head_kv, k_width, v_width; /* widths per head */
    int32_t k_type, v_type;              /* HEARTH_FORMAT_* of the stored rows */
    int32_t window;                      /* places, for window and chunk kinds */
    int64_t state_width;                 /* recurrent: float32 elements per layer and slot */
} hearth_cache;

typedef struct hearth_scale_params { float scale; } hearth_scale_params;
typedef struct hearth_norm_params { int32_t kind; float eps; int32_t per_group; } hearth_norm_params;
typedef struct hearth_rope_params {
    int32_t style, n_rot, n_ctx_orig, section[4]; /* sections count frequencies (pairs) per axis */
    float base, freq_scale, ext_factor, attn_factor, beta_fast, beta_slow; /* see docs/numerics.md */
    /* Angle of frequency i at position p: t = p * base^(-2i/n_rot) / divisor[i]; without YaRN (ext_factor 0) freq_scale * t;
     * with it a blend of t and freq_scale * t, ext_factor * ramp(i; beta_fast, beta_slow, n_ctx_orig) of the former.
     * cos and sin are multiplied by attn_factor, and by nothing else: the host has folded YaRN's magnitude into it. */
} hearth_rope_params;
typedef struct hearth_position_params { float scale, length; } hearth_position_params;
typedef struct hearth_attention_params {
    int32_t window;  /* 0 = none; else key index > index - window (WINDOW), or same index/window chunk (CHUNK kind) */
    float scale, softcap, alibi_max_bias; /* 0 = off for the last two */
} hearth_attention_params;
typedef struct hearth_act_params { int32_t kind; float alpha, limit; } hearth_act_params;
/* Order: gate the logits; add the selection bias to a copy; keep the best n_group_used of n_group groups (group score =
 * sum of its two best) if n_group > 1; take the best k; weights = gated values (without bias); normalise to sum 1 if
 * `normalise` (sum clamped to at least 2^-14); multiply by scale. Ties go to the lower expert id. */
typedef struct hearth_route_params { int32_t gate, k, n_group, n_group_used, normalise; float scale; } hearth_route_params;

typedef struct hearth_node {
    int32_t op;        /* HEARTH_OP_* */
    int32_t in[3], out[2], weight[2]; /* indexes into the graph's arrays, -1 = absent */
    int32_t cache_group, cache_layer; /* CACHE_STORE, ATTENTION, SHORT_CONV; -1 otherwise */
    union {
        hearth_scale_params scale;
        hearth_norm_params norm;
        hearth_rope_params rope;
        hearth_attention_params attention;
        hearth_act_params act;
        hearth_route_params route;
        hearth_position_params position;
        int32_t none;
        uint8_t reserved[96];
    } p;
    const char *label; /* for profiles and errors: "blk.3.attn_q"; lives as long as the graph */
} hearth_node;

typedef struct hearth_graph {
    uint32_t size;
    int32_t n_node, n_value, n_weight, n_cache;
    const hearth_node *node;
    const hearth_value *value;
    const hearth_weight *weight;
    const hearth_cache *cache;
    int32_t n_token, n_output, n_seq; /* upper bounds of a run's counts */
    int32_t n_place;                  /* upper bound of index[t] + 1 */
    int32_t result;                   /* value [n_output, n_vocab] */
    int64_t arena_bytes;
    int32_t deterministic;            /* 1: what a row becomes may not depend on how many there are in a run; a backend that
                                         cannot promise that refuses to compile it, HEARTH_E_PLACEMENT */
    const struct hearth_layout *weight_layout; /* [n_weight] where MEASURE is to know them; NULL = what tensor_layout says */
} hearth_graph;

/* ---- a run ---- */
typedef struct hearth_span { int32_t begin, end; } hearth_span;

typedef struct hearth_cache_view {
    const int32_t *page; /* [n_seq, page_stride] page of places 32p..32p+31, -1 where not kept */
    int32_t page_stride;
    const int32_t *state_read, *state_write; /* [n_seq] recurrent slots; read -1 = start from zeros */
} hearth_cache_view;

/* One run of a compiled program. Pointers are borrowed until the run has finished. */
typedef struct hearth_run_args {
    uint32_t size;
    int32_t n_token, n_output, n_seq, n_pos_axis;
    const int32_t *token;     /* [n_token] id, or -1: take the next row of `embedding` */
    const float *embedding;   /* [rows, width] for image and other injected positions */
    const int32_t *seq;       /* [n_token] row of the page tables; tokens of one sequence are neighbours, in order */
    const int32_t *index;     /* [n_token] place in the sequence: masks and the cache use this */
    const int32_t *pos;       /* [n_token, n_pos_axis] rotary embedding uses this (1 axis, or 4 for M-RoPE) */
    const int32_t *output_row; /* [n_output] which tokens want logits */
    const hearth_span *attend; /* [n_token] key places [begin, end): causal, image span, encoder */
    const uint64_t *tree;      /* ancestor bits for speculative trees, or NULL */
    const int32_t *adapter;    /* [n_token] LoRA id, -1 none, or NULL */
    const hearth_cache_view *cache; /* [n_cache] one per cache group */
    int32_t n_run;             /* stretches of tokens of one sequence with consecutive places */
    const int32_t *run_begin;  /* [n_run + 1] */
} hearth_run_args;

/* Where a suspended run goes on; all zero = from the start. Parts of a node are done in order: [0, part) are done. */
typedef struct hearth_cursor { uint32_t segment, node, part; } hearth_cursor;

typedef struct hearth_run_options {
    uint32_t size;
    int64_t deadline_ns;   /* on the host's clock, 0 = none: stop at the next part boundary after it */
    const int32_t *cancel; /* read atomically at part boundaries; nonzero = stop. NULL = never */
} hearth_run_options;
enum { HEARTH_RUN_DONE = 0, HEARTH_RUN_PAUSED = 1, HEARTH_RUN_CANCELLED = 2 }; /* or a negative hearth_status */

/* ---- a backend ---- */
typedef struct hearth_device hearth_device;   /* the backend's own types */
typedef struct hearth_buffer hearth_buffer;
typedef struct hearth_program hearth_program;

/* Why a call failed: filled by the callee when it returns a negative hearth_status. */
typedef struct hearth_fault {
    int32_t code, subcode;
    uint64_t bytes_wanted, bytes_free;
    char message[512];
} hearth_fault;

/* Services of the host. Valid until the device is closed; free-threaded. */
typedef struct hearth_host {
    uint32_t size;
    void *user;
    /* Zero-filled, NULL = out of memory. May compute on the threads: not to be called while they run parts, or from run(). */
    void *(*allocate)(void *user, size_t bytes, size_t align);
    void (*free)(void *user, void *p, size_t bytes, size_t align);
    void (*log)(void *user, int32_t level, const char *message);
    int64_t (*now_ns)(void *user); /* monotonic */
    /* Calls fn(context, part, thread) for parts 0..n_part-1, taken in order by up to n_thread threads (thread < n_thread);
     * returns how many were done: all, or fewer once stop(context) was nonzero before a part. stop may be NULL. */
    int32_t n_thread;
    int64_t (*parallel)(void *user, int64_t n_part, void (*fn)(void *context, int64_t part, int32_t thread), void *context,
                        int32_t (*stop)(void *context));
    void (*burst)(void *user, int32_t on); /* 1: more parallel() calls follow at once; 0: done for now */
} hearth_host;

typedef struct hearth_backend_device {
    uint32_t size;
    char name[96], id[64];               /* "AMD EPYC ...", stable id */
    uint64_t total_bytes, free_bytes;    /* 0 = unknown */
    char detail[128];                    /* "level v3" */
    uint64_t bytes_per_second;           /* at which its memory can be read; 0 = unknown, and then its pace is not judged */
} hearth_backend_device;

typedef struct hearth_layout {
    int32_t id;      /* private to the backend */
    uint64_t bytes, align;
} hearth_layout;

typedef struct hearth_place { hearth_buffer *buffer; uint64_t offset; } hearth_place;

/* Where everything of a graph lives; arrays follow the graph's. What no node uses, and what takes 0 bytes, has no buffer. */
typedef struct hearth_bindings {
    uint32_t size;
    const hearth_place *weight;        /* [n_weight] */
    const hearth_layout *weight_layout; /* [n_weight] */
    const hearth_place *cache;         /* [n_cache] pools of pages or state slots */
    hearth_place arena, scratch;
} hearth_bindings;

typedef struct hearth_program_bytes { uint64_t scratch_bytes, driver_bytes; } hearth_program_bytes;

/* Functions return 0 or a negative hearth_status with *fault filled (fault may not be NULL); outputs last. */
typedef struct hearth_backend {
    uint32_t abi, size;
    const char *name; /* "cpu", "ref", "cuda" */
    int32_t (*score)(void); /* > 0: usable on this machine, higher is preferred; <= 0: not usable */
    int32_t (*device_count)(const hearth_host *host, int32_t *n, hearth_fault *fault);
    int32_t (*open)(const hearth_host *host, int32_t index, const char *options, hearth_device **device, hearth_fault *fault);
    void (*close)(hearth_device *device);
    int32_t (*describe)(hearth_device *device, hearth_backend_device *out, hearth_fault *fault);

    int32_t (*alloc)(hearth_device *device, uint64_t bytes, const char *what, hearth_buffer **out, hearth_fault *fault);
    void (*free)(hearth_device *device, hearth_buffer *buffer);
    int32_t (*upload)(hearth_device *device, hearth_place to, const void *from, uint64_t bytes, hearth_fault *fault);
    int32_t (*download)(hearth_device *device, hearth_place from, void *to, uint64_t bytes, hearth_fault *fault);
    int32_t (*copy)(hearth_device *device, hearth_place from, hearth_place to, uint64_t bytes, hearth_fault *fault);

    /* The bytes that a weight will take, from its description alone. */
    int32_t (*tensor_layout)(hearth_device *device, const hearth_weight *weight, hearth_layout *out, hearth_fault *fault);
    /* Converts file rows [row_begin, row_begin + n_row) of all n_expert*out rows into the layout. A VECTOR of two
     * dimensions has rows too and comes whole.
     * Chunks never cross a matrix and begin at multiples of HEARTH_UPLOAD_ROWS in it; any order, any thread. */
    int32_t (*upload_weight)(hearth_device *device, const hearth_weight *weight, const hearth_layout *layout, hearth_place to,
                             int64_t row_begin, int64_t n_row, const void *rows, hearth_fault *fault);

    /* Bytes of one page (all layers of the group), or of one state slot of a recurrent group. */
    int32_t (*page_bytes)(hearth_device *device, const hearth_cache *cache, uint64_t *bytes, hearth_fault *fault);
    /* One layer of one page as plain rows of the cache's types: k [32, n_head_kv*k_width], v likewise (not for latent);
     * a recurrent slot: k [state_width] float32. */
    int32_t (*export_page)(hearth_device *device, const hearth_cache *cache, hearth_place pool, int32_t page, int32_t layer,
                           void *k, void *v, hearth_fault *fault);
    int32_t (*import_page)(hearth_device *device, const hearth_cache *cache, hearth_place pool, int32_t page, int32_t layer,
                           const void *k, const void *v, hearth_fault *fault);

    /* MEASURE: bindings NULL, fills bytes only. BUILD: also makes the program. An op or format that the backend cannot do is
     * an error that names it. */
    int32_t (*compile)(hearth_device *device, const hearth_graph *graph, const hearth_bindings *bindings,
                       hearth_program_bytes *bytes, hearth_program **program, hearth_fault *fault);
    void (*free_program)(hearth_device *device, hearth_program *program);
    /* Runs from *cursor on; returns HEARTH_RUN_* and where it stopped. It may return while the device still works: then what
     * `args` points at is read until wait(), and upload, download, copy, export_page, import_page and later runs take their turn. */
    int32_t (*run)(hearth_device *device, hearth_program *program, const hearth_run_args *args,
                   const hearth_run_options *options, hearth_cursor *cursor, hearth_fault *fault);
    /* Waits until all that run() of this program enqueued has finished, and says how that ended; backends that work inside run()
     * return 0. */
    int32_t (*wait)(hearth_device *device, hearth_program *program, hearth_fault *fault);

    /* The two from here on are optional: NULL, or beyond `size`, in a backend that copies every weight.
     * The layout of a weight whose rows are read where they lie, as in the file, in memory of this process; out->bytes are theirs,
     * or 0 for a weight that must be copied. */
    int32_t (*borrowed_layout)(hearth_device *device, const hearth_weight *weight, hearth_layout *out, hearth_fault *fault);
    /* A buffer over memory that stays until the buffer is freed, is never written, and counts as nobody's allocation. */
    int32_t (*borrow)(hearth_device *device, const void *memory, uint64_t bytes, hearth_buffer **out, hearth_fault *fault);
} hearth_backend;

/* ---- collectives ---- */
/* How ranks, devices that each compute a part of the same layers, add up what they have: one table per rank. One thread may
 * drive all ranks in turn, so a call only starts the work and wait() ends it; each start is followed by its wait. Every rank
 * must make the same calls in the same order, also after a failure. Functions return 0 or a negative hearth_status with *fault. */
typedef struct hearth_comm {
    uint32_t size;
    int32_t rank, n_rank;
    void *user;
    /* Adds the n float32 at `place`, in memory of the rank's device, to those of all ranks; the sum takes their place, the
     * same bits on every rank. adds = 0: the rank has nothing to add, what lies there counts as zeros. */
    int32_t (*all_reduce)(void *user, hearth_place place, uint64_t n, int32_t adds, hearth_fault *fault);
    int32_t (*wait)(void *user, hearth_fault *fault);
} hearth_comm;

/* A plugin exports this one symbol; NULL where it cannot serve that ABI. */
typedef const hearth_backend *(*hearth_backend_entry)(uint32_t abi);
#define HEARTH_BACKEND_ENTRY "hearth_backend_v1"

#ifdef __cplusplus
}
#endif
#endif

// Operators on the cache: storing keys and values, and attention over pages.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include "device/cpu/program.hpp"

namespace hearth::cpu {

namespace {

constexpr int64_t kTokensPerPart = 12;  // consecutive queries share the keys of a page
constexpr int64_t kHeadsPerPart = 8;   // and so do query heads of one key/value head
constexpr int64_t kMostStretches = 8;  // of a query's keys

// Parts by tiles: from a whole tile of queries on, which cost it as much as one would. More of them share a page as tiles, which
// takes as long as the softmax of 16 queries (docs/performance.md); but there should be parts for many threads.
constexpr int64_t kTilePartQueries = 128, kTileParts = 64;
constexpr int64_t kTileBytes = 1024;

int64_t row_of(int32_t format, int64_t width) {
    return static_cast<int64_t>(row_bytes(*find_format(format), static_cast<uint64_t>(width)));
}

// ---- CACHE_STORE ----
int64_t store_count(const Step&, const Run& run) { return (run.args->n_token + 15) / 16; }

// Where head h of a row starts; a value of one group may hold all heads.
const float* head_row(const Operand& x, int64_t row, int64_t head, int64_t width) {
    return x.row(row) + head * (x.n_group == 1 ? width : x.group_stride);
}

void store_part(const Step& step, const Run& run, int64_t part, int32_t) {
    const hearth_cache& cache = *step.cache.info;
    const hearth_cache_view& view = *step.cache.view(run);
    const KeyKernel& keys = *step.keys;
    const ValueKernel& values = *step.values;
    const RowRange rows = rows_of_part(run.args->n_token, 16, part);
    for (int64_t t = rows.begin; t < rows.end; ++t) {
        const int32_t place = run.args->index[t];
        const int32_t page = view.page[run.args->seq[t] * view.page_stride + place / kPageTokens];
        if (page < 0) continue;
        uint8_t* at = step.cache.pool + page * step.cache.page_bytes;
        for (int32_t h = 0; h < cache.n_head_kv; ++h) {
            keys.store(at + h * k_head_bytes(cache), head_row(step.in[0], t, h, cache.k_width), cache.k_width, place % kPageTokens);
            if (!step.in[1].exists || cache.kind == HEARTH_CACHE_LATENT) continue;
            uint8_t* v = at + cache.n_head_kv * k_head_bytes(cache) + h * v_head_bytes(cache);
            values.store(v, head_row(step.in[1], t, h, cache.v_width), cache.v_width, place % kPageTokens);
        }
    }
}

// ---- ATTENTION ----
struct Heads {
    int64_t n_rep, per_part, n_block;  // query heads per key/value head, of them in one part, blocks of those
};
Heads heads_of(const Step& step) {
    const int64_t n_rep = step.in[0].n_group / step.cache.info->n_head_kv, per = std::min(n_rep, kHeadsPerPart);
    return {n_rep, per, (n_rep + per - 1) / per};
}

int64_t most_tokens_per_part(const Step& step) {
    return step.attention_tiles.run ? std::max(kTokensPerPart, kTilePartQueries / heads_of(step).per_part) : kTokensPerPart;
}
// Tokens of different sequences share nothing: the more sequences, the more parts.
int64_t tokens_per_part(const Step& step, const hearth_run_args& args) {
    int64_t most = kTokensPerPart;
    if (step.attention_tiles.run) {
        const int64_t n_group = step.cache.info->n_head_kv * heads_of(step).n_block;
        most = std::clamp(args.n_token * n_group / kTileParts, kTokensPerPart, most_tokens_per_part(step));
    }
    return std::clamp<int64_t>(args.n_token / std::max(1, args.n_run), 1, most);
}

// The key places that a token sees: its span, cut by the window or chunk.
hearth_span keys_of(const Step& step, const hearth_run_args& args, int64_t t) {
    hearth_span span = args.attend[t];
    const int32_t window = step.node->p.attention.window, index = args.index[t];
    if (window > 0) {
        const bool chunk = step.cache.info->kind == HEARTH_CACHE_CHUNK;
        span.begin = std::max(span.begin, chunk ? index / window * window : index - window + 1);
    }
    return span;
}

// Keys of many places are summed in stretches, of which each is a chain; how many depends on the query's own keys alone.
int32_t stretch_of(hearth_span seen) {
    int64_t n = kLeastStretch;
    while (int64_t{seen.end} - seen.begin > (kMostStretches - 1) * n) n *= 2;
    return static_cast<int32_t>(n);
}
int32_t n_stretches(hearth_span seen) {
    const int32_t n = stretch_of(seen);
    return seen.end > seen.begin ? (seen.end - 1) / n - seen.begin / n + 1 : 1;
}
// Stretch i of them.
hearth_span stretch_at(hearth_span seen, int32_t i) {
    const int64_t n = stretch_of(seen), begin = (seen.begin / n + i) * n;
    return {static_cast<int32_t>(std::max<int64_t>(seen.begin, begin)), static_cast<int32_t>(std::min<int64_t>(seen.end, begin + n))};
}

// Groups of queries, each a part, or several where there are few of them and their keys are many stretches.
int64_t n_groups(const Step& step, const hearth_run_args& args) {
    const int64_t per_part = tokens_per_part(step, args), n_block = (args.n_token + per_part - 1) / per_part;
    return step.cache.info->n_head_kv * heads_of(step).n_block * n_block;
}
int64_t n_splits(const Step& step, const hearth_run_args& args) {
    const int64_t n_group = n_groups(step, args);
    if (n_group > step.split.n_group || tokens_per_part(step, args) != 1) return 1;
    int64_t n = 1;
    for (int64_t t = 0; t < args.n_token; ++t) n = std::max<int64_t>(n, n_stretches(keys_of(step, args, t)));
    return std::min(n, (step.split.n_part + n_group - 1) / n_group);
}
int64_t attention_count(const Step& step, const Run& run) { return n_groups(step, *run.args) * n_splits(step, *run.args); }

// Slope of a head: powers of 2^(-bias/n) for the largest power of two n of heads, then odd powers of its root.
float alibi_slope(float max_bias, int64_t n_head, int64_t head) {
    int64_t n = 1;
    while (n * 2 <= n_head) n *= 2;
    const double bias = static_cast<double>(max_bias), size = static_cast<double>(n);
    const double power = head < n ? -bias / size * static_cast<double>(head + 1)
                                  : -bias / 2 / size * static_cast<double>(2 * (head - n) + 1);
    return static_cast<float>(std::exp2(power));
}

// Per-thread arrays, [n_query] each: all queries of a part. From `unpacked` on they are for parts by vectors; those by tiles have
// their tiles there.
struct QueryArrays {
    const float** q;
    float** out;
    int32_t *begin, *end, *place, *stretch;
    float *slope, *sink, *state;
    float* unpacked;    // K [2][k_width, 32], then V [2][32, v_width]
    float *rows, *sums;  // [n_query, k_width], [n_query, v_width]: rows of a step lie at strides that share cache sets
    float* before;       // [n_query, 2 + v_width]
    Q8Block* codes;      // [n_query, k_width / 32]
};
int64_t query_bytes(int64_t n_query) { return (n_query * (2 * 8 + 4 * 4 + 2 * 4 + 2 * 4) + 63) / 64 * 64; }
int64_t float_bytes(const hearth_cache& c, int64_t n_query) {
    return ((kKeysAtOnce + n_query) * (c.k_width + c.v_width) + n_query * (2 + c.v_width)) * static_cast<int64_t>(sizeof(float));
}
// Queries of a part that go by vectors, of n_query at most.
int64_t n_by_vectors(const Step& step, int64_t n_query) { return step.attention_tiles.run ? std::min(n_query, kTileQueries) : n_query; }

QueryArrays arrays_at(const Step& step, int32_t thread, int64_t n_query) {
    const hearth_cache& cache = *step.cache.info;
    uint8_t* const at = step.scratch + thread * step.scratch_stride;
    const int64_t n_vector = n_by_vectors(step, n_query);
    QueryArrays a{};
    a.q = reinterpret_cast<const float**>(at);
    a.out = reinterpret_cast<float**>(at + n_query * 8);
    a.begin = reinterpret_cast<int32_t*>(a.out + n_query);
    a.end = a.begin + n_query;
    a.place = a.end + n_query;
    a.stretch = a.place + n_query;
    a.slope = reinterpret_cast<float*>(a.stretch + n_query);
    a.sink = a.slope + n_query;
    a.state = a.sink + n_query;
    a.unpacked = reinterpret_cast<float*>(at + query_bytes(n_query));
    a.rows = a.unpacked + kKeysAtOnce * (cache.k_width + cache.v_width);
    a.sums = a.rows + n_vector * cache.k_width;
    a.before = a.sums + n_vector * cache.v_width;
    a.codes = reinterpret_cast<Q8Block*>(at + query_bytes(n_query) + float_bytes(cache, n_vector));
    return a;
}

// The tiles of a part, and with at == nullptr only their bytes.
int64_t lay_out_tiles(uint8_t* at, const hearth_cache& cache, int64_t n_query, TileAttention* t) {
    const int64_t n_tile = (n_query + kTileQueries - 1) / kTileQueries, n_step = (cache.k_width + 31) / 32,
                  n_slice = (cache.v_width + 15) / 16;
    int64_t n = 0;
    const auto take = [&](int64_t tiles) {
        n += tiles;
        return at ? at + (n - tiles) * kTileBytes : nullptr;
    };
    t->queries = take(n_tile * n_step);
    t->keys = take(kTilePages * 2 * n_step);
    t->values = take(kTilePages * n_slice);
    t->weights = take(kTilePages);
    t->scores = reinterpret_cast<float*>(take(2 * kTilePages * 2));
    t->sums = reinterpret_cast<float*>(take(n_tile * n_slice));
    return n * kTileBytes;
}

// Query heads [first, end) of a key/value head.
struct HeadBlock {
    int64_t kv, first, end;
};
HeadBlock heads_of_group(const Step& step, int64_t group) {
    const Heads heads = heads_of(step);
    const int64_t kv = group / heads.n_block % step.cache.info->n_head_kv,
                  first = kv * heads.n_rep + group % heads.n_block * heads.per_part;
    return {kv, first, std::min((kv + 1) * heads.n_rep, first + heads.per_part)};
}

// A task but for its queries and its sequence.
AttentionTask task_of(const Step& step, const QueryArrays& a, int64_t kv) {
    const hearth_cache& cache = *step.cache.info;
    const hearth_attention_params& p = step.node->p.attention;
    AttentionTask task{};
    task.q = a.q, task.q8 = a.codes, task.out = a.out, task.begin = a.begin, task.end = a.end, task.place = a.place,
    task.stretch = a.stretch;
    task.scratch = a.state, task.unpacked = a.unpacked;
    task.slope = p.alibi_max_bias > 0 ? a.slope : nullptr;
    task.sink = step.weight[0].data ? a.sink : nullptr;
    task.k_width = cache.k_width, task.v_width = cache.v_width;
    task.scale = p.scale, task.softcap = p.softcap;
    task.pool = step.cache.pool, task.page_bytes = step.cache.page_bytes;
    task.k_offset = kv * k_head_bytes(cache);
    task.v_offset = cache.n_head_kv * k_head_bytes(cache) + kv * v_head_bytes(cache);
    task.k_bytes = k_head_bytes(cache), task.v_bytes = v_head_bytes(cache);
    task.latent = cache.kind == HEARTH_CACHE_LATENT;
    return task;
}

// What a query is beside its numbers.
void describe_query(const Step& step, const hearth_run_args& args, int64_t t, int64_t head, const QueryArrays& a, int64_t n) {
    const float bias = step.node->p.attention.alibi_max_bias;
    const hearth_span seen = keys_of(step, args, t);
    a.begin[n] = seen.begin, a.end[n] = seen.end, a.place[n] = args.index[t], a.stretch[n] = stretch_of(seen);
    if (bias > 0) a.slope[n] = alibi_slope(bias, step.in[0].n_group, head);
    if (step.weight[0].data) a.sink[n] = step.weight[0].vector()[head];
}

const float* query_row(const Step& step, int64_t t, int64_t head) { return step.in[0].row(t) + head * step.in[0].group_stride; }
float* out_row(const Step& step, int64_t t, int64_t head) { return step.out[0].row(t) + head * step.out[0].group_stride; }

// The queries of tokens `rows`, all of one sequence, as vectors want them.
void take_queries(const Step& step, const Run& run, const AttentionTask& task, const QueryArrays& a, RowRange rows, HeadBlock heads) {
    int64_t n = 0;
    for (int64_t t = rows.begin; t < rows.end; ++t)
        for (int64_t h = heads.first; h < heads.end; ++h, ++n) {
            describe_query(step, *run.args, t, h, a, n);
            std::copy_n(query_row(step, t, h), task.k_width, a.rows + n * task.k_width);
            a.q[n] = a.rows + n * task.k_width;
            a.out[n] = a.sums + n * task.v_width;
            if (step.keys->codes) run.kernels->row->quantise32(a.codes + n * (task.k_width / 32), a.q[n], task.k_width);
        }
}

void attend_by_vectors(const Step& step, const Run& run, AttentionTask task, const QueryArrays& a, RowRange rows, HeadBlock heads) {
    take_queries(step, run, task, a, rows, heads);
    for (int64_t t = rows.begin; t < rows.end; ++t)
        if (n_stretches(keys_of(step, *run.args, t)) > 1) task.before = a.before;
    run.kernels->attention->run(task, *step.keys, *step.values);
    int64_t n = 0;
    for (int64_t t = rows.begin; t < rows.end; ++t)
        for (int64_t h = heads.first; h < heads.end; ++h, ++n) std::copy_n(a.out[n], task.v_width, out_row(step, t, h));
}

// The same by tiles.
void attend_by_tiles(const Step& step, const Run& run, AttentionTask task, const QueryArrays& a, RowRange rows, HeadBlock heads) {
    constexpr int64_t kRowBytes = kTileBytes / kTileQueries;
    TileAttention tiles{};
    lay_out_tiles(reinterpret_cast<uint8_t*>(a.unpacked), *step.cache.info, task.n_query, &tiles);
    tiles.pack_keys = step.attention_tiles.keys, tiles.pack_values = step.attention_tiles.values;
    const int64_t n_step = (task.k_width + 31) / 32;
    const auto at = [&](int64_t n) { return tiles.queries + n / kTileQueries * n_step * kTileBytes + n % kTileQueries * kRowBytes; };
    int64_t n = 0;
    for (int64_t t = rows.begin; t < rows.end; ++t)
        for (int64_t h = heads.first; h < heads.end; ++h, ++n) {
            describe_query(step, *run.args, t, h, a, n);
            run.kernels->row->round_bf16(at(n), 0, query_row(step, t, h), task.k_width, kSlabInputs / 32 * kTileBytes);
            a.out[n] = out_row(step, t, h);
        }
    for (; n % kTileQueries != 0; ++n)
        for (int64_t i = 0; i < n_step; ++i) std::memset(at(n) + i * kTileBytes, 0, kRowBytes);
    step.attention_tiles.run(task, tiles);
}

// One token's queries of a group, as a task without its queries' numbers.
AttentionTask group_task(const Step& step, const Run& run, int64_t group, const QueryArrays& a, int64_t* token, HeadBlock* heads) {
    const hearth_cache_view& view = *step.cache.view(run);
    *token = group / heads_of(step).n_block / step.cache.info->n_head_kv;
    *heads = heads_of_group(step, group);
    AttentionTask task = task_of(step, a, heads->kv);
    task.n_query = static_cast<int32_t>(heads->end - heads->first);
    task.page = view.page + run.args->seq[*token] * view.page_stride;
    return task;
}
float* split_sums(const Step& step, int64_t group) { return reinterpret_cast<float*>(step.split.sums + group * step.split.group_bytes); }

// Part `split` of n_split of a group's stretches, each on its own.
void split_part(const Step& step, const Run& run, int64_t group, int64_t split, int64_t n_split, int32_t thread) {
    const QueryArrays a = arrays_at(step, thread, heads_of(step).per_part);
    int64_t t;
    HeadBlock heads;
    AttentionTask task = group_task(step, run, group, a, &t, &heads);
    task.partial = 1;
    take_queries(step, run, task, a, {t, t + 1}, heads);
    const hearth_span seen = keys_of(step, *run.args, t);
    const int64_t n = n_stretches(seen);
    for (int64_t i = split * n / n_split; i < (split + 1) * n / n_split; ++i) {
        const hearth_span now = stretch_at(seen, static_cast<int32_t>(i));
        task.scratch = split_sums(step, group) + i * task.n_query * (2 + task.v_width);
        for (int32_t q = 0; q < task.n_query; ++q) {
            a.begin[q] = now.begin, a.end[q] = now.end;
            a.out[q] = task.scratch + 2 * task.n_query + q * task.v_width;
        }
        run.kernels->attention->run(task, *step.keys, *step.values);
    }
}

// A step of its own, after all parts: it folds stretches in their order, whoever computed them and when.
constexpr int64_t kFloatsPerMerge = 1 << 17;
int64_t groups_per_merge(const Step& step) { return std::max<int64_t>(1, kFloatsPerMerge * 4 / step.split.group_bytes); }
int64_t merge_count(const Step& step, const Run& run) {
    if (n_splits(step, *run.args) == 1) return 0;
    return (n_groups(step, *run.args) + groups_per_merge(step) - 1) / groups_per_merge(step);
}
void merge_part(const Step& step, const Run& run, int64_t part, int32_t thread) {
    const QueryArrays a = arrays_at(step, thread, heads_of(step).per_part);
    const RowRange groups = rows_of_part(n_groups(step, *run.args), groups_per_merge(step), part);
    for (int64_t group = groups.begin; group < groups.end; ++group) {
        int64_t t;
        HeadBlock heads;
        const AttentionTask task = group_task(step, run, group, a, &t, &heads);
        for (int64_t h = heads.first; h < heads.end; ++h) {
            describe_query(step, *run.args, t, h, a, h - heads.first);
            a.out[h - heads.first] = out_row(step, t, h);
        }
        run.kernels->attention->merge(task, split_sums(step, group), n_stretches(keys_of(step, *run.args, t)));
    }
}

void attention_part(const Step& step, const Run& run, int64_t part, int32_t thread) {
    const hearth_run_args& args = *run.args;
    const hearth_cache_view& view = *step.cache.view(run);
    const int64_t n_split = n_splits(step, args);
    if (n_split > 1) return split_part(step, run, part / n_split, part % n_split, n_split, thread);
    const Heads all = heads_of(step);
    const HeadBlock heads = heads_of_group(step, part);
    const int64_t per_part = tokens_per_part(step, args);
    const RowRange rows = rows_of_part(args.n_token, per_part, part / all.n_block / step.cache.info->n_head_kv);
    const QueryArrays a = arrays_at(step, thread, per_part * all.per_part);
    AttentionTask task = task_of(step, a, heads.kv);
    for (int64_t t = rows.begin, end; t < rows.end; t = end) {
        for (end = t; end < rows.end && args.seq[end] == args.seq[t];) ++end;
        task.n_query = static_cast<int32_t>((end - t) * (heads.end - heads.first));
        task.page = view.page + args.seq[t] * view.page_stride;
        const bool tiles = step.attention_tiles.run && task.n_query >= kTileQueries;
        (tiles ? attend_by_tiles : attend_by_vectors)(step, run, task, a, {t, end}, heads);
    }
}

// From a whole tile on, unless a cached type has none. Deterministic graphs give a query the same bits in a prompt and alone.
void bind_tiles(const Builder& builder, Step& step) {
    const TileAttentionKernels* kernels = builder.device().kernels.tile_attention;
    const hearth_cache& c = *step.cache.info;
    if (!kernels || builder.graph().deterministic) return;
    const TilePack keys = kernels->key[c.k_type],
                   values = c.kind == HEARTH_CACHE_LATENT ? kernels->latent[c.k_type] : kernels->value[c.v_type];
    if (keys && values) step.attention_tiles = {kernels->run, keys, values};
}

// With few groups for the threads there are: up to 4 parts a thread, where keys have as many stretches.
void bind_split(Builder& builder, Step& step, int64_t scratch_bytes) {
    const int64_t n_thread = builder.device().host.n_thread, of_token = step.cache.info->n_head_kv * heads_of(step).n_block;
    const int64_t n = n_thread > 1 ? std::min(2 * n_thread - 1, of_token * builder.graph().n_token) / of_token * of_token : 0;
    AttentionSplit& split = step.split;
    split.n_group = n, split.n_part = 4 * n_thread;
    split.group_bytes = kMostStretches * heads_of(step).per_part * (2 + step.cache.info->v_width) * static_cast<int64_t>(sizeof(float));
    step.scratch = builder.attention_scratch(scratch_bytes + n * split.group_bytes);
    split.sums = step.scratch ? step.scratch + scratch_bytes : nullptr;
}

// Checks a step's cache and finds the kernels of its types.
Status bind_cache(const Builder& builder, const hearth_node& node, Step& step) {
    const hearth_cache* c = step.cache.info;
    if (!c || c->kind == HEARTH_CACHE_RECURRENT) return builder.refuse(node, "a cache group with pages is needed");
    step.keys = key_kernel(builder.device().kernels, c->k_type);
    step.values = value_kernel(builder.device().kernels, c->v_type);
    if (!step.keys || !step.values) return builder.refuse(node, "no kernel for the cache's type");
    return check_cache_types(*c);
}

}  // namespace

// Plain numbers, or blocks of 32 with a scale in front that divide a head's row; a latent cache's keys are its values as well.
Status check_cache_types(const hearth_cache& c) {
    if (c.kind == HEARTH_CACHE_RECURRENT) return {};
    const std::pair<int32_t, int32_t> rows[] = {{c.k_type, c.k_width}, {c.v_type, c.v_width}};
    for (const auto& [type, width] : rows) {
        const FormatInfo* info = find_format(type);
        const bool codes = type == HEARTH_FORMAT_Q8_0 || type == HEARTH_FORMAT_Q4_0;
        if (!info || (info->block_elements != 1 && !codes))
            return fail(Code::unsupported_type, "a cache of type {} is not supported", info ? info->name : std::to_string(type));
        if (codes && c.kind == HEARTH_CACHE_LATENT)
            return fail(Code::unsupported_type, "a latent cache of type {} is not supported; F32, F16 and BF16 are", info->name);
        if (width % info->block_elements != 0)
            return fail(Code::unsupported_type, "a cache of type {} needs heads of a multiple of {} elements, these have {}", info->name,
                        info->block_elements, width);
    }
    return {};
}
int64_t k_head_bytes(const hearth_cache& c) { return kPageTokens * row_of(c.k_type, c.k_width); }
int64_t v_head_bytes(const hearth_cache& c) { return c.kind == HEARTH_CACHE_LATENT ? 0 : kPageTokens * row_of(c.v_type, c.v_width); }
int64_t cache_layer_bytes(const hearth_cache& c) {
    const int64_t bytes = c.kind == HEARTH_CACHE_RECURRENT ? c.state_width * 4 : c.n_head_kv * (k_head_bytes(c) + v_head_bytes(c));
    return (bytes + 63) / 64 * 64;
}
int64_t cache_page_bytes(const hearth_cache& c) { return c.n_layer * cache_layer_bytes(c); }

Status bind_cache_store(Builder& builder, const hearth_node& node) {
    Step step = builder.bound(node, store_part, store_count);
    HEARTH_CHECK(bind_cache(builder, node, step));
    builder.add(step);
    return {};
}

Status bind_attention(Builder& builder, const hearth_node& node) {
    Step step = builder.bound(node, attention_part, attention_count);
    HEARTH_CHECK(bind_cache(builder, node, step));
    if (step.in[0].n_group % step.cache.info->n_head_kv != 0)
        return builder.refuse(node, "query heads must be a multiple of key/value heads");
    bind_tiles(builder, step);
    const hearth_cache& cache = *step.cache.info;
    const int64_t n_query = std::min<int64_t>(most_tokens_per_part(step), builder.graph().n_token) * heads_of(step).per_part;
    const int64_t n_vector = n_by_vectors(step, n_query);
    const int64_t code_bytes = step.keys->codes ? n_vector * (cache.k_width / 32) * static_cast<int64_t>(sizeof(Q8Block)) : 0;
    int64_t bytes = float_bytes(cache, n_vector) + code_bytes;
    TileAttention tiles{};
    if (step.attention_tiles.run) bytes = std::max(bytes, lay_out_tiles(nullptr, cache, n_query, &tiles));
    step.scratch_stride = (query_bytes(n_query) + bytes + 63) / 64 * 64;
    bind_split(builder, step, step.scratch_stride * builder.device().host.n_thread);
    builder.add(step);
    if (step.split.n_group == 0) return {};
    step.fn = merge_part;
    step.count = merge_count;
    step.ends_node = true;
    builder.add(step);
    return {};
}

}  // namespace hearth::cpu

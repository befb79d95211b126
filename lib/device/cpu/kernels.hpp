// The kernels of one CPU level as tables of functions on plain pointers: what level/*.cpp fills and the operators call.
// Level sources include this file, so it holds plain data and no functions (an inline one would be a weak symbol).
#pragma once

#include <cstdint>

namespace hearth::cpu {

// Matrices are stored in panels of 16 rows, interleaved so that a vector register holds the same place of neighbouring rows
// (see layout.hpp).
constexpr int64_t kPanelRows = 16;
constexpr int64_t kPageTokens = 32;
constexpr int32_t kLeastStretch = 512;  // keys that attention sums in one chain where there are more
constexpr int32_t kFormatSlots = 64;  // format ids are below this

// Matmul by tiles (16 rows of 32 bf16 inputs): tokens and weight rows that one task has at most, and its working memory.
constexpr int64_t kSlabInputs = 256;
constexpr int64_t kTileTokens = 512, kTileRows = 128;
constexpr int64_t kTileWorkBytes = 4 * kPanelRows * kSlabInputs * 2;            // two pairs of panels
constexpr int64_t kTileWorkTokenBytes = kSlabInputs * 2 + kTileRows * 4;        // and for each token, to a multiple of 16

// How a matmul wants its activation rows.
enum class Act : int32_t {
    f32,     // [n_in] floats
    q8x32,   // blocks of 32: Q8Block
    q8x256,  // super-blocks of 256: Q8SuperBlock
    bf16,    // for tiles: [slab of 256 inputs][16 rows][8 pieces of a slab][row][32 inputs], zeros past n_in
};
constexpr int32_t kActs = 4;

// Sums of a level's integer products may start at these bits, those of the float 1.5 * 2^23: while they stay within 2^22 of it, they are
// the float 1.5 * 2^23 + sum. A sum of products with the sign changed, started at the bits of -1.5 * 2^23, is the float sum - 1.5 * 2^23.
constexpr int32_t kSumBase = 0x4b400000, kMinusSumBase = static_cast<int32_t>(0xcb400000);
constexpr float kSumBaseValue = 12582912.0f;

// What is for such levels, `minus` and `start` below, others leave as it is.

// 32 activations x = d * q, with the sum of q for formats whose codes carry an offset. d has 22 bits, so that 1.5 * 2^23 of it are exact.
struct Q8Block {
    float d, minus;      // minus: -1.5 * 2^23 * d
    int32_t sum, start;  // start: kSumBase - 128 * sum
    int8_t q[32];
};

// 256 activations x = d * q, with the sums of each 16 and of each 32 q. A level that starts sums at kSumBase has -q in place of q in
// every other 32, where they start at kMinusSumBase, so that what the bases add stays small. start: that base, less 128 times
// the sum of what is in place of q.
struct Q8SuperBlock {
    float d;
    int16_t sum[16], sum32[8];
    int8_t q[256];
    int32_t start[16], start32[8];
    int32_t pad;  // makes the size a multiple of 8
};

// out[token, row] = residual + scale * (act[token] . W[row] + bias[row]) for rows [row_begin, row_end).
struct MatmulTask {
    const uint8_t* weight;  // panels of one matrix
    int64_t n_in, row_bytes;
    int64_t row_begin, row_end;  // row_begin is a multiple of 16; a last panel may be partly padding
    const uint8_t* act;          // [*, act_stride] bytes
    int64_t act_stride;          // of Act::bf16: bytes of a slab
    const int32_t *in_row, *out_row;  // [n_token] rows of act and out, or nullptr = 0..n_token-1
    int64_t n_token;
    float* out;  // [*, out_stride]
    int64_t out_stride;
    const float* residual;  // [*, residual_stride] rows as out, or nullptr
    int64_t residual_stride;
    const float* bias;  // [n_out] or nullptr
    float scale;
    uint8_t* work;  // of Act::bf16: see kTileWorkBytes
};

struct MatmulKernel {
    void (*run)(const MatmulTask& task);  // nullptr = this level cannot do the format
    Act act;
};

struct MatmulKernels {
    MatmulKernel format[kFormatSlots];
};

struct RowKernels {
    // y = normalised x, times weight and plus bias where they are not nullptr; n elements.
    void (*norm)(float* y, const float* x, int64_t n, int32_t kind, float eps, const float* weight, const float* bias);
    // cos_sin: [2, n_rot/2]; rotates pairs (2i, 2i+1) or halves (i, i + n_rot/2) and copies elements n_rot..n-1.
    void (*rope)(float* y, const float* x, const float* cos_sin, int64_t n_rot, int64_t n, int32_t halves);
    void (*act)(float* y, const float* x, int64_t n, int32_t kind);
    void (*glu)(float* y, const float* gate, const float* up, int64_t n, int32_t kind, float alpha, float limit);
    void (*add)(float* y, const float* a, const float* b, float scale, int64_t n);  // y = a + scale * b
    void (*scale)(float* y, const float* x, float scale, int64_t n);
    void (*softcap)(float* y, const float* x, float cap, int64_t n);
    void (*quantise32)(Q8Block* out, const float* x, int64_t n);
    void (*quantise256)(Q8SuperBlock* out, const float* x, int64_t n);
    // Inputs first.. (a multiple of 32) of a row of Act::bf16, whose input 0 is at `out`.
    void (*round_bf16)(uint8_t* out, int64_t first, const float* x, int64_t n, int64_t slab_bytes);
};

// One (key/value head, block of queries): queries are rows of q that share the sequence and the key/value head.
struct AttentionTask {
    const float* const* q;  // [n_query] rows of k_width
    const Q8Block* q8;      // [n_query, k_width / 32] the same as codes, where the keys are codes
    float* const* out;      // [n_query] rows of v_width
    const int32_t *begin, *end;  // [n_query] key places that each query sees
    const int32_t* place;        // [n_query] own place (alibi)
    const float* slope;          // [n_query] alibi slopes, or nullptr
    const float* sink;           // [n_query] sink logits, or nullptr
    const int32_t* stretch;      // [n_query] kLeastStretch * 2^n: sums of its keys in places of one multiple of that are one chain
    int32_t n_query, k_width, v_width;
    float scale, softcap;      // softcap 0 = off
    const int32_t* page;       // pages of the sequence
    const uint8_t* pool;       // this layer of page 0
    int64_t page_bytes;        // from one page to the next
    int64_t k_offset, v_offset;  // of this head within the layer
    int64_t k_bytes, v_bytes;    // of a page of it
    int32_t latent;            // v is the first v_width elements of k
    float* scratch;            // [n_query, 2]: the largest score and the sum of weights
    float* before;             // [n_query, 2], then [n_query, v_width]: of stretches before; nullptr = no query has two
    int32_t partial;           // scratch and out are left as sums over the keys, to be merged
    float* unpacked;           // room for K [k_width, 32] of kPagesAtOnce and V [32, v_width] of them
};

constexpr int64_t kFewQueries = 8;  // above it pages are turned into floats once for all

// Neighbouring pages of a head, whose keys go through the softmax together: the first of them begins at a place of a multiple of
// kKeysAtOnce, but for one that comes alone.
constexpr int64_t kPagesAtOnce = 2, kKeysAtOnce = kPagesAtOnce * kPageTokens;
struct HeadPages {
    const uint8_t *k[kPagesAtOnce], *v[kPagesAtOnce];
    int32_t n;
    int32_t first;  // place of its first key
};

// K or V of pages, to be fetched from memory while others are computed with.
struct PagesToFetch {
    const uint8_t* const* at;
    int64_t n, bytes;  // of each
};

// n neighbouring queries of a task, which share what they load of pages.
struct QueryGroup {
    const AttentionTask* task;
    const HeadPages* pages;
    PagesToFetch in_scores, in_values;  // what to fetch meanwhile
    int32_t first, n;
    int32_t low, high;  // keys of the pages that any of the queries sees
};

// What the softmax gives for a group of queries.
struct KeyWeights {
    const float (*p)[kKeysAtOnce];  // [n] of the pages' keys, 0 for those that a query does not see
    const float* factor;            // [n] for what is summed so far
};

// K of a page and head as one type. Plain types: [k_width, 32]. Block types: per block of 32 elements the 32 keys' scales (2
// bytes each), then their codes in units of 4 bytes, [bytes / 4, 32, 4].
struct KeyKernel {
    void (*scores)(const QueryGroup& queries, float (*out)[kKeysAtOnce]);  // out[i][key] = q[i] . K[key]
    // out[i] = factor[i] * out[i] + sum of p[i][key] * K[key] (its first v_width elements) over keys [low, high), whatever is in
    // the others' slots; nullptr = not for latent caches.
    void (*add_latent)(const QueryGroup& queries, const KeyWeights& weights);
    void (*store)(uint8_t* k, const float* row, int64_t width, int64_t slot);
    void (*unpack)(const uint8_t* k, int64_t width, float* to);  // as float32 keys; nullptr = not worth it
    int32_t codes;  // scores() reads q8
};

// V of a page and head as one type: [32, v_width], rows as in a file.
struct ValueKernel {
    // out[i] = factor[i] * out[i] + sum of p[i][key] * V[key] over keys [low, high)
    void (*add)(const QueryGroup& queries, const KeyWeights& weights);
    void (*store)(uint8_t* v, const float* row, int64_t width, int64_t slot);
    // Makes of `queries.pages`, of whose keys [low, high) are seen, what kernel `unpacked` reads, at v[0]...; nullptr = not worth it.
    void (*unpack)(const QueryGroup& queries, float* to, const uint8_t** v);
    const ValueKernel* unpacked;
    int32_t unpack_from;  // queries
};

struct CachedKernels {
    KeyKernel key[kFormatSlots];
    ValueKernel value[kFormatSlots];
};

struct AttentionKernels {
    void (*run)(const AttentionTask& task, const KeyKernel& key, const ValueKernel& value);
    // The averages of queries whose stretches were run one by one; stretches: [n_stretch] as `before`, in order.
    void (*merge)(const AttentionTask& task, const float* stretches, int32_t n_stretch);
};

// One page of a head as tiles of bf16, 1024 bytes each. Keys: [2][k_width / 32][16 pairs of elements][16 keys][2]. Values: [v_width /
// 16][16 pairs of keys][16 elements][2], zeros for keys outside [low, high). Zeros past the width.
using TilePack = void (*)(const uint8_t* page, int64_t width, int low, int high, uint8_t* to);
constexpr int64_t kTileQueries = 16, kTilePages = 4;  // queries of a tile, pages between two looks at the softmax's factors

// How a task goes by tiles, and where its tiles lie.
struct TileAttention {
    TilePack pack_keys, pack_values;
    uint8_t* queries;  // [n_query / 16][k_width / 32][16 queries][32] bf16, zeros past k_width
    uint8_t *keys, *values;  // [kTilePages] of TilePack's
    uint8_t* weights;  // [kTilePages][16 queries][32 keys] bf16
    float* scores;     // [2][kTilePages][2][16 queries][16 keys]
    float* sums;       // [n_query / 16][v_width / 16][16 queries][16 elements]
};

struct TileAttentionKernels {
    void (*run)(const AttentionTask& task, const TileAttention& tiles);  // reads neither q nor q8 nor unpacked
    TilePack key[kFormatSlots], value[kFormatSlots];  // nullptr = the type does not go by tiles
    TilePack latent[kFormatSlots];                    // values that are the first elements of such keys
};

struct Kernels {
    const char* name;  // "v3"
    const RowKernels* row;
    const MatmulKernels* matmul[3];  // dense, blocks of 32, blocks of 256: each serves its formats
    const AttentionKernels* attention;
    const CachedKernels* cached[2];  // plain types, blocks of 32: each serves its types
    const MatmulKernels* tile[3];    // for many tokens, or nullptr; as matmul
    const TileAttentionKernels* tile_attention;  // for many queries, or nullptr
};

}  // namespace hearth::cpu

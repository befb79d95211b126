// Short convolutions over recurrent state.
#include "device/cpu/program.hpp"

namespace hearth::cpu {

namespace {

constexpr int64_t kChannelsPerPart = 256;

int64_t channel_blocks(const Step& step) { return (step.out[0].width() + kChannelsPerPart - 1) / kChannelsPerPart; }
int64_t conv_count(const Step& step, const Run& run) { return run.args->n_seq * channel_blocks(step); }

// One channel of one sequence: rows [begin, end) of the batch; u holds the last n_tap - 1 products, oldest first.
void convolve(const Step& step, int64_t channel, int64_t begin, int64_t end, int64_t n_state, float* u) {
    const Operand& x = step.in[0];
    const float* tap = step.weight[0].vector() + channel * (n_state + 1);
    for (int64_t t = begin; t < end; ++t) {
        const float* row = x.row(t) + channel;
        const float now = row[0] * row[2 * x.group_stride];
        float total = 0;
        for (int64_t l = 0; l < n_state; ++l) total += tap[l] * u[l];
        total += tap[n_state] * now;
        for (int64_t l = 0; l + 1 < n_state; ++l) u[l] = u[l + 1];
        if (n_state > 0) u[n_state - 1] = now;
        step.out[0].row(t)[channel] = row[x.group_stride] * total;
    }
}

constexpr int64_t kMaxState = 15;

void conv_part(const Step& step, const Run& run, int64_t part, int32_t) {
    const hearth_run_args& args = *run.args;
    const hearth_cache_view& view = *step.cache.view(run);
    const int64_t n_block = channel_blocks(step), seq = part / n_block, width = step.out[0].width();
    const RowRange channels = rows_of_part(width, kChannelsPerPart, part % n_block);
    int64_t begin = 0;
    while (begin < args.n_token && args.seq[begin] != seq) ++begin;
    int64_t end = begin;
    while (end < args.n_token && args.seq[end] == seq) ++end;
    if (begin == end) return;
    const int64_t n_state = step.weight[0].info->shape[1] - 1;
    const int32_t from = view.state_read[seq], to = view.state_write[seq];
    const auto slot = [&](int32_t s) { return reinterpret_cast<float*>(step.cache.pool + s * step.cache.page_bytes); };
    for (int64_t c = channels.begin; c < channels.end; ++c) {
        float u[kMaxState] = {};
        for (int64_t l = 0; l < n_state; ++l) u[l] = from >= 0 ? slot(from)[l * width + c] : 0;
        convolve(step, c, begin, end, n_state, u);
        for (int64_t l = 0; l < n_state; ++l) slot(to)[l * width + c] = u[l];
    }
}

}  // namespace

Status bind_short_conv(Builder& builder, const hearth_node& node) {
    const Step step = builder.bound(node, conv_part, conv_count);
    if (!step.cache.info || step.cache.info->kind != HEARTH_CACHE_RECURRENT)
        return builder.refuse(node, "a recurrent cache group is needed");
    const hearth_weight* k = step.weight[0].info;
    if (!k || k->n_dim != 2 || k->shape[0] != step.out[0].width() || k->shape[1] - 1 > kMaxState)
        return builder.refuse(node, "the kernel must be [width, taps] of at most 16 taps");
    if (step.in[0].n_group != 3 || step.cache.info->state_width < (k->shape[1] - 1) * k->shape[0])
        return builder.refuse(node, "the operands do not fit the kernel");
    builder.add(step);
    return {};
}

}  // namespace hearth::cpu

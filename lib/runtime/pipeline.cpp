// Device k computes stretch n while device k + 1 computes stretch n - 1.
#include "runtime/pipeline.hpp"

#include <algorithm>

namespace hearth {

namespace {

constexpr int32_t kLeastTokens = 64;      // fewer per stretch would read the weights for too little
constexpr int32_t kStretchesPerStage = 4;  // a pipeline of s stages idles for s - 1 of all stretches

bool mixes(const SplitGraph& split, const Segment& segment) {
    const auto& nodes = split.graph().nodes();
    return std::any_of(nodes.begin() + segment.node_begin, nodes.begin() + segment.node_end,
                       [](const hearth_node& n) { return n.op == HEARTH_OP_ATTENTION; });
}

// One segment per device, each fed by the one before it alone: then a device's memory is free for the next stretch as soon as
// the next device has taken over. Recurrent state advances once per step.
bool is_chain(const SplitGraph& split) {
    std::vector<int32_t> seen;
    for (std::size_t i = 0; i < split.segments().size(); ++i) {
        const Segment& s = split.segments()[i];
        if (s.collective >= 0 || std::find(seen.begin(), seen.end(), s.device) != seen.end()) return false;
        if (std::any_of(s.transfers.begin(), s.transfers.end(), [&](const Transfer& t) { return t.from != seen.back(); })) return false;
        seen.push_back(s.device);
    }
    const auto& caches = split.graph().caches();
    return std::none_of(caches.begin(), caches.end(), [](const hearth_cache& c) { return c.kind == HEARTH_CACHE_RECURRENT; });
}

}  // namespace

int32_t count_stages(const SplitGraph& split) {
    if (!is_chain(split)) return 1;
    const auto& segments = split.segments();
    return static_cast<int32_t>(std::count_if(segments.begin(), segments.end(), [&](const Segment& s) { return mixes(split, s); }));
}

int32_t n_stretch(int32_t n_stage, int32_t n_token) {
    if (n_stage < 2 || n_token < 2 * kLeastTokens) return 1;
    return std::min(n_token / kLeastTokens, kStretchesPerStage * n_stage);
}

void cut_stretch(const hearth_run_args& step, int32_t begin, int32_t end, int32_t n_embd, Stretch* out) {
    Stretch& s = *out;
    s.args = step;
    s.args.n_token = end - begin;
    const auto n_embedding = std::count_if(step.token, step.token + begin, [](int32_t id) { return id < 0; });
    if (step.embedding) s.args.embedding = step.embedding + n_embedding * n_embd;
    s.args.token = step.token + begin;
    s.args.seq = step.seq + begin;
    s.args.index = step.index + begin;
    s.args.pos = step.pos + int64_t{begin} * step.n_pos_axis;
    s.args.attend = step.attend + begin;
    for (auto* list : {&s.output_row, &s.output, &s.run_begin}) list->clear();
    for (int32_t i = 0; i < step.n_output; ++i) {
        if (step.output_row[i] < begin || step.output_row[i] >= end) continue;
        s.output_row.push_back(step.output_row[i] - begin);
        s.output.push_back(i);
    }
    s.run_begin.push_back(0);
    for (int32_t run = 1; run < step.n_run; ++run)
        if (step.run_begin[run] > begin && step.run_begin[run] < end) s.run_begin.push_back(step.run_begin[run] - begin);
    s.run_begin.push_back(end - begin);
    s.args.n_output = static_cast<int32_t>(s.output_row.size());
    s.args.n_run = static_cast<int32_t>(s.run_begin.size()) - 1;
    s.args.output_row = s.output_row.data();
    s.args.run_begin = s.run_begin.data();
}

void wavefront(std::size_t n_segment, std::size_t n_stretch, std::vector<Task>* out) {
    out->clear();
    for (std::size_t wave = 0; wave + 1 < n_segment + n_stretch; ++wave)
        for (std::size_t segment = std::min(wave + 1, n_segment); segment-- > 0;)
            if (wave - segment < n_stretch) out->push_back({segment, wave - segment});
}

}  // namespace hearth

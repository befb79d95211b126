// Sequence operations of a context: remove, copy, keep, shift.
#include <algorithm>

#include "runtime/context.hpp"
#include "runtime/key_rotator.hpp"

namespace hearth {

namespace {

// Places whose positions lie in [begin, end); end < 0 = to the end. Positions rise with places.
std::pair<int32_t, int32_t> places_of(const Sequence& s, int32_t begin, int32_t end) {
    const auto first = std::lower_bound(s.pos.begin(), s.pos.end(), begin);
    const auto last = end < 0 ? s.pos.end() : std::lower_bound(first, s.pos.end(), end);
    return {static_cast<int32_t>(first - s.pos.begin()), static_cast<int32_t>(last - s.pos.begin())};
}

}  // namespace

Result<int32_t> Context::n_token(int32_t seq) const {
    HEARTH_CHECK(check_seq(seq));
    return cache_->sequence(seq).n_place();
}

Result<std::pair<int32_t, int32_t>> Context::positions(int32_t seq) const {
    HEARTH_CHECK(check_seq(seq));
    const auto& pos = cache_->sequence(seq).pos;
    return pos.empty() ? std::pair<int32_t, int32_t>{-1, -1} : std::pair{pos.front(), pos.back()};
}

void Context::clear() {
    abandon();
    for (int32_t seq = 0; seq < options_.n_seq_max; ++seq) cache_->clear(seq);
}

Status Context::remove(int32_t seq, int32_t begin, int32_t end) {
    HEARTH_CHECK(check_idle());
    HEARTH_CHECK(check_seq(seq));
    const auto [first, last] = places_of(cache_->sequence(seq), begin, end);
    return cache_->cut(seq, first, last);
}

Status Context::copy(int32_t src, int32_t dst, int32_t begin, int32_t end) {
    HEARTH_CHECK(check_idle());
    HEARTH_CHECK(check_seq(src));
    HEARTH_CHECK(check_seq(dst));
    const auto [first, last] = places_of(cache_->sequence(src), begin, end);
    if (first != 0)
        return fail(Code::invalid_argument, "a copy starts at the beginning of sequence {}, not at position {}", src, begin);
    if (src == dst) return {};
    return cache_->fork(src, dst, last);
}

Status Context::keep(int32_t seq) {
    HEARTH_CHECK(check_idle());
    HEARTH_CHECK(check_seq(seq));
    for (int32_t other = 0; other < options_.n_seq_max; ++other)
        if (other != seq) cache_->clear(other);
    return {};
}

Status Context::shift(int32_t seq, int32_t begin, int32_t end, int32_t delta) {
    HEARTH_CHECK(check_idle());
    HEARTH_CHECK(check_seq(seq));
    const Sequence& s = cache_->sequence(seq);
    const auto [first, last] = places_of(s, begin, end);
    if (first == last || delta == 0) return {};
    if (model_->hparams().n_pos_axis() > 1 || model_->hparams().arch->mixer == Mixer::latent ||
        model_->hparams().arch->has(kLearnedPositions))
        return fail(Code::state, "the positions of a {} model cannot be shifted", model_->hparams().arch->name);
    const auto at = [&](int32_t place) { return int64_t{s.pos[static_cast<std::size_t>(place)]}; };
    if (at(first) + delta < 0 || at(last - 1) + delta > kMaxPosition || (first > 0 && at(first) + delta <= at(first - 1)) ||
        (last < s.n_place() && at(last - 1) + delta >= at(last)))
        return fail(Code::invalid_argument, "shifting positions {}..{} by {} would leave them out of order", at(first),
                    at(last - 1), delta);
    HEARTH_CHECK(cache_->own(seq, first, last));
    HEARTH_CHECK(rotate_keys(seq, first, last, delta));
    cache_->shift_positions(seq, first, last, delta);
    return {};
}

// Turns the cached keys of the places by delta, layer by layer.
Status Context::rotate_keys(int32_t seq, int32_t begin, int32_t end, int32_t delta) {
    const Hparams& h = model_->hparams();
    const CacheGroups groups = cache_groups(h, options_.k_type, options_.v_type);
    for (int32_t layer = 0; layer < h.n_layer; ++layer) {
        const LayerHparams& l = h.layer[static_cast<std::size_t>(layer)];
        if (l.short_conv || !l.rope) continue;
        const auto group_index = static_cast<std::size_t>(groups.group_of_layer[static_cast<std::size_t>(layer)]);
        const int32_t in_group = groups.place_in_group[static_cast<std::size_t>(layer)];
        Cache::Group& group = cache_->groups()[group_index];
        KeyRotator rotator(*model_, group, layer, in_group, options_.n_ctx, options_.rope);
        HEARTH_CHECK(rotator.prepare());
        for (int32_t logical = begin / HEARTH_PAGE_TOKENS; logical * HEARTH_PAGE_TOKENS < end; ++logical) {
            const int32_t page = group.table.at(seq, logical);
            if (page < 0) continue;  // outside the window
            std::vector<int32_t> turn(HEARTH_PAGE_TOKENS, 0);
            for (int32_t i = 0; i < HEARTH_PAGE_TOKENS; ++i) {
                const int32_t place = logical * HEARTH_PAGE_TOKENS + i;
                if (place >= begin && place < end) turn[static_cast<std::size_t>(i)] = delta;
            }
            HEARTH_CHECK(rotator.turn(page, turn));
        }
    }
    return {};
}

}  // namespace hearth

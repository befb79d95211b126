// Shares a model's layers out to devices: as the spec says, else the fastest memory first and in proportion to free bytes.
#include <numeric>

#include "runtime/planner.hpp"

namespace hearth {

namespace {

using Counts = std::vector<int32_t>;  // [n_device - 1] layers of each device but the host
using Shares = std::vector<double>;   // likewise

struct Spread {
    const Model& model;
    const DeviceSpec& spec;
    std::vector<Device*> devices;  // the host first
    const ContextOptions& options;
    Shares by_bytes{}, rates{};  // usable bytes, at least 1; bytes per second that all declare, or empty where nobody is faster
};

bool is_tensor(const Spread& s) { return s.spec.split == SplitMode::tensor && s.devices.size() > 2; }

// Reads rates and budgets, and puts the fastest device first where they differ: what a device gets then never depends on what the
// slower ones behind it get.
Status look(Spread* s) {
    std::vector<std::pair<double, Device*>> all;
    for (std::size_t d = 1; d < s->devices.size(); ++d) {
        HEARTH_TRY(const hearth_backend_device info, s->devices[d]->describe());
        all.push_back({static_cast<double>(info.bytes_per_second), s->devices[d]});
    }
    const auto faster = [](const auto& a, const auto& b) { return a.first > b.first; };
    const auto [most, least] = std::minmax_element(all.begin(), all.end(), faster);
    const bool differ = least->first > 0 && least->first < most->first;
    if (differ) std::stable_sort(all.begin(), all.end(), faster);
    for (std::size_t i = 0; i < all.size(); ++i) {
        s->devices[i + 1] = all[i].second;
        HEARTH_TRY(const Budget budget, budget_of(s->model, *all[i].second, s->spec));
        s->by_bytes.push_back(std::max<double>(1, static_cast<double>(budget.usable())));
        if (differ) s->rates.push_back(all[i].first);
    }
    return {};
}

Counts in_proportion(const Shares& shares, int32_t n) {
    const double all = std::accumulate(shares.begin(), shares.end(), 0.0);
    Counts counts(shares.size(), 0);
    for (int32_t i = 0; i < n; ++i) {
        const double at = (i + 0.5) / n * all;
        double sum = shares[0];
        std::size_t device = 0;
        while (device + 1 < shares.size() && sum <= at) sum += shares[++device];
        ++counts[device];
    }
    return counts;
}

// The last n layers, as far as the counts go: the first of those are on the first device.
Placement on_devices(const Spread& s, const Counts& counts, int32_t n) {
    Placement placement = Placement::whole(s.devices[0], s.model.hparams().n_layer);
    placement.devices = s.devices;
    auto at = placement.device_of_layer.end() - n;
    for (std::size_t i = 0; i < counts.size(); ++i) at = std::fill_n(at, counts[i], static_cast<int32_t>(i) + 1);
    if (!s.spec.kv_on_device) placement.cache = 0;
    if (!s.spec.experts_on_device) placement.experts = 0;
    return placement;
}

// Each of n layers is cut: a part on every device.
Placement on_ranks(const Spread& s, const Shares& shares, int32_t n) {
    Counts counts(shares.size(), 0);
    counts[0] = n;
    Placement placement = on_devices(s, counts, n);
    placement.shares = shares;
    for (std::size_t d = 1; d < s.devices.size(); ++d) placement.ranks.push_back(static_cast<int32_t>(d));
    return placement;
}

// The most layers, up to `most`, that device i has room for beside what the counts say of the others.
Result<int32_t> room_on(const Spread& s, Counts counts, std::size_t i, int32_t most, int32_t n) {
    int32_t low = 0, high = most + 1;
    for (int32_t at = most; low + 1 < high; at = low + (high - low) / 2) {  // all of them first: it is often so
        counts[i] = at;
        HEARTH_TRY(const PlanReport plan, plan_of(s.model, on_devices(s, counts, n), s.options));
        (plan.devices[i + 1].fits() ? low : high) = at;
    }
    return low;
}

// A token takes the sum over the devices of the bytes there over the rate there, so that a layer which moves to a faster device with
// room for it always shortens it: of layers of one size no placement is faster than that where nothing is left to move, each device
// full before a slower one has a layer.
Result<Counts> fastest_first(const Spread& s, int32_t n) {
    Counts counts(s.rates.size(), 0);
    int32_t left = n;
    for (std::size_t first = 0, end = 0; first < s.rates.size() && left > 0; first = end) {
        while (end < s.rates.size() && s.rates[end] == s.rates[first]) ++end;
        Shares room(s.by_bytes.begin() + static_cast<std::ptrdiff_t>(first), s.by_bytes.begin() + static_cast<std::ptrdiff_t>(end));
        const auto give = [&](int32_t here) {
            const Counts more = in_proportion(room, here);
            std::copy(more.begin(), more.end(), counts.begin() + static_cast<std::ptrdiff_t>(first));
        };
        give(left);  // in proportion to free bytes, where that fits
        HEARTH_TRY(const PlanReport plan, plan_of(s.model, on_devices(s, counts, n), s.options));
        const auto begin = plan.devices.begin() + 1;
        if (end == s.rates.size() || std::all_of(begin + static_cast<std::ptrdiff_t>(first), begin + static_cast<std::ptrdiff_t>(end),
                                                 [](const DevicePlan& d) { return d.fits(); }))
            return counts;  // or there is nobody else
        give(0);
        for (std::size_t i = first; i < end; ++i) {
            HEARTH_TRY(const int32_t most, room_on(s, counts, i, left, n));
            room[i - first] = most;
        }
        const auto all = static_cast<int32_t>(std::accumulate(room.begin(), room.end(), 0.0));
        if (all > 0) give(std::min(left, all));  // nobody gets more than there is room for
        left -= std::min(left, all);
    }
    return counts;
}

// Ranks work at the same time and the slowest is waited for, so parts are in proportion to the rates, as far as budgets allow: a rank
// that is full keeps what it can hold, and the others take the rest in the same proportion.
Result<Shares> rank_shares(const Spread& s, int32_t n) {
    constexpr int kRounds = 16;
    constexpr double kMargin = 0.995;  // parts are rounded to whole blocks and heads
    Shares shares = s.rates, open = s.rates;
    for (int round = 0; round < kRounds; ++round) {
        HEARTH_TRY(const PlanReport plan, plan_of(s.model, on_ranks(s, shares, n), s.options));
        double freed = 0;
        for (std::size_t i = 0; i < shares.size(); ++i) {
            const DevicePlan& rank = plan.devices[i + 1];
            if (rank.fits()) continue;
            const double usable = static_cast<double>(Budget{rank.available_bytes, rank.reserve_bytes}.usable());
            const double fixed = static_cast<double>(rank.scratch_bytes), total = static_cast<double>(rank.total());
            const double less = shares[i] * std::clamp((usable - fixed) / std::max(1.0, total - fixed), 0.0, 1.0) * kMargin;
            freed += shares[i] - less;
            shares[i] = less;
            open[i] = 0;
        }
        const double sum = std::accumulate(open.begin(), open.end(), 0.0);
        if (freed == 0) return shares;
        if (sum == 0) break;
        for (std::size_t i = 0; i < shares.size(); ++i) shares[i] += freed * open[i] / sum;
    }
    return s.by_bytes;  // it does not fit
}

}  // namespace

Result<Placement> spread(const Model& model, const DeviceSpec& spec, const std::vector<Device*>& devices, const ContextOptions& options,
                         int32_t n) {
    Spread s{model, spec, devices, options};
    if (!spec.shares.empty() && spec.shares.size() + 1 != devices.size())
        return fail(Code::placement, "shares names {} devices, the spec {}", spec.shares.size(), devices.size() - 1);
    if (spec.shares.empty()) HEARTH_CHECK(look(&s));
    const Shares& shares = spec.shares.empty() ? s.by_bytes : spec.shares;
    const bool by_rate = !s.rates.empty() && n > 0;
    if (is_tensor(s)) {
        if (!by_rate) return on_ranks(s, shares, n);
        HEARTH_TRY(const Shares parts, rank_shares(s, n));
        return on_ranks(s, parts, n);
    }
    if (!by_rate) return on_devices(s, in_proportion(shares, n), n);
    HEARTH_TRY(const Counts counts, fastest_first(s, n));
    return on_devices(s, counts, n);
}

}  // namespace hearth

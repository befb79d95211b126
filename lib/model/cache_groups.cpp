// Sorts the layers of a model into cache groups.
#include "model/cache_groups.hpp"

namespace hearth {

namespace {

hearth_cache cache_of(const Hparams& h, const LayerHparams& l, int32_t k_type, int32_t v_type) {
    hearth_cache c{};
    c.k_type = k_type;
    c.v_type = v_type;
    if (l.short_conv) {
        c.kind = HEARTH_CACHE_RECURRENT;
        c.k_type = c.v_type = HEARTH_FORMAT_F32;
        c.state_width = int64_t{h.n_conv_tap - 1} * h.n_embd;
    } else if (h.arch->mixer == Mixer::latent) {
        c.kind = HEARTH_CACHE_LATENT;
        c.n_head_kv = 1;
        c.k_width = h.kv_rank + h.n_rot;
        c.v_width = h.kv_rank;
    } else {
        c.kind = l.window ? HEARTH_CACHE_WINDOW : HEARTH_CACHE_FULL;
        c.window = l.window;
        c.n_head_kv = l.n_head_kv;
        c.k_width = h.head_key(l);
        c.v_width = h.head_value(l);
    }
    return c;
}

bool same_form(const hearth_cache& a, const hearth_cache& b) {
    return a.kind == b.kind && a.n_head_kv == b.n_head_kv && a.k_width == b.k_width && a.v_width == b.v_width &&
           a.k_type == b.k_type && a.v_type == b.v_type && a.window == b.window && a.state_width == b.state_width;
}

}  // namespace

CacheGroups cache_groups(const Hparams& h, int32_t k_type, int32_t v_type) {
    CacheGroups result;
    for (const LayerHparams& l : h.layer) {
        const hearth_cache wanted = cache_of(h, l, k_type, v_type);
        std::size_t g = 0;
        while (g < result.groups.size() && !same_form(result.groups[g], wanted)) ++g;
        if (g == result.groups.size()) result.groups.push_back(wanted);
        result.group_of_layer.push_back(static_cast<int32_t>(g));
        result.place_in_group.push_back(result.groups[g].n_layer++);
    }
    return result;
}

}  // namespace hearth

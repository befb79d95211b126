// Layers whose cached state has the same form share one pool: their cache group.
#pragma once

#include <hearth/backend.h>

#include <vector>

#include "model/hparams.hpp"

namespace hearth {

struct CacheGroups {
    std::vector<hearth_cache> groups;
    std::vector<int32_t> group_of_layer, place_in_group;  // [n_layer]; -1 = the layer keeps nothing
};

// k_type and v_type are HEARTH_FORMAT_* of the stored rows.
CacheGroups cache_groups(const Hparams& h, int32_t k_type, int32_t v_type);

}  // namespace hearth

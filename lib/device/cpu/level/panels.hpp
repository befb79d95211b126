// The loops over panels that this level has.
#pragma once

#if defined(HEARTH_CPU_TILES)
#include "device/cpu/level/tile_panels.hpp"
#elif defined(__AVX512VNNI__)
#include "device/cpu/level/panel_wide.hpp"
#else
#include "device/cpu/level/panel_tile.hpp"
#endif

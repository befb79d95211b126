// The loops over panels that this level has.
#pragma once

#include "device/cpu/level/lanes.hpp"

#if defined(HEARTH_CPU_TILES)
#include "device/cpu/level/tile_panels.hpp"
#elif defined(HEARTH_VNNI)
#include "device/cpu/level/panel_wide.hpp"
#else
#include "device/cpu/level/panel_tile.hpp"
#endif

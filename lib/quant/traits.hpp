// All format traits, checked against formats.def.
#pragma once

#include "quant/iq4.hpp"
#include "quant/k23.hpp"
#include "quant/k45.hpp"
#include "quant/k6.hpp"
#include "quant/mxfp4.hpp"
#include "quant/plain.hpp"
#include "quant/q4.hpp"
#include "quant/q5.hpp"
#include "quant/q8.hpp"

namespace hearth::quant {

#define HEARTH_FORMAT(id, name, elements, bytes) \
    static_assert(sizeof(name::Block) == (bytes) && name::kElements == (elements));
#include <hearth/formats.def>
#undef HEARTH_FORMAT

}  // namespace hearth::quant

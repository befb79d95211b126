// A struct of the C ABI as a host makes one: all zero but for its size.
#pragma once

#include <cstring>

namespace hearth::test {

template <class T>
T zeroed() {
    T value;
    std::memset(static_cast<void*>(&value), 0, sizeof value);
    value.struct_size = sizeof value;
    return value;
}

}  // namespace hearth::test

// What the machine can do at most, measured beside a benchmark: reading memory, and multiplying.
#pragma once

#include <cstddef>
#include <string_view>

namespace cli {

// Bytes per second, best of 10 passes over `bytes`: four streams a thread over huge pages, lines asked for 16 ahead. 0 = no memory.
double read_bandwidth(int n_thread, std::size_t bytes = std::size_t{256} << 20);
// Multiply-adds of 8-bit integers per second, from registers, with the instructions of a level of CPU kernels; 0 where it is not
// known how to measure that.
double int8_peak(std::string_view level, int n_thread);

}  // namespace cli

// What the machine can do at most, measured beside a benchmark: reading memory, and multiplying.
#pragma once

namespace cli {

double read_bandwidth(int n_thread);  // bytes per second: four streams a thread over huge pages, lines asked for 16 ahead
// Multiply-adds of 8-bit integers per second, from registers, with the best instructions of the machine that we have kernels
// for; 0 where it is not known how to measure that.
double int8_peak(int n_thread);

}  // namespace cli

// Panels of 16 interleaved rows: made from rows as in the file, and read back block by block.
//
// Block b of a panel starts at 16 * block_bytes * b and holds each field of the 16 blocks together, interleaved by row in units of
// the field's kernel (a scale: 2 bytes; codes: 4 bytes). Fields come in the file's order, but scales before codes in Q2_K, Q3_K and
// Q6_K. In Q3_K, Q5_K, Q6_K, Q5_0 and Q5_1 the bits of the codes change places within their block first.
#pragma once

#include <cstdint>

namespace hearth::cpu {

constexpr int64_t kMaxBlockBytes = 210;

// Makes one panel of n_row rows (1 to 16) of row_bytes bytes that follow each other; where there are fewer, the last one fills up.
void make_panel(int32_t format, const uint8_t* rows, int64_t n_row, int64_t row_bytes, uint8_t* panel);

// Block `block` of a row of a panel as the file has it.
void read_block(int32_t format, const uint8_t* panel, int64_t block, int64_t row_in_panel, uint8_t* to);

}  // namespace hearth::cpu

// Panels: every bit of a row is found again, and rows that a panel lacks read nothing of the file.
#include <cstring>
#include <memory>
#include <vector>

#include "device/cpu/kernels.hpp"
#include "device/cpu/panel.hpp"
#include "quant/format.hpp"
#include "support/catch.hpp"
#include "support/support.hpp"

using namespace hearth;

TEST_CASE("a panel gives back every block of its rows, at any address and with any number of rows") {
    test::Random random(test::seed());
    for (const FormatInfo& format : kFormats)
        for (const int64_t n_block : {1, 3, 8, 13}) {
            const auto row_bytes = static_cast<std::size_t>(n_block * format.block_bytes);
            for (const int64_t n_row : {1, 7, 16}) {
                INFO(format.name << ", " << n_block << " blocks, " << n_row << " rows");
                const std::size_t shift = random.below(8), n_byte = row_bytes * static_cast<std::size_t>(n_row);
                const auto memory = std::make_unique<uint8_t[]>(shift + n_byte);  // to the byte: a sanitizer sees what is beyond
                uint8_t* const rows = memory.get() + shift;
                for (std::size_t i = 0; i < n_byte; ++i) rows[i] = static_cast<uint8_t>(random.below(256));
                const std::size_t panel_bytes = row_bytes * static_cast<std::size_t>(cpu::kPanelRows);
                const auto panel = std::make_unique<uint8_t[]>(panel_bytes);
                const auto id = static_cast<int32_t>(format.format);
                cpu::make_panel(id, rows, n_row, static_cast<int64_t>(row_bytes), panel.get());
                std::vector<uint8_t> block(static_cast<std::size_t>(format.block_bytes));
                for (int64_t r = 0; r < cpu::kPanelRows; ++r)
                    for (int64_t b = 0; b < n_block; ++b) {
                        cpu::read_block(id, panel.get(), b, r, block.data());
                        const uint8_t* const from = rows + static_cast<std::size_t>(std::min(r, n_row - 1)) * row_bytes;
                        REQUIRE(std::memcmp(block.data(), from + b * format.block_bytes, block.size()) == 0);
                    }
            }
        }
}

// A graph of LINEAR nodes as oneDNN products: what it needs, and how its parts run.
#pragma once

#include <hearth/backend.h>

#include <cstddef>
#include <string>
#include <vector>

#include "device/onednn/matmul.hpp"
#include "device/onednn/weights.hpp"

namespace hearth::onednn {

// Rows of one product call: the unit of pause and cancellation, and the bound of what scratch is measured for.
constexpr int64_t kPartRows = 512;

// Empty, or the sentence that says what of this graph the backend cannot do.
std::string refusal(const hearth_graph& graph);

// Where things are while a program runs; empty while it is only measured.
struct Bound {
    std::byte *arena = nullptr, *scratch = nullptr;
    std::vector<const std::byte*> weight;  // [n_weight]
};

class Program {
  public:
    // The graph's arrays are borrowed, as the contract says.
    Program(const hearth_graph& graph, const dnnl::engine& engine, bool has_bf16, Bound bound);

    std::size_t scratch_bytes() const { return activation_bytes_ + pad_bytes_; }
    uint32_t n_node() const { return static_cast<uint32_t>(graph_.n_node); }
    uint32_t n_part(uint32_t node, const hearth_run_args& args) const;
    void run_part(dnnl::stream& stream, uint32_t node, uint32_t part, const hearth_run_args& args);

  private:
    struct Product {
        Matmul matmul;
        int64_t most_rows;
    };
    std::size_t product_of(const hearth_node& node, bool has_bf16);
    void measure(const Product& product, const dnnl::engine& engine);
    float* row(int32_t value, int64_t r) const;
    void prepare_output(const hearth_node& node, int64_t first, int64_t n_row) const;
    void round_activations(const hearth_node& node, int64_t first, int64_t n_row) const;

    hearth_graph graph_;
    Bound bound_;
    std::vector<Product> products_;     // one per distinct shape
    std::vector<std::size_t> product_;  // [n_node] index into products_
    std::size_t activation_bytes_ = 0, pad_bytes_ = 0;  // the scratch: activations as bf16, then oneDNN's scratchpad
};

}  // namespace hearth::onednn

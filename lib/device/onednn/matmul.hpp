// One matrix product of oneDNN (2.x or 3.x) for any row count: the primitives of the last few row counts are kept.
#pragma once

#include <oneapi/dnnl/dnnl.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace hearth::onednn {

// y[R, n_out] (+)= scale * x[R, n_in] W[n_out, n_in]^T. Strides in elements. bf16: x and W are bf16, else all is float32.
struct MatmulShape {
    int64_t n_out, n_in, x_stride, y_stride;
    bool bf16, accumulate;
    float scale;
    bool operator==(const MatmulShape&) const = default;
};

// Throws dnnl::error, as oneDNN does; the edge of the backend's table turns that into a fault.
class Matmul {
  public:
    explicit Matmul(const MatmulShape& shape) : shape_(shape) {}
    const MatmulShape& shape() const { return shape_; }

    std::size_t scratch_bytes(const dnnl::engine& engine, int64_t n_row) const;

    // Computes the first rows of n_row, as many as a primitive can do in scratch_bytes, and says how many. Powers of two
    // must fit: oneDNN does not promise that fewer rows need less scratch, so other counts may not.
    int64_t run(dnnl::stream& stream, int64_t n_row, const void* x, const void* w, float* y, void* scratch,
                std::size_t scratch_bytes);

  private:
    struct Ready {
        int64_t n_row;
        uint64_t last_use;
        dnnl::matmul::primitive_desc desc;
        dnnl::matmul primitive;
    };
    Ready& ready(const dnnl::engine& engine, int64_t n_row);
    dnnl::matmul::primitive_desc describe(const dnnl::engine& engine, int64_t n_row) const;

    MatmulShape shape_;
    uint64_t n_use_ = 0;
    std::vector<Ready> kept_;
};

}  // namespace hearth::onednn

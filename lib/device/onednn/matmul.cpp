// Describes, keeps and executes oneDNN's matmul primitives; the only file where the 2.x and 3.x interfaces differ.
#include "device/onednn/matmul.hpp"

#include <algorithm>
#include <bit>
#include <unordered_map>

namespace hearth::onednn {

namespace {

// Prompts come in many lengths; oneDNN's own cache makes a forgotten primitive cheap to make again.
constexpr std::size_t kKeptCounts = 8;

}  // namespace

// No bias and only a sum as post-op: with these oneDNN's float32 product on AVX2 is one GEMM with alpha and beta that needs
// no scratchpad, while a bias beside a sum makes it keep the whole product there.
dnnl::matmul::primitive_desc Matmul::describe(const dnnl::engine& engine, int64_t n_row) const {
    using dnnl::memory;
    const auto type = shape_.bf16 ? memory::data_type::bf16 : memory::data_type::f32;
    const memory::desc x(memory::dims{n_row, shape_.n_in}, type, memory::dims{shape_.x_stride, 1});
    const memory::desc w(memory::dims{shape_.n_in, shape_.n_out}, type, memory::dims{1, shape_.n_in});
    const memory::desc y(memory::dims{n_row, shape_.n_out}, memory::data_type::f32, memory::dims{shape_.y_stride, 1});
    dnnl::primitive_attr attr;
    attr.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    if (shape_.accumulate) {
        dnnl::post_ops after;
        after.append_sum(1.0f);
        attr.set_post_ops(after);
    }
#if DNNL_VERSION_MAJOR >= 3
    if (shape_.scale != 1) attr.set_scales_mask(DNNL_ARG_WEIGHTS, 0);  // the factor itself comes with run()
    return {engine, x, w, y, attr};
#else
    if (shape_.scale != 1) attr.set_output_scales(0, {shape_.scale});
    return {dnnl::matmul::desc(x, w, y), attr, engine};
#endif
}

std::size_t Matmul::scratch_bytes(const dnnl::engine& engine, int64_t n_row) const {
    return describe(engine, n_row).scratchpad_desc().get_size();
}

Matmul::Ready& Matmul::ready(const dnnl::engine& engine, int64_t n_row) {
    auto found = std::find_if(kept_.begin(), kept_.end(), [&](const Ready& r) { return r.n_row == n_row; });
    if (found == kept_.end()) {
        dnnl::matmul::primitive_desc desc = describe(engine, n_row);
        Ready made{n_row, 0, desc, dnnl::matmul(desc)};
        if (kept_.size() < kKeptCounts) {
            found = kept_.insert(kept_.end(), std::move(made));
        } else {
            found = std::min_element(kept_.begin(), kept_.end(),
                                     [](const Ready& a, const Ready& b) { return a.last_use < b.last_use; });
            *found = std::move(made);
        }
    }
    found->last_use = ++n_use_;
    return *found;
}

int64_t Matmul::run(dnnl::stream& stream, int64_t n_row, const void* x, const void* w, float* y, void* scratch,
                    std::size_t scratch_bytes) {
    const dnnl::engine engine = stream.get_engine();
    Ready* r = &ready(engine, n_row);
    if (r->desc.scratchpad_desc().get_size() > scratch_bytes)
        r = &ready(engine, static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(n_row))));
    const auto memory = [&](const dnnl::memory::desc& desc, const void* data) {
        return dnnl::memory(desc, engine, const_cast<void*>(data));
    };
    std::unordered_map<int, dnnl::memory> arguments = {{DNNL_ARG_SRC, memory(r->desc.src_desc(), x)},
                                                       {DNNL_ARG_WEIGHTS, memory(r->desc.weights_desc(), w)},
                                                       {DNNL_ARG_DST, memory(r->desc.dst_desc(), y)},
                                                       {DNNL_ARG_SCRATCHPAD, memory(r->desc.scratchpad_desc(), scratch)}};
#if DNNL_VERSION_MAJOR >= 3
    if (shape_.scale != 1) {
        const dnnl::memory::desc one(dnnl::memory::dims{1}, dnnl::memory::data_type::f32, dnnl::memory::dims{1});
        arguments.emplace(DNNL_ARG_ATTR_SCALES | DNNL_ARG_WEIGHTS, memory(one, &shape_.scale));
    }
#endif
    r->primitive.execute(stream, arguments);
    stream.wait();
    return r->n_row;
}

}  // namespace hearth::onednn

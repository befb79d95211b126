// Turns the cached keys of one layer to other positions, page by page, through the model's own rotation.
#pragma once

#include <vector>

#include "runtime/cache.hpp"
#include "runtime/model.hpp"

namespace hearth {

class KeyRotator {
  public:
    // `in_group`: the layer's place in the group; n_ctx and rope as the context has them. The model and the group must outlive this.
    KeyRotator(Model& model, const Cache::Group& group, int32_t layer, int32_t in_group, int32_t n_ctx, const RopeOptions& rope);
    KeyRotator(const KeyRotator&) = delete;
    KeyRotator& operator=(const KeyRotator&) = delete;
    ~KeyRotator();

    Status prepare();  // once, before the first turn
    // delta: [HEARTH_PAGE_TOKENS] what is added to the position of each row of the page.
    Status turn(int32_t page, const std::vector<int32_t>& delta);

  private:
    Result<int32_t> run(const std::vector<int32_t>& delta);

    Model& model_;
    std::size_t device_;  // of the layer: where its factors are
    const Cache::Group& group_;
    int32_t in_group_;
    Graph graph_;
    DeviceBuffer arena_, scratch_;
    hearth_program* program_ = nullptr;
    std::vector<std::byte> k_, v_;  // a page as rows
    std::vector<float> rows_;       // [HEARTH_PAGE_TOKENS, n_head_kv * k_width] its keys
};

}  // namespace hearth

// Text of a model's tokens that arrive one at a time; keeps the model, whose vocabulary it reads, alive.
#pragma once

#include <memory>

#include "runtime/model.hpp"
#include "text/detokenizer.hpp"

namespace hearth {

class TextStream {
  public:
    // The model must have a vocabulary.
    TextStream(std::shared_ptr<Model> model, DetokenizeOptions options)
        : model_(std::move(model)), detokenizer_(*model_->vocab(), options) {}
    Result<std::string_view> feed(int32_t token) { return detokenizer_.feed(token); }
    std::string_view flush() { return detokenizer_.flush(); }

  private:
    std::shared_ptr<Model> model_;
    Detokenizer detokenizer_;
};

}  // namespace hearth

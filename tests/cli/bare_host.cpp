// Uses every class of hearth.hpp in a host without exceptions and RTTI: that it compiles is the test.
#include <hearth/hearth.hpp>

int main() {
    auto runtime = hearth::Runtime::create();
    if (!runtime) return 1;
    hearth::Runtime same = *runtime;
    auto model =
        hearth::Model::load(same, "model.gguf", {.progress = [](uint64_t, uint64_t) { return true; }});
    if (!model) return model.status() == HEARTH_E_NOT_FOUND ? 0 : 1;
    auto context = hearth::Context::create(*model);
    auto sampler = hearth::Sampler::create(*model, {.preset = "greedy"});
    auto tokens = model->tokenize("text");
    if (!context || !sampler || !tokens || !context->decode(*tokens)) return 1;
    auto logits = context->logits();
    if (!logits || !sampler->sample(*logits, 0) || !hearth::logprob(*logits, 0)) return 1;
    const bool told =
        model->metadata() && model->tensors() && model->info() && model->vocab() && model->render_chat("{}");
    const bool kept = context->save() && context->copy(0, 0) && context->remove(0) && context->clear();
    const bool made =
        hearth::make_plan(same, "model.gguf") && hearth::quantize(same, "a.gguf", "b.gguf", "Q8_0");
    same = *std::move(runtime);
    return told && kept && made && same.devices() ? 0 : 1;
}

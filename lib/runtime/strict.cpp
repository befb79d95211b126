// What "strict" and "deterministic" refuse: placements that are not, or not wholly, what a spec asks for.
#include "runtime/planner.hpp"

namespace hearth {

namespace {

Status refuse_words(const Model& model, const DeviceSpec& spec) {
    const int32_t all = model.hparams().n_layer + 1;
    if (spec.n_layer > all)
        return fail(Code::placement, "strict: layers={} is asked for, but {} has {} (its output is one); use layers={} or layers=all",
                    spec.n_layer, model.source().name(), all, all);
    if (!spec.experts_on_device && model.hparams().n_expert == 0)
        return fail(Code::placement, "strict: experts=cpu is asked for, but {} has no experts", model.source().name());
    if (!spec.vision_on_device)
        return fail(Code::placement, "strict: vision=cpu is asked for, but {} has no vision encoder", model.source().name());
    return {};
}

}  // namespace

Status check_strict(const Model& model, const DeviceSpec& spec, const Placement& placement) {
    if (spec.deterministic && !placement.ranks.empty())
        return fail(Code::placement, "deterministic: split=tensor adds parts up in an order that depends on the devices; use split=layer");
    if (!spec.strict) return {};
    HEARTH_CHECK(refuse_words(model, spec));
    if (spec.n_layer == 0) return {};
    bool used = false;  // "auto" asks for what is fastest: where that leaves a device out, it is followed
    for (int32_t d = 1; d < placement.n_device(); ++d) used = used || (spec.automatic && placement.n_layer_on(d) > 0);
    for (int32_t d = 1; d < placement.n_device(); ++d) {
        const auto index = static_cast<std::size_t>(d);
        if (used || (!spec.shares.empty() && spec.shares[index - 1] == 0) || placement.n_layer_on(d) > 0) continue;
        const Failure failure =
            fail(Code::placement, "strict: {} is asked for, but gets no layer of {}{}", placement.devices[index]->spec(),
                 model.source().name(), spec.n_layer == DeviceSpec::kLayersThatFit ? ": none fits" : "");
        placement.devices[index]->name_in_error();
        return failure;
    }
    return {};
}

}  // namespace hearth

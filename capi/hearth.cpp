// The C ABI: errors, runtimes and models. One guarded call per function; the work is in lib/runtime.
#include <hearth/hearth.h>

#include "guard.hpp"
#include "handles.hpp"
#include "open.hpp"

using namespace hearth;
using namespace hearth::capi;

// The core's codes and the header's are the same numbers.
static_assert(static_cast<int>(Code::oom_device) == HEARTH_E_OOM_DEVICE && static_cast<int>(Code::busy) == HEARTH_E_BUSY &&
              static_cast<int>(Code::template_error) == HEARTH_E_TEMPLATE && static_cast<int>(Code::internal) == HEARTH_E_INTERNAL);

namespace {

constexpr const char* kStatusNames[] = {
    "OK",           "INVALID_ARGUMENT", "NOT_FOUND",        "IO",
    "BAD_FILE",     "UNSUPPORTED_ARCH", "UNSUPPORTED_TYPE", "UNSUPPORTED_STRUCT",
    "OOM_HOST",     "OOM_DEVICE",       "DEVICE_LOST",      "PLACEMENT",
    "CONTEXT_FULL", "CANCELLED",        "TIMEOUT",          "BUSY",
    "STATE",        "TEMPLATE",         "GRAMMAR",          "VERSION",
    "FORKED",       "INTERNAL",
};

RuntimeOptions runtime_options(const hearth_runtime_params& p) {
    RuntimeOptions o;
    o.n_thread = p.n_threads;
    o.jobs = {p.submit_user, p.submit};
    o.allocator = {p.allocator_user, p.allocate, p.deallocate};
    o.log.user = p.log_user;
    o.log.write = p.log;
    if (p.log_level) o.log.level = static_cast<LogLevel>(p.log_level);
    o.unload_unused = p.unload_unused == HEARTH_ON;
    if (p.plugin_path) o.plugin_path = field_text(p.plugin_path, p.plugin_path_size);
    return o;
}

// Position of a model's first layer that attends, for the head counts of the info.
const LayerHparams& attention_layer(const Hparams& h) {
    for (const LayerHparams& l : h.layer)
        if (!l.short_conv) return l;
    return h.layer.front();
}

hearth_model_info model_info(const Model& model) {
    hearth_model_info info{};
    const Hparams& h = model.hparams();
    if (h.arch) {
        info.n_vocab = h.n_vocab;
        info.n_ctx_train = h.n_ctx_train;
        info.n_embd = h.n_embd;
        info.n_layer = h.n_layer;
        info.n_head = attention_layer(h).n_head;
        info.n_head_kv = attention_layer(h).n_head_kv;
        info.n_pos_axis = h.n_pos_axis();
    } else if (model.vocab()) {
        info.n_vocab = model.vocab()->n_token();
    }
    info.n_parameter = model.n_parameter();
    info.file_bytes = model.file_bytes();
    info.weight_bytes = model.weight_bytes();
    fill_text(info.architecture, model.architecture());
    fill_text(info.description, model.description());
    std::string devices;
    for (const Device* device : model.placement().devices) devices += (devices.empty() ? "" : ", ") + device->spec();
    fill_text(info.device, devices);
    info.is_loaded = model.loaded();
    info.has_vocab = model.vocab() != nullptr;
    info.has_chat_template = !model.chat_template().empty();
    return info;
}

}  // namespace

uint32_t hearth_version(void) { return HEARTH_VERSION_MAJOR << 16 | HEARTH_VERSION_MINOR; }

const char* hearth_status_name(hearth_status status) {
    const auto index = -static_cast<int64_t>(status);
    return index >= 0 && index < static_cast<int64_t>(std::size(kStatusNames)) ? kStatusNames[index] : "UNKNOWN";
}

hearth_status hearth_last_error(hearth_error* out) {
    if (!out || out->struct_size < sizeof(uint32_t)) return HEARTH_E_UNSUPPORTED_STRUCT;
    const ErrorRecord& record = error_record();
    hearth_error e{};
    e.struct_size = out->struct_size;
    e.code = static_cast<int32_t>(record.code);
    e.subcode = record.subcode;
    e.device = record.device;
    e.bytes_wanted = record.bytes_wanted;
    e.bytes_free = record.bytes_free;
    e.line = record.line;
    e.column = record.column;
    std::memcpy(e.message, record.message, sizeof e.message);
    std::memcpy(e.device_spec, record.device_spec, sizeof e.device_spec);
    std::memcpy(out, &e, std::min<std::size_t>(out->struct_size, sizeof e));
    return HEARTH_OK;
}

hearth_status hearth_runtime_create(const hearth_runtime_params* params, hearth_runtime** out) {
    return guarded([&]() -> Status {
        HEARTH_CHECK(need(out, "the output"));
        hearth_runtime_params p;
        HEARTH_CHECK(read_struct(params, "hearth_runtime_params", &p));
        if (!p.allocate != !p.deallocate)
            return fail(Code::invalid_argument, "allocate and deallocate are needed both, or neither");
        auto object = std::make_unique<RuntimeObject>();
        HEARTH_TRY(object->runtime, Runtime::make(runtime_options(p)));
        HEARTH_TRY(void* handle, add_handle(std::move(object), RuntimeObject::kKind));
        *out = static_cast<hearth_runtime*>(handle);
        return {};
    });
}
hearth_status hearth_runtime_retain(hearth_runtime* runtime) {
    return guarded([&] { return retain_handle(runtime, RuntimeObject::kKind, RuntimeObject::kName); });
}
hearth_status hearth_runtime_release(hearth_runtime* runtime) {
    return guarded([&] { return release_handle(runtime, RuntimeObject::kKind, RuntimeObject::kName); });
}

hearth_status hearth_runtime_device(hearth_runtime* runtime, uint32_t index, hearth_device_info* out) {
    return guarded([&]() -> Status {
        HEARTH_TRY(const auto r, borrow<RuntimeObject>(runtime));
        HEARTH_TRY(const DeviceInfo device, r->runtime->device_info(index));
        hearth_device_info info{};
        fill_text(info.spec, device.spec);
        fill_text(info.name, device.name);
        fill_text(info.detail, device.detail);
        fill_text(info.unavailable, device.unavailable);
        info.total_bytes = device.total_bytes;
        info.free_bytes = device.free_bytes;
        return write_struct(info, "hearth_device_info", out);
    });
}

hearth_status hearth_runtime_memory(hearth_runtime* runtime, uint64_t* now_bytes, uint64_t* peak_bytes) {
    return guarded([&]() -> Status {
        HEARTH_TRY(const auto r, borrow<RuntimeObject>(runtime));
        if (now_bytes) *now_bytes = r->runtime->memory().now.load();
        if (peak_bytes) *peak_bytes = r->runtime->memory().peak.load();
        return {};
    });
}

hearth_status hearth_runtime_n_thread(hearth_runtime* runtime, int32_t* out) {
    return guarded([&]() -> Status {
        HEARTH_CHECK(need(out, "the output"));
        HEARTH_TRY(const auto r, borrow<RuntimeObject>(runtime));
        *out = r->runtime->n_thread();
        return {};
    });
}

hearth_status hearth_model_load(hearth_runtime* runtime, const hearth_source* source, const hearth_model_params* params,
                                hearth_model** out) {
    return guarded([&]() -> Status {
        HEARTH_CHECK(need(out, "the output"));
        HEARTH_TRY(const auto r, borrow<RuntimeObject>(runtime));
        HEARTH_TRY(const ModelOptions options, model_options(params, source));
        HEARTH_TRY(auto tensors, open_source(source));
        auto object = std::make_unique<ModelObject>();
        object->runtime = r->runtime;
        HEARTH_TRY(object->model, Model::load(r->runtime, std::move(tensors), options));
        HEARTH_TRY(void* handle, add_handle(std::move(object), ModelObject::kKind));
        *out = static_cast<hearth_model*>(handle);
        return {};
    });
}
hearth_status hearth_model_retain(hearth_model* model) {
    return guarded([&] { return retain_handle(model, ModelObject::kKind, ModelObject::kName); });
}
hearth_status hearth_model_release(hearth_model* model) {
    return guarded([&] { return release_handle(model, ModelObject::kKind, ModelObject::kName); });
}

hearth_status hearth_model_get_info(hearth_model* model, hearth_model_info* out) {
    return guarded([&]() -> Status {
        HEARTH_TRY(const auto m, borrow<ModelObject>(model));
        return write_struct(model_info(*m->model), "hearth_model_info", out);
    });
}

hearth_status hearth_model_meta_count(hearth_model* model, size_t* out) {
    return guarded([&]() -> Status {
        HEARTH_CHECK(need(out, "the output"));
        HEARTH_TRY(const auto m, borrow<ModelObject>(model));
        *out = m->model->source().metadata().size();
        return {};
    });
}

hearth_status hearth_model_meta_key(hearth_model* model, size_t index, char* buf, size_t cap, size_t* size) {
    return guarded([&]() -> Status {
        HEARTH_TRY(const auto m, borrow<ModelObject>(model));
        const auto& all = m->model->source().metadata();
        if (index >= all.size()) return fail(Code::not_found, "there are {} metadata keys, none with index {}", all.size(), index);
        return write_text(std::next(all.begin(), static_cast<std::ptrdiff_t>(index))->first, buf, cap, size);
    });
}

hearth_status hearth_model_meta_value(hearth_model* model, const char* key, size_t key_size, char* buf, size_t cap, size_t* size) {
    return guarded([&]() -> Status {
        HEARTH_CHECK(need(key, "the key"));
        HEARTH_TRY(const auto m, borrow<ModelObject>(model));
        const std::string_view name = text_of(key, key_size);
        const MetaValue* value = m->model->source().find(name);
        if (!value) return fail(Code::not_found, "{}: there is no metadata key '{}'", m->model->source().name(), name);
        return write_text(meta_text(*value), buf, cap, size);
    });
}

hearth_status hearth_model_tensor(hearth_model* model, size_t index, hearth_tensor_info* out) {
    return guarded([&]() -> Status {
        HEARTH_TRY(const auto m, borrow<ModelObject>(model));
        const auto& all = m->model->source().tensors();
        if (index >= all.size()) return fail(Code::not_found, "there are {} tensors, none with index {}", all.size(), index);
        const TensorInfo& tensor = all[index];
        hearth_tensor_info info{};
        info.n_dim = tensor.n_dim;
        fill_text(info.name, tensor.name);
        const FormatInfo* format = find_format(static_cast<int32_t>(tensor.format));
        fill_text(info.type, format ? format->name : "?");
        std::copy_n(tensor.shape, 4, info.shape);
        info.bytes = tensor.bytes;
        return write_struct(info, "hearth_tensor_info", out);
    });
}

hearth_status hearth_quantize(hearth_runtime* runtime, const char* in_path, size_t in_size, const char* out_path, size_t out_size,
                              const hearth_quantize_params* params) {
    return guarded([&]() -> Status {
        HEARTH_CHECK(need(in_path, "in_path"));
        HEARTH_CHECK(need(out_path, "out_path"));
        hearth_quantize_params p;
        HEARTH_CHECK(read_struct(params, "hearth_quantize_params", &p));
        HEARTH_TRY(const auto r, borrow<RuntimeObject>(runtime));
        QuantizeOptions options;
        options.type = field_text(p.type, p.type_size);
        if (p.progress) options.progress = [p](uint64_t done, uint64_t total) { return p.progress(p.progress_user, done, total) == 0; };
        return quantize_file(*r->runtime, text_of(in_path, in_size), text_of(out_path, out_size), options);
    });
}

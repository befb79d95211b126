// hearth inspect, plan and devices: what there is, and what it would take.
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "common.hpp"

namespace cli {

namespace {

// Keeps the order in which keys are written.
using Json = nlohmann::ordered_json;

void print(const Json& json) {
    std::cout << json.dump(1, ' ', false, Json::error_handler_t::replace) << '\n';
}

void line(const std::string& label, const std::string& value) {
    std::cout << label << std::string(label.size() < 22 ? 22 - label.size() : 1, ' ') << value << '\n';
}

std::string shape_text(const hearth_tensor_info& t) {
    std::string text = "[";
    for (int32_t i = 0; i < t.n_dim; ++i) text += (i > 0 ? ", " : "") + std::to_string(t.shape[i]);
    return text + "]";
}

// Values are shown as text, cut where a line would be unreadable.
std::string cut(const std::string& value) {
    constexpr std::size_t kMost = 100;
    std::string flat;
    for (char c : value.substr(0, kMost)) flat += c == '\n' ? ' ' : c;
    return value.size() > kMost ? flat + "... (" + std::to_string(value.size()) + " bytes)" : flat;
}

using Metadata = std::vector<std::pair<std::string, std::string>>;
using Tensors = std::vector<hearth_tensor_info>;

std::map<std::string, std::pair<int64_t, uint64_t>> count_types(const Tensors& tensors) {
    std::map<std::string, std::pair<int64_t, uint64_t>> types;  // name -> tensors, bytes
    for (const hearth_tensor_info& t : tensors) {
        auto& type = types[t.type];
        type.first += 1;
        type.second += t.bytes;
    }
    return types;
}

Json inspect_json(const hearth_model_info& info, const Metadata& metadata, const Tensors& tensors) {
    Json meta = Json::object(), list = Json::array(), types = Json::object();
    for (const auto& [key, value] : metadata) meta[key] = value;
    for (const auto& [name, type] : count_types(tensors))
        types[name] = {{"n_tensor", type.first}, {"bytes", type.second}};
    for (const hearth_tensor_info& t : tensors) {
        Json shape = Json::array();
        for (int32_t i = 0; i < t.n_dim; ++i) shape.push_back(t.shape[i]);
        list.push_back({{"name", t.name}, {"type", t.type}, {"shape", shape}, {"bytes", t.bytes}});
    }
    return {{"architecture", info.architecture},
            {"description", info.description},
            {"n_parameter", info.n_parameter},
            {"file_bytes", info.file_bytes},
            {"n_vocab", info.n_vocab},
            {"n_ctx_train", info.n_ctx_train},
            {"n_embd", info.n_embd},
            {"n_layer", info.n_layer},
            {"n_head", info.n_head},
            {"n_head_kv", info.n_head_kv},
            {"n_pos_axis", info.n_pos_axis},
            {"has_vocab", info.has_vocab != 0},
            {"has_chat_template", info.has_chat_template != 0},
            {"types", types},
            {"metadata", meta},
            {"tensors", list}};
}

void inspect_text(const hearth_model_info& info, const Metadata& metadata, const Tensors& tensors) {
    line("architecture", info.architecture);
    line("description", info.description);
    line("parameters", count_text(info.n_parameter));
    line("tensor bytes", bytes_text(info.file_bytes));
    line("training context", std::to_string(info.n_ctx_train));
    line("width, layers", std::to_string(info.n_embd) + ", " + std::to_string(info.n_layer));
    line("heads, KV heads", std::to_string(info.n_head) + ", " + std::to_string(info.n_head_kv));
    line("vocabulary", std::to_string(info.n_vocab) + (info.has_vocab ? "" : " (no tokenizer in the file)"));
    line("chat template", info.has_chat_template ? "yes" : "no");
    for (const auto& [name, type] : count_types(tensors))
        line("type " + name, std::to_string(type.first) + " tensors, " + bytes_text(type.second));
    std::cout << "\nmetadata\n";
    for (const auto& [key, value] : metadata) std::cout << "  " << key << " = " << cut(value) << '\n';
    std::cout << "\ntensors\n";
    for (const hearth_tensor_info& t : tensors) {
        char row[256];
        std::snprintf(row, sizeof row, "  %-40s %-8s %-24s %s", t.name, t.type, shape_text(t).c_str(),
                      bytes_text(t.bytes).c_str());
        std::cout << row << '\n';
    }
}

Json device_json(const hearth_device_plan& d) {
    return {{"device", d.device},
            {"fits", d.fits != 0},
            {"layers", d.n_layer},
            {"embedding", d.has_embedding != 0},
            {"output", d.has_output != 0},
            {"cache", d.has_cache != 0},
            {"weight_bytes", d.weight_bytes},
            {"mapped_bytes", d.mapped_bytes},
            {"cache_bytes", d.cache_bytes},
            {"activation_bytes", d.activation_bytes},
            {"scratch_bytes", d.scratch_bytes},
            {"host_bytes", d.host_bytes},
            {"total_bytes", d.total_bytes},
            {"available_bytes", d.available_bytes},
            {"reserve_bytes", d.reserve_bytes},
            {"host", d.is_host != 0},
            {"token_bytes", d.token_bytes},
            {"declared_rate", d.declared_rate}};
}

Json plan_json(const hearth_plan_info& p, const std::vector<hearth_device_plan>& devices) {
    Json all = Json::array();
    for (const hearth_device_plan& d : devices) all.push_back(device_json(d));
    return {{"fits", p.fits != 0},
            {"weight_bytes", p.weight_bytes},
            {"mapped_bytes", p.mapped_bytes},
            {"cache_bytes", p.cache_bytes},
            {"activation_bytes", p.activation_bytes},
            {"scratch_bytes", p.scratch_bytes},
            {"output_bytes", p.output_bytes},
            {"total_bytes", p.total_bytes},
            {"available_bytes", p.available_bytes},
            {"reserve_bytes", p.reserve_bytes},
            {"n_ctx_fits", p.n_ctx_fits},
            {"n_layer_fits", devices.empty() ? 0 : devices[0].n_layer_fits},
            {"devices", all}};
}

// "8.0 GB/s"
std::string rate_text(uint64_t bytes_per_second) {
    char text[32];
    std::snprintf(text, sizeof text, "%.1f GB/s", static_cast<double>(bytes_per_second) / 1e9);
    return text;
}

void plan_text(const hearth_device_plan& d) {
    std::string parts = std::to_string(d.n_layer) + " layers";
    if (d.has_embedding) parts += ", embedding";
    if (d.has_output) parts += ", output";
    line(d.device, parts);
    line("  weights",
         bytes_text(d.weight_bytes) + (d.mapped_bytes > 0 ? ", and " + bytes_text(d.mapped_bytes) + " mapped" : std::string()));
    line("  KV cache", bytes_text(d.cache_bytes));
    line("  activations", bytes_text(d.activation_bytes));
    line("  scratch", bytes_text(d.scratch_bytes));
    if (d.host_bytes > 0) line("  logits, staging", bytes_text(d.host_bytes));
    line("  total", bytes_text(d.total_bytes));
    line("  read per token", bytes_text(d.token_bytes) + " of the weights" +
                                 (d.declared_rate > 0 ? ", at " + rate_text(d.declared_rate) : std::string()));
    line("  free",
         d.available_bytes > 0 ? bytes_text(d.available_bytes) + ", of which " + bytes_text(d.reserve_bytes) + " stay free" : "unknown");
    line("  fits", d.fits ? "yes" : "no");
}

// Says which device is too small and what would fit.
int does_not_fit(const hearth_plan_info& p, const std::vector<hearth_device_plan>& devices) {
    std::string sentence = "the model does not fit";
    for (const hearth_device_plan& d : devices) {
        if (d.fits) continue;
        const uint64_t free = d.available_bytes - std::min(d.available_bytes, d.reserve_bytes);
        sentence = std::string(d.device) + ": " + bytes_text(d.total_bytes) + " are needed, but " + bytes_text(free) + " are free";
        if (!d.is_host && d.n_layer_fits < d.n_layer) {
            sentence += "; use layers=" + std::to_string(d.n_layer_fits) + " or layers=auto";
        } else if (p.n_ctx_fits > 0) {
            sentence += "; use --ctx " + std::to_string(p.n_ctx_fits);
        }
        break;
    }
    say("hearth: " + sentence);
    return kFailed;
}

}  // namespace

int inspect(const InspectOptions& o) {
    CLI_TRY(const auto runtime, make_runtime(o.model));
    CLI_TRY(const auto model, load_model(runtime, o.model, true));
    CLI_TRY(const auto info, model.info());
    CLI_TRY(const auto metadata, model.metadata());
    CLI_TRY(const auto tensors, model.tensors());
    if (o.json) {
        print(inspect_json(info, metadata, tensors));
    } else {
        inspect_text(info, metadata, tensors);
    }
    return kOk;
}

int plan(const PlanOptions& o) {
    CLI_TRY(const auto runtime, make_runtime(o.model));
    CLI_TRY(const auto context, context_options(o.context));
    const hearth::ModelOptions model = model_options(o.model);
    CLI_TRY(const auto p, hearth::make_plan(runtime, o.model.path, model, context));
    CLI_TRY(const auto devices, hearth::plan_devices(runtime, o.model.path, model, context));
    if (o.json) {
        print(plan_json(p, devices));
        return p.fits ? kOk : does_not_fit(p, devices);
    }
    int32_t n_layer = 0;
    for (const hearth_device_plan& d : devices) {
        plan_text(d);
        if (!d.is_host) n_layer += d.n_layer;
    }
    line("total", bytes_text(p.total_bytes));
    line("fits", p.fits ? "yes" : "no");
    line("largest context", std::to_string(p.n_ctx_fits));
    if (n_layer > 0) line("layers that fit", std::to_string(devices[0].n_layer_fits));
    return p.fits ? kOk : does_not_fit(p, devices);
}

int devices(const DevicesOptions& o) {
    CLI_TRY(const auto runtime, make_runtime({}));
    CLI_TRY(const auto all, runtime.devices());
    Json list = Json::array();
    for (const hearth_device_info& d : all) {
        list.push_back({{"spec", d.spec},
                        {"name", d.name},
                        {"detail", d.detail},
                        {"unavailable", d.unavailable},
                        {"total_bytes", d.total_bytes},
                        {"free_bytes", d.free_bytes}});
        if (o.json) continue;
        std::string text =
            d.unavailable[0] ? std::string("unavailable: ") + d.unavailable : std::string(d.name);
        if (!d.unavailable[0] && d.detail[0]) text += std::string(", ") + d.detail;
        if (d.total_bytes > 0)
            text += ", " + bytes_text(d.free_bytes) + " of " + bytes_text(d.total_bytes) + " free";
        line(d.spec, text);
    }
    if (o.json) print(list);
    return kOk;
}

}  // namespace cli

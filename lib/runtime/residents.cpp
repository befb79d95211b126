// Counts the users of loaded models and unloads those without, the least recently used first.
#include "runtime/residents.hpp"

#include <algorithm>
#include <utility>

#include "runtime/model.hpp"

namespace hearth {

Residents::Entry* Residents::find(const Model* model) {
    const auto found = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.model == model; });
    return found == entries_.end() ? nullptr : &*found;
}

void Residents::add(Model* model) {
    std::lock_guard lock(mutex_);
    entries_.push_back({model, 1, ++n_use_});
}

void Residents::remove(Model* model) {
    std::lock_guard lock(mutex_);
    if (Entry* entry = find(model)) entries_.erase(entries_.begin() + (entry - entries_.data()));
}

bool Residents::use(Model* model) {
    std::lock_guard lock(mutex_);
    Entry* entry = find(model);
    if (!entry) return false;
    ++entry->n_user;
    return true;
}

void Residents::leave(Model* model) {
    std::lock_guard lock(mutex_);
    Entry* entry = find(model);
    if (!entry) return;
    --entry->n_user;
    entry->last_used = ++n_use_;
}

uint64_t Residents::bytes_of(const Entry& entry, const Device* device, const Model* except) {
    if (entry.model == except || entry.n_user > 0 || !entry.model->loaded()) return 0;
    uint64_t bytes = 0;
    const auto& devices = entry.model->placement().devices;
    for (std::size_t d = 0; d < devices.size(); ++d)
        if (devices[d] == device) bytes += entry.model->parts()[d].bytes;
    return bytes;
}

uint64_t Residents::unused_bytes(const Device* device, const Model* except) const {
    std::lock_guard lock(mutex_);
    uint64_t bytes = 0;
    for (const Entry& entry : entries_) bytes += bytes_of(entry, device, except);
    return bytes;
}

std::string Residents::unload_one(const Device* device, const Model* except) {
    std::lock_guard lock(mutex_);
    Entry* oldest = nullptr;
    for (Entry& entry : entries_) {
        if (bytes_of(entry, device, except) == 0) continue;
        if (!oldest || entry.last_used < oldest->last_used) oldest = &entry;
    }
    if (!oldest) return {};
    std::string name = oldest->model->source().name();
    oldest->model->unload_weights();
    return name;
}

ModelUse::ModelUse(Model* model) : model_(model->runtime().residents().use(model) ? model : nullptr) {}

ModelUse::ModelUse(ModelUse&& other) noexcept { *this = std::move(other); }

ModelUse& ModelUse::operator=(ModelUse&& other) noexcept {
    std::swap(model_, other.model_);
    return *this;
}

ModelUse::~ModelUse() {
    if (model_) model_->runtime().residents().leave(model_);
}

}  // namespace hearth

// The loaded models of a runtime: who uses them, and which give way when memory is short.
#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

namespace hearth {

class Device;
class Model;

class Residents {
  public:
    // In use from now on, until leave(); may throw, before anything has changed.
    void add(Model* model);
    void remove(Model* model);
    bool use(Model* model);    // one user more; false: it was never added
    void leave(Model* model);  // one fewer, and now the most recently used

    // What the weights of models without users take of a device, `except` aside.
    uint64_t unused_bytes(const Device* device, const Model* except) const;
    // Unloads that one of them which was in use longest ago; what its file is called, "" where there is none.
    std::string unload_one(const Device* device, const Model* except);

  private:
    struct Entry {
        Model* model;
        int32_t n_user;
        uint64_t last_used;  // counts uses, not time
    };
    Entry* find(const Model* model);
    static uint64_t bytes_of(const Entry& entry, const Device* device, const Model* except);

    mutable std::mutex mutex_;  // held last: nothing that is called under it takes another
    std::vector<Entry> entries_;
    uint64_t n_use_ = 0;
};

// A user of a model, for as long as it lives: weights that are loaded stay so.
class ModelUse {
  public:
    ModelUse() = default;
    explicit ModelUse(Model* model);  // empty where the model's weights were never loaded
    ModelUse(ModelUse&& other) noexcept;
    ModelUse& operator=(ModelUse&& other) noexcept;
    ~ModelUse();
    explicit operator bool() const { return model_ != nullptr; }

  private:
    Model* model_ = nullptr;
};

}  // namespace hearth

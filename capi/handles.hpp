// Handles: an index and a generation behind an opaque pointer, so that a stale or doubly released one is an error code.
#pragma once

#include <hearth/hearth.h>

#include <memory>

#include "runtime/context.hpp"
#include "runtime/model.hpp"
#include "runtime/runtime.hpp"
#include "runtime/sampler/sampler.hpp"
#include "runtime/text_stream.hpp"

namespace hearth::capi {

// What a handle stands for. The runtime comes along so that every call can tell whether the process was forked.
struct Object {
    std::shared_ptr<Runtime> runtime;
    virtual ~Object() = default;
};
struct RuntimeObject final : Object {
    static constexpr uint32_t kKind = 1;
    static constexpr const char* kName = "runtime";
};
struct ModelObject final : Object {
    static constexpr uint32_t kKind = 2;
    static constexpr const char* kName = "model";
    std::shared_ptr<Model> model;
};
struct ContextObject final : Object {
    static constexpr uint32_t kKind = 3;
    static constexpr const char* kName = "context";
    std::unique_ptr<Context> context;
};
struct SamplerObject final : Object {
    static constexpr uint32_t kKind = 4;
    static constexpr const char* kName = "sampler";
    std::unique_ptr<Sampler> sampler;
};
struct DetokenizerObject final : Object {
    static constexpr uint32_t kKind = 5;
    static constexpr const char* kName = "detokenizer";
    std::unique_ptr<TextStream> stream;
};

// Takes the object in with one reference.
Result<void*> add_handle(std::unique_ptr<Object> object, uint32_t kind);
Status retain_handle(void* handle, uint32_t kind, const char* name);
Status release_handle(void* handle, uint32_t kind, const char* name);  // nullptr is fine

// The flag that stops the work of a handle; nullptr for a stale one. Safe in a signal handler.
std::atomic<int32_t>* cancel_flag(void* handle, uint32_t kind);

// Keeps the object alive for the length of one call, whatever other threads release.
class Borrowed {
  public:
    Borrowed() = default;
    Borrowed(Borrowed&& other) noexcept : handle_(other.handle_), kind_(other.kind_), object_(other.object_) { other.object_ = nullptr; }
    Borrowed& operator=(Borrowed&&) = delete;
    ~Borrowed();
    Object* object() const { return object_; }

  private:
    friend Result<Borrowed> borrow_handle(void* handle, uint32_t kind, const char* name);
    void* handle_ = nullptr;
    uint32_t kind_ = 0;
    Object* object_ = nullptr;
};
Result<Borrowed> borrow_handle(void* handle, uint32_t kind, const char* name);

template <class T>
class Ref {
  public:
    explicit Ref(Borrowed borrowed) : borrowed_(std::move(borrowed)) {}
    T* operator->() const { return static_cast<T*>(borrowed_.object()); }

  private:
    Borrowed borrowed_;
};
template <class T, class Handle>
Result<Ref<T>> borrow(Handle* handle) {
    HEARTH_TRY(Borrowed borrowed, borrow_handle(handle, T::kKind, T::kName));
    return Ref<T>(std::move(borrowed));
}

}  // namespace hearth::capi

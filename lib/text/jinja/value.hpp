// The values of the template language: small tagged values over reference-counted objects owned by one
// render.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.hpp"

namespace hearth::jinja {

class Heap;
class Vm;

// Everything on the heap. Objects of one render form a list, so that cycles (a namespace that holds itself)
// end with the render, and they are freed through a queue, so that long chains cost no stack.
struct Object {
    explicit Object(Heap& owner);
    Object(const Object&) = delete;
    Object& operator=(const Object&) = delete;
    virtual ~Object() = default;
    virtual void clear() = 0;  // drops the references that it holds
    Heap& heap;
    Object *previous = nullptr, *next = nullptr;
    uint32_t n_reference = 0;
    uint64_t n_byte = 0;  // what the heap has counted for it
};

// A counted reference to an object that is no value.
template <class T>
class Ref {
  public:
    Ref() = default;
    explicit Ref(T* object) : object_(object) { add(); }
    Ref(const Ref& other) : object_(other.object_) { add(); }
    Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
    Ref& operator=(Ref other) noexcept {
        std::swap(object_, other.object_);
        return *this;
    }
    ~Ref() {
        if (object_ && --object_->n_reference == 0) object_->heap.release(*object_);
    }
    T* operator->() const { return object_; }
    T& operator*() const { return *object_; }
    T* get() const { return object_; }
    explicit operator bool() const { return object_ != nullptr; }

  private:
    void add() {
        if (object_) ++object_->n_reference;
    }
    T* object_ = nullptr;
};

enum class Type : uint8_t {
    missing,
    undefined,
    none,
    boolean,
    integer,
    number,
    string,
    list,
    dict,
    space,
    callable,
    loop
};

struct String;
struct List;
struct Dict;
struct Namespace;
struct Callable;
struct Loop;

class Value {
  public:
    Value() = default;
    Value(const Value& other);
    Value(Value&& other) noexcept;
    Value& operator=(Value other) noexcept;
    ~Value();

    // `name`, where given, is what errors call it; it must outlive the render.
    static Value undefined(const std::string* name = nullptr) {
        return Value(Type::undefined, static_cast<int64_t>(reinterpret_cast<intptr_t>(name)));
    }
    const std::string* undefined_name() const { return reinterpret_cast<const std::string*>(integer_); }
    static Value none() { return Value(Type::none, int64_t{0}); }
    static Value of(bool b) { return Value(Type::boolean, int64_t{b}); }
    static Value of(int64_t i) { return Value(Type::integer, i); }
    static Value of(double d);
    Value(String* object);     // NOLINT: an object is its value
    Value(List* object);       // NOLINT
    Value(Dict* object);       // NOLINT
    Value(Namespace* object);  // NOLINT
    Value(Callable* object);   // NOLINT
    Value(Loop* object);       // NOLINT

    Type type() const { return type_; }
    bool is(Type type) const { return type_ == type; }
    bool is_number() const {
        return type_ == Type::boolean || type_ == Type::integer || type_ == Type::number;
    }
    bool is_integral() const { return type_ == Type::boolean || type_ == Type::integer; }
    int64_t integer() const { return integer_; }  // of a boolean or an integer
    double real() const;                          // of any number
    bool same(const Value& other) const { return type_ == other.type_ && integer_ == other.integer_; }

    const String& string() const;
    const List& list() const;
    const Dict& dict() const;
    Namespace& space() const;
    const Callable& callable() const;
    Loop& loop() const;
    std::string_view text() const;  // of a string

  private:
    Value(Type type, int64_t bits) : type_(type), integer_(bits) {}
    Value(Type type, Object* object);
    bool counted() const { return type_ >= Type::string; }
    Type type_ = Type::missing;
    union {
        int64_t integer_ = 0;
        double number_;
        Object* object_;
    };
};

struct String : Object {
    using Object::Object;
    void clear() override {}
    std::string text;        // UTF-8
    std::size_t n_char = 0;  // code points; equals text.size() for ASCII
    bool safe = false;       // marked by `escape` or `safe`: joining it with other text escapes that text
    bool ascii() const { return n_char == text.size(); }
};

// What a sequence is in Python's eyes; they differ in printing, truth, len() and subscripts.
enum class Kind : uint8_t { list, tuple, range, generator, items, keys, values };

struct List : Object {
    using Object::Object;
    void clear() override { items.clear(); }
    std::vector<Value> items;
    Kind kind = Kind::list;
    mutable bool consumed = false;  // a generator can be walked once
};

struct Dict : Object {
    using Object::Object;
    void clear() override { entries_.clear(); }
    const std::vector<std::pair<Value, Value>>& entries() const { return entries_; }
    const Value* find(const Value& key) const;
    const Value* find(std::string_view key) const;
    void set(Value key, Value value);  // the key must be hashable

  private:
    std::size_t index_of(const Value& key) const;
    std::vector<std::pair<Value, Value>> entries_;
    std::unordered_multimap<std::size_t, std::size_t>
        index_;  // hash -> entry, kept once there are many entries
};

struct Namespace : Object {
    using Object::Object;
    void clear() override { attributes.clear(); }
    std::vector<std::pair<std::string, Value>> attributes;
    Value* find(std::string_view name);
};

// The arguments of a call; `args` are positional.
struct Arguments {
    std::vector<Value> args;
    std::vector<std::pair<std::string_view, Value>> named;
    // The argument at a place or under a name, or nullptr.
    const Value* get(std::size_t place, std::string_view name) const;
};

struct MacroCode;
using Function = Result<Value> (*)(Vm& vm, const Value& self, const Arguments& arguments);

// A variable scope; names are numbers of the program's name table.
struct Scope : Object {
    using Object::Object;
    void clear() override {
        variables.clear();
        parent = {};
    }
    Value* find(uint32_t name) {
        for (auto& [key, value] : variables)
            if (key == name) return &value;
        return nullptr;
    }
    void set(uint32_t name, Value value);
    std::vector<std::pair<uint32_t, Value>> variables;
    Ref<Scope> parent;
};

struct Callable : Object {
    using Object::Object;
    void clear() override {
        self = {};
        scope = {};
    }
    Function function = nullptr;  // a builtin, or a method bound to self
    std::string_view name;
    Value self;
    const MacroCode* macro = nullptr;  // or a macro, with the scope that it was defined in
    Ref<Scope> scope;
};

// What `loop` is inside a for statement.
struct Loop : Object {
    using Object::Object;
    void clear() override {
        items.clear();
        changed = {};
        scope = {};
    }
    std::vector<Value> items;
    std::size_t index = 0;  // of the current item
    int64_t depth = 0;      // of recursion
    Value changed;          // the arguments of the last loop.changed()
    uint32_t entry = 0;     // where a recursive loop starts, 0 for others
    Ref<Scope> scope;       // that the for statement stands in
};

// Owns the objects of one render and counts their bytes and the render's work. Nothing fails at once when a
// limit is passed (but what asks has_room() first): the machine looks at exhausted() after every instruction.
class Heap {
  public:
    Heap(uint64_t limit_bytes, uint64_t limit_work) : limit_bytes_(limit_bytes), work_left_(limit_work) {}
    Heap(const Heap&) = delete;
    Heap& operator=(const Heap&) = delete;
    ~Heap();

    Value string(std::string text, bool safe = false);
    Value list(std::vector<Value> items, Kind kind = Kind::list);
    Value function(std::string_view name, Function code, Value self = Value::none());
    bool over_limit() const { return used_bytes_ > limit_bytes_; }
    bool has_room(uint64_t n_byte) const {
        return n_byte <= limit_bytes_ && used_bytes_ <= limit_bytes_ - n_byte;
    }
    void count(Object& object, uint64_t n_byte);
    // Notes n units of work (about one visited value or 16 bytes of text each); false once too much was done.
    bool spend(uint64_t n) {
        work_left_ -= n < work_left_ ? n : work_left_;
        return work_left_ > 0;
    }
    bool exhausted() const { return work_left_ == 0; }

    void attach(Object& object);
    void release(Object& object) noexcept;  // its last reference is gone

  private:
    uint64_t limit_bytes_, used_bytes_ = 0, work_left_;
    Object *first_ = nullptr, *dead_ = nullptr;
    bool draining_ = false;
};

std::size_t hash_of(const Value& value);
bool hashable(const Value& value);

}  // namespace hearth::jinja

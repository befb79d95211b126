// Reference counting, the heap of one render, and insertion-ordered dictionaries.
#include "text/jinja/value.hpp"

#include "text/jinja/ops.hpp"
#include "text/jinja/unicode.hpp"

namespace hearth::jinja {

namespace {
constexpr std::size_t kIndexFrom = 12;  // entries from which a dictionary keeps a hash index
constexpr uint64_t kObjectBytes = 96;
}  // namespace

Object::Object(Heap& owner) : heap(owner) { heap.attach(*this); }

Value::Value(Type type, Object* object) : type_(type), object_(object) { ++object->n_reference; }
Value::Value(String* object) : Value(Type::string, static_cast<Object*>(object)) {}
Value::Value(List* object) : Value(Type::list, static_cast<Object*>(object)) {}
Value::Value(Dict* object) : Value(Type::dict, static_cast<Object*>(object)) {}
Value::Value(Namespace* object) : Value(Type::space, static_cast<Object*>(object)) {}
Value::Value(Callable* object) : Value(Type::callable, static_cast<Object*>(object)) {}
Value::Value(Loop* object) : Value(Type::loop, static_cast<Object*>(object)) {}

Value::Value(const Value& other) : type_(other.type_), integer_(other.integer_) {
    if (counted()) ++object_->n_reference;
}
Value::Value(Value&& other) noexcept : type_(other.type_), integer_(other.integer_) {
    other.type_ = Type::missing;
}
Value& Value::operator=(Value other) noexcept {
    std::swap(type_, other.type_);
    std::swap(integer_, other.integer_);
    return *this;
}
Value::~Value() {
    if (counted() && --object_->n_reference == 0) object_->heap.release(*object_);
}

Value Value::of(double d) {
    Value value(Type::number, int64_t{0});
    value.number_ = d;
    return value;
}
double Value::real() const { return type_ == Type::number ? number_ : static_cast<double>(integer_); }
const String& Value::string() const { return *static_cast<const String*>(object_); }
const List& Value::list() const { return *static_cast<const List*>(object_); }
const Dict& Value::dict() const { return *static_cast<const Dict*>(object_); }
Namespace& Value::space() const { return *static_cast<Namespace*>(object_); }
const Callable& Value::callable() const { return *static_cast<const Callable*>(object_); }
Loop& Value::loop() const { return *static_cast<Loop*>(object_); }
std::string_view Value::text() const { return string().text; }

void Scope::set(uint32_t name, Value value) {
    if (Value* known = find(name)) {
        *known = std::move(value);
        return;
    }
    variables.emplace_back(name, std::move(value));
    heap.count(*this, sizeof variables[0]);
}

const Value* Arguments::get(std::size_t place, std::string_view name) const {
    if (place < args.size()) return &args[place];
    for (const auto& [key, value] : named)
        if (key == name) return &value;
    return nullptr;
}

Value* Namespace::find(std::string_view name) {
    for (auto& [key, value] : attributes)
        if (key == name) return &value;
    return nullptr;
}

std::size_t hash_of(const Value& value) {
    if (value.is(Type::string)) return std::hash<std::string_view>{}(value.text());
    if (value.is_number()) return std::hash<double>{}(value.real());
    if (value.is(Type::list)) return value.list().items.size();
    return static_cast<std::size_t>(value.type());
}

bool hashable(const Value& value) {
    if (value.is(Type::dict)) return false;
    if (!value.is(Type::list)) return true;
    if (value.list().kind != Kind::tuple) return value.list().kind == Kind::generator;
    for (const Value& item : value.list().items)  // a tuple of tuples is refused: keys stay shallow
        if (item.is(Type::list) || item.is(Type::dict)) return false;
    return true;
}

std::size_t Dict::index_of(const Value& key) const {
    if (entries_.size() < kIndexFrom) {
        for (std::size_t i = 0; i < entries_.size(); ++i)
            if (equal(entries_[i].first, key)) return i;
        return entries_.size();
    }
    const auto [begin, end] = index_.equal_range(hash_of(key));
    for (auto it = begin; it != end; ++it)
        if (equal(entries_[it->second].first, key)) return it->second;
    return entries_.size();
}

const Value* Dict::find(const Value& key) const {
    const std::size_t i = index_of(key);
    return i < entries_.size() ? &entries_[i].second : nullptr;
}

const Value* Dict::find(std::string_view key) const {
    if (entries_.size() >= kIndexFrom) {
        const auto [begin, end] = index_.equal_range(std::hash<std::string_view>{}(key));
        for (auto it = begin; it != end; ++it) {
            const auto& [k, v] = entries_[it->second];
            if (k.is(Type::string) && k.text() == key) return &v;
        }
        return nullptr;
    }
    for (const auto& [k, v] : entries_)
        if (k.is(Type::string) && k.text() == key) return &v;
    return nullptr;
}

void Dict::set(Value key, Value value) {
    const std::size_t i = index_of(key);
    if (i < entries_.size()) {
        entries_[i].second = std::move(value);
        return;
    }
    entries_.emplace_back(std::move(key), std::move(value));
    heap.count(*this, sizeof entries_[0]);
    if (entries_.size() == kIndexFrom) {
        for (std::size_t k = 0; k < entries_.size(); ++k) index_.emplace(hash_of(entries_[k].first), k);
    } else if (entries_.size() > kIndexFrom) {
        index_.emplace(hash_of(entries_[i].first), i);
    }
}

Value Heap::string(std::string text, bool safe) {
    auto* object = new String(*this);
    Value value(object);
    object->text = std::move(text);
    object->n_char = count_chars(object->text);
    object->safe = safe;
    count(*object, object->text.size());
    return value;
}

Value Heap::list(std::vector<Value> items, Kind kind) {
    auto* object = new List(*this);
    Value value(object);
    object->items = std::move(items);
    object->kind = kind;
    count(*object, object->items.size() * sizeof(Value));
    return value;
}

Value Heap::function(std::string_view name, Function code, Value self) {
    auto* object = new Callable(*this);
    Value value(object);
    object->name = name;
    object->function = code;
    object->self = std::move(self);
    return value;
}

void Heap::count(Object& object, uint64_t n_byte) {
    spend(1 + n_byte / 16);
    object.n_byte += n_byte;
    used_bytes_ += n_byte;
}

void Heap::attach(Object& object) {
    object.next = first_;
    if (first_) first_->previous = &object;
    first_ = &object;
    used_bytes_ += kObjectBytes;
}

void Heap::release(Object& object) noexcept {
    (object.previous ? object.previous->next : first_) = object.next;
    if (object.next) object.next->previous = object.previous;
    used_bytes_ -= kObjectBytes + object.n_byte;
    object.next = dead_;
    dead_ = &object;
    if (draining_) return;
    draining_ = true;
    while (Object* next = dead_) {
        dead_ = next->next;
        delete next;
    }
    draining_ = false;
}

// What is left are cycles: with one more reference on each, dropping all that they hold frees none of them
// early.
Heap::~Heap() {
    for (Object* object = first_; object; object = object->next) ++object->n_reference;
    for (Object* object = first_; object; object = object->next) object->clear();
    while (Object* object = first_) {
        first_ = object->next;
        delete object;
    }
}

}  // namespace hearth::jinja

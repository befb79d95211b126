// Running a template: variables, expressions, output and scopes.
#include "text/jinja/vm.hpp"

#include <cstring>
#include <variant>

#include "text/jinja/builtins.hpp"
#include "text/jinja/format.hpp"
#include "text/jinja/lexer.hpp"
#include "text/jinja/ops.hpp"

namespace hearth::jinja {

const Vm::Handler Vm::kHandlers[] = {
#define X(name) &Vm::do_##name,
    HEARTH_JINJA_OPS(X)
#undef X
};

namespace {

struct ToValue {
    Heap& heap;
    Value operator()(Nothing) const { return Value::none(); }
    Value operator()(Unset) const { return Value::undefined(); }
    Value operator()(bool b) const { return Value::of(b); }
    Value operator()(int64_t i) const { return Value::of(i); }
    Value operator()(double d) const { return Value::of(d); }
    Value operator()(const std::string& s) const { return heap.string(s); }
};

}  // namespace

Result<std::string> Vm::run(const Dict& context) {
    root_.resize(program_.names.size());
    for (uint32_t i = 0; i < program_.names.size(); ++i) {
        const std::string& name = program_.names[i];
        if (const Value* value = context.find(std::string_view(name)))
            root_[i] = *value;
        else if (const Function function = find_global(name))
            root_[i] = heap.function(name, function);
        if (name == "loop") loop_name_ = i;
        if (name == "varargs") varargs_name_ = i;
        if (name == "kwargs") kwargs_name_ = i;
        if (name == "caller") caller_name_ = i;
    }
    constants_.resize(program_.constants.size());
    outputs_.emplace_back();
    HEARTH_CHECK(loop_run());
    return std::move(outputs_[0]);
}

Status Vm::loop_run() {
    while (running_) {
        const Instruction& at = program_.code[pc_++];
        if (auto status = (this->*kHandlers[static_cast<std::size_t>(at.op)])(at); !status)
            return place(at, status.failure());
        if (!heap.spend(1))
            return place(at,
                         fail(Code::template_error, "the template does too much work (an endless loop?)"));
        if (heap.over_limit())
            return place(at, fail(Code::template_error, "the template needs more than {} MiB of memory",
                                  limits_.memory_bytes >> 20));
    }
    return {};
}

// Names the template and the place in a failure that a builtin reported.
Failure Vm::place(const Instruction& at, Failure failure) const {
    if (failure.code != Code::template_error) return failure;
    return fail_at(program_.name, at.line, at.column, error_record().message);
}

Value Vm::pop() {
    Value value = std::move(stack_.back());
    stack_.pop_back();
    return value;
}

Status Vm::write(const Value& value) { return append_text(outputs_.back(), value); }

void Vm::set_variable(uint32_t name, Value value) {
    if (scope_)
        scope_->set(name, std::move(value));
    else
        root_[name] = std::move(value);
}

void Vm::new_scope(Ref<Scope> parent) {
    Ref<Scope> scope(new Scope(heap));
    scope->parent = std::move(parent);
    scope_ = std::move(scope);
}

Status Vm::do_text(const Instruction& at) {
    const auto& text = std::get<std::string>(program_.constants[at.a]);
    if (outputs_.back().size() + text.size() > kMostText) return too_much_text();
    heap.spend(text.size() / 16);
    outputs_.back() += text;
    return {};
}

Status Vm::do_print(const Instruction&) { return write(pop()); }

Status Vm::do_constant(const Instruction& at) {
    Value& value = constants_[at.a];  // made once per render: strings are counted by it
    if (value.is(Type::missing)) value = std::visit(ToValue{heap}, program_.constants[at.a]);
    push(value);
    return {};
}

Status Vm::do_load(const Instruction& at) {
    for (Scope* scope = scope_.get(); scope; scope = scope->parent.get())
        if (const Value* value = scope->find(at.a)) return push(*value), Status();
    push(root_[at.a].is(Type::missing) ? Value::undefined(&program_.names[at.a]) : root_[at.a]);
    return {};
}

Status Vm::do_store(const Instruction& at) {
    set_variable(at.a, pop());
    return {};
}

Status Vm::do_store_member(const Instruction& at) {
    HEARTH_CHECK(do_load(at));
    const Value object = pop();
    Value value = pop();
    if (!object.is(Type::space))
        return fail(Code::template_error, "only a namespace has members that can be set");
    Namespace& space = object.space();
    const std::string& name = program_.names[at.b];
    if (Value* known = space.find(name)) {
        *known = std::move(value);
    } else {
        space.attributes.emplace_back(name, std::move(value));
        heap.count(space, sizeof space.attributes[0]);
    }
    return {};
}

Status Vm::do_pop(const Instruction&) {
    pop();
    return {};
}

Status Vm::do_member(const Instruction& at) {
    const Value object = pop();
    const std::string& name = program_.names[at.a];
    HEARTH_TRY(Value value, member_of(*this, object, name));
    push(value.is(Type::undefined) ? Value::undefined(&name) : std::move(value));
    return {};
}

Status Vm::do_item(const Instruction&) {
    const Value key = pop(), object = pop();
    HEARTH_TRY(Value value, item_of(*this, object, key));
    push(std::move(value));
    return {};
}

Status Vm::do_slice(const Instruction&) {
    const std::size_t at = stack_.size() - 4;
    HEARTH_TRY(Value value, slice_of(heap, stack_[at], &stack_[at + 1]));
    stack_.resize(at);
    push(std::move(value));
    return {};
}

Status Vm::do_unary(const Instruction& at) {
    HEARTH_TRY(Value value, unary(static_cast<Unary>(at.a), pop()));
    push(std::move(value));
    return {};
}

Status Vm::do_binary(const Instruction& at) {
    const Value right = pop(), left = pop();
    HEARTH_TRY(Value value, arithmetic(heap, static_cast<Binary>(at.a), left, right));
    push(std::move(value));
    return {};
}

Status Vm::do_concat(const Instruction& at) {
    const std::size_t first = stack_.size() - at.a;
    HEARTH_TRY(Value value, join_text(heap, &stack_[first], at.a));
    stack_.resize(first);
    push(std::move(value));
    return {};
}

Status Vm::do_compare(const Instruction& at) {
    const Value right = pop(), left = pop();
    HEARTH_TRY(const bool result, compare(static_cast<Compare>(at.a), left, right));
    push(Value::of(result));
    return {};
}

Status Vm::do_chain(const Instruction& at) {
    const Value right = pop(), left = pop();
    HEARTH_TRY(const bool result, compare(static_cast<Compare>(at.a), left, right));
    push(result ? right : Value::of(false));
    if (!result) pc_ = at.b;
    return {};
}

Status Vm::do_jump(const Instruction& at) {
    pc_ = at.a;
    return {};
}

Status Vm::do_jump_if_not(const Instruction& at) {
    if (!truth(pop())) pc_ = at.a;
    return {};
}

Status Vm::do_jump_and(const Instruction& at) {
    if (!truth(stack_.back()))
        pc_ = at.a;
    else
        stack_.pop_back();
    return {};
}

Status Vm::do_jump_or(const Instruction& at) {
    if (truth(stack_.back()))
        pc_ = at.a;
    else
        stack_.pop_back();
    return {};
}

Status Vm::do_make_list(const Instruction& at) {
    std::vector<Value> items(std::make_move_iterator(stack_.end() - at.a),
                             std::make_move_iterator(stack_.end()));
    stack_.resize(stack_.size() - at.a);
    push(heap.list(std::move(items)));
    return {};
}

Status Vm::do_make_tuple(const Instruction& at) {
    std::vector<Value> items(std::make_move_iterator(stack_.end() - at.a),
                             std::make_move_iterator(stack_.end()));
    stack_.resize(stack_.size() - at.a);
    push(heap.list(std::move(items), Kind::tuple));
    return {};
}

Status Vm::do_make_dict(const Instruction& at) {
    auto* dict = new Dict(heap);
    Value value(dict);
    const std::size_t first = stack_.size() - 2 * std::size_t{at.a};
    for (std::size_t i = first; i < stack_.size(); i += 2) {
        if (!hashable(stack_[i]))
            return fail(Code::template_error, "{} cannot be a dictionary key", type_name(stack_[i]));
        dict->set(stack_[i], stack_[i + 1]);
    }
    stack_.resize(first);
    push(std::move(value));
    return {};
}

Status Vm::do_unpack(const Instruction& at) {
    HEARTH_TRY(auto items, items_of(heap, pop()));
    if (items.size() != at.a)
        return fail(Code::template_error, "{} values cannot be unpacked into {} names", items.size(), at.a);
    for (std::size_t i = items.size(); i-- > 0;) push(std::move(items[i]));
    return {};
}

Status Vm::do_push_scope(const Instruction&) {
    new_scope(scope_);
    return {};
}

Status Vm::do_pop_scope(const Instruction&) {
    scope_ = Ref<Scope>(scope_->parent);
    return {};
}

Status Vm::do_capture(const Instruction&) {
    outputs_.emplace_back();
    return {};
}

Status Vm::do_captured(const Instruction&) {
    push(heap.string(std::move(outputs_.back())));
    outputs_.pop_back();
    return {};
}

Status Vm::do_halt(const Instruction&) {
    running_ = false;
    return {};
}

}  // namespace hearth::jinja

// Running a template: loops, macros, filters and every other call.
#include "text/jinja/builtins.hpp"
#include "text/jinja/ops.hpp"
#include "text/jinja/vm.hpp"

namespace hearth::jinja {

Status Vm::do_select_begin(const Instruction& at) {
    HEARTH_CHECK(do_loop_begin(at));
    loops_.back().selects = true;
    return {};
}

Status Vm::do_select_keep(const Instruction&) {
    LoopFrame& frame = loops_.back();
    if (truth(pop())) frame.kept.push_back(frame.loop->items[frame.loop->index]);
    return {};
}

Status Vm::do_select_end(const Instruction&) {
    scope_ = loops_.back().outer;
    push(heap.list(std::move(loops_.back().kept)));
    loops_.pop_back();
    return {};
}

Status Vm::do_loop_enter(const Instruction& at) {
    CallFrame frame;
    frame.return_to = at.a;
    return enter_call(std::move(frame));
}

Status Vm::do_loop_begin(const Instruction& at) {
    HEARTH_TRY(auto items, items_of(heap, pop()));
    LoopFrame frame;
    frame.loop = Ref<Loop>(new Loop(heap));
    heap.count(*frame.loop, items.size() * sizeof(Value));
    frame.loop->items = std::move(items);
    frame.outer = scope_;
    frame.n_stack = stack_.size();
    frame.n_output = outputs_.size();
    if (at.op == Op::loop_begin && at.a) {
        frame.loop->entry = pc_ - 1;
        frame.loop->scope = scope_;
        for (const LoopFrame& other : loops_)
            if (other.loop->entry == frame.loop->entry) frame.loop->depth = other.loop->depth + 1;
    }
    loops_.push_back(std::move(frame));
    return {};
}

Status Vm::do_loop_next(const Instruction& at) {
    LoopFrame& frame = loops_.back();
    Loop& loop = *frame.loop;
    stack_.resize(frame.n_stack);  // a `continue` may have left a capture or a value behind
    outputs_.resize(frame.n_output);
    if (frame.started) ++loop.index;
    frame.started = true;
    if (loop.index >= loop.items.size()) {
        pc_ = at.a;
        return {};
    }
    new_scope(frame.outer);
    if (loop_name_ != UINT32_MAX && !frame.selects) scope_->set(loop_name_, Value(&loop));
    push(loop.items[loop.index]);
    return {};
}

Status Vm::do_loop_mark(const Instruction&) {
    loops_.back().completed = true;
    return {};
}

Status Vm::do_loop_end(const Instruction& at) {
    LoopFrame& frame = loops_.back();
    stack_.resize(frame.n_stack);
    outputs_.resize(frame.n_output);
    scope_ = frame.outer;
    if (frame.completed) pc_ = at.a;
    loops_.pop_back();
    return {};
}

Status Vm::do_loop_return(const Instruction&) {
    push(leave_call());
    return {};
}

Status Vm::do_macro(const Instruction& at) {
    const MacroCode& code = program_.macros[at.a];
    auto* callable = new Callable(heap);
    Value value(callable);
    callable->name = code.name;
    callable->macro = &code;
    callable->scope = scope_;
    push(std::move(value));
    return {};
}

Status Vm::do_parameter(const Instruction& at) {
    if (calls_.back().given[at.a]) pc_ = at.b;
    return {};
}

Status Vm::do_macro_return(const Instruction&) {
    push(leave_call());
    return {};
}

Status Vm::enter_call(CallFrame frame) {
    if (calls_.size() >= limits_.n_call)
        return fail(Code::template_error, "more than {} nested calls", limits_.n_call);
    frame.outer = scope_;
    frame.n_loop = loops_.size();
    calls_.push_back(std::move(frame));
    outputs_.emplace_back();
    return {};
}

Value Vm::leave_call() {
    CallFrame frame = std::move(calls_.back());
    calls_.pop_back();
    pc_ = frame.return_to;
    scope_ = std::move(frame.outer);
    Value text = heap.string(std::move(outputs_.back()));
    outputs_.pop_back();
    return text;
}

Status Vm::call_loop(const Value& callee, const Arguments& arguments) {
    Loop& loop = callee.loop();
    if (!loop.entry || arguments.args.size() != 1)
        return fail(Code::template_error, "only a loop marked 'recursive' can be called, with one argument");
    CallFrame frame;
    frame.return_to = pc_;
    HEARTH_CHECK(enter_call(std::move(frame)));
    scope_ = loop.scope;
    pc_ = loop.entry;
    push(arguments.args[0]);
    return {};
}

// What the parameters did not take: varargs, kwargs and caller, for the macros that ask for them.
Status Vm::bind_rest(const MacroCode& macro, Arguments& arguments, const std::vector<bool>& used) {
    std::vector<Value> rest;
    for (std::size_t i = macro.parameters.size(); i < arguments.args.size(); ++i)
        rest.push_back(arguments.args[i]);
    if (!rest.empty() && !macro.varargs)
        return fail(Code::template_error, "macro '{}' takes at most {} arguments", macro.name,
                    macro.parameters.size());
    auto* named = new Dict(heap);
    const Value kwargs(named);
    Value caller = Value::undefined();
    for (std::size_t i = 0; i < arguments.named.size(); ++i) {
        if (used[i]) continue;
        const auto& [name, value] = arguments.named[i];
        if (name == "caller" && macro.caller) {
            caller = value;
        } else if (macro.kwargs) {
            named->set(heap.string(std::string(name)), value);
        } else {
            return fail(Code::template_error, "macro '{}' has no parameter '{}'", macro.name, name);
        }
    }
    if (macro.varargs) scope_->set(varargs_name_, heap.list(std::move(rest), Kind::tuple));
    if (macro.kwargs) scope_->set(kwargs_name_, kwargs);
    if (macro.caller) scope_->set(caller_name_, caller);
    return {};
}

Status Vm::call_macro(const Callable& callee, Arguments& arguments) {
    const MacroCode& macro = *callee.macro;
    CallFrame frame;
    frame.return_to = pc_;
    frame.given.resize(macro.parameters.size());
    HEARTH_CHECK(enter_call(std::move(frame)));
    new_scope(callee.scope);
    std::vector<bool> used(arguments.named.size());
    std::vector<bool>& given = calls_.back().given;
    for (std::size_t i = 0; i < macro.parameters.size(); ++i) {
        const std::string& name = program_.names[macro.parameters[i]];
        Value value = Value::undefined(&name);
        if (i < arguments.args.size()) {
            value = arguments.args[i];
            given[i] = true;
        }
        for (std::size_t k = 0; k < arguments.named.size(); ++k) {
            if (arguments.named[k].first != name || given[i]) continue;
            value = arguments.named[k].second;
            used[k] = given[i] = true;
        }
        scope_->set(macro.parameters[i], std::move(value));
    }
    HEARTH_CHECK(bind_rest(macro, arguments, used));
    pc_ = macro.entry;
    return {};
}

Status Vm::add_stars(const CallShape& shape, Arguments& arguments) {
    if (shape.star_star) {
        const Value more = pop();
        if (!more.is(Type::dict)) return fail(Code::template_error, "'**' needs a dictionary");
        for (const auto& [key, value] : more.dict().entries()) {
            if (!key.is(Type::string)) return fail(Code::template_error, "argument names must be strings");
            if (arguments.get(SIZE_MAX, key.text()))
                return fail(Code::template_error, "argument '{}' given twice", key.text());
            arguments.named.emplace_back(key.text(), value);
        }
        constants_.push_back(more);  // keeps the names alive
    }
    if (shape.star) {
        HEARTH_TRY(auto items, items_of(heap, pop()));
        for (Value& item : items) arguments.args.push_back(std::move(item));
    }
    return {};
}

// Takes a call's arguments from the stack.
Result<Arguments> Vm::take_arguments(const CallShape& shape) {
    Arguments arguments;
    Arguments stars;
    HEARTH_CHECK(add_stars(shape, stars));
    for (std::size_t i = shape.named.size(); i-- > 0;) arguments.named.emplace_back(shape.named[i], pop());
    std::vector<std::pair<std::string_view, Value>> ordered(arguments.named.rbegin(), arguments.named.rend());
    arguments.named = std::move(ordered);
    for (auto& named : stars.named) arguments.named.push_back(std::move(named));
    arguments.args.assign(stack_.end() - shape.n_positional, stack_.end());
    stack_.resize(stack_.size() - shape.n_positional);
    for (Value& value : stars.args) arguments.args.push_back(std::move(value));
    return arguments;
}

Status Vm::do_call(const Instruction& at) {
    HEARTH_TRY(Arguments arguments, take_arguments(program_.calls[at.a]));
    const Value callee = pop();
    if (callee.is(Type::loop)) return call_loop(callee, arguments);
    if (!callee.is(Type::callable)) {
        if (callee.is(Type::undefined) && callee.undefined_name())
            return fail(Code::template_error, "'{}' is undefined and cannot be called",
                        *callee.undefined_name());
        return fail(Code::template_error, "{} cannot be called", type_name(callee));
    }
    if (callee.callable().macro) return call_macro(callee.callable(), arguments);
    HEARTH_TRY(Value value, callee.callable().function(*this, callee.callable().self, arguments));
    push(std::move(value));
    return {};
}

Status Vm::do_filter(const Instruction& at) {
    HEARTH_TRY(const Arguments arguments, take_arguments(program_.calls[at.b]));
    HEARTH_TRY(Value value, apply(true, program_.names[at.a], pop(), arguments));
    push(std::move(value));
    return {};
}

Status Vm::do_test(const Instruction& at) {
    HEARTH_TRY(const Arguments arguments, take_arguments(program_.calls[at.b]));
    HEARTH_TRY(Value value, apply(false, program_.names[at.a], pop(), arguments));
    push(std::move(value));
    return {};
}

Result<Value> Vm::apply(bool is_filter, std::string_view name, const Value& value,
                        const Arguments& arguments) {
    const Function function = is_filter ? find_filter(name) : find_test(name);
    if (!function)
        return fail(Code::template_error, "there is no {} named '{}'", is_filter ? "filter" : "test", name);
    return function(*this, value, arguments);
}

}  // namespace hearth::jinja

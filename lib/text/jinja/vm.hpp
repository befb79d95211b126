// The stack machine that runs a compiled template; all its nesting lives in vectors, none on the C++ stack.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "text/jinja/program.hpp"
#include "text/jinja/value.hpp"

namespace hearth::jinja {

struct Limits {
    uint64_t work = 40'000'000;  // about instructions
    uint64_t memory_bytes = uint64_t{256} << 20;
    uint32_t n_call = 200;  // nested macro calls
};

class Vm {
  public:
    Vm(const Program& program, const Limits& limits, int64_t now)
        : heap(limits.memory_bytes, limits.work), now_(now), program_(program), limits_(limits) {}

    // `context` is a dictionary of this->heap.
    Result<std::string> run(const Dict& context);

    Heap heap;
    int64_t now() const { return now_; }  // seconds since 1970-01-01 00:00 in local time
    // Applies a filter or test by name: what map() and select() need.
    Result<Value> apply(bool is_filter, std::string_view name, const Value& value,
                        const Arguments& arguments);

  private:
    struct LoopFrame {
        Ref<Loop> loop;
        Ref<Scope> outer;
        std::size_t n_stack = 0, n_output = 0;
        bool started = false, completed = false, selects = false;
        std::vector<Value> kept;
    };
    struct CallFrame {
        uint32_t return_to = 0;
        Ref<Scope> outer;
        std::size_t n_loop = 0;
        std::vector<bool> given;  // parameters
    };
    using Handler = Status (Vm::*)(const Instruction&);
    static const Handler kHandlers[];
#define X(name) Status do_##name(const Instruction& at);
    HEARTH_JINJA_OPS(X)
#undef X

    Status loop_run();
    Failure place(const Instruction& at, Failure failure) const;
    void push(Value value) { stack_.push_back(std::move(value)); }
    Value pop();
    Status write(const Value& value);
    Result<Arguments> take_arguments(const CallShape& shape);
    Status add_stars(const CallShape& shape, Arguments& arguments);
    Status call_macro(const Callable& callee, Arguments& arguments);
    Status bind_rest(const MacroCode& macro, Arguments& arguments, const std::vector<bool>& used);
    Status call_loop(const Value& callee, const Arguments& arguments);
    Status enter_call(CallFrame frame);
    Value leave_call();
    void set_variable(uint32_t name, Value value);
    void new_scope(Ref<Scope> parent);
    Ref<Scope> current_scope() const { return scope_; }

    int64_t now_;
    const Program& program_;
    Limits limits_;
    uint32_t pc_ = 0;
    bool running_ = true;
    std::vector<Value> stack_;
    std::vector<Value> root_;  // the outermost scope, by name
    std::vector<Value> constants_;
    std::vector<std::string> outputs_;
    std::vector<LoopFrame> loops_;
    std::vector<CallFrame> calls_;
    Ref<Scope> scope_;
    uint32_t loop_name_ = UINT32_MAX, varargs_name_ = UINT32_MAX, kwargs_name_ = UINT32_MAX,
             caller_name_ = UINT32_MAX;
};

}  // namespace hearth::jinja

// What a template is compiled to: a flat list of instructions for a stack machine, so that running needs no
// recursion.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.hpp"

namespace hearth::jinja {

// X(operation): `a` and `b` are its operands; "->" says what it leaves on the stack.
#define HEARTH_JINJA_OPS(X)                                                                \
    X(text)         /* writes constant a */                                                \
    X(print)        /* value -> ; writes it */                                             \
    X(constant)     /* -> constant a */                                                    \
    X(load)         /* -> variable a */                                                    \
    X(store)        /* value -> ; variable a */                                            \
    X(store_member) /* value -> ; member b of the namespace in variable a */               \
    X(pop)          /* value -> */                                                         \
    X(member)       /* object -> object.name a */                                          \
    X(item)         /* object, key -> object[key] */                                       \
    X(slice)        /* object, start, stop, step -> object[start:stop:step] */             \
    X(unary)        /* value -> a(value) */                                                \
    X(binary)       /* left, right -> left a right */                                      \
    X(concat)       /* a values -> their text */                                           \
    X(compare)      /* left, right -> truth of left a right */                             \
    X(chain)        /* left, right -> right, or false and jump to b if not left a right */ \
    X(jump)         /* to a */                                                             \
    X(jump_if_not)  /* value -> ; to a if it is false */                                   \
    X(jump_and)     /* value -> ; or keeps it and jumps to a if it is false */             \
    X(jump_or)      /* value -> ; or keeps it and jumps to a if it is true */              \
    X(make_list)    /* a values -> list */                                                 \
    X(make_tuple)   /* a values -> tuple */                                                \
    X(make_dict)    /* a keys and values -> dict */                                        \
    X(call)         /* callee, arguments of call a -> result */                            \
    X(filter)       /* value, arguments of call b -> filter named a */                     \
    X(test)         /* value, arguments of call b -> test named a */                       \
    X(unpack)       /* value -> its a items, the first on top */                           \
    X(push_scope)                                                                          \
    X(pop_scope)                                                                           \
    X(capture)      /* output goes to a new buffer */                                      \
    X(captured)     /* -> the text of that buffer */                                       \
    X(select_begin) /* iterable -> ; starts the loop that filters it */                    \
    X(select_keep)  /* value -> ; keeps the item if it is true */                          \
    X(select_end)   /* -> the kept items */                                                \
    X(loop_enter)   /* iterable -> ; a recursive loop's first call, which returns to a */  \
    X(loop_begin)   /* iterable -> ; a: 1 if it can recurse */                             \
    X(loop_next)    /* -> the next item, in a fresh scope, or jumps to a */                \
    X(loop_mark)    /* an iteration ran to its end */                                      \
    X(loop_end)     /* jumps to a if an iteration ran to its end */                        \
    X(loop_return)  /* -> text of a recursive loop */                                      \
    X(macro)        /* -> macro a */                                                       \
    X(parameter)    /* jumps to b if parameter a of the macro was given */                 \
    X(macro_return) /* -> text of the macro's body, in the caller */                       \
    X(halt)

enum class Op : uint8_t {
#define X(name) name,
    HEARTH_JINJA_OPS(X)
#undef X
};

enum class Unary : uint8_t { negate, plus, invert };
enum class Binary : uint8_t { add, subtract, multiply, divide, floor_divide, modulo, power };
enum class Compare : uint8_t { equal, not_equal, less, less_equal, greater, greater_equal, in, not_in };

struct Instruction {
    Op op = Op::halt;
    uint32_t a = 0, b = 0;
    uint32_t line = 0, column = 0;
};

struct CallShape {
    uint32_t n_positional = 0;
    std::vector<std::string> named;
    bool star = false, star_star = false;  // a list, then a dict of further arguments are on the stack
};

struct MacroCode {
    std::string name;
    std::vector<uint32_t> parameters;  // names
    uint32_t n_required = 0;           // parameters before the first with a default
    uint32_t entry = 0;
    bool varargs = false, kwargs = false, caller = false;  // what its body refers to
};

struct Nothing {};  // the constant none
struct Unset {};    // the constant undefined
using Constant = std::variant<Nothing, Unset, bool, int64_t, double, std::string>;

struct Program {
    std::string name;  // what errors call the template
    std::vector<Instruction> code;
    std::vector<std::string> names;  // of variables, members, filters and tests
    std::vector<Constant> constants;
    std::vector<CallShape> calls;
    std::vector<MacroCode> macros;
};

Result<Program> compile(std::string_view source, std::string_view name);

}  // namespace hearth::jinja

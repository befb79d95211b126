// Compiles template source in one pass: recursive descent that writes instructions as it reads.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.hpp"
#include "text/jinja/lexer.hpp"
#include "text/jinja/program.hpp"

namespace hearth::jinja {

class Parser {
  public:
    Parser(std::vector<Token> tokens, std::string_view name) : tokens_(std::move(tokens)) {
        program_.name = name;
    }
    Result<Program> run();

  private:
    using Words = std::initializer_list<std::string_view>;
    enum class Shape : uint8_t { other, call, name };  // what the root of an expression is

    struct Enclosing {  // what a break or a name inside must know of
        bool is_loop = false;
        uint32_t next = 0;                                     // loop_next of a loop
        std::vector<uint32_t> breaks;                          // jumps to fill in
        bool varargs = false, kwargs = false, caller = false;  // names that a macro's body refers to
    };
    struct Signature {
        std::vector<uint32_t> parameters;
        uint32_t n_required = 0;
    };

    // parser.cpp: tokens and code
    const Token& now() const { return tokens_[at_]; }
    const Token& ahead() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
    bool skip(std::string_view symbol);
    bool skip_word(std::string_view word);
    Status expect(std::string_view symbol);
    Status expect_word(std::string_view word);
    Status expect_block_end();
    Failure error(std::string_view message) const;
    Failure unexpected(std::string_view wanted) const;
    std::string describe() const;
    uint32_t emit(Op op, uint32_t a = 0, uint32_t b = 0) { return emit_at(now(), op, a, b); }
    uint32_t emit_at(const Token& token, Op op, uint32_t a = 0, uint32_t b = 0);
    uint32_t here() const { return static_cast<uint32_t>(program_.code.size()); }
    void patch(uint32_t jump) { program_.code[jump].a = here(); }
    void move_to_end(uint32_t begin, uint32_t end);
    uint32_t name_id(std::string_view name);
    uint32_t constant(Constant value);

    // parser_expression.cpp
    Result<Shape> expression(bool with_condition = true);
    Result<Shape> tuple(bool with_condition, Words ends = {}, bool parenthesised = false);
    Result<Shape> binary(int level);
    Status operation(int level);
    Status comparison();
    Result<Shape> unary(bool with_filter = true);
    Result<Shape> primary();
    Result<Shape> name();
    Status sequence();
    Status dictionary();
    Result<Shape> postfix(Shape shape);
    Result<Shape> suffixes(Shape shape);
    Status subscript();
    Status call();
    Result<uint32_t> arguments();
    Status filter(bool first_is_inline);
    Status test();
    Result<std::string> dotted_name();
    Status known(bool is_filter, const Token& at, const std::string& name) const;

    // parser_statement.cpp
    Status body(Words ends);
    Status statement();
    Status target(Words ends);
    Result<uint32_t> target_name();
    Status set();
    Status condition();
    Status loop();
    Status loop_filter(std::size_t target_at);
    Status loop_body(std::size_t target_at, bool recursive);
    Status macro();
    Status call_block();
    Status filter_block();
    Status with();
    Status transparent(std::string_view end);
    Status jump_out(bool is_break);
    Result<Signature> signature();
    Result<uint32_t> macro_body(std::string_view name, std::string_view end, bool has_signature);

    std::vector<Token> tokens_;
    std::size_t at_ = 0;
    Program program_;
    std::unordered_map<std::string, uint32_t> name_ids_;
    std::vector<Enclosing> enclosing_;
    int depth_ = 0, soft_depth_ = 0;
};

}  // namespace hearth::jinja

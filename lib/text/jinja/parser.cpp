// Tokens and code: what the two halves of the parser share.
#include "text/jinja/parser.hpp"

#include <algorithm>

#include "text/jinja/parser_depth.hpp"

namespace hearth::jinja {

bool Parser::skip(std::string_view symbol) {
    if (!now().is(symbol)) return false;
    ++at_;
    return true;
}

bool Parser::skip_word(std::string_view word) {
    if (!now().word(word)) return false;
    ++at_;
    return true;
}

std::string Parser::describe() const {
    switch (now().kind) {
        case Lex::print_begin:
            return "'{{'";
        case Lex::print_end:
            return "'}}'";
        case Lex::block_begin:
            return "'{%'";
        case Lex::block_end:
            return "'%}'";
        case Lex::end:
            return "the end of the template";
        case Lex::text:
            return "text";
        case Lex::string:
            return "a string";
        case Lex::integer:
        case Lex::number:
            return "a number";
        case Lex::name:
        case Lex::symbol:
            break;
    }
    return "'" + now().text + "'";
}

Failure Parser::error(std::string_view message) const {
    return fail_at(program_.name, now().line, now().column, message);
}

Failure Parser::unexpected(std::string_view wanted) const {
    return error("expected " + std::string(wanted) + ", found " + describe());
}

Status Parser::expect(std::string_view symbol) {
    if (!skip(symbol)) return unexpected("'" + std::string(symbol) + "'");
    return {};
}

Status Parser::expect_word(std::string_view word) {
    if (!skip_word(word)) return unexpected("'" + std::string(word) + "'");
    return {};
}

Status Parser::expect_block_end() {
    if (now().kind != Lex::block_end) return unexpected("'%}'");
    ++at_;
    return {};
}

uint32_t Parser::emit_at(const Token& token, Op op, uint32_t a, uint32_t b) {
    program_.code.push_back({op, a, b, token.line, token.column});
    return here() - 1;
}

// Moves instructions [begin, end) behind those that follow them; each half keeps its jumps.
void Parser::move_to_end(uint32_t begin, uint32_t end) {
    auto& code = program_.code;
    const uint32_t n_moved = end - begin, n_after = here() - end;
    const auto shift = [&](uint32_t from, uint32_t to, uint32_t by) {
        for (uint32_t i = from; i < to; ++i) {
            Instruction& x = code[i];
            if (x.op == Op::jump || x.op == Op::jump_if_not || x.op == Op::jump_and || x.op == Op::jump_or)
                x.a += by;
            if (x.op == Op::chain) x.b += by;
        }
    };
    shift(begin, end, n_after);
    shift(end, here(), 0u - n_moved);  // wraps around: a subtraction
    std::rotate(code.begin() + begin, code.begin() + end, code.end());
}

uint32_t Parser::name_id(std::string_view name) {
    const auto it = name_ids_.find(std::string(name));
    if (it != name_ids_.end()) return it->second;
    const auto id = static_cast<uint32_t>(program_.names.size());
    program_.names.emplace_back(name);
    name_ids_.emplace(name, id);
    return id;
}

uint32_t Parser::constant(Constant value) {
    program_.constants.push_back(std::move(value));
    return static_cast<uint32_t>(program_.constants.size() - 1);
}

Result<Program> Parser::run() {
    HEARTH_CHECK(body({}));
    emit(Op::halt);
    return std::move(program_);
}

Result<Program> compile(std::string_view source, std::string_view name) {
    HEARTH_TRY(auto tokens, tokenize(source, name));
    return Parser(std::move(tokens), name).run();
}

}  // namespace hearth::jinja

// Expressions: precedence climbing over Jinja's operators, written straight to the instruction list.
#include <algorithm>

#include "text/jinja/builtins.hpp"
#include "text/jinja/parser.hpp"
#include "text/jinja/parser_depth.hpp"

namespace hearth::jinja {

namespace {

// Binding strength, weakest first. `~` joins all its operands at once; `**` binds to the left, as in Jinja.
enum : int { kOr, kAnd, kCompare, kSum, kConcat, kProduct, kPower, kNoOperator = -1 };

struct OperatorRow {
    std::string_view text;
    int level;
    uint8_t code;
};

constexpr OperatorRow kOperators[] = {
    {"==", kCompare, static_cast<uint8_t>(Compare::equal)},
    {"!=", kCompare, static_cast<uint8_t>(Compare::not_equal)},
    {"<", kCompare, static_cast<uint8_t>(Compare::less)},
    {"<=", kCompare, static_cast<uint8_t>(Compare::less_equal)},
    {">", kCompare, static_cast<uint8_t>(Compare::greater)},
    {">=", kCompare, static_cast<uint8_t>(Compare::greater_equal)},
    {"+", kSum, static_cast<uint8_t>(Binary::add)},
    {"-", kSum, static_cast<uint8_t>(Binary::subtract)},
    {"~", kConcat, 0},
    {"*", kProduct, static_cast<uint8_t>(Binary::multiply)},
    {"/", kProduct, static_cast<uint8_t>(Binary::divide)},
    {"//", kProduct, static_cast<uint8_t>(Binary::floor_divide)},
    {"%", kProduct, static_cast<uint8_t>(Binary::modulo)},
    {"**", kPower, static_cast<uint8_t>(Binary::power)},
};

const OperatorRow* row_of(const Token& token) {
    if (token.kind != Lex::symbol) return nullptr;
    for (const OperatorRow& row : kOperators)
        if (row.text == token.text) return &row;
    return nullptr;
}

int level_of(const Token& token, const Token& next) {
    if (token.word("or")) return kOr;
    if (token.word("and")) return kAnd;
    if (token.word("in") || (token.word("not") && next.word("in"))) return kCompare;
    const OperatorRow* row = row_of(token);
    return row ? row->level : kNoOperator;
}

}  // namespace

Result<Parser::Shape> Parser::expression(bool with_condition) {
    const uint32_t begin = here();
    HEARTH_TRY(Shape shape, binary(kOr));
    while (with_condition && skip_word("if")) {
        const uint32_t end = here();
        HEARTH_CHECK(binary(kOr));
        const uint32_t skip_true = emit(Op::jump_if_not);
        move_to_end(begin, end);  // the condition runs before the value that was written first
        const uint32_t moved = skip_true - (end - begin);
        const uint32_t skip_false = emit(Op::jump);
        patch(moved);
        if (skip_word("else")) {
            const Level level(depth_);
            if (!level) return error(kTooDeep);
            HEARTH_CHECK(expression());
        } else {
            emit(Op::constant, constant(Unset{}));
        }
        patch(skip_false);
        shape = Shape::other;
    }
    return shape;
}

Result<Parser::Shape> Parser::tuple(bool with_condition, Words ends, bool parenthesised) {
    uint32_t n = 0;
    bool is_tuple = false;
    Shape shape = Shape::other;
    while (true) {
        const Token& token = now();
        if (token.kind == Lex::print_end || token.kind == Lex::block_end || token.is(")")) break;
        if (std::any_of(ends.begin(), ends.end(), [&](std::string_view end) { return token.word(end); }))
            break;
        HEARTH_TRY(shape, expression(with_condition));
        ++n;
        if (!skip(",")) break;
        is_tuple = true;
    }
    if (n == 1 && !is_tuple) return shape;
    if (n == 0 && !parenthesised) return unexpected("an expression");
    emit(Op::make_tuple, n);
    return Shape::other;
}

Result<Parser::Shape> Parser::binary(int level) {
    const Level nested(depth_);
    if (!nested) return error(kTooDeep);
    Shape shape = Shape::other;
    int strongest = kPower;
    if (level <= kCompare && now().word("not")) {
        ++at_;
        HEARTH_CHECK(binary(kCompare));
        emit(Op::unary, static_cast<uint32_t>(Unary::invert));
        strongest = kAnd;
    } else {
        HEARTH_TRY(shape, unary());
    }
    while (true) {
        const int next = level_of(now(), ahead());
        if (next < level || next > strongest || next == kNoOperator) return shape;
        HEARTH_CHECK(operation(next));
        shape = Shape::other;
    }
}

// One operator (for `~` and comparisons: a run of them) and what stands to its right.
Status Parser::operation(int level) {
    if (level == kCompare) return comparison();
    const Token& token = now();
    if (level == kConcat) {
        uint32_t n = 1;
        while (skip("~")) {
            HEARTH_CHECK(binary(kProduct));
            ++n;
        }
        emit_at(token, Op::concat, n);
        return {};
    }
    const OperatorRow* row = row_of(token);
    ++at_;
    if (level > kAnd) {
        HEARTH_CHECK(binary(level + 1));
        emit_at(token, Op::binary, row->code);
        return {};
    }
    const uint32_t jump = emit_at(token, level == kOr ? Op::jump_or : Op::jump_and);
    HEARTH_CHECK(binary(level + 1));
    patch(jump);
    return {};
}

Status Parser::comparison() {
    std::vector<uint32_t> chains;
    while (true) {
        const Token& token = now();
        if (level_of(token, ahead()) != kCompare) break;
        const OperatorRow* row = row_of(token);
        const bool negated = token.word("not");
        const auto which = row ? row->code : static_cast<uint8_t>(negated ? Compare::not_in : Compare::in);
        at_ += negated ? 2 : 1;
        HEARTH_CHECK(binary(kSum));
        if (level_of(now(), ahead()) == kCompare)
            chains.push_back(emit_at(token, Op::chain, which));
        else
            emit_at(token, Op::compare, which);
    }
    for (const uint32_t chain : chains) program_.code[chain].b = here();
    return {};
}

Result<Parser::Shape> Parser::unary(bool with_filter) {
    const Level nested(depth_);
    if (!nested) return error(kTooDeep);
    Shape shape = Shape::other;
    const Token& token = now();
    if (token.is("-") || token.is("+")) {
        ++at_;
        HEARTH_CHECK(unary(false));
        emit_at(token, Op::unary, static_cast<uint32_t>(token.is("-") ? Unary::negate : Unary::plus));
    } else {
        HEARTH_TRY(shape, primary());
    }
    HEARTH_TRY(shape, postfix(shape));
    if (with_filter) return suffixes(shape);
    return shape;
}

Result<Parser::Shape> Parser::primary() {
    const Token& token = now();
    Constant value;
    switch (token.kind) {
        case Lex::name:
            return name();
        case Lex::integer:
            value = token.integer;
            break;
        case Lex::number:
            value = token.number;
            break;
        case Lex::string: {
            std::string text;
            for (; now().kind == Lex::string; ++at_) text += now().text;
            emit_at(token, Op::constant, constant(std::move(text)));
            return Shape::other;
        }
        case Lex::symbol: {
            if (skip("(")) {
                HEARTH_TRY(const Shape shape, tuple(true, {}, true));
                HEARTH_CHECK(expect(")"));
                return shape;
            }
            Status status = skip("[")   ? sequence()
                            : skip("{") ? dictionary()
                                        : Status(unexpected("an expression"));
            HEARTH_CHECK(std::move(status));
            return Shape::other;
        }
        case Lex::text:
        case Lex::print_begin:
        case Lex::print_end:
        case Lex::block_begin:
        case Lex::block_end:
        case Lex::end:
            return unexpected("an expression");
    }
    ++at_;
    emit_at(token, Op::constant, constant(std::move(value)));
    return Shape::other;
}

Result<Parser::Shape> Parser::name() {
    const Token& token = now();
    const std::string& text = token.text;
    ++at_;
    if (text == "true" || text == "True" || text == "false" || text == "False") {
        emit_at(token, Op::constant, constant(text[0] == 't' || text[0] == 'T'));
        return Shape::other;
    }
    if (text == "none" || text == "None") {
        emit_at(token, Op::constant, constant(Nothing{}));
        return Shape::other;
    }
    for (Enclosing& e : enclosing_) {
        e.varargs |= text == "varargs";
        e.kwargs |= text == "kwargs";
        e.caller |= text == "caller";
    }
    emit_at(token, Op::load, name_id(text));
    return Shape::name;
}

Status Parser::sequence() {
    const Token& token = now();
    uint32_t n = 0;
    while (!now().is("]")) {
        if (n > 0) HEARTH_CHECK(expect(","));
        if (now().is("]")) break;
        HEARTH_CHECK(expression());
        ++n;
    }
    emit_at(token, Op::make_list, n);
    return expect("]");
}

Status Parser::dictionary() {
    const Token& token = now();
    uint32_t n = 0;
    while (!now().is("}")) {
        if (n > 0) HEARTH_CHECK(expect(","));
        if (now().is("}")) break;
        HEARTH_CHECK(expression());
        HEARTH_CHECK(expect(":"));
        HEARTH_CHECK(expression());
        ++n;
    }
    emit_at(token, Op::make_dict, n);
    return expect("}");
}

// .name, .0, [subscript], [slice] and calls
Result<Parser::Shape> Parser::postfix(Shape shape) {
    while (true) {
        const Token& token = now();
        if (skip(".")) {
            const Token& member = now();
            ++at_;
            if (member.kind == Lex::name) {
                emit_at(token, Op::member, name_id(member.text));
            } else if (member.kind == Lex::integer) {
                emit_at(member, Op::constant, constant(member.integer));
                emit_at(token, Op::item);
            } else {
                --at_;
                return unexpected("a name or number after '.'");
            }
            shape = Shape::other;
        } else if (skip("[")) {
            HEARTH_CHECK(subscript());
            shape = Shape::other;
        } else if (token.is("(")) {
            HEARTH_CHECK(call());
            shape = Shape::call;
        } else {
            return shape;
        }
    }
}

// Filters, tests, and calls of what they return
Result<Parser::Shape> Parser::suffixes(Shape shape) {
    while (true) {
        if (now().is("|")) {
            HEARTH_CHECK(filter(false));
            shape = Shape::other;
        } else if (now().word("is")) {
            HEARTH_CHECK(test());
            shape = Shape::other;
        } else if (now().is("(")) {
            HEARTH_CHECK(call());
            shape = Shape::call;
        } else {
            return shape;
        }
    }
}

Status Parser::subscript() {
    const Token& token = now();
    uint32_t n = 0;
    bool slice = false;
    const auto part = [&]() -> Status {
        if (!now().is(":") && !now().is(",") && !now().is("]")) {
            HEARTH_CHECK(expression());
        } else {
            emit(Op::constant, constant(Nothing{}));
        }
        return {};
    };
    while (!now().is("]")) {
        if (n > 0) HEARTH_CHECK(expect(","));
        const bool open = now().is(":");
        HEARTH_CHECK(part());
        if (open && !now().is(":")) return unexpected("':'");
        ++n;
        if (!skip(":")) continue;
        if (n > 1) return error("a slice among several subscripts has no meaning here");
        slice = true;
        HEARTH_CHECK(part());
        const bool has_step = skip(":");
        if (has_step) {
            HEARTH_CHECK(part());
        } else {
            emit(Op::constant, constant(Nothing{}));
        }
        if (!now().is("]")) return unexpected("']'");
    }
    if (n == 0) return unexpected("a subscript");
    if (n > 1) emit_at(token, Op::make_tuple, n);
    emit_at(token, slice ? Op::slice : Op::item);
    return expect("]");
}

Status Parser::call() {
    const Token& token = now();
    HEARTH_TRY(const uint32_t shape, arguments());
    emit_at(token, Op::call, shape);
    return {};
}

// "(" arguments ")": pushes them and returns the number of their CallShape.
Result<uint32_t> Parser::arguments() {
    CallShape shape;
    HEARTH_CHECK(expect("("));
    bool first = true;
    while (!now().is(")")) {
        if (!first) {
            HEARTH_CHECK(expect(","));
            if (now().is(")")) break;
        }
        first = false;
        const bool is_named = now().kind == Lex::name && ahead().is("=");
        if (now().is("*") || now().is("**")) {
            bool& star = now().is("*") ? shape.star : shape.star_star;
            if (star || shape.star_star || (&star == &shape.star_star && !shape.star)) {
                if (star || shape.star_star) return error("misplaced '*' argument");
                emit(Op::make_list, 0);  // ** stands on a list of further positional arguments
                shape.star = true;
            }
            ++at_;
            HEARTH_CHECK(expression());
            star = true;
        } else if (is_named) {
            if (shape.star || shape.star_star) return error("named arguments after '*' are not supported");
            shape.named.push_back(now().text);
            at_ += 2;
            HEARTH_CHECK(expression());
        } else {
            if (!shape.named.empty() || shape.star || shape.star_star)
                return error("a positional argument follows a named one");
            HEARTH_CHECK(expression());
            ++shape.n_positional;
        }
    }
    HEARTH_CHECK(expect(")"));
    program_.calls.push_back(std::move(shape));
    return static_cast<uint32_t>(program_.calls.size() - 1);
}

Result<std::string> Parser::dotted_name() {
    std::string name;
    while (true) {
        if (now().kind != Lex::name) return unexpected("a name");
        name += now().text;
        ++at_;
        if (!skip(".")) return name;
        name += '.';
    }
}

// An unknown name is an error of the template, unless an `if` right around it may be there to ask first.
Status Parser::known(bool is_filter, const Token& at, const std::string& name) const {
    if (soft_depth_ > 0 || (is_filter ? find_filter(name) != nullptr : find_test(name) != nullptr)) return {};
    return fail_at(program_.name, at.line, at.column,
                   std::string("there is no ") + (is_filter ? "filter" : "test") + " named '" + name + "'");
}

Status Parser::filter(bool first_is_inline) {
    while (first_is_inline || skip("|")) {
        first_is_inline = false;
        const Token& token = now();
        HEARTH_TRY(const std::string name, dotted_name());
        HEARTH_CHECK(known(true, token, name));
        uint32_t shape = static_cast<uint32_t>(program_.calls.size());
        if (now().is("(")) {
            HEARTH_TRY(shape, arguments());
        } else {
            program_.calls.emplace_back();
        }
        emit_at(token, Op::filter, name_id(name), shape);
    }
    return {};
}

Status Parser::test() {
    const Token& token = now();
    HEARTH_CHECK(expect_word("is"));
    const bool negated = skip_word("not");
    HEARTH_TRY(const std::string name, dotted_name());
    HEARTH_CHECK(known(false, token, name));
    const Token& next = now();
    const bool starts_value = next.kind == Lex::name || next.kind == Lex::string ||
                              next.kind == Lex::integer || next.kind == Lex::number || next.is("[") ||
                              next.is("{");
    uint32_t shape = 0;
    if (next.is("(")) {
        HEARTH_TRY(shape, arguments());
    } else {
        CallShape alone;
        if (starts_value && !next.word("else") && !next.word("or") && !next.word("and")) {
            if (next.word("is")) return error("tests cannot be chained with 'is'");
            HEARTH_CHECK(primary());
            HEARTH_CHECK(postfix(Shape::other));
            alone.n_positional = 1;
        }
        shape = static_cast<uint32_t>(program_.calls.size());
        program_.calls.push_back(alone);
    }
    emit_at(token, Op::test, name_id(name), shape);
    if (negated) emit_at(token, Op::unary, static_cast<uint32_t>(Unary::invert));
    return {};
}

}  // namespace hearth::jinja

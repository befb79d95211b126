// Statements: text, output, set, if, for, macro, call, filter and with blocks.
#include <algorithm>
#include <utility>

#include "text/jinja/parser.hpp"
#include "text/jinja/parser_depth.hpp"

namespace hearth::jinja {

// Up to (and standing after) a block that begins with one of the words, or the template's end if there are
// none.
Status Parser::body(Words ends) {
    while (true) {
        switch (now().kind) {
            case Lex::text:
                emit(Op::text, constant(now().text));
                ++at_;
                break;
            case Lex::print_begin: {
                const Token& token = now();
                ++at_;
                HEARTH_CHECK(tuple(true));
                emit_at(token, Op::print);
                if (now().kind != Lex::print_end) return unexpected("'}}'");
                ++at_;
                break;
            }
            case Lex::block_begin: {
                ++at_;
                if (std::any_of(ends.begin(), ends.end(), [&](std::string_view e) { return now().word(e); }))
                    return {};
                HEARTH_CHECK(statement());
                break;
            }
            case Lex::end:
                if (ends.size() == 0) return {};
                return unexpected("'" + std::string(*(ends.end() - 1)) + "'");
            case Lex::name:
            case Lex::string:
            case Lex::integer:
            case Lex::number:
            case Lex::symbol:
            case Lex::print_end:
            case Lex::block_end:
                return unexpected("text or a tag");
        }
    }
}

Status Parser::statement() {
    const Level level(depth_);
    if (!level) return error(kTooDeep);
    struct Row {
        std::string_view word;
        Status (Parser::*parse)();
    };
    static constexpr Row kRows[] = {{"set", &Parser::set},         {"if", &Parser::condition},
                                    {"for", &Parser::loop},        {"macro", &Parser::macro},
                                    {"call", &Parser::call_block}, {"filter", &Parser::filter_block},
                                    {"with", &Parser::with}};
    for (const Row& row : kRows) {
        if (!now().word(row.word)) continue;
        ++at_;
        HEARTH_CHECK((this->*row.parse)());
        return expect_block_end();
    }
    if (now().word("break") || now().word("continue")) {
        HEARTH_CHECK(jump_out(now().word("break")));
        return expect_block_end();
    }
    if (skip_word("generation")) {  // marks what the model said, for training: only its text matters here
        HEARTH_CHECK(transparent("endgeneration"));
        return expect_block_end();
    }
    if (skip_word("print")) {
        do {
            HEARTH_CHECK(expression());
            emit(Op::print);
        } while (skip(","));
        return expect_block_end();
    }
    return error("unknown tag " + describe());
}

// Stores the value on the stack in a name, a member of a namespace, or the names of a tuple.
Status Parser::target(Words ends) {
    const Token& token = now();
    if (token.kind == Lex::name && ahead().is(".")) {
        const uint32_t object = name_id(token.text);
        at_ += 2;
        if (now().kind != Lex::name) return unexpected("a name after '.'");
        emit_at(token, Op::store_member, object, name_id(now().text));
        ++at_;
        return {};
    }
    const uint32_t unpack = emit(Op::unpack);
    uint32_t n = 0;
    bool is_tuple = false;
    while (true) {
        if (std::any_of(ends.begin(), ends.end(),
                        [&](std::string_view e) { return now().word(e) || now().is(e); }))
            break;
        if (skip("(")) {
            const Level level(depth_);
            if (!level) return error(kTooDeep);
            HEARTH_CHECK(target({")"}));
            HEARTH_CHECK(expect(")"));
        } else {
            const Token& at = now();
            HEARTH_TRY(const uint32_t name, target_name());
            emit_at(at, Op::store, name);
        }
        ++n;
        if (!skip(",")) break;
        is_tuple = true;
    }
    if (n == 0) return unexpected("a name to assign to");
    if (is_tuple)
        program_.code[unpack].a = n;
    else
        program_.code.erase(program_.code.begin() + unpack);
    return {};
}

Result<uint32_t> Parser::target_name() {
    static constexpr std::string_view kConstants[] = {"true", "false", "none", "True", "False", "None"};
    if (now().kind != Lex::name) return unexpected("a name");
    for (const std::string_view word : kConstants)
        if (now().text == word) return error("'" + now().text + "' cannot be assigned to");
    const uint32_t id = name_id(now().text);
    ++at_;
    return id;
}

Status Parser::set() {
    const std::size_t target_at = at_;
    while (now().kind == Lex::name || now().is(",") || now().is(".") || now().is("(") || now().is(")")) ++at_;
    const auto store = [&](Words ends) -> Status {  // the target stands before the value but runs after it
        const std::size_t after = at_;
        at_ = target_at;
        HEARTH_CHECK(target(ends));
        if (!now().is("=")) return unexpected("'='");
        at_ = after;
        return {};
    };
    if (skip("=")) {
        HEARTH_CHECK(tuple(true));
        return store({"="});
    }
    if (!now().is("|") && now().kind != Lex::block_end) return unexpected("'='");
    // {% set x | filters %} body {% endset %}: the filters' code follows the body's
    const std::size_t filter_at = at_;
    while (now().kind != Lex::block_end && now().kind != Lex::end) ++at_;
    HEARTH_CHECK(expect_block_end());
    emit(Op::capture);
    emit(Op::push_scope);
    HEARTH_CHECK(body({"endset"}));
    ++at_;
    emit(Op::pop_scope);
    emit(Op::captured);
    const std::size_t after = at_;
    at_ = filter_at;
    if (now().is("|")) HEARTH_CHECK(filter(false));
    if (now().kind != Lex::block_end) return unexpected("'%}'");
    at_ = target_at;
    HEARTH_CHECK(target({"|"}));
    if (at_ != filter_at) return unexpected("'%}'");
    at_ = after;
    return {};
}

Status Parser::condition() {
    ++soft_depth_;
    std::vector<uint32_t> ends;
    while (true) {
        HEARTH_CHECK(tuple(false));
        const uint32_t next = emit(Op::jump_if_not);
        HEARTH_CHECK(expect_block_end());
        HEARTH_CHECK(body({"elif", "else", "endif"}));
        if (skip_word("elif")) {
            ends.push_back(emit(Op::jump));
            patch(next);
            continue;
        }
        if (skip_word("else")) {
            ends.push_back(emit(Op::jump));
            patch(next);
            HEARTH_CHECK(expect_block_end());
            HEARTH_CHECK(body({"endif"}));
        } else {
            patch(next);
        }
        break;
    }
    --soft_depth_;
    for (const uint32_t jump : ends) patch(jump);
    return expect_word("endif");
}

Status Parser::loop() {
    const std::size_t target_at = at_;
    while (!now().word("in") && now().kind != Lex::block_end && now().kind != Lex::end) ++at_;
    HEARTH_CHECK(expect_word("in"));
    HEARTH_CHECK(tuple(false, {"recursive"}));
    if (skip_word("if")) HEARTH_CHECK(loop_filter(target_at));
    const bool recursive = skip_word("recursive");
    HEARTH_CHECK(expect_block_end());
    return loop_body(target_at, recursive);
}

// for ... if condition: a loop of its own that runs before the first iteration
Status Parser::loop_filter(std::size_t target_at) {
    emit(Op::select_begin);
    const uint32_t next = emit(Op::loop_next);
    const std::size_t condition_at = at_;
    at_ = target_at;
    HEARTH_CHECK(target({"in"}));
    at_ = condition_at;
    HEARTH_CHECK(expression());
    emit(Op::select_keep);
    emit(Op::jump, next);
    patch(next);
    emit(Op::select_end);
    return {};
}

Status Parser::loop_body(std::size_t target_at, bool recursive) {
    const std::size_t body_at = at_;
    const uint32_t enter = recursive ? emit(Op::loop_enter) : 0;
    emit(Op::loop_begin, recursive);
    const uint32_t next = emit(Op::loop_next);
    at_ = target_at;
    HEARTH_CHECK(target({"in"}));
    if (!now().word("in")) return unexpected("'in'");
    at_ = body_at;
    enclosing_.push_back({});
    enclosing_.back().is_loop = true;
    enclosing_.back().next = next;
    const int soft_depth = std::exchange(soft_depth_, 0);
    HEARTH_CHECK(body({"else", "endfor"}));
    soft_depth_ = soft_depth;
    emit(Op::loop_mark);
    emit(Op::jump, next);
    patch(next);
    for (const uint32_t jump : enclosing_.back().breaks) patch(jump);
    enclosing_.pop_back();
    const uint32_t end = emit(Op::loop_end);
    if (skip_word("else")) {
        HEARTH_CHECK(expect_block_end());
        emit(Op::push_scope);
        HEARTH_CHECK(body({"endfor"}));
        emit(Op::pop_scope);
    }
    patch(end);
    HEARTH_CHECK(expect_word("endfor"));
    if (recursive) {
        emit(Op::loop_return);
        patch(enter);
        emit(Op::print);
    }
    return {};
}

Status Parser::jump_out(bool is_break) {
    if (enclosing_.empty() || !enclosing_.back().is_loop)
        return error(describe() + " stands outside of a loop");
    ++at_;
    if (is_break)
        enclosing_.back().breaks.push_back(emit(Op::jump));
    else
        emit(Op::jump, enclosing_.back().next);
    return {};
}

// "(a, b=default)": remembers where the defaults stand; macro_body writes their code.
Result<Parser::Signature> Parser::signature() {
    Signature given;
    HEARTH_CHECK(expect("("));
    while (!now().is(")")) {
        if (!given.parameters.empty()) HEARTH_CHECK(expect(","));
        HEARTH_TRY(const uint32_t name, target_name());
        given.parameters.push_back(name);
        const bool has_default = now().is("=");
        if (has_default) {
            const uint32_t skip_default =
                emit(Op::parameter, static_cast<uint32_t>(given.parameters.size() - 1));
            ++at_;
            HEARTH_CHECK(expression());
            emit(Op::store, name);
            program_.code[skip_default].b = here();
        } else if (given.n_required + 1 < given.parameters.size()) {
            return error("a parameter without a default follows one with a default");
        } else {
            ++given.n_required;
        }
    }
    HEARTH_CHECK(expect(")"));
    return given;
}

// Signature (where it has one) and body, behind a jump over them; stands after the end word. Returns the
// macro.
Result<uint32_t> Parser::macro_body(std::string_view name, std::string_view end, bool has_signature) {
    const uint32_t over = emit(Op::jump);
    MacroCode code;
    code.name = name;
    code.entry = here();
    enclosing_.push_back({});
    if (has_signature) {
        HEARTH_TRY(Signature given, signature());
        code.parameters = std::move(given.parameters);
        code.n_required = given.n_required;
    }
    if (end == "endcall") {  // the call itself stands before the body, and its code after it
        while (now().kind != Lex::block_end && now().kind != Lex::end) ++at_;
    }
    HEARTH_CHECK(expect_block_end());
    const int soft_depth = std::exchange(soft_depth_, 0);
    HEARTH_CHECK(body({end}));
    soft_depth_ = soft_depth;
    ++at_;
    emit(Op::macro_return);
    patch(over);
    const Enclosing& inside = enclosing_.back();
    code.varargs = inside.varargs;
    code.kwargs = inside.kwargs;
    code.caller = inside.caller;
    enclosing_.pop_back();
    program_.macros.push_back(std::move(code));
    return static_cast<uint32_t>(program_.macros.size() - 1);
}

Status Parser::macro() {
    const Token& token = now();
    HEARTH_TRY(const uint32_t name, target_name());
    HEARTH_TRY(const uint32_t macro, macro_body(token.text, "endmacro", true));
    emit_at(token, Op::macro, macro);
    emit_at(token, Op::store, name);
    return {};
}

// {% call(parameters) callee(arguments) %} body {% endcall %}: the body becomes the macro `caller` of the
// call.
Status Parser::call_block() {
    const std::size_t begin = at_;
    HEARTH_TRY(const uint32_t macro, macro_body("caller", "endcall", now().is("(")));
    const std::size_t after = at_;
    at_ = begin;
    if (now().is("("))
        for (int open = 0; now().kind != Lex::block_end; ++at_) {
            open += now().is("(") ? 1 : now().is(")") ? -1 : 0;
            if (open == 0) break;
        }
    if (now().is(")")) ++at_;
    const Token& token = now();
    HEARTH_TRY(const Shape shape, expression());
    Instruction& last = program_.code.back();
    if (shape != Shape::call || last.op != Op::call) return error("a call block needs a call");
    if (now().kind != Lex::block_end) return unexpected("'%}'");
    CallShape& arguments = program_.calls[last.a];
    if (arguments.star || arguments.star_star)
        return error("'*' arguments are not supported in a call block");
    arguments.named.emplace_back("caller");
    const Instruction call = last;
    program_.code.pop_back();
    emit_at(token, Op::macro, macro);
    program_.code.push_back(call);
    emit_at(token, Op::print);
    at_ = after;
    return {};
}

Status Parser::filter_block() {
    const std::size_t begin = at_;
    while (now().kind != Lex::block_end && now().kind != Lex::end) ++at_;
    HEARTH_CHECK(expect_block_end());
    emit(Op::capture);
    emit(Op::push_scope);
    HEARTH_CHECK(body({"endfilter"}));
    ++at_;
    emit(Op::pop_scope);
    emit(Op::captured);
    const std::size_t after = at_;
    at_ = begin;
    HEARTH_CHECK(filter(true));
    if (now().kind != Lex::block_end) return unexpected("'%}'");
    emit(Op::print);
    at_ = after;
    return {};
}

Status Parser::with() {
    std::vector<std::size_t> targets;
    while (now().kind != Lex::block_end) {
        if (!targets.empty()) HEARTH_CHECK(expect(","));
        targets.push_back(at_);
        while (now().kind == Lex::name || now().is("(") || now().is(")")) ++at_;
        HEARTH_CHECK(expect("="));
        HEARTH_CHECK(expression());
    }
    emit(Op::push_scope);
    const std::size_t after = at_;
    for (std::size_t i = targets.size(); i-- > 0;) {  // the last value is on top
        at_ = targets[i];
        HEARTH_CHECK(target({"="}));
        if (!now().is("=")) return unexpected("'='");
    }
    at_ = after;
    HEARTH_CHECK(expect_block_end());
    HEARTH_CHECK(body({"endwith"}));
    ++at_;
    emit(Op::pop_scope);
    return {};
}

Status Parser::transparent(std::string_view end) {
    HEARTH_CHECK(expect_block_end());
    emit(Op::push_scope);
    HEARTH_CHECK(body({end}));
    ++at_;
    emit(Op::pop_scope);
    return {};
}

}  // namespace hearth::jinja

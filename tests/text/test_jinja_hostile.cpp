// Hostile templates: every limit ends in an error, on a small stack, and mutations of real templates never
// break anything.
#include <pthread.h>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <fstream>
#include <string>

#include "support/catch.hpp"
#include "support/support.hpp"
#include "text/chat.hpp"

// The target is one function in one file; it is built into the fuzzer from there, too.
#define LLVMFuzzerTestOneInput fuzz_template_one_input  // one name per target in this program
#include "../fuzz/fuzz_template.cpp"

namespace {

std::string repeated(const std::string& piece, int n) {
    std::string out;
    for (int i = 0; i < n; ++i) out += piece;
    return out;
}

struct Outcome {
    bool ok = false;
    hearth::Code code = hearth::Code::ok;
    std::string message;
    uint32_t line = 0;
};

Outcome outcome(const std::string& source, const std::string& context = "{}") {
    const auto parsed = hearth::ChatTemplate::parse(source);
    const auto text =
        parsed ? parsed->render_json(context, 0) : hearth::Result<std::string>(parsed.failure());
    if (text) return {true, hearth::Code::ok, "", 0};
    return {false, text.code(), hearth::error_record().message, hearth::error_record().line};
}

void must_fail(const std::string& source, const std::string& what) {
    INFO(source.substr(0, 200));
    const Outcome result = outcome(source);
    CHECK_FALSE(result.ok);
    CHECK(result.code == hearth::Code::template_error);
    CHECK(result.line >= 1);
    INFO(result.message);
    CHECK(result.message.find(what) != std::string::npos);
}

}  // namespace

TEST_CASE("templates that would run for ever or fill memory end in an error") {
    must_fail("{% for a in range(100000) %}{% for b in range(100000) %}{% endfor %}{% endfor %}", "work");
    must_fail("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nested calls");
    must_fail(
        "{% macro m() %}{{ caller() }}{% endmacro %}{% macro n() %}{% call m() %}{{ n() }}{% endcall %}{% "
        "endmacro %}{{ n() }}",
        "nested calls");
    must_fail("{% for x in [[1]] recursive %}{{ loop([[1]]) }}{% endfor %}", "nested calls");
    must_fail("{{ 'abcdefgh' * 9999999999 }}", "MiB");
    must_fail("{{ [1] * 999999999 }}", "too long");
    must_fail(
        "{% set ns = namespace(s='aaaaaaaa') %}{% for i in range(40) %}{% set ns.s = ns.s + ns.s %}{% endfor "
        "%}",
        "MiB");
    must_fail(
        "{% set ns = namespace(s=[1]) %}{% for i in range(40) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
        "too long");
    must_fail("{% for i in range(99999) %}{{ 'x' * 1000 }}{% endfor %}", "MiB");
    must_fail(
        "{% set ns = namespace(l=[]) %}{% for i in range(1000) %}{% set ns.l = [ns.l, 'x' * 1000000] %}{% "
        "endfor %}",
        "MiB of memory");
    must_fail("{{ range(100001) }}", "range");
    must_fail("{{ '%999999999d' % 1 }}", "width");
    must_fail("{{ '{:999999999}'.format(1) }}", "width");
    must_fail("{{ 'x'.center(999999999) }}", "MiB");
    must_fail("{{ 9223372036854775807 + 1 }}", "64 bits");
    must_fail("{{ 3 ** 99 }}", "64 bits");
    must_fail("{{ -9223372036854775807 - 2 }}", "64 bits");
    must_fail("{{ (-9223372036854775807 - 1) // -1 }}", "64 bits");
}

TEST_CASE("values that are nested without end print and compare without harm") {
    must_fail(
        "{% set ns = namespace(l=[]) %}{% for i in range(500) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l "
        "}}",
        "deeply");
    must_fail(
        "{% set ns = namespace(l=[]) %}{% for i in range(500) %}{% set ns.l = [ns.l] %}{% endfor %}{{ ns.l | "
        "tojson }}",
        "deeply");
    must_fail(
        "{% set ns = namespace(l=[1]) %}{% for i in range(50) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ "
        "ns.l }}",
        "MiB");
    must_fail(
        "{% set a = namespace(l=[1]) %}{% set b = namespace(l=[1]) %}{% for i in range(60) %}{% set a.l = "
        "[a.l, a.l] %}"
        "{% set b.l = [b.l, b.l] %}{% endfor %}{{ a.l == b.l }}",
        "work");
    must_fail("{% set ns = namespace() %}{% set ns.self = ns %}{{ ns }}", "deeply");
    CHECK(
        outcome(
            "{% set ns = namespace(l=1) %}{% for i in range(90000) %}{% set ns.l = [ns.l] %}{% endfor %}done")
            .ok);
    CHECK(outcome("{% set ns = namespace() %}{% set ns.a = namespace(b=ns) %}{% macro m() %}{{ ns.a.b is "
                  "defined }}{% endmacro %}"
                  "{% set ns.m = m %}{{ ns.m() }}{% for i in [1] %}{% set ns.l = loop %}{{ "
                  "loop.changed(loop) }}{% endfor %}")
              .ok);
}

TEST_CASE("source that is nested without end is refused where it gets too deep") {
    for (const char* open :
         {"(", "[", "{'a':", "-", "not ", "x[", "f(", "1+(", "1 if 1 else ", "x|f(", "2**-"})
        must_fail("{{ " + repeated(open, 100000) + "1 }}", "");
    must_fail(repeated("{% if 1 %}", 100000), "deeply");
    must_fail(repeated("{% for x in y %}", 100000), "deeply");
    must_fail(repeated("{% macro m() %}", 100000), "deeply");
    must_fail(repeated("{% filter upper %}", 100000), "deeply");
    must_fail("{% set " + repeated("(", 100000) + "a = 1 %}", "");
    CHECK(outcome("{{ " + repeated("(", 25) + "1" + repeated(")", 25) + " }}").ok);
    CHECK(outcome(repeated("{% if 1 %}", 40) + "x" + repeated("{% endif %}", 40)).ok);
    CHECK(outcome("{{ 1" + repeated(" + 1", 5000) + " }}").ok);
    CHECK(outcome("{{ x" + repeated(" or x", 5000) + " }}").ok);
    CHECK(outcome("{% if 0 %}" + repeated("{% elif 0 %}", 5000) + "{% endif %}").ok);
    CHECK_FALSE(outcome("x", repeated("[", 100000)).ok);
    CHECK_FALSE(outcome("x", "{\"a\":" + repeated("[", 90) + repeated("]", 90) + "}").ok);
}

namespace {

constexpr std::size_t kStackBytes = std::size_t{1} << 20;

// Runs fn on a thread whose stack was filled with a mark; returns how much of it was written.
[[maybe_unused]] std::size_t stack_used(void (*fn)()) {
    std::vector<unsigned char> stack(kStackBytes + 4096, 0xa5);
    auto* base = reinterpret_cast<unsigned char*>((reinterpret_cast<std::uintptr_t>(stack.data()) + 4095) &
                                                  ~std::uintptr_t{4095});
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    REQUIRE(pthread_attr_setstack(&attributes, base, kStackBytes) == 0);
    pthread_t thread{};
    const auto body = [](void* f) -> void* {
        reinterpret_cast<void (*)()>(f)();
        return nullptr;
    };
    REQUIRE(pthread_create(&thread, &attributes, body, reinterpret_cast<void*>(fn)) == 0);
    pthread_join(thread, nullptr);
    pthread_attr_destroy(&attributes);
    std::size_t untouched = 0;
    while (untouched < kStackBytes && base[untouched] == 0xa5) ++untouched;
    return kStackBytes - untouched;
}

[[maybe_unused]] void nothing() {}

[[maybe_unused]] void deepest() {
    outcome("{{ " + repeated("(", 1000) + "1 }}");
    outcome("{{ " + repeated("{'a':[", 1000) + "1 }}");
    outcome("{{ " + repeated("x if x else ", 1000) + "1 }}");
    outcome("{{ " + repeated("f(a=x|f(", 1000) + "1 }}");
    outcome(repeated("{% for x in y %}", 1000));
    outcome(repeated("{% if x %}{% call f() %}", 1000));
    outcome(
        "{% set ns = namespace(l=[]) %}{% for i in range(500) %}{% set ns.l = [{'a': ns.l}] %}{% endfor %}{{ "
        "ns.l }}");
    outcome(
        "{% set ns = namespace(l=[]) %}{% for i in range(500) %}{% set ns.l = [{'a': ns.l}] %}{% endfor %}{{ "
        "ns.l | tojson(indent=2) }}");
    outcome(
        "{% set ns = namespace(l=1, m=1) %}{% for i in range(500) %}{% set ns.l = {'a': [ns.l]} %}{% set "
        "ns.m = {'a': [ns.m]} %}{% endfor %}{{ ns.l == ns.m }}");
    outcome("{% set ns = namespace(l=1) %}{% for i in range(90000) %}{% set ns.l = [ns.l] %}{% endfor %}");
    outcome("{% macro m() %}{{ [1]|map('string')|list }}{{ m() }}{% endmacro %}{{ m() }}");
}

}  // namespace

TEST_CASE("no template makes the engine use more than 64 KiB of stack") {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__OPTIMIZE__)
    hearth::test::skip("template stack use: measured in optimised builds without sanitizers");
#else
    const std::size_t bare = stack_used(nothing), deep = stack_used(deepest);
    INFO("thread " << bare << " bytes, with the deepest templates " << deep);
    CHECK(deep > bare);
    CHECK(deep - bare < 64 * 1024);
#endif
}

TEST_CASE("mutations of real templates end in text or in an error with a place") {
    std::ifstream in(hearth::test::source_path("tests/text/jinja_cases.jsonl"));
    std::vector<std::string> sources;
    for (std::string line; std::getline(in, line);) {
        const auto each = nlohmann::json::parse(line);
        if (each.contains("template")) sources.push_back(each["template"]);
    }
    REQUIRE(sources.size() > 10);
    hearth::test::Random random(hearth::test::seed());
    static constexpr const char* kPieces[] = {
        "{{",     "}}",         "{%",     "%}",      "{#",     "#}",    "-",     "+",
        "'",      "\"",         "|",      "(",       ")",      "[",     "]",     " if ",
        " else ", "for x in l", "endfor", "set x =", " is ",   " not ", ":",     ",",
        "**",     "\\",         "\n",     "raw",     "endraw", ".",     "loop(", "999999999999999999"};
    for (int round = 0; round < 5000; ++round) {
        std::string source = sources[random.below(sources.size())];
        for (std::uint64_t n = 1 + random.below(6); n > 0 && !source.empty(); --n) {
            const std::size_t at = random.below(source.size());
            const std::uint64_t kind = random.below(4);
            if (kind == 0)
                source.erase(at, 1 + random.below(20));
            else if (kind == 1)
                source.insert(at, kPieces[random.below(std::size(kPieces))]);
            else if (kind == 2)
                source[at] = static_cast<char>(random.next());
            else
                source.insert(at, source.substr(random.below(source.size()), random.below(60)));
        }
        CHECK(LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(source.data()), source.size()) ==
              0);
    }
}

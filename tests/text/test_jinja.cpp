// The template engine against what jinja2 rendered (jinja_cases.jsonl, kept true by
// tests/python/test_templates.py).
#include <nlohmann/json.hpp>

#include <fstream>
#include <string>
#include <thread>

#include "support/catch.hpp"
#include "support/support.hpp"
#include "text/chat.hpp"

namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kNow = 1700000000;  // 2023-11-14 22:13:20

std::string rendered(const std::string& source, const std::string& context = "{}") {
    auto parsed = hearth::ChatTemplate::parse(source);
    REQUIRE(parsed);
    auto text = parsed->render_json(context, kNow);
    INFO(source << ": " << hearth::error_record().message);
    REQUIRE(text);
    return *text;
}

}  // namespace

TEST_CASE("templates render byte for byte what jinja2 renders, and fail where it fails") {
    std::ifstream in(hearth::test::source_path("tests/text/jinja_cases.jsonl"));
    std::string line;
    REQUIRE(std::getline(in, line));
    const Json head = Json::parse(line);
    int n_text = 0, n_error = 0;
    while (std::getline(in, line)) {
        const Json each = Json::parse(line);
        const auto source = each["template"].get<std::string>();
        auto parsed = hearth::ChatTemplate::parse(source);
        for (const auto& [name, expected] : each["results"].items()) {
            INFO(source << "\nwith " << name);
            const auto text =
                parsed ? parsed->render_json(head["contexts"][name].dump(), head["now"].get<int64_t>())
                       : hearth::Result<std::string>(parsed.failure());
            if (expected.is_null()) {
                ++n_error;
                CHECK(!text);
                CHECK(text.code() == hearth::Code::template_error);
                CHECK(hearth::error_record().line > 0);
                CHECK(hearth::error_record().column > 0);
            } else {
                ++n_text;
                INFO(hearth::error_record().message);
                REQUIRE(text);
                CHECK(*text == expected.get<std::string>());
            }
        }
    }
    CHECK(n_text > 150);
    CHECK(n_error > 100);
}

TEST_CASE("an error names the template, the line and the column, and says what is wrong") {
    struct Row {
        const char *source, *message;
        uint32_t line, column;
    };
    const Row rows[] = {
        {"a\n  {{ x.y }}", "'x' is undefined and has no member 'y'", 2, 7},
        {"{{ raise_exception('roles must alternate') }}", "roles must alternate", 1, 19},
        {"{% if x %}\n\n", "expected 'endif', found the end of the template", 2, 1},
        {"{{ 'a' | nosuch }}", "there is no filter named 'nosuch'", 1, 10},
        {"{{ 1 + 'a' }}", "cannot add an integer and a string", 1, 6},
        {"line\n{{ (1, }}", "unexpected '}'", 2, 8},
        {"{% foo %}", "unknown tag 'foo'", 1, 4},
        {"{{ [1].append(2) }}", "'append' is undefined and cannot be called", 1, 14},
    };
    for (const Row& row : rows) {
        INFO(row.source);
        const auto parsed = hearth::ChatTemplate::parse(row.source, "my template");
        const auto text = parsed ? parsed->render_json("{}") : hearth::Result<std::string>(parsed.failure());
        REQUIRE(!text);
        CHECK(text.code() == hearth::Code::template_error);
        const std::string message = hearth::error_record().message;
        INFO(message);
        CHECK(message.find(row.message) != std::string::npos);
        CHECK(message.rfind("my template:", 0) == 0);
        CHECK(hearth::error_record().line == row.line);
        CHECK(hearth::error_record().column == row.column);
    }
}

TEST_CASE("messages render as the same JSON does, and text that is not UTF-8 is refused") {
    const auto chat = hearth::ChatTemplate::parse(
        "{{ bos_token }}{% for m in messages %}[{{ m.role }}|{{ m['content'] }}]{% endfor %}"
        "{% if add_generation_prompt %}>{% endif %}{{ strftime_now('%Y-%m-%d') }}");
    REQUIRE(chat);
    hearth::ChatOptions options;
    options.bos_token = "<s>";
    options.now = kNow;
    const auto text = chat->render({{"user", "h\u00e9"}, {"assistant", ""}}, options);
    REQUIRE(text);
    CHECK(*text == "<s>[user|h\u00e9][assistant|]>2023-11-14");
    const auto json =
        chat->render_json(R"({"bos_token":"<s>","add_generation_prompt":true,"messages":)"
                          R"([{"role":"user","content":"h\u00e9"},{"role":"assistant","content":""}]})",
                          kNow);
    REQUIRE(json);
    CHECK(*json == *text);
    CHECK(chat->render({{"user", "\xff"}}, options).code() == hearth::Code::invalid_argument);
    CHECK(chat->render_json("[]").code() == hearth::Code::invalid_argument);
    CHECK(chat->render_json("{\"a\":").code() == hearth::Code::invalid_argument);
    CHECK(chat->render_json("{\"a\":\"\xff\"}").code() == hearth::Code::invalid_argument);
    CHECK(hearth::ChatTemplate::parse("\xff").code() == hearth::Code::template_error);
}

TEST_CASE("members of the context keep their order") {
    CHECK(rendered("{{ t | tojson }}{% for k in t %}{{ k }}{% endfor %}",
                   R"({"t":{"z":1,"a":2,"m":{"y":0,"b":0}}})") ==
          R"({"z": 1, "a": 2, "m": {"y": 0, "b": 0}}zam)");
}

TEST_CASE("a probe tells what a template can do") {
    const auto chatml = hearth::ChatTemplate::parse(
        "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
        "{% if enable_thinking is defined and not enable_thinking %}no thoughts{% endif %}");
    REQUIRE(chatml);
    const auto plain = chatml->probe();
    CHECK(plain.system_role);
    CHECK(plain.thinking_switch);
    CHECK_FALSE(plain.tools);
    CHECK_FALSE(plain.tool_calls);
    CHECK_FALSE(plain.typed_content);
    const auto rich = hearth::ChatTemplate::parse(
        "{{ tools | tojson if tools }}{% for m in messages %}{% if m.role == 'system' %}{{ "
        "raise_exception('no') }}{% endif %}"
        "{% if m.content is string %}{{ m.content }}{% else %}{% for p in m.content %}{{ p.text }}{% endfor "
        "%}{% endif %}"
        "{% for c in m.tool_calls or [] %}{{ c.function.name }}{% endfor %}{% endfor %}");
    REQUIRE(rich);
    const auto can = rich->probe();
    CHECK_FALSE(can.system_role);
    CHECK(can.tools);
    CHECK(can.tool_calls);
    CHECK(can.typed_content);
    CHECK_FALSE(can.thinking_switch);
}

TEST_CASE("one template renders in several threads at once", "[thread]") {
    const auto chat = hearth::ChatTemplate::parse(
        "{% macro m(x) %}{{ x * 2 }}{% endmacro %}{% for i in l %}{{ m(i) }}{{ 'k' ~ i }};{% endfor %}");
    REQUIRE(chat);
    std::vector<std::string> texts(4);
    std::vector<std::thread> threads;
    for (std::string& text : texts)
        threads.emplace_back([&] {
            for (int i = 0; i < 50; ++i) text = *chat->render_json(R"({"l":[1,2,3]})", kNow);
        });
    for (std::thread& thread : threads) thread.join();
    for (const std::string& text : texts) CHECK(text == "2k1;4k2;6k3;");
}

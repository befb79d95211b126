// Renders the cases of a JSON file, so that a test can compare with the reference implementation:
// [{"template", "context", "now"}...] in, one line {"text"} or {"error", "line", "column"} for each out.
#include <nlohmann/json.hpp>

#include <cstdio>
#include <fstream>

#include "text/chat.hpp"

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fprintf(stderr, "usage: hearth_render_template CASES.json\n");
        return 2;
    }
    std::ifstream in(argv[1], std::ios::binary);
    const auto cases = nlohmann::ordered_json::parse(in);
    for (const auto& each : cases) {
        nlohmann::json out;
        const auto now = each.value("now", int64_t{0});
        auto parsed = hearth::ChatTemplate::parse(each["template"].get<std::string>(), "test");
        auto text = parsed ? parsed->render_json(each["context"].dump(), now)
                           : hearth::Result<std::string>(parsed.failure());
        if (text)
            out = {{"text", *text}};
        else
            out = {{"error", hearth::error_record().message},
                   {"line", hearth::error_record().line},
                   {"column", hearth::error_record().column}};
        std::printf("%s\n", out.dump().c_str());
    }
    return 0;
}

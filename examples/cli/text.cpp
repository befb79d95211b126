// hearth tokenize: the token ids of a text.
#include <iostream>
#include <nlohmann/json.hpp>

#include "common.hpp"

namespace cli {

int tokenize(const TokenizeOptions& o) {
    if (!o.text.given) return usage("tokenize needs a text: -p TEXT or -f FILE");
    CLI_TRY(const auto runtime, make_runtime(o.model));
    CLI_TRY(const auto model, load_model(runtime, o.model, true));
    CLI_TRY(const std::string text, read_text(o.text));
    const uint32_t flags = HEARTH_TOKENIZE_PARSE | (o.no_special ? 0u : uint32_t{HEARTH_TOKENIZE_SPECIAL});
    CLI_TRY(const auto tokens, model.tokenize(text, flags));
    if (!o.json) {
        const char* gap = "";
        for (int32_t token : tokens) std::cout << gap << token, gap = " ";
        std::cout << '\n';
        return kOk;
    }
    nlohmann::json all = nlohmann::json::array();
    for (int32_t token : tokens) {
        CLI_TRY(const std::string piece, model.piece(token, true));
        all.push_back({{"id", token}, {"piece", piece}});
    }
    std::cout << all.dump(1, ' ', false, nlohmann::json::error_handler_t::replace) << '\n';
    return kOk;
}

}  // namespace cli

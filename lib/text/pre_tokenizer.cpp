// Stub.
#include "text/pre_tokenizer.hpp"
#include "text/tokenizer.hpp"
namespace hearth {
struct PreTokenizer::Regex {};
PreTokenizer::PreTokenizer(const PreRule& rule) : rule_(rule) {}
PreTokenizer::~PreTokenizer() = default;
Result<const PreRule*> find_pre_rule(std::string_view) { return fail(Code::unsupported_struct, "BPE vocabularies are not supported yet"); }
Result<std::unique_ptr<PreTokenizer>> PreTokenizer::make(const PreRule&) { return fail(Code::unsupported_struct, "BPE vocabularies are not supported yet"); }
Result<std::unique_ptr<Tokenizer>> make_bpe(const Tokens&, const std::vector<std::string_view>&, std::unique_ptr<PreTokenizer>) { return fail(Code::unsupported_struct, "BPE vocabularies are not supported yet"); }
}

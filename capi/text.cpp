// The C ABI: text to tokens, tokens to text, chat templates.
#include <hearth/hearth.h>

#include "guard.hpp"
#include "handles.hpp"
#include "runtime/chat.hpp"

using namespace hearth;
using namespace hearth::capi;

namespace {

Result<const Vocab*> vocab_of(const Model& model) {
    if (model.vocab()) return model.vocab();
    return fail(Code::state, "{}", model.no_vocab_reason());
}

constexpr const char* kVocabKinds[] = {"none", "spm", "bpe", "wordpiece"};

}  // namespace

hearth_status hearth_tokenize(hearth_model* model, const char* text, size_t text_size, uint32_t flags, int32_t* tokens, size_t cap,
                              size_t* n) {
    return guarded([&]() -> Status {
        HEARTH_CHECK(need(n, "the output n"));
        HEARTH_TRY(const auto m, borrow<ModelObject>(model));
        HEARTH_TRY(const Vocab* vocab, vocab_of(*m->model));
        if (flags & ~uint32_t{HEARTH_TOKENIZE_SPECIAL | HEARTH_TOKENIZE_PARSE})
            return fail(Code::invalid_argument, "unknown tokenize flags {:#x}", flags);
        TokenizeOptions options{(flags & HEARTH_TOKENIZE_SPECIAL) != 0, (flags & HEARTH_TOKENIZE_PARSE) != 0};
        HEARTH_TRY(const auto ids, vocab->tokenize(text_of(text, text_size), options));
        if (tokens) std::copy_n(ids.begin(), std::min(cap, ids.size()), tokens);
        *n = ids.size();
        return {};
    });
}

hearth_status hearth_token_piece(hearth_model* model, int32_t token, uint32_t special, char* buf, size_t cap, size_t* size) {
    return guarded([&]() -> Status {
        HEARTH_TRY(const auto m, borrow<ModelObject>(model));
        HEARTH_TRY(const Vocab* vocab, vocab_of(*m->model));
        if (!vocab->has(token)) return fail(Code::invalid_argument, "token {} is outside 0..{}", token, vocab->n_token() - 1);
        return write_text(vocab->piece(token, special == HEARTH_ON), buf, cap, size);
    });
}

hearth_status hearth_detokenize(hearth_model* model, const int32_t* tokens, size_t n, uint32_t special, char* buf, size_t cap,
                                size_t* size) {
    return guarded([&]() -> Status {
        if (n > 0) HEARTH_CHECK(need(tokens, "the tokens"));
        HEARTH_TRY(const auto m, borrow<ModelObject>(model));
        HEARTH_TRY(const Vocab* vocab, vocab_of(*m->model));
        HEARTH_TRY(const std::string text, vocab->detokenize({tokens, tokens + n}, {.special = special == HEARTH_ON}));
        return write_text(text, buf, cap, size);
    });
}

hearth_status hearth_vocab_get_info(hearth_model* model, hearth_vocab_info* out) {
    return guarded([&]() -> Status {
        HEARTH_TRY(const auto m, borrow<ModelObject>(model));
        HEARTH_TRY(const Vocab* vocab, vocab_of(*m->model));
        hearth_vocab_info info{};
        info.n_token = vocab->n_token();
        info.bos = vocab->bos();
        info.eos = vocab->eos();
        info.eot = vocab->token(Role::eot);
        info.unk = vocab->token(Role::unk);
        info.pad = vocab->token(Role::pad);
        info.newline = vocab->token(Role::newline);
        info.add_bos = vocab->add_bos();
        info.add_eos = vocab->add_eos();
        fill_text(info.kind, kVocabKinds[static_cast<std::size_t>(vocab->kind())]);
        fill_text(info.pre_tokenizer, vocab->pre_tokenizer());
        return write_struct(info, "hearth_vocab_info", out);
    });
}

hearth_status hearth_token_is_eog(hearth_model* model, int32_t token, int32_t* out) {
    return guarded([&]() -> Status {
        HEARTH_CHECK(need(out, "the output"));
        HEARTH_TRY(const auto m, borrow<ModelObject>(model));
        HEARTH_TRY(const Vocab* vocab, vocab_of(*m->model));
        *out = vocab->is_eog(token);
        return {};
    });
}

hearth_status hearth_chat_render(hearth_model* model, const char* source, size_t source_size, const char* context_json,
                                 size_t context_size, char* buf, size_t cap, size_t* size) {
    return guarded([&]() -> Status {
        HEARTH_CHECK(need(context_json, "the context"));
        HEARTH_TRY(const auto m, borrow<ModelObject>(model));
        HEARTH_TRY(const std::string text, render_chat(*m->model, text_of(source, source_size), text_of(context_json, context_size)));
        return write_text(text, buf, cap, size);
    });
}

hearth_status hearth_detokenizer_create(hearth_model* model, uint32_t flags, hearth_detokenizer** out) {
    return guarded([&]() -> Status {
        HEARTH_CHECK(need(out, "the output"));
        HEARTH_TRY(const auto m, borrow<ModelObject>(model));
        HEARTH_CHECK(vocab_of(*m->model));
        if (flags & ~uint32_t{HEARTH_DETOKENIZE_SPECIAL | HEARTH_DETOKENIZE_CONTINUE})
            return fail(Code::invalid_argument, "unknown detokenize flags {:#x}", flags);
        const DetokenizeOptions options{(flags & HEARTH_DETOKENIZE_SPECIAL) != 0, (flags & HEARTH_DETOKENIZE_CONTINUE) == 0};
        auto object = std::make_unique<DetokenizerObject>();
        object->runtime = m->runtime;
        object->stream = std::make_unique<TextStream>(m->model, options);
        HEARTH_TRY(void* handle, add_handle(std::move(object), DetokenizerObject::kKind));
        *out = static_cast<hearth_detokenizer*>(handle);
        return {};
    });
}
hearth_status hearth_detokenizer_retain(hearth_detokenizer* detokenizer) {
    return guarded([&] { return retain_handle(detokenizer, DetokenizerObject::kKind, DetokenizerObject::kName); });
}
hearth_status hearth_detokenizer_release(hearth_detokenizer* detokenizer) {
    return guarded([&] { return release_handle(detokenizer, DetokenizerObject::kKind, DetokenizerObject::kName); });
}

hearth_status hearth_detokenizer_feed(hearth_detokenizer* detokenizer, int32_t token, const char** text, size_t* size) {
    return guarded([&]() -> Status {
        HEARTH_CHECK(need(text, "the output text"));
        HEARTH_CHECK(need(size, "the output size"));
        HEARTH_TRY(const auto d, borrow<DetokenizerObject>(detokenizer));
        HEARTH_TRY(const std::string_view ready, d->stream->feed(token));
        *text = ready.data();
        *size = ready.size();
        return {};
    });
}
hearth_status hearth_detokenizer_flush(hearth_detokenizer* detokenizer, const char** text, size_t* size) {
    return guarded([&]() -> Status {
        HEARTH_CHECK(need(text, "the output text"));
        HEARTH_CHECK(need(size, "the output size"));
        HEARTH_TRY(const auto d, borrow<DetokenizerObject>(detokenizer));
        const std::string_view rest = d->stream->flush();
        *text = rest.data();
        *size = rest.size();
        return {};
    });
}

/* The main job in C: load a model, continue a text, print it. Usage: generate MODEL.gguf "Once upon a time"
 */
#include <hearth/hearth.h>
#include <stdio.h>

/* Feeds the prompt, then takes the sampler's tokens until the model ends or 200 are out. */
static int generate(hearth_model* model, hearth_context* context, hearth_sampler* sampler, const char* text) {
    int32_t tokens[512], end = 0;
    size_t n = 0, size = 0;
    hearth_model_info info = {.struct_size = sizeof info};
    if (hearth_tokenize(model, text, HEARTH_NUL_TERMINATED, HEARTH_TOKENIZE_SPECIAL, tokens, 512, &n))
        return 1;
    if (hearth_model_get_info(model, &info)) return 1;
    hearth_batch batch = {.struct_size = sizeof batch, .n_token = n < 512 ? (int)n : 512, .token = tokens};
    for (uint64_t i = 0; i < 200; ++i, batch.n_token = 1) {
        const float* logits;
        char piece[256];
        if (hearth_context_decode(context, &batch) || hearth_context_logits(context, -1, &logits)) return 1;
        if (hearth_sampler_sample(sampler, logits, (size_t)info.n_vocab, i, tokens)) return 1;
        if (hearth_sampler_accept(sampler, tokens[0]) || hearth_token_is_eog(model, tokens[0], &end))
            return 1;
        if (end) break;
        if (hearth_token_piece(model, tokens[0], HEARTH_OFF, piece, sizeof piece, &size)) return 1;
        fwrite(piece, 1, size, stdout);
    }
    return putchar('\n') == EOF;
}

int main(int argc, char** argv) {
    hearth_runtime* runtime = NULL;
    hearth_model* model = NULL;
    hearth_context* context = NULL;
    hearth_sampler* sampler = NULL;
    hearth_source source = {.struct_size = sizeof source, .path = argc == 3 ? argv[1] : "?"};
    hearth_context_params params = {.struct_size = sizeof params, .n_ctx = 1024};
    if (argc != 3) return fputs("usage: generate MODEL.gguf PROMPT\n", stderr), 2;
    int failed = hearth_runtime_create(NULL, &runtime) || hearth_model_load(runtime, &source, NULL, &model) ||
                 hearth_context_create(model, &params, &context) ||
                 hearth_sampler_create(model, NULL, &sampler) || generate(model, context, sampler, argv[2]);
    hearth_error error = {.struct_size = sizeof error};
    if (failed && hearth_last_error(&error) == HEARTH_OK) fprintf(stderr, "generate: %s\n", error.message);
    hearth_sampler_release(sampler);
    hearth_context_release(context);
    hearth_model_release(model);
    hearth_runtime_release(runtime);
    return failed;
}

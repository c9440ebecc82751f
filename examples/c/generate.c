/* generate -- continues a prompt, printing the text as it comes.
 *
 *     generate MODEL_DIRECTORY "Once upon a time" [NEW_TOKENS]
 *
 * MODEL_DIRECTORY holds config.json, model.safetensors and a tokenizer, as `plait train` and transformers'
 * save_pretrained leave them. */
#include <plait.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int complain(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, plait_error());
    if (*plait_error_hint())
        fprintf(stderr, "%s\n", plait_error_hint());
    return 1;
}

/* Called for each new token; 0: go on. */
static int print_token(void *context, int64_t prompt, int64_t sequence, int32_t id)
{
    const char *text;

    (void)prompt;
    (void)sequence;
    if (plait_decoder_add(context, id, &text, NULL) != PLAIT_OK)
        return 1;
    fputs(text, stdout);
    fflush(stdout);
    return 0;
}

static int continue_text(struct plait_model *model, struct plait_tokenizer *tokenizer, const char *text,
                         const char *new_tokens)
{
    const char *options[] = { "max_new_tokens", new_tokens, "do_sample", "true", "temperature", "0.8", NULL };
    int64_t count;
    struct plait_generate_request request = {
        .size = sizeof(request), .lengths = &count, .count = 1, .token = print_token
    };
    struct plait_generation *generation = NULL;
    struct plait_decoder *decoder = NULL;
    const char *rest;
    const int32_t *prompts[1];
    int32_t *ids = NULL;
    int failed = 1;

    count = plait_tokenizer_encode(tokenizer, text, strlen(text), 1, NULL, 0); /* how many are there? */
    if (count < 0)
        goto out;
    ids = malloc((size_t)(count + 1) * sizeof(ids[0]));
    if (!ids || plait_tokenizer_encode(tokenizer, text, strlen(text), 1, ids, count) < 0)
        goto out;
    if (plait_decoder_create(tokenizer, 1, &decoder) != PLAIT_OK)
        goto out;
    prompts[0] = ids;
    request.prompts = prompts;
    request.context = decoder;
    fputs(text, stdout);
    if (plait_model_generate(model, options, &request, &generation) != PLAIT_OK ||
        plait_decoder_finish(decoder, &rest, NULL) != PLAIT_OK)
        goto out;
    puts(rest);
    failed = 0;
out:
    if (failed)
        complain("generate");
    plait_generation_free(generation);
    plait_decoder_free(decoder);
    free(ids);
    return failed;
}

int main(int argc, char **argv)
{
    struct plait_model *model = NULL;
    struct plait_tokenizer *tokenizer = NULL;
    int status;

    if (argc < 3) {
        fprintf(stderr, "usage: %s MODEL_DIRECTORY PROMPT [NEW_TOKENS]\n", argv[0]);
        return 64;
    }
    if (plait_model_open(argv[1], NULL, &model) != PLAIT_OK)
        return complain(argv[0]);
    if (plait_tokenizer_load(argv[1], &tokenizer) != PLAIT_OK)
        status = complain(argv[0]);
    else
        status = continue_text(model, tokenizer, argv[2], argc > 3 ? argv[3] : "60");
    plait_tokenizer_free(tokenizer);
    plait_model_free(model);
    return status;
}

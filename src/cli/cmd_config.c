/* plait config -- writes a config.json. */
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "ckpt/hf.h"
#include "cli/cli.h"
#include "tok/tok.h"

struct values {
    struct model_choice model;
    struct {
        const char *model_type, *tokenizer, *output_dir;
    } own;
};

#define OWN(member) offsetof(struct values, own.member) - offsetof(struct values, own)

static const struct option own_options[] = {
    { "model_type", OPTION_STRING, OWN(model_type), NULL, "architecture, with all its defaults (gpt2)" },
    { "tokenizer_name", OPTION_STRING, OWN(tokenizer), NULL,
      "tokenizer.json, its directory, or a model's name in the hub's cache: sets vocab_size and ids" },
    { "output_dir", OPTION_STRING, OWN(output_dir), NULL,
      "directory that config.json is written into; without it, it goes to standard output",
      .aliases = (const char *const[]){ "workdir", NULL } },
    { 0 },
};

static const struct option_part parts[] = {
    { "What to write", own_options, offsetof(struct values, own) },
    { "Starting from", config_options_table, offsetof(struct values, model) },
    { "", hub_notes, 0 },
    { "", no_compute_options, 0 },
    { 0 },
};

static int read_start(const struct values *v, struct config *c)
{
    struct model_options o;
    struct config by_type;
    int status;

    model_choice_options(&v->model, &o);
    if (!v->model.config_name && !v->own.model_type)
        return fail(ERR_USAGE, "config: nothing to start from (expected --config_name or --model_type)");
    if (!v->model.config_name)
        return config_default(c, v->own.model_type);
    TRY(model_find_config(v->model.config_name, &o, c, NULL));
    if (!v->own.model_type)
        return OK;
    status = config_default(&by_type, v->own.model_type);
    if (status == OK && by_type.def != c->def)
        status = fail(ERR_CONFIG, "%s: --model_type is another (found %s, expected %s)", c->name,
                      c->def->name, v->own.model_type);
    if (status == OK)
        config_release(&by_type);
    else
        config_release(c);
    return status;
}

/* An id that the tokenizer has no token for is none: the config's may lie outside of the vocabulary. */
static int set_special(struct config *c, const char *key, int32_t id)
{
    if (id < 0 && !config_get(c, key))
        return OK;
    return config_set_int(c, key, id < 0 ? INT_NONE : id);
}

static const char DECODER_START[] = "decoder_start_token_id";

/* T5's decoder begins with the pad token, where nothing else is said. */
static int settle_start(struct config *c)
{
    if (!c->def->encoder || config_get(c, DECODER_START) || c->pad == INT_NONE)
        return OK;
    return config_set_int(c, DECODER_START, c->pad);
}

static int set_vocabulary(struct config *c, const struct values *v)
{
    struct tokenizer *t = NULL;
    int32_t rows;
    int status;

    TRY(find_tokenizer(v->own.tokenizer, v->model.cache_dir, v->model.revision, &t));
    rows = tokenizer_size(t) > tokenizer_id_limit(t) ? tokenizer_size(t) : tokenizer_id_limit(t);
    status = config_set_int(c, "vocab_size", rows);
    if (status == OK)
        status = set_special(c, "bos_token_id", tokenizer_special_id(t, TOK_BOS));
    if (status == OK)
        status = set_special(c, "eos_token_id", tokenizer_special_id(t, TOK_EOS));
    if (status == OK)
        status = set_special(c, "pad_token_id", tokenizer_special_id(t, TOK_PAD));
    if (status == OK && c->def->encoder && tokenizer_special_id(t, TOK_PAD) >= 0)
        status = config_set_int(c, DECODER_START, tokenizer_special_id(t, TOK_PAD));
    tokenizer_free(t);
    return status;
}

static int write_config(const struct config *c, const char *directory)
{
    struct str text;
    char *path;
    int status;

    str_init(&text);
    config_write(c, &text);
    if (!directory) {
        status = write_text(NULL, &text);
    } else {
        path = path_join(directory, "config.json");
        status = directory_create(directory);
        if (status == OK)
            status = write_text(path, &text);
        mem_free(path);
    }
    str_release(&text);
    return status;
}

static void say(const struct config *c, const struct params *params, const char *directory)
{
    struct str text;

    str_init(&text);
    str_append_count(&text, params->total);
    inform("%s/config.json: %s, %" PRId64 " layers, width %" PRId64 ", vocabulary %" PRId64 ", %s parameters",
           directory, c->def->name, c->sizes.layers, c->sizes.width, c->sizes.vocab, text.data);
    str_release(&text);
}

static int run(void *values, struct options *o)
{
    const struct values *v = values;
    struct params params = { 0 };
    struct config c;
    int status;

    TRY(read_start(v, &c));
    status = v->own.tokenizer ? set_vocabulary(&c, v) : OK;
    if (status == OK && v->model.overrides)
        status = config_override(&c, v->model.overrides);
    if (status == OK)
        status = settle_start(&c);
    if (status == OK)
        status = params_init(&params, &c);
    if (status == OK)
        status = write_config(&c, v->own.output_dir);
    if (status == OK && v->own.output_dir)
        say(&c, &params, v->own.output_dir);
    params_release(&params);
    config_release(&c);
    return status;
}

const struct command command_config = {
    .name = "config",
    .summary = "write a config.json: an architecture with its defaults, or a known model's",
    .example = "plait config --model_type gpt2 --tokenizer_name my-gpt2 --output_dir my-gpt2",
    .parts = parts,
    .bytes = sizeof(struct values),
    .run = run,
};

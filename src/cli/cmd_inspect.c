/* plait inspect -- what is in a model directory or a weights file. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "ckpt/hf.h"
#include "ckpt/hub.h"
#include "cli/cli.h"
#include "cli/inspect_data.h"
#include "tok/tok.h"

struct values {
    const char *name, *cache_dir, *revision;
    struct data_view data;
};

static const struct option own_options[] = {
    { "model_name_or_path", OPTION_STRING, offsetof(struct values, name), NULL,
      "model directory, weights file, or a model's name in the hub's cache; may stand alone as a word" },
    { "cache_dir", OPTION_STRING, offsetof(struct values, cache_dir), NULL,
      "cache of the Hugging Face hub that names are looked up in first" },
    { "model_revision", OPTION_STRING, offsetof(struct values, revision), NULL,
      "branch, tag or hash within the cache", .aliases = (const char *const[]){ "revision", NULL } },
    { 0 },
};

static const struct option_part parts[] = {
    { "What to look at", own_options, 0 },
    { "Data as train reads it", input_sample_options, offsetof(struct values, data.in) },
    { "What of it", data_view_options, offsetof(struct values, data) },
    { "", no_compute_options, 0 },
    { 0 },
};

/* ---- weights ---- */

static void append_shape(struct str *out, const struct safetensors_tensor *t)
{
    str_append(out, "[");
    for (int d = 0; d < t->ndim; d++)
        str_appendf(out, "%s%" PRId64, d ? ", " : "", t->shape[d]);
    str_append(out, "]");
}

static void append_tensor(struct str *out, const struct weights_tensor *t, int width)
{
    struct str shape, name, count;

    str_init(&shape);
    str_init(&name);
    str_init(&count);
    append_shape(&shape, t->info);
    str_append_escaped(&name, t->name, strlen(t->name), 200);
    str_append_count(&count, t->info->count);
    str_appendf(out, "%-*s  %-20s  %-5s  %15s  ", width, name.data, shape.data, t->info->element->name,
                count.data);
    str_append_bytes_human(out, (double)(t->info->end - t->info->begin));
    str_append_char(out, '\n');
    str_release(&shape);
    str_release(&name);
    str_release(&count);
}

static void append_weights(struct str *out, const struct weights *w)
{
    int64_t elements = 0;
    double bytes = 0;
    int width = 0;

    for (size_t i = 0; i < w->count; i++)
        if ((int)strlen(w->tensors[i].name) > width)
            width = (int)strlen(w->tensors[i].name);
    width = width < 80 ? width : 80;
    for (size_t i = 0; i < w->count; i++) {
        append_tensor(out, &w->tensors[i], width);
        elements += w->tensors[i].info->count;
        bytes += (double)(w->tensors[i].info->end - w->tensors[i].info->begin);
    }
    str_appendf(out, "weights: %zu tensors in %zu file%s, ", w->count, w->file_count,
                w->file_count == 1 ? "" : "s");
    str_append_count(out, elements);
    str_append(out, " elements, ");
    str_append_bytes_human(out, bytes);
    str_append_char(out, '\n');
}

/* ---- config ---- */

static int append_config(struct str *out, const char *directory)
{
    struct params params;
    struct config c;
    int status;

    TRY(config_load(&c, directory));
    status = params_init(&params, &c);
    if (status == OK) {
        str_appendf(out,
                    "model: %s (%s), %" PRId64 " layers, width %" PRId64 ", %" PRId64 " heads, %" PRId64
                    " positions, vocabulary %" PRId64 ", ",
                    c.def->name, c.architecture, c.sizes.layers, c.sizes.width, c.sizes.heads,
                    c.sizes.positions, c.sizes.vocab);
        str_append_count(out, params.total);
        str_append(out, " parameters\n");
        params_release(&params);
    }
    config_release(&c);
    return status;
}

/* ---- tokenizer ---- */

static int append_tokenizer(struct str *out, const char *directory)
{
    struct tokenizer *t = NULL;

    if (!tokenizer_found(directory)) {
        str_append(out, "tokenizer: none\n");
        return OK;
    }
    TRY(tokenizer_load(directory, &t));
    str_appendf(out, "tokenizer: %" PRId32 " tokens", tokenizer_size(t));
    for (int i = 0; i < TOK_SPECIAL_COUNT; i++) {
        int32_t id = tokenizer_special_id(t, (enum tok_special)i);
        size_t length;
        const char *text = id < 0 ? NULL : tokenizer_token(t, id, &length);
        if (!text)
            continue;
        str_appendf(out, ", %.*s ", (int)strcspn(tok_special_keys[i], "_"), tok_special_keys[i]);
        str_append_escaped(out, text, length, 60);
        str_appendf(out, " (%" PRId32 ")", id);
    }
    str_append_char(out, '\n');
    tokenizer_free(t);
    return OK;
}

/* ---- the command ---- */

static int inspect_weights(struct str *out, const char *path)
{
    struct weights w;

    TRY(weights_open(&w, path));
    append_weights(out, &w);
    weights_close(&w);
    return OK;
}

static bool has(const char *directory, const char *name)
{
    char *path = path_join(directory, name);
    bool there = file_exists(path);

    mem_free(path);
    return there;
}

static int inspect_directory(struct str *out, const char *path)
{
    bool config = has(path, "config.json");

    if (config)
        TRY(append_config(out, path));
    TRY(append_tokenizer(out, path));
    if (weights_found(path) || !config)
        return inspect_weights(out, path);
    str_append(out, "weights: none\n");
    return OK;
}

static int inspect_model(struct str *out, const char *name, const struct values *v)
{
    const struct hub_options hub = { .cache_dir = v->cache_dir, .revision = v->revision };
    char *directory;
    int status;

    if (strcmp(name, "-") == 0 || (file_exists(name) && !file_is_directory(name)))
        return inspect_weights(out, name);
    TRY(hub_resolve(name, &hub, &directory));
    status = inspect_directory(out, directory);
    mem_free(directory);
    return status;
}

static int run(void *values, struct options *o)
{
    struct values *v = values;
    struct model_options hub = { .cache_dir = v->cache_dir, .revision = v->revision };
    const char *name = v->name;
    struct str out;
    int status = OK;

    if (o->positional.count > 1 || (name && o->positional.count))
        return fail(ERR_USAGE, "inspect: one thing at a time (found \"%s\" too)",
                    o->positional.items[o->positional.count - 1]);
    if (o->positional.count)
        name = o->positional.items[0];
    if (v->data.in.train_file.count == 0)
        TRY(require_text("model_name_or_path", name));
    if (!v->data.in.tokenizer_name)
        v->data.in.tokenizer_name = name;
    hub.name = name;
    v->data.given = o;
    str_init(&out);
    if (name)
        status = inspect_model(&out, name, v);
    if (status == OK && v->data.in.train_file.count)
        status = inspect_data(&v->data, &hub, &out);
    if (status == OK)
        status = write_text(NULL, &out);
    str_release(&out);
    return status;
}

const struct command command_inspect = {
    .name = "inspect",
    .summary = "what is in a model directory, a weights file, or data as it would be trained on",
    .example = "plait inspect my-gpt2\n"
               "plait inspect --train_file corpus.txt --tokenizer_name my-gpt2 --block_size 128",
    .parts = parts,
    .bytes = sizeof(struct values),
    .takes_words = true,
    .run = run,
};

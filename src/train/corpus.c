#include "train/corpus.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "ckpt/hub.h"
#include "data/block_size.h"

/* ---- the tokenizer ---- */

/* Where it is looked for: what is named; the model's directory; the config's. */
static int find_tokenizer(struct corpus *c, const struct corpus_options *o)
{
    const struct hub_options hub = { .cache_dir = o->hub->cache_dir, .revision = o->hub->revision };
    const char *name = o->in->tokenizer_name ? o->in->tokenizer_name : o->hub->name;

    if (name && file_exists(name))
        c->tokenizer_dir = file_is_directory(name) ? mem_strdup(name) : path_directory(name);
    else if (name)
        TRY(hub_resolve(name, &hub, &c->tokenizer_dir));
    if (o->in->tokenizer_name)
        return tokenizer_load(file_exists(name) ? name : c->tokenizer_dir, &c->tokenizer);
    if (!c->tokenizer_dir || !tokenizer_found(c->tokenizer_dir)) {
        mem_free(c->tokenizer_dir);
        c->tokenizer_dir = o->model->directory ? mem_strdup(o->model->directory) : NULL;
    }
    if (c->tokenizer_dir && tokenizer_found(c->tokenizer_dir))
        return tokenizer_load(c->tokenizer_dir, &c->tokenizer);
    mem_free(c->tokenizer_dir);
    c->tokenizer_dir = NULL;
    return OK;
}

/* Whether it may hold rows of ids: only reading can tell. */
static bool is_rows(const char *pattern)
{
    static const char *const endings[] = { ".json",  ".json.gz",  ".json.zst",
                                           ".jsonl", ".jsonl.gz", ".jsonl.zst" };

    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++)
        if (str_ends_with(pattern, endings[i]))
            return true;
    return false;
}

static int check_tokenizer(const struct corpus *c, const struct option_list *files)
{
    for (size_t i = 0; i < files->count && !c->tokenizer; i++)
        if (!is_rows(files->items[i]))
            return fail(
                ERR_USAGE,
                "You are instantiating a new tokenizer from scratch. This is not supported by this script. "
                "You can do it from another script, save it, and load it from here, using "
                "--tokenizer_name.");
    return OK;
}

/* ---- files ---- */

struct files {
    struct option_list train, validation;
};

static bool has_match(const char *pattern)
{
    char **paths = NULL;
    size_t count = 0;
    bool found = file_glob(pattern, &paths, &count) == OK && count > 0 && file_exists(paths[0]);

    names_free(paths, count);
    error_clear();
    return found;
}

static void one_file(struct corpus *c, struct option_list *list, const char *path)
{
    list->items = arena_alloc(&c->memory, sizeof(list->items[0]));
    list->items[0] = path;
    list->count = 1;
}

/* --dataset_name: a file, or a folder with files whose names begin with train and validation. */
static int find_named(struct corpus *c, const struct corpus_options *o, struct files *f)
{
    const char *name = o->in->dataset_name, *config = o->in->dataset_config_name;
    const char *roots[] = { ".", o->hub->cache_dir };
    struct str looked;
    int status = OK;

    if (file_exists(name) && !file_is_directory(name)) {
        one_file(c, &f->train, name);
        return OK;
    }
    str_init(&looked);
    for (size_t i = 0; i < 2 && f->train.count == 0 && f->validation.count == 0; i++) {
        const char *part = config ? arena_printf(&c->memory, "%s/%s", name, config) : name;
        const char *folder = roots[i] && i > 0 ? arena_printf(&c->memory, "%s/%s", roots[i], part) : part;
        const char *train = arena_printf(&c->memory, "%s/train*", folder);
        const char *validation = arena_printf(&c->memory, "%s/validation*", folder);
        if (!roots[i])
            continue;
        str_appendf(&looked, "%s%s/{train,validation}*", looked.length ? ", " : "", folder);
        if (has_match(train))
            one_file(c, &f->train, train);
        if (has_match(validation))
            one_file(c, &f->validation, validation);
    }
    if (f->train.count == 0 && f->validation.count == 0) {
        status = fail(ERR_OPEN, "--dataset_name %s: no such file, and none in %s", name, looked.data);
        error_hint("nothing is downloaded; --cache_dir DIR looks in DIR/%s%s%s too", name, config ? "/" : "",
                   config ? config : "");
    }
    str_release(&looked);
    return status;
}

static int find_files(struct corpus *c, const struct corpus_options *o, struct files *f)
{
    if (o->in->dataset_name)
        TRY(find_named(c, o, f));
    if (o->in->train_file.count > 0)
        f->train = o->in->train_file;
    if (o->in->validation_file.count > 0)
        f->validation = o->in->validation_file;
    if (o->train && f->train.count == 0)
        return fail(ERR_USAGE, "--do_train requires a train dataset");
    if (o->evaluate && f->train.count == 0 && f->validation.count == 0)
        return fail(ERR_USAGE, "--do_eval requires a validation dataset");
    TRY(check_tokenizer(c, &f->train));
    return check_tokenizer(c, &f->validation);
}

/* ---- caches ---- */

static bool go_on(void *context, uint64_t done, uint64_t total)
{
    (void)done;
    (void)total;
    return stop_reason(context) == NULL;
}

static int64_t most_bad(const struct input_options *in)
{
    if (in->on_bad_line == OPTION_WORD(BAD_LINE_STOP))
        return 0;
    return in->on_bad_line == OPTION_WORD(BAD_LINE_SKIP) ? INT64_MAX : in->on_bad_line;
}

static void tell_made(const struct token_cache *cache, const char *option, double seconds)
{
    struct str text;

    if (!cache->made && cache->bad_count > 0)
        warn("%lld bad lines of %s are left out", (long long)cache->bad_count, option);
    if (!cache->made)
        return;
    str_init(&text);
    str_append_bytes_human(&text, (double)cache->data_bytes);
    str_append(&text, " in ");
    str_append_count(&text, cache->document_count);
    str_append(&text, " documents -> ");
    str_append_count(&text, cache->token_count);
    inform("Tokenized %s: %s tokens, %.1f s", option, text.data, seconds);
    str_release(&text);
}

static int make_cache(struct corpus *c, const struct corpus_options *o, const struct option_list *files,
                      const char *option)
{
    char *directory = token_cache_directory(o->hub->cache_dir, o->output_dir);
    const struct token_cache_options options = {
        .option = option,
        .patterns = files->items,
        .pattern_count = files->count,
        .directory = directory,
        .tokenizer = c->tokenizer,
        .columns[COLUMN_TEXT] = o->in->text_column,
        .json_field = o->in->json_field,
        .id_limit = o->model->config.sizes.vocab,
        .append_eos = o->in->append_eos,
        .drop_linebreaks = !o->in->keep_linebreaks,
        .drop_blank = o->in->line_by_line,
        .max_bad = most_bad(o->in),
        .overwrite = o->in->overwrite_cache,
        .progress = go_on,
        .context = o->stop,
    };
    double start = clock_seconds();
    int status = token_cache_make(&options, &c->caches[c->cache_count]);

    mem_free(directory);
    TRY(status);
    tell_made(&c->caches[c->cache_count++], option, clock_seconds() - start);
    return OK;
}

/* ---- data sets ---- */

static int choose_block_size(struct corpus *c, const struct corpus_options *o)
{
    int64_t positions = o->model->config.sizes.positions;

    /* Without a tokenizer there is nobody but the model to ask. */
    return block_size_choose(o->in->block_size, c->tokenizer ? tokenizer_max_length(c->tokenizer) : positions,
                             positions, &c->block_size);
}

static int make_datasets(struct corpus *c, const struct corpus_options *o, const struct files *f)
{
    bool split = o->evaluate && f->validation.count == 0;
    struct dataset_options d = { .block_size = c->block_size,
                                 .rows = o->in->line_by_line,
                                 .held_out_percentage = o->in->validation_split_percentage,
                                 .option = "train_file" };

    if (o->train || split)
        TRY(make_cache(c, o, &f->train, "train_file"));
    if (o->train) {
        d.part = split ? DATASET_REST : DATASET_ALL;
        d.max_samples = o->in->max_train_samples;
        TRY(dataset_init(&c->train, &c->caches[0], &d));
    }
    if (!o->evaluate)
        return OK;
    if (!split) {
        TRY(make_cache(c, o, &f->validation, "validation_file"));
        d.option = "validation_file";
    }
    d.part = split ? DATASET_HELD_OUT : DATASET_ALL;
    d.max_samples = o->in->max_eval_samples;
    return dataset_init(&c->eval, &c->caches[c->cache_count - 1], &d);
}

int corpus_open(struct corpus *c, const struct corpus_options *o)
{
    struct files f = { 0 };
    int status;

    *c = (struct corpus){ 0 };
    arena_init(&c->memory);
    status = find_tokenizer(c, o);
    if (status == OK)
        status = find_files(c, o, &f);
    if (status == OK)
        status = choose_block_size(c, o);
    if (status == OK)
        status = make_datasets(c, o, &f);
    if (status != OK)
        corpus_close(c);
    return status;
}

void corpus_close(struct corpus *c)
{
    dataset_release(&c->train);
    dataset_release(&c->eval);
    for (int i = 0; i < c->cache_count; i++)
        token_cache_close(&c->caches[i]);
    tokenizer_free(c->tokenizer);
    mem_free(c->tokenizer_dir);
    arena_release(&c->memory);
    *c = (struct corpus){ 0 };
}

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

/* The model needs a row for every id, whichever of them the text uses. */
static int check_rows(const struct corpus *c, const struct corpus_options *o)
{
    long long rows = o->model->config.sizes.vocab;
    int limit = c->tokenizer ? tokenizer_id_limit(c->tokenizer) : 0;
    const char *name = o->in->tokenizer_name, *model = o->hub->name;
    char *file;

    if (limit <= rows)
        return OK;
    if (name && file_exists(name) && !file_is_directory(name))
        file = mem_strdup(name);
    else
        file = path_join(c->tokenizer_dir, "tokenizer.json");
    fail(ERR_DATA,
         "%s: the tokenizer has more ids than the model has rows (found %d, expected at most %lld: "
         "vocab_size of %s)",
         file_exists(file) ? file : c->tokenizer_dir, limit, rows, o->model->config.name);
    if (model)
        error_hint(
            "plait init --model_name_or_path %s --vocab_size %d --output_dir DIR makes a model with enough",
            model, limit);
    else
        error_hint("--config_overrides vocab_size=%d", limit);
    mem_free(file);
    return ERR_DATA;
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
        if (!is_rows(files->items[i])) {
            fail(ERR_USAGE,
                 "You are instantiating a new tokenizer from scratch. This is not supported by this script. "
                 "You can do it from another script, save it, and load it from here, using "
                 "--tokenizer_name.");
            error_hint("plait tokenizer train makes one; a built-in config comes without");
            return ERR_USAGE;
        }
    return OK;
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

/* Of a tokenizer's merges, in training alone: not in a file that documents are held out of as well. */
static void set_dropout(const struct corpus *c, const struct corpus_options *o, const char *option,
                        struct token_cache_options *out)
{
    bool training = strcmp(option, "train_file") == 0,
         shared = o->evaluate && o->files->validation.count == 0;

    if (!training || !c->tokenizer || tokenizer_dropout(c->tokenizer) == 0)
        return;
    if (shared)
        note("the tokenizer's dropout does not act, as documents for evaluation come from the same file");
    out->dropout = !shared;
    out->seed = o->seed;
}

static int make_cache(struct corpus *c, const struct corpus_options *o, const struct option_list *files,
                      const char *option)
{
    char *directory = token_cache_directory(o->hub->cache_dir, o->output_dir);
    struct token_cache_options options = {
        .option = option,
        .patterns = files->items,
        .pattern_count = files->count,
        .directory = directory,
        .tokenizer = c->tokenizer,
        .id_limit = o->model->config.sizes.vocab,
        .append_eos = o->in->append_eos,
        .drop_blank = o->in->line_by_line && o->choice->kind != OBJECTIVE_CLASSIFICATION,
        .max_bad = most_bad(o->in),
        .overwrite = o->in->overwrite_cache,
        .progress = go_on,
        .context = o->stop,
    };
    double start = clock_seconds();
    int status;

    set_dropout(c, o, option, &options);
    objective_choice_cache(o->choice, &o->model->config, &options);
    options.pair_length = c->block_size;
    if (c->cache_count > 0) /* the files of one run have one column, where they can */
        options.likely_text = c->caches[0].text_column;
    if (c->cache_count > 0 && c->caches[0].pair_column) {
        options.columns[COLUMN_TEXT] = c->caches[0].text_column;
        options.columns[COLUMN_TEXT_PAIR] = c->caches[0].pair_column;
    }
    status = token_cache_make(&options, &c->caches[c->cache_count]);
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

/* The tokens that the tokenizer puts behind a text: what it does to one shows them. */
static int find_tail(const struct corpus *c, int32_t tail[DATASET_TAIL], int *count)
{
    const struct encode_options bare = { .no_special_tokens = true };
    struct encoding whole = { 0 }, inner = { 0 };
    struct encoder *e = encoder_create(c->tokenizer);
    int status = tokenizer_encode(e, "a", 1, NULL, &whole);
    size_t at = 0;

    *count = 0;
    if (status == OK)
        status = tokenizer_encode(e, "a", 1, &bare, &inner);
    while (status == OK && inner.count > 0 && at + inner.count < whole.count &&
           memcmp(whole.ids + at, inner.ids, inner.count * sizeof(int32_t)) != 0)
        at++;
    for (size_t i = at + inner.count; i < whole.count && inner.count > 0 && *count < DATASET_TAIL; i++)
        tail[(*count)++] = whole.ids[i];
    encoding_release(&whole);
    encoding_release(&inner);
    encoder_free(e);
    return status;
}

static void settle_shape(const struct corpus *c, const struct corpus_options *o, struct dataset_options *d)
{
    const struct objective *objective = &c->objective;
    int64_t targets;

    d->block_size = c->block_size;
    d->max_target = o->in->max_target_length ? o->in->max_target_length : c->block_size;
    if (objective->kind == OBJECTIVE_SPAN_CORRUPTION)
        span_lengths(c->block_size, objective->noise, objective->mean_span, &d->block_size, &targets);
    d->rows = o->in->line_by_line;
    d->documents = o->in->document_mask;
}

static int make_datasets(struct corpus *c, const struct corpus_options *o)
{
    const struct data_files *f = o->files;
    bool split = o->evaluate && f->validation.count == 0;
    int32_t tail[DATASET_TAIL];
    struct dataset_options d = { .held_out_percentage = o->in->validation_split_percentage,
                                 .option = "train_file",
                                 .tail = tail };

    settle_shape(c, o, &d);
    if (c->tokenizer)
        TRY(find_tail(c, tail, &d.tail_count));
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

static int open_all(struct corpus *c, const struct corpus_options *o)
{
    TRY(find_tokenizer(c, o));
    c->block_size = o->max_length;
    if (o->files) {
        TRY(check_rows(c, o));
        TRY(check_tokenizer(c, &o->files->train));
        TRY(check_tokenizer(c, &o->files->validation));
    }
    if (o->max_length == 0)
        TRY(choose_block_size(c, o));
    TRY(objective_choice_make(o->choice, &o->model->config, c->tokenizer, c->block_size, &c->memory,
                              &c->objective));
    return o->files ? make_datasets(c, o) : OK;
}

int corpus_open(struct corpus *c, const struct corpus_options *o)
{
    int status;

    *c = (struct corpus){ 0 };
    arena_init(&c->memory);
    status = open_all(c, o);
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

#include "cli/inspect_data.h"

#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "cli/cli.h"
#include "data/block_size.h"
#include "data/dataset.h"
#include "tok/tok.h"

enum { SHOWN = 64, STEP = 1 << 16 };

const struct option data_view_options[] = {
    { "train_file", OPTION_LIST, offsetof(struct data_view, files), NULL,
      "data files to look at, as train reads them", .aliases = (const char *const[]){ "data_files", NULL } },
    { "tokenizer_name", OPTION_STRING, offsetof(struct data_view, tokenizer), NULL,
      "tokenizer.json, its directory, or a model's name in the hub's cache; without it the model's" },
    { "text_column", OPTION_STRING, offsetof(struct data_view, text_column), NULL,
      "column of rows that is the text; without it text, then context, then the first that is not numeric" },
    { "json_field", OPTION_STRING, offsetof(struct data_view, json_field), NULL,
      "member of a JSON object that is the array of rows" },
    { "block_size", OPTION_INT, offsetof(struct data_view, block_size), NULL, "tokens of a sample", .min = 2,
      .max = 1 << 30, .aliases = (const char *const[]){ "max_seq_length", NULL } },
    { "line_by_line", OPTION_BOOL, offsetof(struct data_view, line_by_line), "false",
      "one row a sample instead of all joined" },
    { "append_eos", OPTION_BOOL, offsetof(struct data_view, append_eos), "false",
      "end each document with the tokenizer's eos" },
    { "samples", OPTION_INT, offsetof(struct data_view, samples), "3", "how many samples are shown", .min = 0,
      .max = 1 << 20 },
    { 0 },
};

struct look {
    const struct data_view *options;
    struct tokenizer *tokenizer;
    struct token_cache cache;
    struct dataset data;
    struct str *out;
};

static int count_token(const struct look *v, int32_t wanted, int64_t *count)
{
    int32_t *ids = mem_alloc_array(STEP, sizeof(ids[0]));
    int status = OK;

    *count = 0;
    for (int64_t at = 0; at < v->cache.token_count && status == OK; at += STEP) {
        int64_t n = v->cache.token_count - at < STEP ? v->cache.token_count - at : STEP;
        status = token_cache_read(&v->cache, at, n, ids, NULL);
        for (int64_t i = 0; i < n && status == OK; i++)
            *count += ids[i] == wanted;
    }
    mem_free(ids);
    return status;
}

static int append_totals(const struct look *v)
{
    int32_t unknown = tokenizer_special_id(v->tokenizer, TOK_UNK);
    int64_t count = 0;

    if (unknown >= 0)
        TRY(count_token(v, unknown, &count));
    str_append(v->out, "data: ");
    str_append_count(v->out, v->cache.document_count);
    str_appendf(v->out, " documents (%" PRId64 " empty), ", v->cache.empty_count);
    str_append_count(v->out, v->cache.token_count);
    str_appendf(v->out, " tokens, %.3f bytes per token, %.4f %% unknown\n",
                (double)v->cache.data_bytes / (double)v->cache.token_count,
                100.0 * (double)count / (double)v->cache.token_count);
    str_append(v->out, "samples: ");
    str_append_count(v->out, v->data.count);
    str_appendf(v->out, " of %s%" PRId64 " tokens, ", v->data.rows ? "at most " : "", v->data.block_size);
    if (v->data.rows)
        str_appendf(v->out, "%" PRId64 " truncated, ", v->data.truncated);
    str_append_count(v->out, v->data.dropped);
    str_append(v->out, " tokens in no sample\n");
    return OK;
}

static void append_token(const struct look *v, const struct sample *s, int64_t i)
{
    int32_t label = s->labelled ? s->labels[i] : s->ids[i];
    struct str text;
    size_t length = 0;
    const char *token = tokenizer_token(v->tokenizer, s->ids[i], &length);

    str_init(&text);
    str_append_escaped(&text, token ? token : "", length, 40);
    str_appendf(v->out, "  %6" PRId64 "  %-24s %8" PRId32 " %8" PRId32 "     1\n", i, text.data, s->ids[i],
                label);
    str_release(&text);
}

static int append_sample(const struct look *v, int64_t index)
{
    size_t room = (size_t)v->data.block_size;
    int32_t *ids = mem_alloc_array(2 * room, sizeof(ids[0]));
    struct sample s = { .ids = ids, .labels = ids + room };
    int status = dataset_read(&v->data, index, &s);

    if (status == OK) {
        str_appendf(v->out, "sample %" PRId64 ": %" PRId64 " tokens\n  %6s  %-24s %8s %8s  mask\n", index,
                    s.length, "place", "token", "id", "label");
        for (int64_t i = 0; i < s.length && i < SHOWN; i++)
            append_token(v, &s, i);
        if (s.length > SHOWN)
            str_appendf(v->out, "  ... %" PRId64 " more\n", s.length - SHOWN);
    }
    mem_free(ids);
    return status;
}

static int append_all(struct look *v)
{
    const struct dataset_options o = { .rows = v->options->line_by_line, .option = "train_file" };
    struct dataset_options sized = o;
    int status;

    TRY(block_size_choose(v->options->block_size, tokenizer_max_length(v->tokenizer), INT64_MAX,
                          &sized.block_size));
    TRY(dataset_init(&v->data, &v->cache, &sized));
    status = append_totals(v);
    for (int64_t i = 0; i < v->options->samples && i < v->data.count && status == OK; i++)
        status = append_sample(v, i);
    dataset_release(&v->data);
    return status;
}

int inspect_data(const struct data_view *options, const char *cache_dir, const char *revision,
                 struct str *out)
{
    struct look v = { .options = options, .out = out };
    struct token_cache_options o = { .option = "train_file",
                                     .patterns = options->files.items,
                                     .pattern_count = options->files.count,
                                     .columns[COLUMN_TEXT] = options->text_column,
                                     .json_field = options->json_field,
                                     .append_eos = options->append_eos,
                                     .drop_blank = options->line_by_line };
    char *directory;
    int status;

    TRY(require_text("tokenizer_name", options->tokenizer));
    TRY(find_tokenizer(options->tokenizer, cache_dir, revision, &v.tokenizer));
    directory = token_cache_directory(cache_dir, ".");
    o.directory = directory;
    o.tokenizer = v.tokenizer;
    status = token_cache_make(&o, &v.cache);
    if (status == OK) {
        status = append_all(&v);
        token_cache_close(&v.cache);
    }
    mem_free(directory);
    tokenizer_free(v.tokenizer);
    return status;
}

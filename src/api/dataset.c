/* Data sets: files of text or tokens as samples, by the options of `plait train`. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "api/api.h"
#include "train/corpus.h"

struct plait_dataset {
    struct corpus corpus;
    char identity[2][24]; /* of the files and the tokenizer of each part */
};

int plait_dataset_options_init(struct plait_dataset_options *o, size_t size)
{
    const struct plait_dataset_options preset = { 0 };

    TRY(api_begin("plait_dataset_options_init", o, "o"));
    return api_give("plait_dataset_options", o, size, &preset, sizeof(preset), sizeof(preset));
}

/* ---- options, as an options file has them: so the tables check their values ---- */

static void put_files(struct json_writer *w, const char *key, const char *const *files, int64_t count)
{
    if (count == 0)
        return;
    json_write_key(w, key);
    json_write_array_begin(w);
    for (int64_t i = 0; i < count; i++)
        json_write_string(w, files[i]);
    json_write_array_end(w);
}

static int check_files(const char *what, const char *const *files, int64_t count)
{
    if (count < 0 || (count > 0 && !files))
        return fail(ERR_USAGE, "plait_dataset_open: wrong number of %s (found %" PRId64 ")", what, count);
    for (int64_t i = 0; i < count; i++)
        if (!files[i])
            return fail(ERR_USAGE, "plait_dataset_open: %s[%" PRId64 "] is NULL", what, i);
    return OK;
}

static int parse_options(const struct plait_dataset_options *o, struct options *table)
{
    struct json_writer w;
    struct str text;
    int status;

    str_init(&text);
    json_writer_init(&w, &text, 0);
    json_write_object_begin(&w);
    put_files(&w, "train_file", o->train_files, o->train_file_count);
    put_files(&w, "validation_file", o->eval_files, o->eval_file_count);
    if (o->block_size) {
        json_write_key(&w, "block_size");
        json_write_int(&w, o->block_size);
    }
    if (o->tokenizer) {
        json_write_key(&w, "tokenizer_name");
        json_write_string(&w, o->tokenizer);
    }
    json_write_object_end(&w);
    status = options_parse_json(table, "plait_dataset_options", text.data, text.length);
    str_release(&text);
    if (status == OK && o->more)
        status = options_parse_json(table, "plait_dataset_options.more", o->more, strlen(o->more));
    return status;
}

/* A sample of the library's callers is a row of tokens: what else objectives need has no place there. */
static int check_objective(const struct plait_model *m, const struct input_options *in)
{
    const struct config *c = &m->model.config;

    if (config_is_causal(c) && c->head != HEAD_CLASSIFICATION && in->objective <= 0 && !in->source_column &&
        !in->label_column && !in->document_mask)
        return OK;
    return fail(ERR_CONFIG, "plait_dataset_open: data sets are for objective clm (found %s, %s)",
                c->architecture,
                in->objective > 0 ? objective_names[in->objective] : "or options of another one");
}

static int open_dataset(const struct plait_model *m, const struct plait_dataset_options *o,
                        struct corpus *corpus)
{
    struct input_options in;
    const struct option_table tables[] = { { "", input_sample_options, &in },
                                           { "", input_data_options, &in },
                                           { "", input_train_options, &in },
                                           { 0 } };
    const struct model_options hub = { 0 };
    const struct data_wishes w = { .in = &in,
                                   .train = o->train_file_count > 0,
                                   .evaluate = o->eval_file_count > 0 || o->hold_out != 0 };
    struct data_files files;
    struct options table;
    int status;

    options_init(&table, "dataset", tables);
    status = parse_options(o, &table);
    if (status == OK)
        status = data_files_find(&files, &w);
    if (status == OK) {
        const struct objective_choice choice = { .in = &in, .kind = OBJECTIVE_CLM };
        status = check_objective(m, &in);
        if (status == OK)
            status = corpus_open(corpus, &(struct corpus_options){ .in = &in,
                                                                   .files = &files,
                                                                   .choice = &choice,
                                                                   .model = &m->model,
                                                                   .hub = &hub,
                                                                   .output_dir = o->cache_dir,
                                                                   .train = w.train,
                                                                   .evaluate = w.evaluate });
        data_files_release(&files);
    }
    options_release(&table);
    return status;
}

static void identify(char out[24], const struct dataset *d)
{
    if (d->count > 0)
        snprintf(out, 24, "%016" PRIx64, d->cache->key);
}

/* ---- public ---- */

int plait_dataset_open(const struct plait_model *m, const struct plait_dataset_options *options,
                       struct plait_dataset **out)
{
    struct plait_dataset_options o = { 0 };
    struct plait_dataset *d;
    int status;

    TRY(api_begin("plait_dataset_open", m, "m"));
    TRY(api_require("plait_dataset_open", options, "options"));
    TRY(api_require("plait_dataset_open", out, "out"));
    TRY(api_take("plait_dataset_options", options, &o, sizeof(o), sizeof(o)));
    TRY(check_files("train_files", o.train_files, o.train_file_count));
    TRY(check_files("eval_files", o.eval_files, o.eval_file_count));
    if (o.train_file_count + o.eval_file_count == 0 || (o.hold_out && o.train_file_count == 0))
        return fail(ERR_USAGE, "plait_dataset_open: there are no files");
    d = mem_alloc(sizeof(*d));
    status = open_dataset(m, &o, &d->corpus);
    if (status != OK) {
        mem_free(d);
        return status;
    }
    identify(d->identity[PLAIT_DATASET_TRAIN], &d->corpus.train);
    identify(d->identity[PLAIT_DATASET_EVAL], &d->corpus.eval);
    *out = d;
    return OK;
}

void plait_dataset_free(struct plait_dataset *d)
{
    if (!d)
        return;
    corpus_close(&d->corpus);
    mem_free(d);
}

static int read_sample(void *context, int64_t index, struct plait_sample *s)
{
    struct sample inner = { .ids = s->ids, .labels = s->labels };
    int status = dataset_read(context, index, &inner);

    s->length = inner.length;
    s->labelled = inner.labelled;
    return status;
}

int plait_dataset_samples(struct plait_dataset *d, int which, struct plait_samples *out)
{
    struct plait_samples samples = { .read = read_sample };
    struct dataset *from;
    size_t size;

    TRY(api_begin("plait_dataset_samples", d, "d"));
    TRY(api_require("plait_dataset_samples", out, "out"));
    if (which != PLAIT_DATASET_TRAIN && which != PLAIT_DATASET_EVAL)
        return fail(ERR_USAGE, "plait_dataset_samples: no such part (found %d)", which);
    from = which == PLAIT_DATASET_TRAIN ? &d->corpus.train : &d->corpus.eval;
    if (from->count == 0)
        return fail(ERR_USAGE, "plait_dataset_samples: the data set was opened without this part");
    samples.count = from->count;
    samples.max_length = from->block_size;
    samples.context = from;
    samples.identity = d->identity[which];
    memcpy(&size, out, sizeof(size));
    return api_give("plait_samples", out, size, &samples, sizeof(samples), sizeof(samples));
}

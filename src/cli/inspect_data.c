#include "cli/inspect_data.h"

#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "cli/cli.h"
#include "train/corpus.h"

enum { SHOWN = 64, STEP = 1 << 16 };

const struct option data_view_options[] = {
    { "samples", OPTION_INT, offsetof(struct data_view, samples), "3", "how many samples are shown", .min = 0,
      .max = 1 << 20 },
    { 0 },
};

struct look {
    const struct data_view *options;
    struct objective_choice choice;
    struct corpus corpus;
    const struct token_cache *cache;
    struct sample_source source;
    struct sample sample; /* scratch */
    struct example example;
    struct str *out;
};

/* ---- totals ---- */

static int count_token(const struct look *v, int32_t wanted, int64_t *count)
{
    int32_t *ids = mem_alloc_array(STEP, sizeof(ids[0]));
    int status = OK;

    *count = 0;
    for (int64_t at = 0; at < v->cache->token_count && status == OK; at += STEP) {
        int64_t n = v->cache->token_count - at < STEP ? v->cache->token_count - at : STEP;
        status = token_cache_read(v->cache, at, n, ids, NULL);
        for (int64_t i = 0; i < n && status == OK; i++)
            *count += ids[i] == wanted;
    }
    mem_free(ids);
    return status;
}

static int append_totals(const struct look *v)
{
    const struct dataset *d = &v->corpus.train;
    int32_t unknown = v->corpus.tokenizer ? tokenizer_special_id(v->corpus.tokenizer, TOK_UNK) : -1;
    int64_t count = 0;

    if (unknown >= 0)
        TRY(count_token(v, unknown, &count));
    str_append(v->out, "data: ");
    str_append_count(v->out, v->cache->document_count / d->stride);
    str_appendf(v->out, " %s (%" PRId64 " empty), ", v->cache->pairs ? "pairs" : "documents",
                v->cache->empty_count);
    str_append_count(v->out, v->cache->token_count);
    str_appendf(v->out, " tokens, %.3f bytes per token, %.4f %% unknown\n",
                (double)v->cache->data_bytes / (double)v->cache->token_count,
                100.0 * (double)count / (double)v->cache->token_count);
    str_append(v->out, "samples: ");
    str_append_count(v->out, d->count);
    str_appendf(v->out, " of %s%" PRId64 " tokens, ", d->rows ? "at most " : "", d->block_size);
    if (d->rows)
        str_appendf(v->out, "%" PRId64 " truncated, ", d->truncated);
    str_append_count(v->out, d->dropped);
    str_appendf(v->out, " tokens in no sample\nobjective: %s\n", objective_names[v->choice.kind]);
    return OK;
}

/* ---- samples ---- */

static void append_token(const struct look *v, int64_t place, int32_t id)
{
    struct str text;
    size_t length = 0;
    const char *token = v->corpus.tokenizer ? tokenizer_token(v->corpus.tokenizer, id, &length) : NULL;

    str_init(&text);
    str_append_escaped(&text, token ? token : "", length, 40);
    str_appendf(v->out, "  %6" PRId64 "  %-24s %8" PRId32, place, text.data, id);
    str_release(&text);
}

static void append_more(const struct look *v, int64_t length)
{
    if (length > SHOWN)
        str_appendf(v->out, "  ... %" PRId64 " more\n", length - SHOWN);
}

static void append_encoder(const struct look *v)
{
    const struct example *e = &v->example;

    str_appendf(v->out, "  encoder reads %" PRId64 " tokens\n  %6s  %-24s %8s  mask\n", e->encoder_length,
                "place", "token", "id");
    for (int64_t i = 0; i < e->encoder_length && i < SHOWN; i++) {
        append_token(v, i, e->encoder_ids[i]);
        str_append(v->out, "     1\n");
    }
    append_more(v, e->encoder_length);
    str_appendf(v->out, "  decoder reads %" PRId64 " tokens\n", e->length);
}

/* The class by its name; numbers as they are. */
static void append_labels(const struct look *v)
{
    const struct label_set *l = &v->choice.labels;

    str_append(v->out, "  label:");
    for (size_t i = 0; l->kind == LABEL_CLASS && i < l->classes.count; i++)
        if (l->classes.entries[i].value == v->sample.class)
            str_appendf(v->out, " %s", l->classes.entries[i].key);
    for (int64_t i = 0; l->kind == LABEL_NUMBERS && i < l->count; i++)
        str_appendf(v->out, " %g", (double)v->sample.numbers[i]);
    for (size_t i = 0; l->kind == LABEL_CLASSES && i < l->classes.count; i++)
        if (v->sample.numbers[l->classes.entries[i].value] != 0)
            str_appendf(v->out, " %s", l->classes.entries[i].key);
    str_append(v->out, "\n");
}

/* mask: rows see those with the same number. */
static void append_rows(const struct look *v)
{
    const struct example *e = &v->example;
    const struct sample *s = &v->sample;
    int64_t document = 0;

    str_appendf(v->out, "  %6s  %-24s %8s %8s  mask\n", "place", "token", "id", "label");
    for (int64_t i = 0; i < e->length && i < SHOWN; i++) {
        if (document < s->start_count && s->starts[document] == i)
            document++;
        append_token(v, i, e->ids[i]);
        str_appendf(v->out, " %8" PRId32 "  %4" PRId64 "\n", e->labels[i], document ? document : 1);
    }
    append_more(v, e->length);
}

static int append_sample(struct look *v, int64_t index)
{
    const struct example_key key = { .index = index };

    TRY(sample_read(&v->source, index, &(struct sample_limits){ 0 }, &v->sample));
    TRY(objective_apply(&v->corpus.objective, &key, &v->sample, &v->example));
    str_appendf(v->out, "sample %" PRId64 ": %" PRId64 " tokens\n", index,
                v->sample.length + v->sample.target_length);
    if (v->choice.kind == OBJECTIVE_CLASSIFICATION)
        append_labels(v);
    if (v->corpus.objective.encoder)
        append_encoder(v);
    append_rows(v);
    return OK;
}

static int append_all(struct look *v)
{
    const int64_t count = v->corpus.train.count;
    struct example_sizes sizes;
    int status;

    v->cache = v->corpus.train.cache;
    v->source = dataset_source(&v->corpus.train);
    objective_sizes(&v->corpus.objective, &v->source, &sizes);
    sample_init(&v->sample, &v->source);
    example_init(&v->example, &sizes);
    status = append_totals(v);
    for (int64_t i = 0; i < v->options->samples && i < count && status == OK; i++)
        status = append_sample(v, i);
    sample_release(&v->sample);
    example_release(&v->example);
    return status;
}

/* ---- the model, or one that would do ---- */

static bool names_model(const struct model_options *hub)
{
    char *config;
    bool found;

    if (!hub->name || !file_is_directory(hub->name))
        return hub->name != NULL && !file_exists(hub->name);
    config = path_join(hub->name, "config.json");
    found = file_exists(config);
    mem_free(config);
    return found;
}

static int find_model(struct look *v, const struct model_options *hub, struct model *m)
{
    TRY(model_find_config(hub->name, hub, &m->config, &m->directory));
    return objective_choice_settle(&v->choice, &m->config, true);
}

static int look_at(struct look *v, const struct model_options *hub, const struct model *m)
{
    const struct input_options *in = &v->options->in;
    const struct data_files files = { .train = in->train_file };
    const struct corpus_options o = { .in = in,
                                      .files = &files,
                                      .choice = &v->choice,
                                      .model = m,
                                      .hub = hub,
                                      .output_dir = ".",
                                      .train = true };
    int status;

    TRY(corpus_open(&v->corpus, &o));
    status = append_all(v);
    corpus_close(&v->corpus);
    return status;
}

int inspect_data(const struct data_view *options, const struct model_options *hub, struct str *out)
{
    const struct input_options *in = &options->in;
    struct look v = {
        .options = options,
        .choice = { .in = in, .given = options->given, .files = &in->train_file, .spool_directory = "." },
        .out = out
    };
    struct model m = { 0 };
    struct model_def any = { .name = "model" };
    int status;

    TRY(require_text("tokenizer_name", in->tokenizer_name));
    if (names_model(hub)) {
        status = find_model(&v, hub, &m);
    } else {
        m.config =
            (struct config){ .def = &any, .pad = 0, .decoder_start = 0, .name = (char *)(uintptr_t) "model" };
        m.config.sizes = (struct model_sizes){ .vocab = INT32_MAX, .positions = INT64_MAX };
        status = objective_choice_unbound(&v.choice, &any);
    }
    if (status == OK)
        status = look_at(&v, hub, &m);
    objective_choice_release(&v.choice);
    if (m.config.def != &any)
        config_release(&m.config);
    mem_free(m.directory);
    return status;
}

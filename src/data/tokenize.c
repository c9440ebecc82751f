#include "data/tokenize.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "base/str.h"
#include "data/labels.h"
#include "tok/encoding.h"

struct job { /* one tile */
    struct tokenizing *z;
    struct tile_tokens *out;
    struct encoder *encoder;
};

int tokenizing_init(struct tokenizing *z, const struct token_cache_options *o)
{
    *z = (struct tokenizing){ .options = o, .eos = -1 };
    if (o->append_eos) {
        z->eos = o->tokenizer ? tokenizer_special_id(o->tokenizer, TOK_EOS) : -1;
        if (z->eos < 0)
            return fail(ERR_CONFIG, "append_eos: the tokenizer has no eos token");
    }
    if (!o->tokenizer)
        return OK;
    z->encoder_count = parallel_threads();
    z->encoders = mem_alloc_array((size_t)z->encoder_count, sizeof(struct encoder *));
    for (int i = 0; i < z->encoder_count; i++)
        z->encoders[i] = encoder_create(o->tokenizer);
    return OK;
}

void tokenizing_release(struct tokenizing *z)
{
    for (int i = 0; i < z->encoder_count; i++)
        encoder_free(z->encoders[i]);
    mem_free(z->encoders);
    *z = (struct tokenizing){ 0 };
}

void tile_tokens_release(struct tile_tokens *t)
{
    encoding_release(&t->ids);
    mem_free(t->labels);
    mem_free(t->types);
    mem_free(t->words);
    mem_free(t->ends);
    *t = (struct tile_tokens){ 0 };
}

/* What Python's str.isspace calls space. */
static bool is_space(uint32_t c)
{
    return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f || c == 0x205f ||
           c == 0x3000;
}

static bool is_blank(const char *text, size_t length)
{
    const char *end = text + length;
    uint32_t c;
    for (int n; text < end; text += n) {
        n = utf8_decode(text, end, &c);
        if (n == 0 || !is_space(c))
            return false;
    }
    return true;
}

static int add_text(struct job *j, const struct cell *text, bool bare)
{
    const struct token_cache_options *o = j->z->options;
    struct encode_options encode = { .no_special_tokens = o->no_special_tokens || bare,
                                     .dropout = o->dropout,
                                     .seed = o->seed };
    if (o->drop_blank && is_blank(text->bytes, text->length))
        return OK;
    if (!j->encoder)
        return fail(ERR_USAGE, "text needs a tokenizer: --tokenizer_name or --model_name_or_path");
    return tokenizer_encode(j->encoder, text->bytes, text->length, &encode, &j->out->ids);
}

/* Two texts; types beside the ids are kept for add_types. */
static int add_texts(struct job *j, const struct document *d)
{
    const struct token_cache_options *o = j->z->options;
    const struct cell *a = &d->cells[COLUMN_TEXT], *b = &d->cells[COLUMN_TEXT_PAIR];
    const struct encode_options encode = { .no_special_tokens = o->no_special_tokens,
                                           .dropout = o->dropout,
                                           .seed = o->seed,
                                           .types = o->pair_types,
                                           .max_length = o->pair_length - (j->z->eos >= 0) };
    const struct tok_input in = { { a->bytes, a->length }, { b->length > 0 ? b->bytes : "", b->length } };
    if (!b->given)
        return add_text(j, a, false);
    if (!j->encoder)
        return fail(ERR_USAGE, "text needs a tokenizer: --tokenizer_name or --model_name_or_path");
    return tokenizer_encode_pair(j->encoder, &in, &encode, &j->out->ids);
}

static int check_ids(const struct job *j, const int32_t *ids, size_t count)
{
    int64_t limit = j->z->options->id_limit;
    for (size_t i = 0; i < count && limit; i++)
        if (ids[i] >= limit)
            return fail(ERR_DATA, "token %zu is outside the vocabulary (found %d, expected less than %lld)",
                        i, ids[i], (long long)limit);
    return OK;
}

static int add_ids(struct job *j, const int32_t *ids, size_t count)
{
    struct encoding *e = &j->out->ids;
    TRY(check_ids(j, ids, count));
    encoding_reserve(e, count);
    if (count)
        memcpy(e->ids + e->count, ids, count * sizeof(*ids));
    e->count += count;
    return OK;
}

static bool is_typed_pair(const struct job *j, const struct document *d)
{
    return j->z->options->pair_types && d->cells[COLUMN_TEXT_PAIR].given && !d->tokenized;
}

static unsigned kind_of(const struct job *j, const struct document *d)
{
    return KIND_PLAIN | (d->labels ? KIND_LABELLED : 0) | (d->types || is_typed_pair(j, d) ? KIND_TYPED : 0);
}

static int check_kind(struct job *j, const struct document *d)
{
    unsigned kind = kind_of(j, d), differs;
    if (j->z->kind == KIND_UNKNOWN)
        j->z->kind = kind;
    differs = j->z->kind ^ kind;
    if (differs == 0)
        return OK;
    const char *what = differs & KIND_LABELLED ? "labels" : "token types";
    return differs & j->z->kind ? fail(ERR_DATA, "no %s, but what comes first in the data has them", what)
                                : fail(ERR_DATA, "%s, but what comes first in the data has none", what);
}

/* labels of the tokens from `before` on: those given, then that of the eos. */
static int64_t add_labels(struct tile_tokens *out, const struct document *d, size_t before)
{
    size_t count = out->ids.count;
    int64_t labels = 0;
    if (out->label_capacity < count) {
        out->label_capacity = out->ids.capacity;
        out->labels = mem_resize(out->labels, out->label_capacity * sizeof(*out->labels));
    }
    for (size_t i = before; i < count; i++) {
        int32_t label = i - before < d->count ? d->labels[i - before] : out->ids.ids[i];
        out->labels[i] = label;
        labels += label >= 0;
        out->max_id = label > out->max_id ? label : out->max_id;
    }
    return labels;
}

/* types: of the first `given` tokens from `before` on; the eos has the type of the token before it. */
static int add_types(struct tile_tokens *out, const int32_t *types, size_t given, size_t before)
{
    size_t count = out->ids.count;
    if (out->type_capacity < count) {
        out->type_capacity = out->ids.capacity;
        out->types = mem_resize(out->types, out->type_capacity * sizeof(*out->types));
    }
    for (size_t i = before; i < count; i++) {
        int32_t type = types[i - before < given ? i - before : given - 1];
        if (type > UINT8_MAX)
            return fail(ERR_DATA, "token type %zu is %d (expected 0 to %d)", i - before, type, UINT8_MAX);
        out->types[i] = (uint8_t)type;
    }
    return OK;
}

/* Ends a document that has tokens from `before` on. */
static void end_document(struct job *j, size_t before, bool eos)
{
    struct tile_tokens *out = j->out;
    struct encoding *e = &out->ids;
    if (eos && j->z->eos >= 0 && e->count > before)
        encoding_add(e, j->z->eos, (struct tok_span){ 0 });
    for (size_t i = before; i < e->count; i++)
        out->max_id = e->ids[i] > out->max_id ? e->ids[i] : out->max_id;
    out->ends = mem_grow(out->ends, out->documents, &out->end_capacity, sizeof(*out->ends));
    out->ends[out->documents++] = e->count;
}

static int add_words(struct job *j, const struct document *d)
{
    const struct label_set *labels = j->z->options->labels;
    size_t count = (size_t)label_set_words(labels), at = j->out->documents * count;
    if (j->out->word_capacity < at + count) {
        j->out->word_capacity = 2 * (at + count);
        j->out->words = mem_resize(j->out->words, j->out->word_capacity * sizeof(*j->out->words));
    }
    return label_set_read(labels, &d->cells[COLUMN_LABEL], j->out->words + at);
}

static int add_row(struct job *j, const struct document *d)
{
    struct tile_tokens *out = j->out;
    size_t before = out->ids.count, given;
    int64_t labels;
    if (j->z->options->rows == ROWS_CLASS)
        TRY(add_words(j, d));
    TRY(check_ids(j, d->labels, d->labels ? d->count : 0));
    TRY(d->tokenized ? add_ids(j, d->ids, d->count) : add_texts(j, d));
    given = out->ids.count - before;
    end_document(j, before, true);
    if (given > 0 && (d->types || is_typed_pair(j, d)))
        TRY(add_types(out, d->types ? d->types : out->ids.types + before, given, before));
    labels = d->labels ? add_labels(out, d, before) : (int64_t)(out->ids.count - before);
    out->label_count += labels;
    out->empty_count += labels == 0;
    return OK;
}

/* What is put before each source belongs to its text. */
static int add_source(struct job *j, const struct cell *source)
{
    const char *prefix = j->z->options->source_prefix;
    struct str text;
    if (!prefix)
        return add_text(j, source, false);
    str_init(&text);
    str_append(&text, prefix);
    str_append_bytes(&text, source->bytes, source->length);
    int status = add_text(j, &(struct cell){ text.data, text.length, true }, false);
    str_release(&text);
    return status;
}

/* The labels of a row of ids, without those that stand for padding. */
static int add_target_ids(struct job *j, const struct document *d)
{
    struct encoding *e = &j->out->ids;
    if (!d->labels)
        return fail(ERR_DATA, "no labels, which are what is to be written");
    TRY(check_ids(j, d->labels, d->label_count));
    encoding_reserve(e, d->label_count);
    for (size_t i = 0; i < d->label_count; i++)
        if (d->labels[i] >= 0)
            e->ids[e->count++] = d->labels[i];
    return OK;
}

static int add_pair(struct job *j, const struct document *d)
{
    struct tile_tokens *out = j->out;
    size_t before = out->ids.count, between;
    TRY(d->tokenized ? add_ids(j, d->ids, d->count) : add_source(j, &d->cells[COLUMN_SOURCE]));
    between = out->ids.count;
    end_document(j, before, false);
    TRY(d->tokenized ? add_target_ids(j, d)
                     : add_text(j, &d->cells[COLUMN_TARGET], j->z->options->bare_target));
    end_document(j, between, !d->tokenized);
    out->label_count += (int64_t)(out->ids.count - between);
    out->empty_count += between == before || out->ids.count == between;
    return OK;
}

static int add_document(void *context, const struct document *d)
{
    struct job *j = context;
    size_t tokens = j->out->ids.count, documents = j->out->documents;
    bool pair = j->z->options->rows == ROWS_PAIR;
    int status = OK;
    if (pair)
        j->z->kind = KIND_PLAIN;
    else
        status = check_kind(j, d);
    if (status == OK)
        status = pair ? add_pair(j, d) : add_row(j, d);
    if (status != OK) {
        j->out->ids.count = tokens;
        j->out->documents = documents;
    }
    return status;
}

void tokenize_tile(struct tokenizing *z, struct source_tile *tile, struct tile_tokens *out)
{
    struct job j = { .z = z, .out = out };
    if (z->encoders)
        j.encoder = z->encoders[parallel_thread_index()];
    out->ids.count = out->documents = 0;
    out->label_count = out->empty_count = 0;
    out->max_id = -1;
    source_tile_read(tile, add_document, &j);
}

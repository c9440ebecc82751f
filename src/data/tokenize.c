#include "data/tokenize.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "base/str.h"
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

static int add_text(struct job *j, const struct cell *text)
{
    const struct token_cache_options *o = j->z->options;
    struct encode_options encode = { .no_special_tokens = o->no_special_tokens };
    if (o->drop_blank && is_blank(text->bytes, text->length))
        return OK;
    if (!j->encoder)
        return fail(ERR_USAGE, "text needs a tokenizer: --tokenizer_name or --model_name_or_path");
    return tokenizer_encode(j->encoder, text->bytes, text->length, &encode, &j->out->ids);
}

static int check_ids(const struct job *j, const struct document *d)
{
    int64_t limit = j->z->options->id_limit;
    for (size_t i = 0; i < d->count; i++) {
        int32_t label = d->labels ? d->labels[i] : 0, id = d->ids[i] > label ? d->ids[i] : label;
        if (limit && id >= limit)
            return fail(ERR_DATA, "token %zu is outside the vocabulary (found %d, expected less than %lld)",
                        i, id, (long long)limit);
    }
    return OK;
}

static int add_ids(struct job *j, const struct document *d)
{
    struct encoding *e = &j->out->ids;
    TRY(check_ids(j, d));
    encoding_reserve(e, d->count);
    if (d->count)
        memcpy(e->ids + e->count, d->ids, d->count * sizeof(*d->ids));
    e->count += d->count;
    return OK;
}

static int check_kind(struct job *j, const struct document *d)
{
    enum token_kind kind = d->labels ? KIND_LABELLED : KIND_PLAIN;
    if (j->z->kind == KIND_UNKNOWN)
        j->z->kind = kind;
    if (j->z->kind == kind)
        return OK;
    return kind == KIND_PLAIN ? fail(ERR_DATA, "no labels, but what comes first in the data has them")
                              : fail(ERR_DATA, "labels, but what comes first in the data has none");
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

static void count_document(struct job *j, const struct document *d, size_t before)
{
    struct tile_tokens *out = j->out;
    struct encoding *e = &out->ids;
    if (j->z->eos >= 0 && e->count > before)
        encoding_add(e, j->z->eos, (struct tok_span){ 0 });
    for (size_t i = before; i < e->count; i++)
        out->max_id = e->ids[i] > out->max_id ? e->ids[i] : out->max_id;
    int64_t labels = d->labels ? add_labels(out, d, before) : (int64_t)(e->count - before);
    out->label_count += labels;
    out->empty_count += labels == 0;
    out->ends = mem_grow(out->ends, out->documents, &out->end_capacity, sizeof(*out->ends));
    out->ends[out->documents++] = e->count;
}

static int add_document(void *context, const struct document *d)
{
    struct job *j = context;
    struct encoding *e = &j->out->ids;
    size_t before = e->count;
    int status = check_kind(j, d);
    if (status == OK)
        status = d->tokenized ? add_ids(j, d) : add_text(j, &d->cells[COLUMN_TEXT]);
    if (status == OK)
        count_document(j, d, before);
    else
        e->count = before;
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

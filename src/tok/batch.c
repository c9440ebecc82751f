/* Many texts at once, and what tokenizer.json says of their lengths. */
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "tok/encoding.h"
#include "tok/tokenizer.h"

enum { TEXTS_PER_TILE = 64 };

struct batch {
    const struct tokenizer *tokenizer;
    const struct tok_input *inputs;
    const struct encode_options *options;
    const struct truncation *truncation;
    struct encoding *out;
    size_t count;
    struct encoder **encoders; /* by thread */
    int *statuses;             /* by tile */
};

static void encode_tile(void *context, int64_t tile)
{
    struct batch *b = context;
    struct encoder **e = &b->encoders[parallel_thread_index()];
    size_t begin = (size_t)tile * TEXTS_PER_TILE, end = begin + TEXTS_PER_TILE;

    if (!*e)
        *e = encoder_create(b->tokenizer);
    for (size_t i = begin; i < end && i < b->count && b->statuses[tile] == OK; i++)
        b->statuses[tile] = encode_text(*e, &b->inputs[i], b->options, b->truncation, &b->out[i]);
    if (b->statuses[tile] != OK)
        error_clear(); /* told again by the caller's thread */
}

/* The error of the first text that has one, recorded for this thread. */
static int repeat_failure(struct batch *b)
{
    struct encoder *e = encoder_create(b->tokenizer);
    struct encoding scratch = { 0 };
    int status = OK;

    for (size_t i = 0; i < b->count && status == OK; i++) {
        if (b->statuses[i / TEXTS_PER_TILE] == OK)
            continue;
        scratch.count = 0;
        status = encode_text(e, &b->inputs[i], b->options, b->truncation, &scratch);
    }
    encoding_release(&scratch);
    encoder_free(e);
    return status;
}

static void pad(struct encoding *e, const struct padding *p, size_t length)
{
    size_t missing = length > e->count ? length - e->count : 0, at = p->left ? 0 : e->count;
    int32_t *pads;

    if (missing == 0)
        return;
    pads = mem_alloc_array(missing, sizeof(*pads));
    for (size_t i = 0; i < missing; i++)
        pads[i] = p->id;
    encoding_insert(e, at, pads, missing);
    for (size_t i = at; e->types && i < at + missing; i++)
        e->types[i] = p->type;
    mem_free(pads);
}

void encodings_pad(const struct padding *p, struct encoding *out, size_t count)
{
    size_t length = (size_t)p->fixed, multiple = (size_t)p->multiple;

    if (!p->active)
        return;
    for (size_t i = 0; p->fixed == 0 && i < count; i++)
        length = out[i].count > length ? out[i].count : length;
    if (multiple > 0 && length % multiple > 0)
        length += multiple - length % multiple;
    for (size_t i = 0; i < count; i++)
        pad(&out[i], p, length);
}

void tokenizer_lengths(const struct tokenizer *t, struct truncation *truncation, struct padding *padding)
{
    *truncation = t->truncation;
    *padding = t->padding;
}

void tokenizer_sides(const struct tokenizer *t, struct truncation *truncation, struct padding *padding)
{
    truncation->left = t->cut_left;
    padding->left = t->pad_left;
    padding->id = t->specials[TOK_PAD];
}

int tokenizer_encode_batch(const struct tokenizer *t, const struct tok_input *inputs, size_t count,
                           const struct encode_options *options, struct encoding *out)
{
    struct batch b = { .tokenizer = t, .inputs = inputs, .options = options, .out = out, .count = count };
    int64_t tiles = ceil_div((int64_t)count, TEXTS_PER_TILE);
    int threads = parallel_threads(), status = OK;

    b.truncation = options && options->truncation ? options->truncation : &t->truncation;
    b.encoders = mem_alloc_array((size_t)threads, sizeof(struct encoder *));
    b.statuses = mem_alloc_array((size_t)tiles, sizeof(*b.statuses));
    parallel_for(tiles, encode_tile, &b);
    for (int64_t i = 0; i < tiles && status == OK; i++)
        if (b.statuses[i] != OK)
            status = repeat_failure(&b);
    if (status == OK)
        encodings_pad(options && options->padding ? options->padding : &t->padding, out, count);
    for (int i = 0; i < threads; i++)
        encoder_free(b.encoders[i]);
    mem_free(b.encoders);
    mem_free(b.statuses);
    return status;
}

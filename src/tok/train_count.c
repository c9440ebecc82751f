/* Counting words. A file's text is cut into tiles at line ends; every thread counts into a table of its own.
 */
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "tok/byte_level.h"
#include "tok/split.h"
#include "tok/tokenizer.h"
#include "tok/train.h"

enum { TILE_BYTES = 1 << 20 };

static int check_options(const struct tok_train_options *o)
{
    if (o->vocab_size < 1 || o->vocab_size > INT32_MAX)
        return fail(ERR_CONFIG, "vocab_size %lld (expected 1 to %d)", (long long)o->vocab_size, INT32_MAX);
    if (o->min_frequency < 0)
        return fail(ERR_CONFIG, "min_frequency %lld (expected at least 0)", (long long)o->min_frequency);
    if (o->limit_alphabet < 0 || o->max_token_length < 0 || o->max_piece_length < 0 || o->seed_size < 0 ||
        o->sub_iterations < 0)
        return fail(ERR_CONFIG, "a negative size (expected at least 0)");
    if (!(o->shrinking_factor >= 0 && o->shrinking_factor < 1))
        return fail(ERR_CONFIG, "shrinking_factor %g (expected more than 0 and less than 1)",
                    o->shrinking_factor);
    for (size_t i = 0; i < o->special_count; i++)
        if (!o->specials[i] || !*o->specials[i])
            return fail(ERR_CONFIG, "special token %zu is empty", i + 1);
    return OK;
}

static void set_defaults(struct tok_train_options *o)
{
    o->max_piece_length = o->max_piece_length ? o->max_piece_length : 16;
    o->seed_size = o->seed_size ? o->seed_size : 1000000;
    o->sub_iterations = o->sub_iterations ? o->sub_iterations : 2;
    o->shrinking_factor = o->shrinking_factor > 0 ? o->shrinking_factor : 0.75;
}

int tok_trainer_create(const struct tok_train_options *options, struct tok_trainer **out)
{
    struct tok_trainer *t;
    int status;

    TRY(check_options(options));
    t = mem_alloc(sizeof(*t));
    t->options = *options;
    set_defaults(&t->options);
    t->pipeline = tokenizer_create();
    t->unk_token = options->unk_token ? mem_strdup(options->unk_token) : NULL;
    t->options.unk_token = t->unk_token;
    t->specials = mem_alloc_array(options->special_count, sizeof(char *));
    for (size_t i = 0; i < options->special_count; i++)
        t->specials[i] = mem_strdup(options->specials[i]);
    t->options.specials = (const char *const *)t->specials;
    t->count_tables = parallel_threads();
    t->counts = mem_alloc_array((size_t)t->count_tables, sizeof(*t->counts));
    status = train_choose_unk(&t->options, &t->unk_token);
    if (status == OK)
        status = train_pipeline(&t->options, t->pipeline);
    t->options.normalizer = t->options.pre_tokenizer = NULL; /* of the caller */
    if (status == OK)
        *out = t;
    else
        tok_trainer_free(t);
    return status;
}

void tok_trainer_free(struct tok_trainer *t)
{
    if (!t)
        return;
    for (int i = 0; i < t->count_tables; i++)
        word_counts_release(&t->counts[i]);
    for (size_t i = 0; i < t->options.special_count; i++)
        mem_free(t->specials[i]);
    mem_free(t->specials);
    mem_free(t->unk_token);
    tokenizer_free(t->pipeline);
    mem_free(t->counts);
    mem_free(t);
}

/* ---- one document ---- */

struct count_sink {
    struct sink sink;
    struct word_counts *counts;
    bool bytes; /* byte-level words are counted as bytes */
};

static int count_emit(struct sink *s, const struct piece *p)
{
    struct count_sink *c = (struct count_sink *)s;
    struct text form;

    if (p->length == 0)
        return OK;
    if (!p->byte_level || c->bytes) {
        word_counts_add(c->counts, p->bytes, p->length, 1);
        return OK;
    }
    text_init(&form, false);
    byte_level_form(p, &form);
    word_counts_add(c->counts, form.bytes.data, form.bytes.length, 1);
    text_release(&form);
    return OK;
}

static int count_piece(const struct tok_trainer *t, struct word_counts *c, const struct piece *p)
{
    const struct component *split = &t->pipeline->pre_tokenizer;
    struct count_sink sink = { { count_emit }, c, t->options.type == TOK_TRAIN_BYTE_LEVEL };

    return split->type ? split->type->split(split->state, p, &sink.sink) : count_emit(&sink.sink, p);
}

/* Byte-level words without a normalizer, which is what most train. */
static void count_plain(struct word_counts *c, const char *p, const char *end)
{
    while (p < end) {
        const char *next = split_gpt2(p, end);
        word_counts_add(c, p, (size_t)(next - p), 1);
        p = next;
    }
}

static int count_document(const struct tok_trainer *t, struct word_counts *c, const char *p, const char *end)
{
    const struct component *normalizer = &t->pipeline->normalizer;
    struct piece piece = { .bytes = p, .length = (size_t)(end - p) };
    struct text normal;
    int status;

    if (t->options.type == TOK_TRAIN_BYTE_LEVEL && !normalizer->type && !t->options.add_prefix_space) {
        count_plain(c, p, end);
        return OK;
    }
    if (!normalizer->type)
        return count_piece(t, c, &piece);
    text_init(&normal, false);
    text_append_piece(&normal, &piece);
    status = normalizer->type->normalize(normalizer->state, &normal);
    piece = text_piece(&normal);
    if (status == OK)
        status = count_piece(t, c, &piece);
    text_release(&normal);
    return status;
}

int tok_trainer_feed(struct tok_trainer *t, const char *text, size_t length)
{
    size_t valid = utf8_valid_prefix(text, length);

    if (valid < length)
        return fail(ERR_DATA, "not UTF-8 at byte %zu", valid);
    return count_document(t, &t->counts[parallel_thread_index()], text, text + length);
}

/* ---- files ---- */

struct feed {
    struct tok_trainer *trainer;
    const char *text;
    size_t length;
    size_t *broken;      /* by tile: bytes that are UTF-8, counted from the tile's start; SIZE_MAX: all */
    const char **failed; /* by tile: a line that the pipeline refuses; NULL: none */
};

static const char *line_after(const char *p, const char *end)
{
    const char *stop = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;

    return stop ? stop + 1 : end;
}

/* Where a tile begins: after the first line end at or behind its place. */
static const char *tile_begin(const struct feed *f, int64_t tile)
{
    const char *end = f->text + f->length;

    if (tile == 0)
        return f->text;
    if ((size_t)tile * TILE_BYTES >= f->length)
        return end;
    return line_after(f->text + (size_t)tile * TILE_BYTES - 1, end);
}

static void count_tile(void *context, int64_t tile)
{
    struct feed *f = context;
    const char *p = tile_begin(f, tile), *end = tile_begin(f, tile + 1);
    struct word_counts *c = &f->trainer->counts[parallel_thread_index()];
    size_t valid = utf8_valid_prefix(p, (size_t)(end - p));

    f->broken[tile] = valid < (size_t)(end - p) ? valid : SIZE_MAX;
    if (f->broken[tile] != SIZE_MAX)
        return;
    while (p < end) {
        const char *next = line_after(p, end);
        if (count_document(f->trainer, c, p, next) != OK) {
            f->failed[tile] = p;
            error_clear(); /* told again by the caller's thread */
            return;
        }
        p = next;
    }
}

static int fail_broken(const struct feed *f, const char *name, const char *at)
{
    size_t line = 1;

    for (const char *p = f->text; p < at; p++)
        line += *p == '\n';
    return fail(ERR_DATA, "%s:%zu: not UTF-8 at byte %zu of the file", name, line, (size_t)(at - f->text));
}

int tok_trainer_feed_lines(struct tok_trainer *t, const char *name, const char *text, size_t length)
{
    struct feed f = { .trainer = t, .text = text, .length = length };
    int64_t tiles = ceil_div((int64_t)length, TILE_BYTES);
    int status = OK;

    if (parallel_threads() > t->count_tables)
        BUG("more threads than the trainer was made for");
    f.broken = mem_alloc_array((size_t)tiles, sizeof(*f.broken));
    f.failed = mem_alloc_array((size_t)tiles, sizeof(char *));
    parallel_for(tiles, count_tile, &f);
    for (int64_t i = 0; i < tiles && status == OK; i++)
        if (f.broken[i] != SIZE_MAX)
            status = fail_broken(&f, name, tile_begin(&f, i) + f.broken[i]);
        else if (f.failed[i])
            status = count_document(t, &t->counts[0], f.failed[i], line_after(f.failed[i], text + length));
    mem_free(f.failed);
    mem_free(f.broken);
    return status;
}

void trainer_gather(struct tok_trainer *t)
{
    for (int i = 1; i < t->count_tables; i++) {
        struct word_counts_item item;
        size_t place = 0;
        while (word_counts_next(&t->counts[i], &place, &item))
            word_counts_add(&t->counts[0], item.bytes, item.length, item.count);
        word_counts_release(&t->counts[i]);
    }
}

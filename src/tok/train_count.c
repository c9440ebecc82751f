/* Counting words. A file's text is cut into tiles at line ends; every thread counts into a table of its own.
 */
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "tok/split.h"
#include "tok/train.h"

enum { TILE_BYTES = 1 << 20 };

static int check_options(const struct tok_train_options *o)
{
    if (o->vocab_size < 1 || o->vocab_size > INT32_MAX)
        return fail(ERR_CONFIG, "vocab_size %lld (expected 1 to %d)", (long long)o->vocab_size, INT32_MAX);
    if (o->min_frequency < 0)
        return fail(ERR_CONFIG, "min_frequency %lld (expected at least 0)", (long long)o->min_frequency);
    for (size_t i = 0; i < o->special_count; i++)
        if (!o->specials[i] || !*o->specials[i])
            return fail(ERR_CONFIG, "special token %zu is empty", i + 1);
    return OK;
}

int tok_trainer_create(const struct tok_train_options *options, struct tok_trainer **out)
{
    struct tok_trainer *t;

    TRY(check_options(options));
    t = mem_alloc(sizeof(*t));
    t->options = *options;
    t->specials = mem_alloc_array(options->special_count, sizeof(char *));
    for (size_t i = 0; i < options->special_count; i++)
        t->specials[i] = mem_strdup(options->specials[i]);
    t->options.specials = (const char *const *)t->specials;
    t->count_tables = parallel_threads();
    t->counts = mem_alloc_array((size_t)t->count_tables, sizeof(*t->counts));
    *out = t;
    return OK;
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
    mem_free(t->counts);
    mem_free(t);
}

static void count_words(struct word_counts *c, const char *p, const char *end)
{
    while (p < end) {
        const char *next = split_gpt2(p, end);
        word_counts_add(c, p, (size_t)(next - p), 1);
        p = next;
    }
}

static void count_document(struct word_counts *c, const char *p, const char *end, bool add_prefix_space)
{
    struct str spaced;

    if (!add_prefix_space || p == end || *p == ' ') {
        count_words(c, p, end);
        return;
    }
    str_init(&spaced);
    str_append_char(&spaced, ' ');
    str_append_bytes(&spaced, p, (size_t)(end - p));
    count_words(c, spaced.data, spaced.data + spaced.length);
    str_release(&spaced);
}

int tok_trainer_feed(struct tok_trainer *t, const char *text, size_t length)
{
    size_t valid = utf8_valid_prefix(text, length);

    if (valid < length)
        return fail(ERR_DATA, "not UTF-8 at byte %zu", valid);
    count_document(&t->counts[parallel_thread_index()], text, text + length, t->options.add_prefix_space);
    return OK;
}

/* ---- files ---- */

struct feed {
    struct tok_trainer *trainer;
    const char *text;
    size_t length;
    size_t *broken; /* by tile: bytes that are UTF-8, counted from the tile's start; SIZE_MAX: all */
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
        count_document(c, p, next, f->trainer->options.add_prefix_space);
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
    parallel_for(tiles, count_tile, &f);
    for (int64_t i = 0; i < tiles && status == OK; i++)
        if (f.broken[i] != SIZE_MAX)
            status = fail_broken(&f, name, tile_begin(&f, i) + f.broken[i]);
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

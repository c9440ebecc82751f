#include "data/dataset.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"

/* P% of n, to the nearest document and halves to the even one, as Python's round does. */
static int64_t part_of(int64_t n, int64_t percentage)
{
    int64_t whole = n / 100 * percentage, rest = n % 100 * percentage;
    int64_t nearest = (rest + 50) / 100;
    if (rest % 100 == 50 && (whole + nearest) % 2 != 0)
        nearest--;
    return whole + nearest;
}

static int64_t end_of(const struct dataset *d, int64_t document)
{
    return document < 0 ? 0 : (int64_t)d->cache->ends[document];
}

static int choose_part(struct dataset *d, const struct dataset_options *o)
{
    int64_t all = d->cache->document_count / d->stride, held_out = part_of(all, o->held_out_percentage);
    int64_t first = o->part == DATASET_REST ? held_out : 0;
    int64_t count = (o->part == DATASET_HELD_OUT ? held_out : all) - first;
    if (o->held_out_percentage < 0 || o->held_out_percentage > 100)
        return fail(ERR_USAGE, "validation_split_percentage is %lld (expected 0 to 100)",
                    (long long)o->held_out_percentage);
    if (count == 0 && o->part != DATASET_ALL)
        return fail(ERR_DATA, "`%s`: validation_split_percentage %lld of %lld documents leaves none to %s",
                    o->option, (long long)o->held_out_percentage, (long long)all,
                    o->part == DATASET_REST ? "train on" : "evaluate on");
    d->first_document = first * d->stride;
    d->document_count = count * d->stride;
    return OK;
}

/* Whatever the file holds by now, no sample reaches beyond it. */
static int check_ends(const struct dataset *d, int64_t first, int64_t count)
{
    int64_t before = end_of(d, first - 1);
    for (int64_t i = first; i < first + count; i++) {
        int64_t end = end_of(d, i);
        if (before < 0 || end < before || end > d->cache->token_count)
            return fail(ERR_DATA, "%s: the token cache is damaged (document %lld ends at token %lld of %lld)",
                        d->cache->path, (long long)i, (long long)end, (long long)d->cache->token_count);
        before = end;
    }
    return OK;
}

static int64_t length_of(const struct dataset *d, int64_t document)
{
    return end_of(d, document) - end_of(d, document - 1);
}

static bool is_empty(const struct dataset *d, int64_t document)
{
    for (int k = 0; k < d->stride; k++)
        if (length_of(d, document + k) == 0)
            return true;
    return false;
}

static void index_rows(struct dataset *d)
{
    int64_t last = d->first_document + d->document_count, empty = 0;
    for (int64_t i = d->first_document; i < last; i += d->stride)
        empty += is_empty(d, i);
    d->count = d->document_count / d->stride - empty;
    if (empty)
        d->index = mem_alloc_array((size_t)d->count + 1, sizeof(*d->index));
    for (int64_t i = d->first_document, n = 0; empty && i < last; i += d->stride)
        if (!is_empty(d, i))
            d->index[n++] = i;
}

static int64_t document_of(const struct dataset *d, int64_t index)
{
    return d->index ? d->index[index] : d->first_document + index * d->stride;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t largest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static void measure(struct dataset *d)
{
    int64_t used = 0;
    if (!d->rows) {
        used = least(d->count * d->block_size, d->token_count);
        d->longest = least(d->block_size, d->token_count);
    }
    for (int64_t i = 0; d->rows && i < d->count; i++) {
        int64_t document = document_of(d, i), length = length_of(d, document);
        int64_t target = d->stride == 2 ? length_of(d, document + 1) : 0;
        d->truncated += length > d->block_size || target > d->max_target;
        used += least(length, d->block_size) + least(target, d->max_target);
        d->longest = largest(d->longest, least(length, d->block_size));
        d->longest_target = largest(d->longest_target, least(target, d->max_target));
    }
    d->dropped = d->token_count - used;
}

static int fail_empty(const struct dataset *d, const struct dataset_options *o)
{
    return fail(ERR_DATA, "`%s`: no usable sample (found %lld tokens in %lld documents, expected at least 2)",
                o->option, (long long)d->token_count, (long long)d->document_count);
}

int dataset_init(struct dataset *d, const struct token_cache *cache, const struct dataset_options *o)
{
    struct dataset set = { .cache = cache,
                           .block_size = o->block_size,
                           .max_target = o->max_target,
                           .rows = o->rows || cache->pairs || cache->words,
                           .documents = o->documents,
                           .stride = cache->pairs ? 2 : 1,
                           .tail_count = o->tail_count };
    if (o->block_size < 1 || (cache->pairs && o->max_target < 1))
        return fail(ERR_USAGE, "block_size is %lld (expected at least 1)", (long long)o->block_size);
    if (o->tail_count > DATASET_TAIL)
        BUG("%d tokens behind a text", o->tail_count);
    for (int i = 0; i < o->tail_count; i++)
        set.tail[i] = o->tail[i];
    TRY(file_map_check(&cache->map, cache->path));
    TRY(choose_part(&set, o));
    TRY(check_ends(&set, set.first_document, set.document_count));
    set.first_token = end_of(&set, set.first_document - 1);
    set.token_count = end_of(&set, set.first_document + set.document_count - 1) - set.first_token;
    if (set.token_count < 2 && !cache->words)
        return fail_empty(&set, o);
    if (set.rows)
        index_rows(&set);
    else
        set.count = set.token_count < set.block_size ? 1 : set.token_count / set.block_size;
    if (set.count == 0) {
        dataset_release(&set);
        return fail_empty(&set, o);
    }
    if (o->max_samples && set.count > o->max_samples)
        set.count = o->max_samples;
    measure(&set);
    *d = set;
    return OK;
}

void dataset_release(struct dataset *d)
{
    mem_free(d->index);
    *d = (struct dataset){ 0 };
}

/* ---- reading ---- */

/* Tokens from `begin` on, as the sample's from `at` on. */
static int read_tokens(const struct dataset *d, int64_t begin, int64_t count, struct sample *s, int64_t at)
{
    const struct token_cache *c = d->cache;
    TRY(token_cache_read(c, begin, count, s->ids + at, s->labelled ? s->labels + at : NULL));
    for (int64_t i = 0; s->typed && i < count; i++)
        s->types[at + i] = c->types[begin + i];
    return OK;
}

/* Whether the tokens up to `end` end with the tail. */
static bool has_tail(const struct dataset *d, int64_t end, int64_t limit)
{
    int32_t last[DATASET_TAIL];
    if (d->tail_count == 0 || d->tail_count >= limit)
        return false;
    if (token_cache_read(d->cache, end - d->tail_count, d->tail_count, last, NULL) != OK) {
        error_clear();
        return false;
    }
    return memcmp(last, d->tail, (size_t)d->tail_count * sizeof(*last)) == 0;
}

static int read_document(const struct dataset *d, int64_t document, struct sample *s)
{
    int64_t end = end_of(d, document), begin = end_of(d, document - 1), length = end - begin;
    bool cut = length > d->block_size;
    int64_t tail = cut && has_tail(d, end, d->block_size) ? d->tail_count : 0;
    s->length = least(length, d->block_size);
    TRY(read_tokens(d, begin, s->length - tail, s, 0));
    return read_tokens(d, end - tail, tail, s, s->length - tail);
}

static int read_target(const struct dataset *d, int64_t document, struct sample *s)
{
    int64_t end = end_of(d, document), begin = end_of(d, document - 1), length = end - begin;
    int64_t tail = length > d->max_target && has_tail(d, end, d->max_target) ? d->tail_count : 0;
    s->target_length = least(length, d->max_target);
    TRY(token_cache_read(d->cache, begin, s->target_length - tail, s->target, NULL));
    return token_cache_read(d->cache, end - tail, tail, s->target + s->target_length - tail, NULL);
}

static void read_words(const struct dataset *d, int64_t document, struct sample *s)
{
    const int32_t *words = d->cache->words + document * d->cache->word_count;
    s->class = words[0];
    memcpy(s->numbers, words, (size_t)d->cache->word_count * sizeof(*words));
}

/* Where documents begin in the sample, found by bisection. */
static void find_starts(const struct dataset *d, int64_t begin, struct sample *s)
{
    int64_t low = d->first_document, high = d->first_document + d->document_count;
    while (low < high) { /* the first document that ends behind `begin` */
        int64_t middle = low + (high - low) / 2;
        if (end_of(d, middle) > begin)
            high = middle;
        else
            low = middle + 1;
    }
    s->starts[s->start_count++] = 0;
    for (int64_t i = low; end_of(d, i) < begin + s->length; i++)
        if (end_of(d, i) > begin + s->starts[s->start_count - 1])
            s->starts[s->start_count++] = (int32_t)(end_of(d, i) - begin);
}

int dataset_read(const struct dataset *d, int64_t index, struct sample *s)
{
    if (index < 0 || index >= d->count)
        BUG("sample %lld of %lld", (long long)index, (long long)d->count);
    TRY(file_map_check(&d->cache->map, d->cache->path));
    s->labelled = d->cache->labels != NULL;
    s->typed = d->cache->types && s->types; /* callers of the library have no room for them */
    if (d->rows) {
        int64_t document = document_of(d, index);
        TRY(read_document(d, document, s));
        if (d->cache->words)
            read_words(d, document, s);
        return d->stride == 2 ? read_target(d, document + 1, s) : OK;
    }
    int64_t begin = d->first_token + index * d->block_size;
    s->length = least(d->first_token + d->token_count - begin, d->block_size);
    if (d->documents)
        find_starts(d, begin, s);
    return read_tokens(d, begin, s->length, s, 0);
}

static int read_source(void *context, int64_t index, struct sample *s)
{
    return dataset_read(context, index, s);
}

static int64_t source_length(void *context, int64_t index)
{
    const struct dataset *d = context;
    int64_t document = document_of(d, index), length = least(length_of(d, document), d->block_size);
    return d->stride == 2 ? length + least(length_of(d, document + 1), d->max_target) : length;
}

struct sample_source dataset_source(const struct dataset *d)
{
    return (struct sample_source){ .count = d->count,
                                   .max_length = d->block_size,
                                   .max_target = d->stride == 2 ? d->max_target : 0,
                                   .longest = d->longest,
                                   .longest_target = d->longest_target,
                                   .tokens = d->token_count - d->dropped,
                                   .number_count = d->cache->word_count,
                                   .read = read_source,
                                   .length = d->rows ? source_length : NULL,
                                   .context = (void *)(uintptr_t)d };
}

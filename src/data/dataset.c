#include "data/dataset.h"

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
    int64_t all = d->cache->document_count, held_out = part_of(all, o->held_out_percentage);
    if (o->held_out_percentage < 0 || o->held_out_percentage > 100)
        return fail(ERR_USAGE, "validation_split_percentage is %lld (expected 0 to 100)",
                    (long long)o->held_out_percentage);
    d->first_document = o->part == DATASET_REST ? held_out : 0;
    d->document_count = (o->part == DATASET_HELD_OUT ? held_out : all) - d->first_document;
    if (d->document_count == 0 && o->part != DATASET_ALL)
        return fail(ERR_DATA, "`%s`: validation_split_percentage %lld of %lld documents leaves none to %s",
                    o->option, (long long)o->held_out_percentage, (long long)all,
                    o->part == DATASET_REST ? "train on" : "evaluate on");
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

static void index_rows(struct dataset *d)
{
    int64_t last = d->first_document + d->document_count, empty = 0;
    for (int64_t i = d->first_document; i < last; i++)
        empty += length_of(d, i) == 0;
    d->count = d->document_count - empty;
    if (empty)
        d->index = mem_alloc_array((size_t)d->count, sizeof(*d->index));
    for (int64_t i = d->first_document, n = 0; empty && i < last; i++)
        if (length_of(d, i) > 0)
            d->index[n++] = i;
}

static int64_t document_of(const struct dataset *d, int64_t index)
{
    return d->index ? d->index[index] : d->first_document + index;
}

static void count_dropped(struct dataset *d)
{
    int64_t used = 0;
    if (!d->rows)
        used = d->count * d->block_size < d->token_count ? d->count * d->block_size : d->token_count;
    for (int64_t i = 0; d->rows && i < d->count; i++) {
        int64_t length = length_of(d, document_of(d, i));
        d->truncated += length > d->block_size;
        used += length < d->block_size ? length : d->block_size;
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
    struct dataset set = { .cache = cache, .block_size = o->block_size, .rows = o->rows };
    if (o->block_size < 1)
        return fail(ERR_USAGE, "block_size is %lld (expected at least 1)", (long long)o->block_size);
    TRY(file_map_check(&cache->map, cache->path));
    TRY(choose_part(&set, o));
    TRY(check_ends(&set, set.first_document, set.document_count));
    set.first_token = end_of(&set, set.first_document - 1);
    set.token_count = end_of(&set, set.first_document + set.document_count - 1) - set.first_token;
    if (set.token_count < 2)
        return fail_empty(&set, o);
    if (set.rows)
        index_rows(&set);
    else
        set.count = set.token_count < set.block_size ? 1 : set.token_count / set.block_size;
    if (o->max_samples && set.count > o->max_samples)
        set.count = o->max_samples;
    count_dropped(&set);
    *d = set;
    return OK;
}

void dataset_release(struct dataset *d)
{
    mem_free(d->index);
    *d = (struct dataset){ 0 };
}

int dataset_read(const struct dataset *d, int64_t index, struct sample *s)
{
    int64_t begin, length;
    if (index < 0 || index >= d->count)
        BUG("sample %lld of %lld", (long long)index, (long long)d->count);
    if (d->rows) {
        int64_t document = document_of(d, index);
        begin = end_of(d, document - 1);
        length = end_of(d, document) - begin;
    } else {
        begin = d->first_token + index * d->block_size;
        length = d->first_token + d->token_count - begin;
    }
    s->length = length < d->block_size ? length : d->block_size;
    s->labelled = d->cache->labels != NULL;
    return token_cache_read(d->cache, begin, s->length, s->ids, s->labelled ? s->labels : NULL);
}

static int read_source(void *context, int64_t index, struct sample *s)
{
    return dataset_read(context, index, s);
}

struct sample_source dataset_source(const struct dataset *d)
{
    return (struct sample_source){
        .count = d->count, .max_length = d->block_size, .read = read_source, .context = (void *)(uintptr_t)d
    };
}

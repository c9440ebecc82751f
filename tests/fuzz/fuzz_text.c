/* Any bytes as text and as rows: cutting them anywhere a record ends, with any part of them at hand, must
 * give the documents that the whole gives. The first byte chooses where to cut. */
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/rng.h"
#include "data/source.h"

struct seen {
    int64_t documents, lines, bad;
    uint64_t hash;
};

static int see(void *context, const struct document *d)
{
    struct seen *s = context;
    s->documents++;
    for (int c = 0; c < COLUMN_COUNT; c++)
        for (size_t i = 0; d->cells[c].given && i < d->cells[c].length; i++)
            s->hash = s->hash * 31 + (unsigned char)d->cells[c].bytes[i];
    for (size_t i = 0; i < d->count; i++)
        s->hash = s->hash * 31 + (uint32_t)d->ids[i] + (d->labels ? 7 * (uint32_t)d->labels[i] : 0);
    s->hash = rng_mix(s->hash + 1);
    return OK;
}

static void read_part(const struct source_format *format, const char *bytes, size_t length, bool last,
                      struct seen *s)
{
    static char path[] = "fuzz";
    const struct source_options options = { .option = "train_file",
                                            .drop_linebreaks = length % 2,
                                            .max_bad = INT64_MAX };
    const struct source_options kept = { .option = "train_file", .max_bad = INT64_MAX };
    const struct source_file file = { .path = path, .format = format };
    const struct source_set set = { .options = &kept };
    struct source_reader r = { .set = &set };
    struct source_tile t = {
        .file = &file, .bytes = bytes, .length = length, .last = last, .strange = length
    };
    struct seen ignored = { 0 };
    t.options = &options;
    source_tile_read(&t, see, &ignored);
    r.tiles = &t;
    r.tile_count = 1;
    if (t.bad && source_reader_fail(&r, &t) == OK)
        BUG("a bad record without a failure");
    source_tile_release(&t);

    t.options = &kept;
    t.lines = t.bad = 0;
    source_tile_read(&t, see, s);
    s->lines += t.lines;
    s->bad += t.bad;
    source_tile_release(&t);
    error_clear();
}

static void compare(const struct source_format *format, const char *bytes, size_t length, size_t step)
{
    struct seen whole = { 0 }, parts = { 0 };
    size_t begin = 0, window = 0;
    read_part(format, bytes, length, true, &whole);
    while (begin < length) {
        size_t goal = begin + step < length ? begin + step : length;
        window = window + step + 1 < length ? window + step + 1 : length;
        if (goal > window)
            goal = window;
        size_t cut = window > begin ? format->cut(bytes, begin, goal, window, window == length) : 0;
        if (cut && (cut <= begin || cut > window || cut < goal))
            BUG("cut at %zu: from %zu, goal %zu, window %zu", cut, begin, goal, window);
        if (!cut && window < length)
            continue;
        cut = cut ? cut : length;
        read_part(format, bytes + begin, cut - begin, cut == length, &parts);
        begin = cut;
    }
    if (memcmp(&whole, &parts, sizeof(whole)) != 0)
        BUG("parts of %zu bytes give %lld documents, the whole %lld", step, (long long)parts.documents,
            (long long)whole.documents);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    compare(&source_text, (const char *)data + 1, size - 1, (size_t)data[0] % 32 + 1);
    compare(&source_rows, (const char *)data + 1, size - 1, (size_t)data[0] % 32 + 1);
    return 0;
}

/* cuts -- any bytes as a form of data: cut anywhere a record ends, with any part of them at hand, they must
 * give the documents that the whole gives. The first byte chooses where to cut. */
#ifndef PLAIT_FUZZ_CUTS_H
#define PLAIT_FUZZ_CUTS_H

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

static const struct source_options kept = { .option = "train_file", .max_bad = INT64_MAX };
static const struct source_options dropped = { .option = "train_file",
                                               .drop_linebreaks = true,
                                               .max_bad = INT64_MAX };

struct part {
    const struct source_file *file;
    const char *bytes;
    size_t length;
    bool first, last;
};

static void read_tile(struct source_set *set, const struct part *p, struct seen *s)
{
    struct source_reader r = { .set = set };
    struct source_tile t = { .set = set,
                             .file = p->file,
                             .bytes = p->bytes,
                             .length = p->length,
                             .first = p->first,
                             .last = p->last,
                             .strange = p->length };
    source_tile_read(&t, see, s);
    s->lines += t.lines;
    s->bad += t.bad;
    r.tiles = &t;
    r.tile_count = 1;
    if (t.bad && source_reader_fail(&r, &t) == OK)
        BUG("a bad record without a failure");
    source_tile_release(&t);
    error_clear();
}

static void read_part(const struct part *p, struct seen *s)
{
    struct source_set set = { .options = &dropped,
                              .names = { [COLUMN_TEXT] = "text", [COLUMN_LABEL] = "a" } };
    struct seen ignored = { 0 };
    read_tile(&set, p, &ignored);
    set.options = &kept;
    read_tile(&set, p, s);
}

static void compare(const struct source_file *file, const char *bytes, size_t length, size_t step)
{
    const struct source_format *format = file->format;
    struct seen whole = { 0 }, parts = { 0 };
    size_t begin = 0, window = 0;
    read_part(&(struct part){ file, bytes, length, true, true }, &whole);
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
        read_part(&(struct part){ file, bytes + begin, cut - begin, begin == 0, cut == length }, &parts);
        begin = cut;
    }
    if (memcmp(&whole, &parts, sizeof(whole)) != 0)
        BUG("%s: parts of %zu bytes give %lld documents, the whole %lld", format->name, step,
            (long long)parts.documents, (long long)whole.documents);
}

/* Text in the column "text", a label in "a"; CSV with one to three columns; JSON also as rows of ids. */
static int compare_cuts(const struct source_format *format, const uint8_t *data, size_t size)
{
    static char path[] = "fuzz";
    for (size_t width = 1; width < 4 && size; width++) {
        const struct source_file file = { .path = path,
                                          .format = format,
                                          .tokenized = width == 1,
                                          .width = width,
                                          .places = { (int)width / 2, -1, -1, (int)width - 1 } };
        compare(&file, (const char *)data + 1, size - 1, (size_t)data[0] % 32 + 1);
    }
    return 0;
}

#endif

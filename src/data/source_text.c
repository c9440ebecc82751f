/* Text: every line is a document, its line break included, as in Hugging Face's "text" data sets: Python's
 * universal newlines, so lines end at "\n", "\r\n" or "\r" and the break that is kept is "\n" in every case;
 * the last line may have none. Other characters that Unicode calls line breaks are text. A byte order mark is
 * text, too.
 *
 * Any bytes are taken; where they are not UTF-8, the tile remembers the place for a warning.
 *
 * source_lines is how trainers of tokenizers read the same files (tokenizers' read_lines): a line ends at
 * "\n" alone, which belongs to it, and has to be UTF-8. */
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "data/source.h"

static size_t cut(const char *bytes, size_t begin, size_t goal, size_t length, bool end)
{
    size_t at = goal > begin + 1 ? goal - 1 : begin; /* the last byte of the record, at the least */
    while (at < length && bytes[at] != '\n' && bytes[at] != '\r')
        at++;
    if (at >= length || (bytes[at] == '\r' && at + 1 == length && !end))
        return 0;
    return bytes[at] == '\r' && at + 1 < length && bytes[at + 1] == '\n' ? at + 2 : at + 1;
}

/* The line at p without its break; *next is where the following line begins. returns: the tile has a '\r'. */
static size_t line_length(const char *p, const char *end, bool returns, const char **next)
{
    const char *stop = p;
    if (!returns) {
        stop = memchr(p, '\n', (size_t)(end - p));
        *next = stop ? stop + 1 : end;
        return (size_t)((stop ? stop : end) - p);
    }
    while (stop < end && *stop != '\n' && *stop != '\r')
        stop++;
    *next = stop + (stop < end) + (end - stop > 1 && stop[0] == '\r' && stop[1] == '\n');
    return (size_t)(stop - p);
}

static void read_lines(struct source_tile *t, document_fn *emit, void *context)
{
    const char *end = t->bytes + t->length, *next;
    bool returns = memchr(t->bytes, '\r', t->length) != NULL, keep = !t->set->options->drop_linebreaks;
    struct str changed;
    str_init(&changed);
    t->strange = utf8_valid_prefix(t->bytes, t->length);
    for (const char *p = t->bytes; p < end && t->bad <= t->set->options->max_bad; p = next) {
        struct document d = { 0 };
        struct cell *text = &d.cells[COLUMN_TEXT];
        *text = (struct cell){ .bytes = p, .length = line_length(p, end, returns, &next), .given = true };
        if (keep && next > p + text->length && p[text->length] == '\n') {
            text->length++;
        } else if (keep && next > p + text->length) {
            str_clear(&changed);
            str_append_bytes(&changed, p, text->length);
            str_append_char(&changed, '\n');
            text->bytes = changed.data;
            text->length = changed.length;
        }
        if (emit(context, &d) != OK)
            source_tile_bad(t, false);
        t->lines++;
    }
    str_release(&changed);
}

const struct source_format source_text = {
    .name = "text",
    .record = "line",
    .record_limit = (size_t)1 << 30,
    .cut = cut,
    .read = read_lines,
};

/* ---- lines ---- */

static size_t cut_lines(const char *bytes, size_t begin, size_t goal, size_t length, bool end)
{
    size_t at = goal > begin + 1 ? goal - 1 : begin;
    const char *stop = at < length ? memchr(bytes + at, '\n', length - at) : NULL;
    (void)end;
    return stop ? (size_t)(stop - bytes) + 1 : 0;
}

static void read_whole_lines(struct source_tile *t, document_fn *emit, void *context)
{
    const char *end = t->bytes + t->length, *next;
    for (const char *p = t->bytes; p < end && t->bad <= t->set->options->max_bad; p = next, t->lines++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        struct document d = { 0 };
        next = stop ? stop + 1 : end;
        d.cells[COLUMN_TEXT] = (struct cell){ .bytes = p, .length = (size_t)(next - p), .given = true };
        size_t valid = utf8_valid_prefix(p, (size_t)(next - p));
        if (p + valid < next)
            fail(ERR_DATA, "not UTF-8 at byte %llu of the file",
                 (unsigned long long)(t->offset + (uint64_t)(p + valid - t->bytes)));
        if (p + valid < next || emit(context, &d) != OK)
            source_tile_bad(t, false);
    }
}

const struct source_format source_lines = {
    .name = "lines",
    .record = "line",
    .record_limit = (size_t)1 << 30,
    .cut = cut_lines,
    .read = read_whole_lines,
};

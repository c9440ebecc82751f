/* JSON lines: every line is an object, a row (json_row.h). Lines of white space alone are passed over. */
#include <string.h>

#include "base/err.h"
#include "data/json_row.h"

static size_t cut(const char *bytes, size_t begin, size_t goal, size_t length, bool end)
{
    size_t at = goal > begin + 1 ? goal - 1 : begin;
    const char *stop = at < length ? memchr(bytes + at, '\n', length - at) : NULL;
    (void)end;
    return stop ? (size_t)(stop - bytes) + 1 : 0;
}

static bool is_blank(const char *line, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!strchr(" \t\r", line[i]) || !line[i])
            return false;
    return true;
}

static void read_line(struct source_tile *t, struct json_row *row, const char *line, size_t length,
                      bool complete)
{
    const char *path = t->file->path;
    bool too_long = length > t->file->format->record_limit, cut_off;
    if (too_long)
        fail(ERR_DATA, "%s:1: the line is longer than %zu MiB", path, t->file->format->record_limit >> 20);
    if (!too_long && json_row_read(row, t, line, length) == OK)
        return;
    cut_off = strstr(error_message(), "found the end of the text") != NULL;
    if (*line == '[')
        error_hint("this is a JSON array: such a file is named .json; a .jsonl has one object a line");
    else if (cut_off && !complete)
        error_hint("%s has an incomplete last line, without a line break: was its writer stopped?", path);
    else if (cut_off && *line == '{')
        error_hint("an object over several lines? One member of it is read with --json_field");
    source_tile_bad(t, true);
}

static void read_lines(struct source_tile *t, document_fn *emit, void *context)
{
    const char *end = t->bytes + t->length, *next;
    struct json_row row;
    json_row_init(&row);
    for (const char *p = t->bytes; p < end && t->bad <= t->set->options->max_bad; p = next, t->lines++) {
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        size_t length = (size_t)((stop ? stop : end) - p);
        int64_t bad = t->bad;
        next = stop ? stop + 1 : end;
        if (is_blank(p, length))
            continue;
        read_line(t, &row, p, length, stop != NULL);
        if (t->bad == bad && emit(context, &row.document) != OK)
            source_tile_bad(t, false);
        t->records++;
    }
    json_row_release(&row);
}

const struct source_format source_jsonl = {
    .name = "jsonl",
    .record = "line",
    .record_limit = 64 << 20,
    .cut = cut,
    .read = read_lines,
    .look = json_row_look,
};

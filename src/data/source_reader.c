/* Windows and tiles, and what is remembered of bad records. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "data/source.h"

enum { WINDOW = 16 << 20, TILE = 128 << 10 };

static void drop_tiles(struct source_reader *r)
{
    for (size_t i = 0; i < r->tile_count; i++)
        source_tile_release(&r->tiles[i]);
    r->tile_count = 0;
}

void source_reader_init(struct source_reader *r, const struct source_set *set)
{
    *r = (struct source_reader){ .set = set, .body.fd = -1 };
}

void source_reader_release(struct source_reader *r)
{
    drop_tiles(r);
    source_body_close(&r->body);
    mem_free(r->tiles);
    mem_free(r->buffer);
    *r = (struct source_reader){ 0 };
}

static void add_tile(struct source_reader *r, const struct source_file *f, size_t begin, size_t end)
{
    uint64_t offset = r->offset - r->fill + begin;
    r->tiles = mem_grow(r->tiles, r->tile_count, &r->tile_capacity, sizeof(*r->tiles));
    r->tiles[r->tile_count++] = (struct source_tile){
        .set = r->set,
        .file = f,
        .bytes = r->buffer + begin,
        .length = end - begin,
        .offset = offset,
        .first = offset == r->body.begin,
        .last = offset + (end - begin) == r->body.end,
        .strange = end - begin,
    };
}

/* The end of the last record in the buffer, 0 when none ends there. */
static size_t last_cut(const struct source_reader *r, const struct source_file *f)
{
    size_t last = 0, next;
    while (last < r->fill && (next = f->format->cut(r->buffer, last, last + 1, r->fill, false)))
        last = next;
    return last;
}

/* What lies behind the last cut is left to the next window. */
static void cut_tiles(struct source_reader *r, const struct source_file *f)
{
    bool end = r->offset == r->body.end;
    size_t begin = 0;
    while (begin < r->fill) {
        size_t goal = begin + TILE < r->fill ? begin + TILE : r->fill;
        size_t cut = f->format->cut(r->buffer, begin, goal, r->fill, end);
        if (!cut)
            cut = end ? r->fill : begin == 0 ? last_cut(r, f) : 0;
        if (!cut)
            break;
        add_tile(r, f, begin, cut);
        begin = cut;
    }
    r->used = begin;
}

/* Fills the buffer up to `wanted` from the file's place on. */
static int fill_buffer(struct source_reader *r, const struct source_file *f, size_t wanted)
{
    uint64_t left = r->body.end - r->offset;
    size_t room = wanted > r->fill ? wanted - r->fill : 0, length = left < room ? (size_t)left : room;
    if (!r->buffer || r->capacity < r->fill + length) {
        r->capacity = r->fill + length;
        r->buffer = mem_resize(r->buffer, r->capacity);
    }
    TRY(fd_pread(r->body.fd, f->path, r->buffer + r->fill, length, r->offset));
    r->offset += length;
    r->fill += length;
    return OK;
}

/* One more than a record may have, so that a longer one is seen. */
static size_t limit_of(const struct source_file *f)
{
    return f->format->record_limit + 1;
}

int source_fail_long(const struct source_file *f, int64_t line, const char *record, size_t length)
{
    if (f->format->fail_long)
        return f->format->fail_long(f, line, record, length);
    return fail(ERR_DATA, "%s:%lld: the %s is longer than %zu MiB", f->path, (long long)line + 1,
                f->format->record, f->format->record_limit >> 20);
}

/* Reads until a record ends in the buffer, as far as a record may go. */
static int read_window(struct source_reader *r, const struct source_file *f)
{
    size_t wanted = WINDOW;
    for (;;) {
        TRY(fill_buffer(r, f, wanted));
        cut_tiles(r, f);
        if (r->tile_count)
            return OK;
        if (r->fill >= limit_of(f))
            return source_fail_long(f, r->line, r->buffer, r->fill);
        wanted = wanted < limit_of(f) / 2 ? wanted * 2 : limit_of(f);
    }
}

/* What the last window left is moved to the front. */
static void pass_window(struct source_reader *r)
{
    for (size_t i = 0; i < r->tile_count; i++) {
        r->line += r->tiles[i].lines;
        r->record += r->tiles[i].records;
    }
    drop_tiles(r);
    if (r->used)
        memmove(r->buffer, r->buffer + r->used, r->fill - r->used);
    r->fill -= r->used;
    r->done += r->used;
    r->used = 0;
}

static int begin_file(struct source_reader *r, const struct source_file *f)
{
    TRY(source_body_open(f, r->set->options, &r->body));
    r->offset = r->body.begin;
    r->line = r->body.line;
    r->record = 0;
    return OK;
}

int source_reader_next(struct source_reader *r)
{
    pass_window(r);
    while (r->file < r->set->count) {
        const struct source_file *f = &r->set->files[r->file];
        if (r->body.fd < 0)
            TRY(begin_file(r, f));
        if (r->offset < r->body.end || r->fill)
            return read_window(r, f);
        source_body_close(&r->body);
        r->passed += f->size;
        r->file++;
    }
    return OK;
}

uint64_t source_reader_place(const struct source_reader *r)
{
    const struct source_body *b = &r->body;
    if (r->file == r->set->count || b->fd < 0 || b->end == b->begin)
        return r->passed;
    double part = (double)(r->offset - r->fill - b->begin) / (double)(b->end - b->begin);
    return r->passed + (uint64_t)(part * (double)r->set->files[r->file].size);
}

void source_tile_read(struct source_tile *t, document_fn *emit, void *context)
{
    error_clear();
    t->file->format->read(t, emit, context);
}

void source_tile_release(struct source_tile *t)
{
    mem_free(t->fault.text);
    mem_free(t->fault.hint);
    t->fault = (struct source_fault){ 0 };
}

/* Of "PATH:LINE:COLUMN: WHAT" what stands behind "PATH:". Where many records may share a line, its columns
 * say nothing. */
static void add_rest(struct source_fault *fault, const struct source_format *format, const char *rest,
                     struct str *text)
{
    char *end;
    fault->line += strtoll(rest, &end, 10) - 1;
    if (format->numbered && end[0] == ':' && end[1] != ' ' && strchr(end + 1, ':'))
        end = strchr(end + 1, ':');
    str_append(text, end);
}

void source_tile_bad(struct source_tile *t, bool placed)
{
    if (t->bad++ == 0) {
        struct source_fault *fault = &t->fault;
        const char *message = error_message();
        size_t place = strlen(t->file->path) + 1; /* "PATH:" */
        struct str text;
        str_init(&text);
        *fault = (struct source_fault){ .status = error_status(), .line = t->lines, .record = t->records };
        if (placed && strlen(message) > place)
            add_rest(fault, t->file->format, message + place, &text);
        else
            str_appendf(&text, ": %s", message);
        fault->text = str_detach(&text);
        fault->hint = mem_strdup(error_hint_text());
    }
    error_clear();
}

int source_reader_fail(const struct source_reader *r, const struct source_tile *t)
{
    long long line = r->line + 1 + t->fault.line;
    long long record = r->record + 1 + t->fault.record;
    for (const struct source_tile *before = r->tiles; before < t; before++) {
        line += before->lines;
        record += before->records;
    }
    int status;
    if (t->file->format->numbered)
        status = fail(t->fault.status, "%s:%lld: %s %lld%s", t->file->path, line, t->file->format->record,
                      record, t->fault.text);
    else
        status = fail(t->fault.status, "%s:%lld%s", t->file->path, line, t->fault.text);
    if (*t->fault.hint)
        error_hint("%s", t->fault.hint);
    return status;
}

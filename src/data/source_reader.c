/* Windows and tiles, and what is remembered of bad records. */
#include <string.h>

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
    *r = (struct source_reader){ .set = set };
    r->capacity = WINDOW;
    r->buffer = mem_alloc(r->capacity);
}

void source_reader_release(struct source_reader *r)
{
    drop_tiles(r);
    mem_free(r->tiles);
    mem_free(r->buffer);
    *r = (struct source_reader){ 0 };
}

static void add_tile(struct source_reader *r, const struct source_file *f, size_t begin, size_t end)
{
    uint64_t offset = r->offset - r->fill + begin;
    r->tiles = mem_grow(r->tiles, r->tile_count, &r->tile_capacity, sizeof(*r->tiles));
    r->tiles[r->tile_count++] = (struct source_tile){
        .file = f,
        .options = r->set->options,
        .bytes = r->buffer + begin,
        .length = end - begin,
        .offset = offset,
        .last = offset + (end - begin) == f->size,
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
    bool end = r->offset == f->size;
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
    uint64_t left = f->size - r->offset;
    size_t room = wanted > r->fill ? wanted - r->fill : 0, length = left < room ? (size_t)left : room;
    if (r->capacity < wanted) {
        r->capacity = wanted;
        r->buffer = mem_resize(r->buffer, wanted);
    }
    TRY(fd_pread(f->fd, f->path, r->buffer + r->fill, length, r->offset));
    r->offset += length;
    r->fill += length;
    return OK;
}

/* One more than a record may have, so that a longer one is seen. */
static size_t limit_of(const struct source_file *f)
{
    return f->format->record_limit + 1;
}

static int fail_long(const struct source_reader *r, const struct source_file *f)
{
    return fail(ERR_DATA, "%s:%lld: the line is longer than %zu MiB", f->path, (long long)r->line + 1,
                f->format->record_limit >> 20);
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
            return fail_long(r, f);
        wanted = wanted < limit_of(f) / 2 ? wanted * 2 : limit_of(f);
    }
}

/* What the last window left is moved to the front. */
static void pass_window(struct source_reader *r)
{
    for (size_t i = 0; i < r->tile_count; i++)
        r->line += r->tiles[i].lines;
    drop_tiles(r);
    memmove(r->buffer, r->buffer + r->used, r->fill - r->used);
    r->fill -= r->used;
    r->done += r->used;
    r->used = 0;
}

int source_reader_next(struct source_reader *r)
{
    pass_window(r);
    for (; r->file < r->set->count; r->file++, r->offset = 0, r->line = 0) {
        const struct source_file *f = &r->set->files[r->file];
        if (r->offset < f->size || r->fill)
            return read_window(r, f);
    }
    return OK;
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

void source_tile_bad(struct source_tile *t, bool placed)
{
    if (t->bad++ == 0) {
        struct source_fault *fault = &t->fault;
        const char *message = error_message();
        size_t place = strlen(t->file->path) + 2; /* "PATH:1" */
        struct str text;
        str_init(&text);
        if (placed && strlen(message) > place)
            str_append(&text, message + place);
        else
            str_appendf(&text, ": %s", message);
        *fault = (struct source_fault){ .status = error_status(), .line = t->lines };
        fault->text = str_detach(&text);
        fault->hint = mem_strdup(error_hint_text());
    }
    error_clear();
}

int source_reader_fail(const struct source_reader *r, const struct source_tile *t)
{
    long long line = r->line + 1 + t->fault.line;
    for (const struct source_tile *before = r->tiles; before < t; before++)
        line += before->lines;
    int status = fail(t->fault.status, "%s:%lld%s", t->file->path, line, t->fault.text);
    if (*t->fault.hint)
        error_hint("%s", t->fault.hint);
    return status;
}

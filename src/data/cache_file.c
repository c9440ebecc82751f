#include "data/cache_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/map.h"
#include "base/mem.h"
#include "data/content.h"
#include "data/nameless.h"

static const char magic[8] = { 'p', 'l', 'a', 'i', 't', 't', 'o', 'k' };
enum { MOST_WORDS = 1 << 20 };

static const uint32_t own_order = 0x01020304;

static uint64_t header_hash(const struct cache_header *h)
{
    return hash_bytes(h, offsetof(struct cache_header, check), CONTENT_SEED);
}

void cache_header_seal(struct cache_header *h)
{
    memcpy(h->magic, magic, sizeof(magic));
    h->version = CACHE_VERSION;
    h->order = own_order;
    h->check = header_hash(h);
}

/* To a multiple of 8. */
static uint64_t padded(uint64_t bytes)
{
    return (bytes + 7) / 8 * 8;
}

int cache_header_check(const struct cache_header *h, const char *path, struct cache_layout *layout)
{
    const uint64_t most = (uint64_t)1 << 40;
    if (memcmp(h->magic, magic, sizeof(magic)) != 0)
        return fail(ERR_DATA, "%s: not a token cache", path);
    if (h->version != CACHE_VERSION || h->order != own_order)
        return fail(ERR_DATA, "%s: a token cache of another version or machine (found %u, expected %d)", path,
                    h->version, CACHE_VERSION);
    if (h->check != header_hash(h) || h->tokens > most || h->documents > most || h->max_id < -1 ||
        h->max_id > INT32_MAX || (h->width != 2 && h->width != 4) || h->labelled > 1 || h->typed > 1 ||
        h->pairs > 1 || h->words > MOST_WORDS || (h->pairs && h->documents % 2 != 0))
        return fail(ERR_DATA, "%s: the header of the token cache is damaged", path);
    layout->tokens = CACHE_PAGE;
    layout->labels = layout->tokens + padded(h->tokens * h->width);
    layout->types = layout->labels + (h->labelled ? padded(h->tokens * 4) : 0);
    layout->words = layout->types + (h->typed ? padded(h->tokens) : 0);
    layout->ends = layout->words + padded(h->documents * h->words * 4);
    layout->size = layout->ends + h->documents * 8;
    return OK;
}

/* ---- writer ---- */

void cache_writer_init(struct cache_writer *w, int fd, const char *path)
{
    *w = (struct cache_writer){ .fd = fd, .path = path, .buffer = mem_alloc(CONTENT_BLOCK) };
}

void cache_writer_release(struct cache_writer *w)
{
    mem_free(w->buffer);
    mem_free(w->blocks);
    *w = (struct cache_writer){ .fd = -1 };
}

static int write_block(struct cache_writer *w)
{
    w->blocks = mem_grow(w->blocks, w->block_count, &w->block_capacity, sizeof(*w->blocks));
    w->blocks[w->block_count++] = hash_bytes(w->buffer, w->fill, CONTENT_SEED);
    TRY(fd_pwrite(w->fd, w->path, w->buffer, w->fill, CACHE_PAGE + w->length));
    w->length += w->fill;
    w->fill = 0;
    return OK;
}

int cache_writer_add(struct cache_writer *w, const void *bytes, size_t length)
{
    const char *p = bytes;
    while (length) {
        size_t room = CONTENT_BLOCK - w->fill, n = length < room ? length : room;
        memcpy(w->buffer + w->fill, p, n);
        w->fill += n;
        p += n;
        length -= n;
        if (w->fill == CONTENT_BLOCK)
            TRY(write_block(w));
    }
    return OK;
}

int cache_writer_align(struct cache_writer *w)
{
    static const char zeros[8];
    return cache_writer_add(w, zeros, (8 - (w->length + w->fill) % 8) % 8);
}

int cache_writer_end(struct cache_writer *w, struct cache_header *h)
{
    char page[CACHE_PAGE] = "";
    if (w->fill)
        TRY(write_block(w));
    h->content = content_hash_blocks(w->blocks, w->block_count, w->length);
    cache_header_seal(h);
    memcpy(page, h, sizeof(*h));
    return fd_pwrite(w->fd, w->path, page, sizeof(page), 0);
}

/* ---- parts kept aside ---- */

void cache_part_init(struct cache_part *p, const char *directory)
{
    *p = (struct cache_part){ .fd = -1, .directory = directory, .buffer = mem_alloc(CONTENT_BLOCK) };
}

void cache_part_release(struct cache_part *p)
{
    if (p->fd >= 0)
        close(p->fd);
    mem_free(p->buffer);
    *p = (struct cache_part){ .fd = -1 };
}

static int flush_part(struct cache_part *p)
{
    if (p->fd < 0)
        TRY(nameless_create(p->directory, &p->fd));
    TRY(fd_write(p->fd, p->directory, p->buffer, p->fill));
    p->length += p->fill;
    p->fill = 0;
    return OK;
}

int cache_part_add(struct cache_part *p, const void *bytes, size_t length)
{
    const char *from = bytes;
    while (length) {
        size_t room = CONTENT_BLOCK - p->fill, n = length < room ? length : room;
        memcpy(p->buffer + p->fill, from, n);
        p->fill += n;
        from += n;
        length -= n;
        if (p->fill == CONTENT_BLOCK)
            TRY(flush_part(p));
    }
    return OK;
}

int cache_part_copy(struct cache_part *p, struct cache_writer *w)
{
    char *bytes = mem_alloc(CONTENT_BLOCK);
    int status = OK;
    for (uint64_t at = 0; at < p->length && status == OK; at += CONTENT_BLOCK) {
        size_t n = p->length - at < CONTENT_BLOCK ? (size_t)(p->length - at) : CONTENT_BLOCK;
        status = fd_pread(p->fd, p->directory, bytes, n, at);
        if (status == OK)
            status = cache_writer_add(w, bytes, n);
    }
    mem_free(bytes);
    TRY(status);
    TRY(cache_writer_add(w, p->buffer, p->fill));
    return cache_writer_align(w);
}

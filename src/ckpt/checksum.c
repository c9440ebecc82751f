#include "ckpt/checksum.h"

#include <unistd.h>
#include <xxhash.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/parallel.h"

void checksum_init(struct checksum *c)
{
    *c = (struct checksum){ 0 };
}

void checksum_release(struct checksum *c)
{
    XXH3_freeState(c->state);
    mem_free(c->chunks);
    *c = (struct checksum){ 0 };
}

static void end_chunk(struct checksum *c)
{
    c->chunks = mem_grow(c->chunks, c->count, &c->capacity, sizeof(*c->chunks));
    c->chunks[c->count++] = XXH3_64bits_digest(c->state);
    XXH3_64bits_reset(c->state);
}

void checksum_add(struct checksum *c, const void *bytes, size_t length)
{
    const char *p = bytes;
    if (c->state == NULL) {
        c->state = XXH3_createState();
        if (c->state == NULL)
            out_of_memory(576);
        XXH3_64bits_reset(c->state);
    }
    while (length > 0) {
        size_t room = CHECKSUM_CHUNK - c->bytes % CHECKSUM_CHUNK, n = length < room ? length : room;
        XXH3_64bits_update(c->state, p, n);
        c->bytes += n;
        p += n;
        length -= n;
        if (n == room)
            end_chunk(c);
    }
}

void checksum_end(struct checksum *c)
{
    if (c->bytes % CHECKSUM_CHUNK != 0)
        end_chunk(c);
}

size_t checksum_chunks(uint64_t bytes)
{
    return (size_t)(bytes / CHECKSUM_CHUNK + (bytes % CHECKSUM_CHUNK != 0));
}

struct verification {
    const char *path;
    int fd;
    uint64_t bytes;
    const uint64_t *chunks;
    struct checksum_part part;
    unsigned char *result; /* for each chunk of the part */
};

enum { CHUNK_GOOD, CHUNK_BAD, CHUNK_UNREAD };

static void verify_chunk(void *context, int64_t i)
{
    const struct verification *v = context;
    uint64_t chunk = v->part.first + (uint64_t)i * v->part.step;
    uint64_t begin = chunk * CHECKSUM_CHUNK, rest = v->bytes - begin;
    size_t length = rest < CHECKSUM_CHUNK ? (size_t)rest : CHECKSUM_CHUNK;
    char *buffer = mem_alloc(length);
    if (fd_pread(v->fd, v->path, buffer, length, begin) != OK) {
        v->result[i] = CHUNK_UNREAD;
        error_clear(); /* this thread's record: the caller's thread says it */
    } else {
        v->result[i] = XXH3_64bits(buffer, length) == v->chunks[chunk] ? CHUNK_GOOD : CHUNK_BAD;
    }
    mem_free(buffer);
}

int checksum_verify_part(const char *path, uint64_t bytes, const uint64_t *chunks, struct checksum_part part,
                         int64_t *bad)
{
    struct verification v = { .path = path, .bytes = bytes, .chunks = chunks, .part = part };
    size_t all = checksum_chunks(bytes), count = 0;
    int64_t first_bad = -1;
    int status = OK;
    TRY(file_open(path, &v.fd));
    if (part.first < all)
        count = (all - part.first + part.step - 1) / part.step;
    v.result = mem_alloc(count);
    parallel_for((int64_t)count, verify_chunk, &v);
    for (size_t i = 0; i < count && status == OK && first_bad < 0; i++) {
        size_t chunk = part.first + i * part.step;
        if (v.result[i] == CHUNK_BAD)
            first_bad = (int64_t)chunk;
        else if (v.result[i] == CHUNK_UNREAD)
            status = fail(ERR_IO, "%s: cannot read bytes %zu to %zu", path, chunk * CHECKSUM_CHUNK,
                          (chunk + 1) * CHECKSUM_CHUNK);
    }
    mem_free(v.result);
    close(v.fd);
    if (status == OK)
        *bad = first_bad;
    return status;
}

int checksum_verify(const char *path, uint64_t bytes, const uint64_t *chunks, int64_t *bad)
{
    return checksum_verify_part(path, bytes, chunks, (struct checksum_part){ 0, 1 }, bad);
}

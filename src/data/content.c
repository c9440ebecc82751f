#include "data/content.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/parallel.h"

struct work {
    int fd;
    uint64_t offset, length;
    uint64_t *hashes; /* of each block */
    int *trouble;     /* of each thread: errno, or -1 for a file that ended */
    char *buffers;    /* a block for each thread */
};

/* Status of one block: 0, errno or -1. A tile cannot fail, so no record is made here. */
static int read_block(const struct work *w, char *bytes, size_t length, uint64_t offset)
{
    while (length) {
        ssize_t n = pread(w->fd, bytes, length, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n ? errno : -1;
        bytes += n;
        offset += (uint64_t)n;
        length -= (size_t)n;
    }
    return 0;
}

static void hash_block(void *context, int64_t block)
{
    struct work *w = context;
    int thread = parallel_thread_index();
    char *bytes = w->buffers + (size_t)thread * CONTENT_BLOCK;
    uint64_t begin = (uint64_t)block * CONTENT_BLOCK, left = w->length - begin;
    size_t length = left < CONTENT_BLOCK ? (size_t)left : CONTENT_BLOCK;
    int trouble = read_block(w, bytes, length, w->offset + begin);

    if (trouble)
        w->trouble[thread] = trouble;
    else
        w->hashes[block] = hash_bytes(bytes, length, CONTENT_SEED);
}

uint64_t content_hash_blocks(const uint64_t *blocks, uint64_t count, uint64_t length)
{
    return hash_bytes(blocks, (size_t)count * sizeof(*blocks), CONTENT_SEED ^ length);
}

int content_hash(int fd, const char *path, uint64_t offset, uint64_t length, uint64_t *hash)
{
    int threads = parallel_threads(), status = OK;
    uint64_t blocks = length / CONTENT_BLOCK + (length % CONTENT_BLOCK != 0);
    struct work w = { .fd = fd, .offset = offset, .length = length };

    if (offset > INT64_MAX || length > INT64_MAX - offset)
        return fail(ERR_IO, "%s: cannot read at offset %llu: too large", path, (unsigned long long)offset);
    w.hashes = mem_alloc_array((size_t)blocks, sizeof(*w.hashes));
    w.trouble = mem_alloc_array((size_t)threads, sizeof(*w.trouble));
    w.buffers = mem_alloc_array((size_t)threads, CONTENT_BLOCK);
    parallel_for((int64_t)blocks, hash_block, &w);
    for (int i = 0; i < threads && status == OK; i++) {
        if (w.trouble[i] > 0)
            status = fail(ERR_IO, "%s: cannot read: %s", path, strerror(w.trouble[i]));
        else if (w.trouble[i] < 0)
            status = fail(ERR_IO, "%s: the file became shorter while in use", path);
    }
    if (status == OK)
        *hash = content_hash_blocks(w.hashes, blocks, length);
    mem_free(w.hashes);
    mem_free(w.trouble);
    mem_free(w.buffers);
    return status;
}

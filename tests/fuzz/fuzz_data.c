/* Any bytes as a data file of each kind, found, looked at, framed and read as `plait train` reads it: plain,
 * as gzip and as zstd. The first byte chooses the kind. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "data/source.h"

static int see(void *context, const struct document *d)
{
    uint64_t *sum = context;
    for (int c = 0; c < COLUMN_COUNT; c++)
        for (size_t i = 0; d->cells[c].given && i < d->cells[c].length; i++)
            *sum += (unsigned char)d->cells[c].bytes[i];
    for (size_t i = 0; i < d->count; i++)
        *sum += (uint32_t)d->ids[i] + (d->labels ? (uint32_t)d->labels[i] : 0) +
                (d->types ? (uint32_t)d->types[i] : 0);
    return OK;
}

static void read_all(const struct source_options *o, uint64_t *sum)
{
    struct source_set set;
    struct source_reader r;
    if (source_set_open(&set, o) != OK)
        return;
    source_reader_init(&r, &set);
    while (source_reader_next(&r) == OK && r.tile_count)
        for (size_t i = 0; i < r.tile_count; i++) {
            source_tile_read(&r.tiles[i], see, sum);
            if (r.tiles[i].bad && source_reader_fail(&r, &r.tiles[i]) == OK)
                BUG("a bad record without a failure");
            error_clear();
        }
    source_reader_release(&r);
    source_set_close(&set);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const endings[] = { ".csv", ".json", ".jsonl", ".txt", ".csv.gz", ".jsonl.zst" };
    char path[80], link[96];
    uint64_t sum = 0;
    if (size == 0)
        return 0;
    const char *patterns[] = { link };
    struct source_options o = { .option = "train_file",
                                .patterns = patterns,
                                .pattern_count = 1,
                                .spool_directory = "/tmp",
                                .max_bad = data[0] & 64 ? INT64_MAX : 0 };
    o.json_field = data[0] & 128 ? "data" : NULL;
    o.columns[COLUMN_SOURCE] = data[0] & 32 ? "a" : NULL;
    o.columns[COLUMN_LABEL] = data[0] & 32 ? "b" : NULL;
    log_set_level(LOG_ERROR);
    int fd = memfd_create("data", MFD_CLOEXEC);
    if (pwrite(fd, data + 1, size - 1, 0) < 0)
        BUG("memfd");
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    snprintf(link, sizeof(link), "/tmp/plait-fuzz-%ld%s", (long)getpid(), endings[(data[0] & 31) % 6]);
    unlink(link);
    if (symlink(path, link) != 0)
        BUG("%s", link);
    read_all(&o, &sum);
    unlink(link);
    error_clear();
    close(fd);
    return 0;
}

/* A token cache whose header is whole but whose numbers are anything: it is refused, or every sample can be
 * read. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "data/cache_file.h"
#include "data/dataset.h"

static void read_samples(const struct token_cache *c, const struct dataset_options *o)
{
    struct dataset d;
    if (dataset_init(&d, c, o) == OK) {
        struct sample s = { .ids = mem_alloc_array((size_t)o->block_size, sizeof(*s.ids)) };
        s.labels = mem_alloc_array((size_t)o->block_size, sizeof(*s.labels));
        for (int64_t i = 0; i < d.count; i++)
            if (dataset_read(&d, i, &s) == OK && (s.length < 1 || s.length > o->block_size))
                BUG("a sample of %lld tokens", (long long)s.length);
        mem_free(s.ids);
        mem_free(s.labels);
        dataset_release(&d);
    }
    error_clear();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cache_header h = { .width = 2 };
    char page[CACHE_PAGE] = "", path[40];
    struct token_cache c;
    if (size < 8)
        return 0;
    h.tokens = data[0] % 32;
    h.documents = data[1] % 16;
    h.width = data[2];
    h.labelled = data[3];
    h.max_id = data[4];
    cache_header_seal(&h);
    if (data[5] == 0)
        memcpy(&h, data, size < sizeof(h) ? size : sizeof(h));
    memcpy(page, &h, sizeof(h));

    int fd = memfd_create("cache", MFD_CLOEXEC);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (pwrite(fd, page, sizeof(page), 0) < 0 || pwrite(fd, data + 8, size - 8, CACHE_PAGE) < 0)
        BUG("memfd");
    if (token_cache_open(path, data[6] % 2, &c) == OK) {
        struct dataset_options o = { .option = "train_file", .block_size = data[6] % 5, .rows = data[7] % 2 };
        o.part = data[7] / 2 % 3;
        o.held_out_percentage = data[6];
        o.max_samples = data[7] / 6 % 4;
        read_samples(&c, &o);
        token_cache_close(&c);
    }
    error_clear();
    close(fd);
    return 0;
}

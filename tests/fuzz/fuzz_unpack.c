/* Any bytes as gzip and as zstd: what comes out does not depend on how much is asked for at once. The first
 * byte says how much. */
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/str.h"
#include "data/unpack.h"

enum { MOST = 1 << 20 };

static int unpack(enum packing packing, int fd, size_t step, uint64_t *hash)
{
    struct unpacker *u;
    struct str all;
    char bytes[4096];
    size_t count = 1;
    int status = unpacker_create(packing, fd, "fuzz", &u);
    if (status != OK)
        return status;
    str_init(&all);
    while (status == OK && count && all.length < MOST) {
        status = unpacker_read(u, bytes, step, &count);
        if (status == OK && count > step)
            BUG("%zu bytes, and %zu were asked for", count, step);
        str_append_bytes(&all, bytes, status == OK ? count : 0);
    }
    *hash = status == OK ? hash_bytes(all.data, all.length < MOST ? all.length : MOST, 1) : 0;
    str_release(&all);
    unpacker_free(u);
    error_clear();
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    int fd = memfd_create("packed", MFD_CLOEXEC);
    if (pwrite(fd, data + 1, size - 1, 0) < 0)
        BUG("memfd");
    for (int packing = PACKING_GZIP; packing < PACKING_COUNT; packing++) {
        uint64_t one = 0, other = 0;
        int first = unpack((enum packing)packing, fd, (size_t)data[0] + 1, &one);
        int second = unpack((enum packing)packing, fd, 4096, &other);
        if (first == OK && second == OK && one != other)
            BUG("%s: other bytes in steps of %d", packing_names[packing], data[0] + 1);
    }
    close(fd);
    return 0;
}

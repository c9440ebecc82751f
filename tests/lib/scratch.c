#include "lib/scratch.h"

#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

int scratch_create(void **state)
{
    const char *place = getenv("TMPDIR");
    char path[4096];
    snprintf(path, sizeof(path), "%s/plait-test-XXXXXX", place && *place ? place : "/tmp");
    if (!mkdtemp(path))
        return -1;
    *state = mem_strdup(path);
    return 0;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *level)
{
    (void)info, (void)type, (void)level;
    return remove(path);
}

int scratch_remove(void **state)
{
    int result = nftw(*state, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    mem_free(*state);
    return result;
}

char *scratch_path(void **state, const char *name)
{
    size_t size = strlen(*state) + strlen(name) + 2;
    char *path = mem_alloc(size);
    snprintf(path, size, "%s/%s", (const char *)*state, name);
    return path;
}

void scratch_put(const char *path, const void *bytes, size_t length)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    if (length)
        assert_int_equal(fwrite(bytes, 1, length, f), length);
    assert_int_equal(fclose(f), 0);
}

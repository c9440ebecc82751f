/* support -- what the tests of the library share. They see plait.h and nothing else of ours, so goldens are
 * read here in the simplest way that works for files that were made for these tests. */
#ifndef PLAIT_TESTS_API_SUPPORT_H
#define PLAIT_TESTS_API_SUPPORT_H

#include <ftw.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plait.h"

#include <cmocka.h>

/* The call succeeds, or the test ends with its sentence. */
static inline void must(int status)
{
    if (status != PLAIT_OK)
        fail_msg("%d: %s", status, plait_error());
}

/* The call has failed with `expected`, and its sentence has `words` in it. */
static inline void refused(int status, int expected, const char *words)
{
    if (status != expected || !strstr(plait_error(), words))
        fail_msg("status %d, \"%s\"; expected %d, \"...%s...\"", status, plait_error(), expected, words);
}

/* ---- files ---- */

static inline char *read_bytes(const char *path, size_t *length)
{
    FILE *f = fopen(path, "rb");
    char *bytes;
    long size;

    assert_non_null(f);
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    size = ftell(f);
    rewind(f);
    bytes = malloc((size_t)size + 1);
    assert_non_null(bytes);
    *length = fread(bytes, 1, (size_t)size, f);
    assert_int_equal(*length, size);
    bytes[size] = '\0';
    fclose(f);
    return bytes;
}

/* The bytes of a tensor of a safetensors file, freed by the caller; NULL: there is none. *rows: its first
 * dim. */
static inline void *read_tensor(const char *path, const char *name, size_t *bytes, int64_t *rows)
{
    size_t length;
    uint64_t header;
    char *file = read_bytes(path, &length), key[200], *found, *copy = NULL;
    long long first, end, dim = 0;

    memcpy(&header, file, sizeof(header));
    snprintf(key, sizeof(key), "\"%s\":{", name);
    found = strstr(file + 8, key);
    if (found) {
        found = strstr(found, "\"shape\":[");
        sscanf(found, "\"shape\":[%lld", &dim);
        found = strstr(found, "\"data_offsets\":[");
        assert_int_equal(sscanf(found, "\"data_offsets\":[%lld,%lld]", &first, &end), 2);
        *bytes = (size_t)(end - first);
        *rows = dim;
        copy = malloc(*bytes + 1);
        assert_non_null(copy);
        memcpy(copy, file + 8 + header + first, *bytes);
    }
    free(file);
    return copy;
}

/* An int64 tensor (rows, count / rows) as int32; NULL: there is none. */
static inline int32_t *read_ints(const char *path, const char *name, int64_t *rows, int64_t *count)
{
    size_t bytes = 0;
    int64_t *wide = read_tensor(path, name, &bytes, rows);
    int32_t *values;

    if (!wide)
        return NULL;
    *count = (int64_t)(bytes / sizeof(wide[0]));
    values = malloc(bytes);
    assert_non_null(values);
    for (int64_t i = 0; i < *count; i++)
        values[i] = (int32_t)wide[i];
    free(wide);
    return values;
}

static inline double difference(const float *a, const float *b, int64_t count)
{
    double sum = 0, norm = 0;

    for (int64_t i = 0; i < count; i++) {
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        norm += (double)b[i] * b[i];
    }
    return sqrt(sum / (norm > 0 ? norm : 1));
}

/* ---- a directory for each test: *state is its path ---- */

static inline int scratch_begin(void **state)
{
    const char *place = getenv("TMPDIR");
    char path[4000];

    snprintf(path, sizeof(path), "%s/plait-api-XXXXXX", place && *place ? place : "/tmp");
    if (!mkdtemp(path))
        return -1;
    *state = strdup(path);
    return 0;
}

static inline int scratch_remove_one(const char *path, const struct stat *info, int type, struct FTW *level)
{
    (void)info, (void)type, (void)level;
    return remove(path);
}

static inline int scratch_end(void **state)
{
    int status = nftw(*state, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);

    free(*state);
    return status;
}

struct path {
    char text[4096];
};

static inline const char *within(void **state, const char *name, struct path *p)
{
    snprintf(p->text, sizeof(p->text), "%s/%s", (const char *)*state, name);
    return p->text;
}

#endif

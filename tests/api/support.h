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

/* ---- tensors ---- */

enum { MOST_TENSORS = 128 };

/* All tensors of a safetensors file, in its order; names and data lie in `file`. */
struct tensors {
    char *file;
    struct plait_array list[MOST_TENSORS];
    int64_t count;
};

static inline int type_named(const char *text)
{
    return strncmp(text, "I64", 3) == 0   ? PLAIT_INT64
           : strncmp(text, "I32", 3) == 0 ? PLAIT_INT32
                                          : PLAIT_FLOAT32;
}

static inline void tensors_read(struct tensors *t, const char *path)
{
    uint64_t header;
    size_t length;
    char *at, *data;

    *t = (struct tensors){ .file = read_bytes(path, &length) };
    memcpy(&header, t->file, sizeof(header));
    at = t->file + 8;
    data = at + header;
    data[-1] = '\0'; /* the closing brace, or a space */
    while ((at = strstr(at, "\"dtype\":\"")) != NULL) {
        struct plait_array *a = &t->list[t->count++];
        char *name = at;
        assert_true(t->count <= MOST_TENSORS);
        while (name[-1] != ':' || name[-2] != '"')
            name--;
        name[-2] = '\0';
        for (name -= 3; name[-1] != '"';)
            name--;
        a->name = name;
        a->type = type_named(at + 9);
        at = strstr(at, "\"shape\":[") + 9;
        while (*at >= '0' && *at <= '9') {
            a->shape[a->ndim++] = strtoll(at, &at, 10);
            at += *at == ',';
        }
        at = strstr(at, "\"data_offsets\":[") + 16;
        a->data = data + strtoll(at, &at, 10);
    }
}

static inline void tensors_release(struct tensors *t)
{
    free(t->file);
}

static inline struct plait_array *tensors_find(struct tensors *t, const char *name)
{
    for (int64_t i = 0; i < t->count; i++)
        if (strcmp(t->list[i].name, name) == 0)
            return &t->list[i];
    return NULL;
}

static inline int64_t elements(const struct plait_array *a)
{
    int64_t count = 1;

    for (int d = 0; d < a->ndim; d++)
        count *= a->shape[d];
    return count;
}

/* Integers [rows, columns] of the caller's. */
static inline struct plait_array ints(const char *name, const int32_t *data, int64_t rows, int64_t columns)
{
    return (struct plait_array){
        .name = name, .type = PLAIT_INT32, .ndim = 2, .shape = { rows, columns }, .data = data
    };
}

static inline struct plait_array output(struct plait_model *m, const char *name)
{
    struct plait_array a;

    must(plait_model_output(m, name, &a));
    return a;
}

static inline float loss_of(struct plait_model *m)
{
    return *(const float *)output(m, "loss").data;
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

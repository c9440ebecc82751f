#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/map.h"
#include "exec/store_internal.h"

struct store {
    struct map names; /* -> index into entries */
    struct stored **entries;
    size_t count, capacity;
};

struct store *store_create(void)
{
    struct store *s = mem_alloc(sizeof(*s));

    map_init(&s->names);
    return s;
}

void store_free(struct store *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->count; i++) {
        mem_unmap(s->entries[i]->data, (size_t)s->entries[i]->room);
        mem_free(s->entries[i]->name);
        mem_free(s->entries[i]);
    }
    mem_free(s->entries);
    map_release(&s->names);
    mem_free(s);
}

size_t store_count(const struct store *s)
{
    return s->count;
}

struct stored *store_at(const struct store *s, size_t i)
{
    return s->entries[i];
}

struct stored *store_find(const struct store *s, const char *name)
{
    int64_t i;

    return map_get(&s->names, name, strlen(name), &i) && i >= 0 ? s->entries[i] : NULL;
}

void store_remove(struct store *s, const char *name)
{
    struct stored *e = store_find(s, name);
    size_t i = 0;

    if (!e)
        return;
    map_set(&s->names, e->name, strlen(e->name), -1);
    while (s->entries[i] != e)
        i++;
    for (s->count--; i < s->count; i++) {
        s->entries[i] = s->entries[i + 1];
        map_set(&s->names, s->entries[i]->name, strlen(s->entries[i]->name), (int64_t)i);
    }
    mem_unmap(e->data, (size_t)e->room);
    mem_free(e->name);
    mem_free(e);
}

void stored_describe(struct stored *e, const struct tensor *t, const struct mesh *mesh, int rank)
{
    e->kind = t->kind;
    e->dtype = t->dtype;
    e->ndim = t->ndim;
    e->bytes = tensor_local_bytes(t, mesh);
    e->room = tensor_room(t, mesh);
    for (int d = 0; d < t->ndim; d++) {
        e->dims[d] = t->dims[d].size;
        e->local[d] = tensor_local_dim(t, d, mesh);
        e->first[d] = tensor_first(t, d, mesh, rank);
    }
    e->has_param = t->param != NULL;
    if (t->param)
        e->param = *t->param;
}

static int check_same(const struct stored *e, const struct tensor *t, const struct mesh *mesh, int rank)
{
    for (int d = 0; d < t->ndim; d++)
        if (e->ndim != t->ndim || e->dims[d] != t->dims[d].size ||
            e->local[d] != tensor_local_dim(t, d, mesh) || e->first[d] != tensor_first(t, d, mesh, rank))
            return fail(ERR_INTERNAL,
                        "%s: dim %d lies otherwise in another plan of this run (found %" PRId64
                        " entries from %" PRId64 ", expected %" PRId64 " from %" PRId64 ")",
                        e->name, d, tensor_local_dim(t, d, mesh), tensor_first(t, d, mesh, rank), e->local[d],
                        e->first[d]);
    return OK;
}

int store_bind(struct store *s, const struct tensor *t, const struct mesh *mesh, int rank,
               struct stored **out)
{
    struct str name;
    struct stored *e;
    int status = OK;

    str_init(&name);
    str_appendf(&name, "%s%s", t->kind == TENSOR_GRAD ? "grad." : "", t->name);
    e = store_find(s, name.data);
    if (e) {
        status = check_same(e, t, mesh, rank);
        goto out;
    }
    e = mem_alloc(sizeof(*e));
    stored_describe(e, t, mesh, rank);
    e->data = mem_map((size_t)e->room);
    if (!e->data) {
        status = fail(ERR_SYSTEM, "%s: no memory (asked for %" PRId64 " bytes, %" PRIu64 " available)",
                      name.data, e->room, mem_available());
        mem_free(e);
        goto out;
    }
    e->name = mem_strdup(name.data);
    map_set(&s->names, e->name, strlen(e->name), (int64_t)s->count);
    s->entries = mem_grow(s->entries, s->count, &s->capacity, sizeof(s->entries[0]));
    s->entries[s->count++] = e;
out:
    str_release(&name);
    if (status == OK)
        *out = e;
    return status;
}

/* ---- Shares and wholes: rows of the innermost dim, counted through like an odometer ---- */

struct walk {
    int64_t index[MAX_DIMS]; /* in the share, all dims but the last */
    int64_t share, whole;    /* element offsets of the row */
    bool inside;             /* not padding */
};

static bool walk_row(const struct stored *s, struct walk *w, int64_t row)
{
    int last = s->ndim > 0 ? s->ndim - 1 : 0;
    int64_t rest = row;

    w->inside = true;
    w->whole = 0;
    for (int d = last - 1; d >= 0; d--) {
        w->index[d] = rest % s->local[d];
        rest /= s->local[d];
    }
    if (rest > 0)
        return false;
    for (int d = 0; d < last; d++) {
        int64_t at = s->first[d] + w->index[d];
        w->inside = w->inside && at < s->dims[d];
        w->whole = w->whole * s->dims[d] + at;
    }
    if (s->ndim > 0) {
        w->whole = w->whole * s->dims[last] + s->first[last];
        w->share = row * s->local[last];
    } else {
        w->share = 0;
    }
    return true;
}

static int64_t row_inside(const struct stored *s)
{
    int last = s->ndim - 1;
    int64_t n = s->ndim > 0 ? s->dims[last] - s->first[last] : 1;

    if (s->ndim > 0 && n > s->local[last])
        n = s->local[last];
    return n > 0 ? n : 0;
}

static int64_t row_total(const struct stored *s)
{
    int64_t rows = 1;

    for (int d = 0; d + 1 < s->ndim; d++)
        rows *= s->local[d];
    return rows;
}

void stored_to_whole(const struct stored *s, float *whole)
{
    int64_t n = row_inside(s), rows = row_total(s);
    struct walk w;

    for (int64_t row = 0; row < rows && walk_row(s, &w, row); row++)
        if (w.inside)
            memcpy(whole + w.whole, s->data + w.share, (size_t)n * sizeof(float));
}

void stored_from_whole(struct stored *s, const float *whole)
{
    int64_t n = row_inside(s), rows = row_total(s);
    struct walk w;

    for (int64_t row = 0; row < rows && walk_row(s, &w, row); row++)
        if (w.inside)
            memcpy(s->data + w.share, whole + w.whole, (size_t)n * sizeof(float));
}

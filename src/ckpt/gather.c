#include "ckpt/gather.h"

#include <string.h>

#include "base/err.h"
#include "ckpt/gather_internal.h"
#include "ckpt/share.h"

/* ---- messages ---- */

int gather_send(struct comm *c, int to, enum dtype type, const void *data, int64_t count)
{
    return comm_run(c,
                    &(struct transfer){
                        .kind = TRANSFER_SEND, .axis = AXIS_ALL, .dtype = type, .count = count, .peer = to },
                    data, NULL);
}

int gather_receive(struct comm *c, int from, enum dtype type, void *data, int64_t count)
{
    return comm_run(
        c,
        &(struct transfer){
            .kind = TRANSFER_RECV, .axis = AXIS_ALL, .dtype = type, .count = count, .peer = from },
        NULL, data);
}

/* ---- what there is: each entry of a store and its name, padded to whole words ---- */

enum { ENTRY_WORDS = (sizeof(struct stored) + WORD - 1) / WORD };

static int64_t name_words(size_t length)
{
    return (int64_t)(length / WORD + 1);
}

static int64_t *list_store(const struct store *store, int64_t *words)
{
    int64_t *list, at = 0;

    *words = 0;
    for (size_t i = 0; i < store_count(store); i++)
        *words += ENTRY_WORDS + name_words(strlen(store_at(store, i)->name));
    list = mem_alloc_array((size_t)*words + 1, WORD);
    for (size_t i = 0; i < store_count(store); i++) {
        const struct stored *s = store_at(store, i);
        memcpy(list + at, s, sizeof(*s));
        memcpy(list + at + ENTRY_WORDS, s->name, strlen(s->name) + 1);
        at += ENTRY_WORDS + name_words(strlen(s->name));
    }
    return list;
}

static struct tensor_parts *find(const struct gather *g, const char *name)
{
    int64_t i;

    return map_get(&g->names, name, strlen(name), &i) ? &g->tensors[i] : NULL;
}

static bool same_share(const struct stored *a, const struct stored *b)
{
    return memcmp(a->first, b->first, sizeof(a->first)) == 0 &&
           memcmp(a->local, b->local, sizeof(a->local)) == 0;
}

/* A table that is tied to another lies on the stages of both. */
static bool later_stage(const struct gather *g, int rank, int first)
{
    const struct mesh *mesh = &g->comm->mesh;

    return mesh_coordinate(mesh, rank, AXIS_PP) > mesh_coordinate(mesh, first, AXIS_PP);
}

static void add_piece(struct gather *g, int rank, int64_t index, const struct stored *s, const char *name)
{
    struct tensor_parts *t = find(g, name);
    struct piece p = { .rank = rank, .index = index, .s = *s };

    if (!t) {
        g->tensors = mem_grow(g->tensors, g->count, &g->capacity, sizeof(g->tensors[0]));
        t = &g->tensors[g->count];
        *t = (struct tensor_parts){ .name = mem_strdup(name) };
        map_set(&g->names, t->name, strlen(name), (int64_t)g->count++);
    }
    if (t->count)
        p.again = later_stage(g, rank, t->pieces[0].rank);
    for (size_t i = 0; i < t->count; i++)
        p.again = p.again || same_share(&t->pieces[i].s, s);
    t->pieces = mem_grow(t->pieces, t->count, &t->capacity, sizeof(t->pieces[0]));
    t->pieces[t->count++] = p;
}

static void add_list(struct gather *g, int rank, const int64_t *list, int64_t words)
{
    int64_t at = 0;

    for (int64_t i = 0; at < words; i++) {
        const char *name = (const char *)(list + at + ENTRY_WORDS);
        struct stored s;
        memcpy(&s, list + at, sizeof(s));
        add_piece(g, rank, i, &s, name);
        at += ENTRY_WORDS + name_words(strlen(name));
    }
}

static int learn(struct gather *g)
{
    int ranks = g->comm ? mesh_ranks(&g->comm->mesh) : 1, status = OK;
    int64_t words, *list = list_store(g->store, &words);

    add_list(g, 0, list, words);
    mem_free(list);
    for (int r = 1; r < ranks && status == OK; r++) {
        TRY(gather_receive(g->comm, r, DT_I64, &words, 1));
        list = mem_alloc_array((size_t)words + 1, WORD);
        status = gather_receive(g->comm, r, DT_I64, list, words);
        if (status == OK)
            add_list(g, r, list, words);
        mem_free(list);
    }
    return status;
}

/* ---- the others ---- */

static int tell(struct comm *c, const struct store *store)
{
    int64_t words, *list = list_store(store, &words);
    int status = gather_send(c, 0, DT_I64, &words, 1);

    if (status == OK)
        status = gather_send(c, 0, DT_I64, list, words);
    mem_free(list);
    return status;
}

static int serve(struct comm *c, const struct store *store)
{
    int64_t wish[2]; /* which entry; or GATHER_WRITE; or GATHER_END and a status */

    TRY(tell(c, store));
    for (;;) {
        const struct stored *s;
        TRY(gather_receive(c, 0, DT_I64, wish, 2));
        if (wish[0] == GATHER_END)
            break;
        if (wish[0] == GATHER_WRITE) {
            TRY(gather_write(c, store));
            continue;
        }
        s = store_at(store, (size_t)wish[0]);
        TRY(gather_send(c, 0, s->dtype, s->data, s->bytes / (int64_t)dtype_bytes(s->dtype)));
    }
    if (wish[1] == OK)
        return OK;
    c->echo = true;
    return fail((int)wish[1], "another rank has failed");
}

/* ---- the first ---- */

static int fetch(struct gather *g, const struct piece *p, float *whole)
{
    struct stored s = p->s;
    int64_t wish[2] = { p->index, 0 };
    int status;

    if (p->rank == 0) {
        stored_to_whole(&s, whole);
        return OK;
    }
    s.data = mem_alloc_array((size_t)s.bytes + 1, 1);
    status = gather_send(g->comm, p->rank, DT_I64, wish, 2);
    if (status == OK)
        status = gather_receive(g->comm, p->rank, s.dtype, s.data, s.bytes / (int64_t)dtype_bytes(s.dtype));
    if (status == OK)
        stored_to_whole(&s, whole);
    mem_free(s.data);
    return status;
}

static int make_whole(struct gather *g, const struct tensor_parts *t)
{
    const struct stored *like = &t->pieces[0].s;
    int64_t elements = 1;

    for (int d = 0; d < like->ndim; d++)
        elements *= like->dims[d];
    mem_free(g->whole);
    g->current = NULL;
    g->whole = mem_alloc_array((size_t)elements + 1, sizeof(float));
    for (size_t i = 0; i < t->count; i++)
        if (!t->pieces[i].again)
            TRY(fetch(g, &t->pieces[i], g->whole));
    g->current = t;
    return OK;
}

static int read_values(const struct weights_param *p, int64_t first, int64_t count, float *out)
{
    struct gather *g = p->context;
    const struct tensor_parts *t = find(g, p->name);

    if (g->current != t)
        TRY(make_whole(g, t));
    memcpy(out, g->whole + first, (size_t)count * sizeof(float));
    return OK;
}

struct weights_param *gather_params(struct gather *g, enum tensor_kind kind, size_t *count)
{
    struct weights_param *list = mem_alloc_array(g->count + 1, sizeof(list[0]));

    *count = 0;
    for (size_t i = 0; i < g->count; i++) {
        const struct piece *p = &g->tensors[i].pieces[0];
        struct weights_param *w = &list[*count];
        if (p->s.kind != kind)
            continue;
        *w = (struct weights_param){ .name = g->tensors[i].name,
                                     .ndim = p->s.param.file_ndim,
                                     .shape = p->s.param.file_dims,
                                     .context = g };
        if (p->rank == 0 && share_is_whole(&p->s))
            w->data = p->s.data;
        else
            w->read = read_values;
        ++*count;
    }
    return list;
}

int gather_part(struct gather *g, int rank, const char *name, float *whole, bool *there)
{
    const struct tensor_parts *t = find(g, name);

    *there = false;
    for (size_t i = 0; t && i < t->count; i++) {
        if (t->pieces[i].rank != rank)
            continue;
        *there = true;
        return fetch(g, &t->pieces[i], whole);
    }
    return OK;
}

/* One that hears of a failure ends at once, and what is sent to the next may fail for that: what failed first
 * stays no echo. */
static int end(struct gather *g, int status)
{
    int64_t wish[2] = { GATHER_END, status };
    int ranks = g->comm ? mesh_ranks(&g->comm->mesh) : 1, sent = OK;
    bool echo = g->comm && g->comm->echo;

    for (int r = 1; r < ranks && sent == OK; r++)
        sent = gather_send(g->comm, r, DT_I64, wish, 2);
    if (status != OK && g->comm)
        g->comm->echo = echo;
    return status == OK ? sent : status;
}

int gather_run(struct comm *comm, const struct store *store, int (*fn)(void *context, struct gather *g),
               void *context)
{
    struct gather g = { .comm = comm, .store = store };
    int status;

    comm_enter(comm, PHASE_SAVE);
    if (comm && comm->rank > 0)
        return serve(comm, store);
    map_init(&g.names);
    status = learn(&g);
    if (status == OK)
        status = end(&g, fn(context, &g));
    for (size_t i = 0; i < g.count; i++) {
        mem_free(g.tensors[i].name);
        mem_free(g.tensors[i].pieces);
    }
    mem_free(g.tensors);
    mem_free(g.whole);
    map_release(&g.names);
    return status;
}

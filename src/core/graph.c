#include "core/graph.h"

#include <string.h>

#include "base/err.h"
#include "core/op.h"

struct graph *graph_create(void)
{
    struct graph *g = mem_alloc(sizeof(*g));

    arena_init(&g->arena);
    map_init(&g->names);
    return g;
}

void graph_free(struct graph *g)
{
    if (!g)
        return;
    arena_release(&g->arena);
    map_release(&g->names);
    mem_free(g->nodes);
    mem_free(g->tensors);
    mem_free(g);
}

static void name_key(struct str *key, const char *name, enum tensor_kind kind)
{
    str_init(key);
    str_append_char(key, (char)('0' + kind));
    str_append(key, name);
}

struct tensor *graph_add_tensor(struct graph *g, const struct tensor *like)
{
    struct tensor *t = arena_alloc(&g->arena, sizeof(*t));
    struct str key;

    *t = *like;
    t->id = (int)g->tensor_count;
    g->tensors = mem_grow(g->tensors, g->tensor_count, &g->tensor_capacity, sizeof(struct tensor *));
    g->tensors[g->tensor_count++] = t;
    if (t->name && !t->producer) {
        name_key(&key, t->name, t->kind);
        map_add(&g->names, key.data, key.length, t->id);
        str_release(&key);
    }
    return t;
}

void graph_append(struct graph *g, struct node *n)
{
    n->id = (int)g->node_count;
    g->nodes = mem_grow(g->nodes, g->node_count, &g->node_capacity, sizeof(struct node *));
    g->nodes[g->node_count++] = n;
}

/* ---- Tensors ---- */

int64_t tensor_count(const struct tensor *t)
{
    int64_t count = 1;

    for (int d = 0; d < t->ndim; d++)
        if (!checked_mul(count, t->dims[d].size, &count))
            return INT64_MAX;
    return count;
}

int64_t tensor_bytes(const struct tensor *t)
{
    int64_t bytes;

    return checked_mul(tensor_count(t), (int64_t)dtype_bytes(t->dtype), &bytes) ? bytes : INT64_MAX;
}

int64_t tensor_local_dim(const struct tensor *t, int dim, const struct mesh *mesh)
{
    int64_t size = t->dims[dim].size;

    for (int a = 0; a < PLACEMENT_AXES; a++) {
        struct placement p = t->layout.on[a];
        if (p.kind != SHARD || p.dim != dim || (a == AXIS_DP && t->dims[dim].count != COUNT_FIXED))
            continue;
        size = (size + mesh->size[a] - 1) / mesh->size[a];
    }
    return size;
}

int64_t tensor_first(const struct tensor *t, int dim, const struct mesh *mesh, int rank)
{
    int64_t size = t->dims[dim].size, first = 0;

    for (int a = 0; a < PLACEMENT_AXES; a++) {
        struct placement p = t->layout.on[a];
        if (p.kind != SHARD || p.dim != dim || (a == AXIS_DP && t->dims[dim].count != COUNT_FIXED))
            continue;
        size = (size + mesh->size[a] - 1) / mesh->size[a];
        first += size * mesh_coordinate(mesh, rank, (enum axis)a);
    }
    return first;
}

int64_t tensor_local_bytes(const struct tensor *t, const struct mesh *mesh)
{
    int64_t bytes = (int64_t)dtype_bytes(t->dtype);

    for (int d = 0; d < t->ndim; d++)
        if (!checked_mul(bytes, tensor_local_dim(t, d, mesh), &bytes))
            return INT64_MAX;
    return bytes;
}

int64_t tensor_room(const struct tensor *t, const struct mesh *mesh)
{
    int64_t bytes = tensor_local_bytes(t, mesh), ranks = mesh_size(mesh, AXIS_DP), n = 1, more;

    if (t->kind != TENSOR_GRAD || !t->param || t->param->file_ndim < 2 || t->layout.on[AXIS_DP].kind == SHARD)
        return bytes;
    for (int d = 0; d < t->ndim && n == 1; d++)
        n = tensor_local_dim(t, d, mesh);
    more = (ranks - n % ranks) % ranks;
    return more <= n / 100 ? bytes / n * (n + more) : bytes;
}

int64_t tensor_rows(const struct tensor *t)
{
    return t->ndim > 0 ? t->dims[0].size : 1;
}

int64_t tensor_row_count(const struct tensor *t)
{
    int64_t count = 1;

    for (int d = 1; d < t->ndim; d++)
        count *= t->dims[d].size;
    return count;
}

struct tensor *tensor_storage(struct tensor *t)
{
    for (;;) {
        if (t->into)
            t = t->into;
        else if (t->producer && t->producer->op->alias)
            t = t->producer->in[0];
        else
            return t;
    }
}

struct tensor *graph_find(const struct graph *g, const char *name, enum tensor_kind kind)
{
    struct str key;
    int64_t id;
    bool found;

    name_key(&key, name, kind);
    found = map_get(&g->names, key.data, key.length, &id);
    str_release(&key);
    return found ? g->tensors[id] : NULL;
}

/* ---- Invariants ---- */

static void check_inputs(const struct node *n, const int produced_at[], const int overwritten_at[], int at)
{
    for (int i = 0; i < n->nin; i++) {
        const struct tensor *t = n->in[i];
        if (!t)
            continue;
        if (t->producer && produced_at[t->id] < 0)
            BUG("%s (%s): input %d is read at place %d before it is made", n->op->name, n->scope, i, at);
        if (overwritten_at[t->id] >= 0)
            BUG("%s (%s): input %d was overwritten at place %d", n->op->name, n->scope, i,
                overwritten_at[t->id]);
    }
}

void graph_check(const struct graph *g)
{
    int *produced_at = mem_alloc_array(g->tensor_count + 1, sizeof(int));
    int *overwritten_at = mem_alloc_array(g->tensor_count + 1, sizeof(int));

    memset(produced_at, -1, g->tensor_count * sizeof(int));
    memset(overwritten_at, -1, g->tensor_count * sizeof(int));
    for (size_t k = 0; k < g->node_count; k++) {
        const struct node *n = g->nodes[k];
        check_inputs(n, produced_at, overwritten_at, (int)k);
        for (int j = 0; j < n->nout; j++) {
            const struct tensor *t = n->out[j];
            if (!t)
                continue;
            if (t->producer != n || t->output != j || produced_at[t->id] >= 0)
                BUG("%s (%s): output %d does not belong to it", n->op->name, n->scope, j);
            produced_at[t->id] = (int)k;
            if (t->into && overwritten_at[t->into->id] >= 0)
                BUG("%s (%s): output %d overwrites what was overwritten already", n->op->name, n->scope, j);
            if (t->into)
                overwritten_at[t->into->id] = (int)k;
        }
    }
    mem_free(produced_at);
    mem_free(overwritten_at);
}

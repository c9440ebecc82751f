/* Kernels of the collective ops. Along a dim other than the first, shares are gathered one after the other
 * into workspace and then dealt into place. Entries past the end of the whole dim are padding and are left
 * out (gather) or zero (shard).
 *
 * A collective is its transfer and what is to be done after it (finish). One whose node has a `wait` is only
 * started in its place; the wait does the rest, or all where it was not started. */
#include "comm/kernels.h"

#include <string.h>

#include "base/err.h"
#include "comm/comm.h"
#include "ops/ops.h"

static int64_t view_count(const struct view *v)
{
    int64_t count = 1;

    for (int d = 0; d < v->ndim; d++)
        count *= v->dim[d];
    return count;
}

static enum axis axis_of(const struct kernel_args *a)
{
    return (enum axis)a->node->attr[COLLECTIVE_AXIS];
}

/* A view as (outer, n, inner) around the collective's dim. */
struct span {
    int64_t outer, n, inner;
};

static struct span span_of(const struct view *v, int dim)
{
    struct span s = { 1, 1, 1 };

    for (int d = 0; d < v->ndim; d++) {
        if (d < dim)
            s.outer *= v->dim[d];
        else if (d > dim)
            s.inner *= v->dim[d];
        else
            s.n = v->dim[d];
    }
    return s;
}

/* A transfer fails when another rank has: the program ends after this node. */
static bool went_well(const struct kernel_args *a, int status)
{
    if (status != OK)
        a->comm->status = status;
    return status == OK;
}

/* True: the transfer has ended, so that it can be finished; false: it has failed, or was only started. */
static bool carry(const struct kernel_args *a, const struct transfer *x, const void *in, void *out)
{
    if (!a->request)
        return went_well(a, comm_run(a->comm, x, in, out));
    if (request_is_begun(a->request))
        BUG("%s: started again before it was waited for", a->node->op->name);
    comm_start(a->comm, x, in, out, a->request);
    return false;
}

static struct transfer transfer_of(const struct kernel_args *a, enum transfer_kind kind, int64_t count)
{
    return (struct transfer){ .kind = kind,
                              .axis = axis_of(a),
                              .reduction = (enum reduction)a->node->attr[COLLECTIVE_REDUCTION],
                              .dtype = a->in[0].dtype,
                              .count = count };
}

static void run_all_reduce(const struct kernel_args *a)
{
    struct transfer x = transfer_of(a, TRANSFER_ALL_REDUCE, view_count(&a->in[0]));

    x.members = (uint64_t)a->node->attr[COLLECTIVE_MEMBERS];
    carry(a, &x, a->in[0].data, a->out[0].data);
}

static void add_floats(float *to, const float *x, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        to[i] += x[i];
}

/* Copies entries [first, first + n) of the whole dim from `whole` into the share, or adds them; what lies
 * past the end is zero. */
static void take_share(const struct view *whole, const struct view *share, int dim, bool add)
{
    struct span w = span_of(whole, dim), s = span_of(share, dim);
    size_t bytes = dtype_bytes(whole->dtype);
    int64_t first = share->first[dim] - whole->first[dim], n = s.n;

    if (first + n > w.n)
        n = w.n > first ? w.n - first : 0;
    for (int64_t o = 0; o < s.outer; o++) {
        char *to = (char *)share->data + (size_t)(o * s.n * s.inner) * bytes;
        const char *from = (const char *)whole->data + (size_t)((o * w.n + first) * w.inner) * bytes;
        if (add) {
            add_floats((void *)to, (const void *)from, n * s.inner);
            continue;
        }
        memcpy(to, from, (size_t)(n * s.inner) * bytes);
        memset(to + (size_t)(n * s.inner) * bytes, 0, (size_t)((s.n - n) * s.inner) * bytes);
    }
}

static void run_keep_shard(const struct kernel_args *a)
{
    take_share(&a->in[0], &a->out[0], (int)a->node->attr[COLLECTIVE_DIM], a->add[0]);
}

static struct tensor *whole_of(const struct node *n)
{
    return n->op == &op_all_gather ? n->out[0] : n->op == &op_reduce_scatter ? n->in[0] : NULL;
}

const struct tensor *collective_whole(const struct node *n, const struct mesh *mesh, int64_t *bytes)
{
    const struct tensor *whole = whole_of(n), *share = n->op == &op_all_gather ? n->in[0] : n->out[0];
    const struct tensor *root;
    int dim = (int)n->attr[COLLECTIVE_DIM];
    int64_t padded;

    if (!whole || whole->dims[dim].count != COUNT_FIXED)
        return NULL;
    for (int d = 0; d < dim; d++)
        if (tensor_local_dim(whole, d, mesh) != 1)
            return NULL;
    padded = tensor_local_bytes(share, mesh) * mesh_size(mesh, (enum axis)n->attr[COLLECTIVE_AXIS]);
    root = tensor_storage(whole_of(n));
    if (padded > tensor_room(root, mesh) && root->kind != TENSOR_VALUE)
        return NULL;
    *bytes = padded;
    return whole;
}

/* Shares of all ranks at capacity: a rank may use fewer rows than another. */
static int64_t gather_bytes(const struct node *n, const struct mesh *mesh, const struct machine *m)
{
    int64_t bytes;

    (void)m;
    if (collective_whole(n, mesh, &bytes))
        return 0;
    return tensor_local_bytes(n->in[0], mesh) * mesh_size(mesh, (enum axis)n->attr[COLLECTIVE_AXIS]);
}

static int64_t share_capacity(const struct kernel_args *a, int dim)
{
    return tensor_local_dim(a->node->in[0], dim, &a->comm->mesh);
}

/* Shares one after the other, zeros where they lack something. */
static void pack_shares(const struct kernel_args *a, int64_t capacity, int dim, char *to)
{
    struct span w = span_of(&a->in[0], dim);
    int ranks = mesh_size(&a->comm->mesh, axis_of(a));
    size_t row = (size_t)w.inner * dtype_bytes(a->in[0].dtype);

    for (int r = 0; r < ranks; r++)
        for (int64_t o = 0; o < w.outer; o++, to += (size_t)capacity * row) {
            int64_t first = capacity * r, n = w.n - first < capacity ? w.n - first : capacity;
            n = n > 0 ? n : 0;
            memcpy(to, (const char *)a->in[0].data + (size_t)(o * w.n + (n ? first : 0)) * row,
                   (size_t)n * row);
            memset(to + (size_t)n * row, 0, (size_t)(capacity - n) * row);
        }
}

/* The part of a reduce-scatter that each rank gets. */
static int64_t scattered_count(const struct kernel_args *a)
{
    int dim = (int)a->node->attr[COLLECTIVE_DIM];
    struct span share = span_of(&a->out[0], dim);

    return share.outer * tensor_local_dim(a->node->out[0], dim, &a->comm->mesh) * share.inner;
}

/* Shares lie in the whole as they are dealt, or may: there is room for padding behind them. */
static bool lies_dealt(const struct kernel_args *a, const struct view *whole, int64_t capacity)
{
    struct span w = span_of(whole, (int)a->node->attr[COLLECTIVE_DIM]);
    int64_t bytes;

    return (w.outer == 1 && w.n == capacity * mesh_size(&a->comm->mesh, axis_of(a))) ||
           collective_whole(a->node, &a->comm->mesh, &bytes);
}

static bool scatters_directly(const struct kernel_args *a)
{
    int dim = (int)a->node->attr[COLLECTIVE_DIM];

    return lies_dealt(a, &a->in[0], tensor_local_dim(a->node->out[0], dim, &a->comm->mesh));
}

/* What this rank gets, where it does not get it in its place; in workspace: [all packed][this rank's]. */
static char *scattered(const struct kernel_args *a)
{
    int64_t packed = scatters_directly(a) ? 0 : scattered_count(a) * mesh_size(&a->comm->mesh, axis_of(a));

    return (char *)a->workspace + (size_t)packed * dtype_bytes(a->in[0].dtype);
}

static void finish_reduce_scatter(const struct kernel_args *a)
{
    if (a->add[0])
        add_floats(a->out[0].data, (const void *)scattered(a), view_count(&a->out[0]));
    else if (!scatters_directly(a))
        memcpy(a->out[0].data, scattered(a), (size_t)view_count(&a->out[0]) * dtype_bytes(a->in[0].dtype));
}

/* Zeros behind the whole, where there are fewer entries than are dealt out. */
static void pad_whole(const struct kernel_args *a, int64_t dealt)
{
    int64_t count = view_count(&a->in[0]);
    size_t bytes = dtype_bytes(a->in[0].dtype);

    memset((char *)a->in[0].data + (size_t)count * bytes, 0, (size_t)(dealt - count) * bytes);
}

static void run_reduce_scatter(const struct kernel_args *a)
{
    int dim = (int)a->node->attr[COLLECTIVE_DIM];
    struct transfer x = transfer_of(a, TRANSFER_REDUCE_SCATTER, scattered_count(a));
    bool direct = scatters_directly(a);

    if (direct)
        pad_whole(a, x.count * mesh_size(&a->comm->mesh, axis_of(a)));
    else
        pack_shares(a, tensor_local_dim(a->node->out[0], dim, &a->comm->mesh), dim, a->workspace);
    if (carry(a, &x, direct ? a->in[0].data : a->workspace,
              direct && !a->add[0] ? a->out[0].data : scattered(a)))
        finish_reduce_scatter(a);
}

static int64_t scatter_bytes(const struct node *n, const struct mesh *mesh, const struct machine *m)
{
    int64_t share = tensor_local_bytes(n->out[0], mesh), bytes;

    (void)m;
    if (collective_whole(n, mesh, &bytes))
        return n->accumulate[0] ? share : 0;
    return share * (1 + mesh_size(mesh, (enum axis)n->attr[COLLECTIVE_AXIS]));
}

static void finish_all_gather(const struct kernel_args *a)
{
    int dim = (int)a->node->attr[COLLECTIVE_DIM], ranks = mesh_size(&a->comm->mesh, axis_of(a));
    struct span whole = span_of(&a->out[0], dim);
    int64_t capacity = share_capacity(a, dim), piece = whole.outer * capacity * whole.inner;
    size_t bytes = dtype_bytes(a->out[0].dtype);

    if (lies_dealt(a, &a->out[0], capacity))
        return;
    for (int r = 0; r < ranks; r++) {
        int64_t first = capacity * r, n = whole.n - first < capacity ? whole.n - first : capacity;
        for (int64_t o = 0; n > 0 && o < whole.outer; o++)
            memcpy((char *)a->out[0].data + (size_t)((o * whole.n + first) * whole.inner) * bytes,
                   (const char *)a->workspace + (size_t)(r * piece + o * capacity * whole.inner) * bytes,
                   (size_t)(n * whole.inner) * bytes);
    }
}

static void run_all_gather(const struct kernel_args *a)
{
    int dim = (int)a->node->attr[COLLECTIVE_DIM];
    struct span share = span_of(&a->in[0], dim);
    int64_t capacity = share_capacity(a, dim);
    struct transfer x = transfer_of(a, TRANSFER_ALL_GATHER, share.outer * capacity * share.inner);
    bool direct = lies_dealt(a, &a->out[0], capacity);

    if (dim > 0 && share.n != capacity)
        BUG("all_gather: a dim other than the first has a run-time count");
    if (carry(a, &x, a->in[0].data, direct ? a->out[0].data : a->workspace))
        finish_all_gather(a);
}

static const struct {
    const struct op_def *op;
    void (*run)(const struct kernel_args *a);
    void (*finish)(const struct kernel_args *a); /* NULL: nothing is left to do */
} collectives[] = {
    { &op_all_reduce, run_all_reduce, NULL },
    { &op_all_gather, run_all_gather, finish_all_gather },
    { &op_reduce_scatter, run_reduce_scatter, finish_reduce_scatter },
};

/* Of a collective that was started before, with its views and workspace. */
static void run_wait(const struct kernel_args *a)
{
    const struct kernel_args *s = a->started;
    size_t i = 0;
    int status;

    while (collectives[i].op != s->node->op)
        i++;
    if (!request_is_begun(s->request))
        collectives[i].run(s);
    status = comm_wait(s->comm, s->request);
    *s->request = (struct request){ 0 };
    if (went_well(s, status) && collectives[i].finish)
        collectives[i].finish(s);
}

static void run_keep_first(const struct kernel_args *a)
{
    (void)a; /* an alias: the executor has bound the output to the input, or to nothing */
}

/* The executor starts and awaits transfers between stages: other nodes run meanwhile. */
static void run_transfer(const struct kernel_args *a)
{
    BUG("%s is run as a node", a->node->op->name);
}

static const struct kernel all_reduce_kernels[] = { { .name = "all_reduce", .run = run_all_reduce }, { 0 } };
static const struct kernel all_gather_kernels[] = {
    { .name = "all_gather", .workspace = gather_bytes, .run = run_all_gather }, { 0 }
};
static const struct kernel reduce_scatter_kernels[] = {
    { .name = "reduce_scatter", .workspace = scatter_bytes, .run = run_reduce_scatter }, { 0 }
};
static const struct kernel keep_shard_kernels[] = { { .name = "copy", .run = run_keep_shard }, { 0 } };
static const struct kernel wait_kernels[] = { { .name = "wait", .run = run_wait }, { 0 } };
static const struct kernel transfer_kernels[] = { { .name = "transfer", .run = run_transfer }, { 0 } };
static const struct kernel keep_first_kernels[] = { { .name = "alias", .run = run_keep_first }, { 0 } };

const struct kernel *const comm_kernels[OP_COUNT] = {
    [OP_all_reduce] = all_reduce_kernels,
    [OP_all_gather] = all_gather_kernels,
    [OP_reduce_scatter] = reduce_scatter_kernels,
    [OP_keep_shard] = keep_shard_kernels,
    [OP_keep_first] = keep_first_kernels,
    [OP_wait] = wait_kernels,
    [OP_send] = transfer_kernels,
    [OP_receive] = transfer_kernels,
};

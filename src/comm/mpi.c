/* The module for one MPI: see mpi.h. Not part of the library. Errors are returned, not fatal; every
 * transfer is a nonblocking call that is tested until it is done. */
#include <mpi.h>

#include "comm/mpi.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct context {
    MPI_Comm world, host;
    MPI_Op bf16[2], lse32, lse64; /* bf16: sum, maximum */
    int rank, ranks;
    char problem[MPI_MAX_ERROR_STRING + 128];
};

static const char *explain(struct context *c, const char *call, int code)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int length;

    if (code == MPI_SUCCESS)
        return NULL;
    MPI_Error_string(code, text, &length);
    for (char *p = text; *p; p++)
        if (*p == '\n')
            *p = ' ';
    snprintf(c->problem, sizeof(c->problem), "%s: %s", call, text);
    return c->problem;
}

/* ---- reductions that MPI does not have ---- */

static float widen(uint16_t x)
{
    uint32_t bits = (uint32_t)x << 16;
    float y;

    memcpy(&y, &bits, sizeof(y));
    return y;
}

static uint16_t narrow(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof(bits));
    return (uint16_t)(isnan(x) ? bits >> 16 | 0x40 : (bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static void add_bf16(void *in, void *inout, int *count, MPI_Datatype *type)
{
    uint16_t *a = in, *b = inout;

    (void)type;
    for (int i = 0; i < *count; i++)
        b[i] = narrow(widen(a[i]) + widen(b[i]));
}

static void max_bf16(void *in, void *inout, int *count, MPI_Datatype *type)
{
    uint16_t *a = in, *b = inout;

    (void)type;
    for (int i = 0; i < *count; i++)
        b[i] = widen(a[i]) > widen(b[i]) ? a[i] : b[i];
}

static double log_sum_exp(double a, double b)
{
    double high = a > b ? a : b, low = a > b ? b : a;

    return low == -INFINITY ? high : high + log1p(exp(low - high));
}

static void lse_f32(void *in, void *inout, int *count, MPI_Datatype *type)
{
    float *a = in, *b = inout;

    (void)type;
    for (int i = 0; i < *count; i++)
        b[i] = (float)log_sum_exp(a[i], b[i]);
}

static void lse_f64(void *in, void *inout, int *count, MPI_Datatype *type)
{
    double *a = in, *b = inout;

    (void)type;
    for (int i = 0; i < *count; i++)
        b[i] = log_sum_exp(a[i], b[i]);
}

static MPI_Op op_of(const struct context *c, const struct mpi_transfer *x)
{
    if (x->reduction == MPI_REDUCE_LOGSUMEXP)
        return x->type == MPI_TYPE_F64 ? c->lse64 : c->lse32;
    if (x->type == MPI_TYPE_BF16)
        return c->bf16[x->reduction];
    return x->reduction == MPI_REDUCE_SUM ? MPI_SUM : MPI_MAX;
}

static MPI_Datatype type_of(enum mpi_type t)
{
    switch (t) {
    case MPI_TYPE_F32: return MPI_FLOAT;
    case MPI_TYPE_F64: return MPI_DOUBLE;
    case MPI_TYPE_I32: return MPI_INT32_T;
    case MPI_TYPE_I64: return MPI_INT64_T;
    default: return MPI_UINT16_T;
    }
}

/* ---- the world ---- */

static void describe(struct mpi_world *w)
{
    char version[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length;

    MPI_Get_library_version(version, &length);
    version[strcspn(version, "\n,")] = '\0';
    for (char *p = version; *p; p++)
        if (*p == '\t')
            *p = ' ';
    snprintf(w->version, sizeof(w->version), "%.120s", version);
}

static const char *make_world(struct context *c, struct mpi_world *w)
{
    const char *problem = explain(c, "MPI_Comm_dup", MPI_Comm_dup(MPI_COMM_WORLD, &c->world));

    if (problem)
        return problem;
    MPI_Comm_set_errhandler(c->world, MPI_ERRORS_RETURN);
    MPI_Comm_rank(c->world, &c->rank);
    MPI_Comm_size(c->world, &c->ranks);
    w->rank = c->rank;
    w->ranks = c->ranks;
    problem = explain(c, "MPI_Comm_split_type",
                      MPI_Comm_split_type(c->world, MPI_COMM_TYPE_SHARED, c->rank, MPI_INFO_NULL, &c->host));
    if (problem)
        return problem;
    MPI_Comm_size(c->host, &w->host_ranks);
    MPI_Comm_rank(c->host, &w->host_rank);
    MPI_Op_create(add_bf16, 1, &c->bf16[0]);
    MPI_Op_create(max_bf16, 1, &c->bf16[1]);
    MPI_Op_create(lse_f32, 1, &c->lse32);
    MPI_Op_create(lse_f64, 1, &c->lse64);
    return NULL;
}

static const char *open_world(void *context, struct mpi_world *w)
{
    struct context *c = context;
    int level = MPI_THREAD_SINGLE, code = MPI_Init_thread(NULL, NULL, MPI_THREAD_SERIALIZED, &level);

    if (code != MPI_SUCCESS)
        return explain(c, "MPI_Init_thread", code);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    w->threads = level >= MPI_THREAD_SERIALIZED;
    describe(w);
    return make_world(c, w);
}

static void list_host(void *context, int ranks[])
{
    struct context *c = context;

    MPI_Allgather(&c->rank, 1, MPI_INT, ranks, 1, MPI_INT, c->host);
}

static void abort_all(void *context, int exit_code)
{
    struct context *c = context;

    MPI_Abort(c->world, exit_code);
}

static void close_world(void *context)
{
    (void)context;
    MPI_Finalize();
}

/* ---- groups ---- */

_Static_assert(sizeof(MPI_Comm) <= sizeof(struct mpi_handle), "a communicator is larger than a handle");
_Static_assert(sizeof(MPI_Request) <= sizeof(struct mpi_handle), "a request is larger than a handle");

static const char *make_group(void *context, const int ranks[], int count, struct mpi_handle *group)
{
    struct context *c = context;
    MPI_Comm comm = c->world;
    MPI_Group all, some;
    int code = MPI_SUCCESS;

    if (ranks) {
        MPI_Comm_group(c->world, &all);
        MPI_Group_incl(all, count, ranks, &some);
        code = MPI_Comm_create_group(c->world, some, ranks[0], &comm);
        MPI_Group_free(&some);
        MPI_Group_free(&all);
    }
    if (code == MPI_SUCCESS)
        MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
    memcpy(&group->bits, &comm, sizeof(comm));
    return explain(c, "MPI_Comm_create_group", code);
}

/* ---- transfers ---- */

static size_t bytes_of(const struct mpi_transfer *x)
{
    int bytes;

    MPI_Type_size(type_of(x->type), &bytes);
    return (size_t)x->count * (size_t)bytes;
}

static int all_gather(MPI_Comm comm, const struct mpi_transfer *x, MPI_Request *r)
{
    MPI_Datatype type = type_of(x->type);
    bool in_place;
    int place;

    MPI_Comm_rank(comm, &place);
    in_place = x->in == (const char *)x->out + (size_t)place * bytes_of(x);
    return MPI_Iallgather(in_place ? MPI_IN_PLACE : x->in, x->count, type, x->out, x->count, type, comm, r);
}

static int broadcast(MPI_Comm comm, const struct mpi_transfer *x, MPI_Request *r)
{
    int place;

    MPI_Comm_rank(comm, &place);
    if (place == x->peer && x->in != x->out)
        memcpy(x->out, x->in, bytes_of(x));
    return MPI_Ibcast(x->out, x->count, type_of(x->type), x->peer, comm, r);
}

static int start(struct context *c, MPI_Comm comm, const struct mpi_transfer *x, MPI_Request *r)
{
    MPI_Datatype type = type_of(x->type);
    const void *in = x->in == x->out ? MPI_IN_PLACE : x->in;

    switch (x->kind) {
    case MPI_KIND_ALL_REDUCE: return MPI_Iallreduce(in, x->out, x->count, type, op_of(c, x), comm, r);
    case MPI_KIND_ALL_GATHER: return all_gather(comm, x, r);
    case MPI_KIND_REDUCE_SCATTER:
        return MPI_Ireduce_scatter_block(in, x->out, x->count, type, op_of(c, x), comm, r);
    case MPI_KIND_BROADCAST: return broadcast(comm, x, r);
    case MPI_KIND_SEND: return MPI_Isend(x->in, x->count, type, x->peer, x->tag, c->world, r);
    case MPI_KIND_RECV: return MPI_Irecv(x->out, x->count, type, x->peer, x->tag, c->world, r);
    case MPI_KIND_BARRIER: return MPI_Ibarrier(comm, r);
    }
    return MPI_ERR_ARG;
}

static const char *start_transfer(void *context, struct mpi_handle group, const struct mpi_transfer *x,
                                  struct mpi_handle *request)
{
    MPI_Request r = MPI_REQUEST_NULL;
    MPI_Comm comm;
    int code;

    memcpy(&comm, &group.bits, sizeof(comm));
    code = start(context, comm, x, &r);
    memcpy(&request->bits, &r, sizeof(r));
    return explain(context, "MPI", code);
}

static const char *test(void *context, struct mpi_handle *request, bool *done)
{
    MPI_Request r;
    int flag = 0, code;

    memcpy(&r, &request->bits, sizeof(r));
    code = MPI_Test(&r, &flag, MPI_STATUS_IGNORE);
    memcpy(&request->bits, &r, sizeof(r));
    *done = flag != 0;
    return explain(context, "MPI_Test", code);
}

static void cancel(void *context, struct mpi_handle request)
{
    MPI_Request r;

    (void)context;
    memcpy(&r, &request.bits, sizeof(r));
    if (r == MPI_REQUEST_NULL)
        return;
    MPI_Cancel(&r);
    MPI_Request_free(&r);
}

static const struct mpi_module module = {
    .version = MPI_MODULE_VERSION,
#ifdef OPEN_MPI
    .flavour = "Open MPI",
#elif defined(MPICH_VERSION)
    .flavour = "MPICH",
#else
    .flavour = "MPI",
#endif
    .context_bytes = sizeof(struct context),
    .open = open_world,
    .host = list_host,
    .group = make_group,
    .start = start_transfer,
    .test = test,
    .cancel = cancel,
    .abort = abort_all,
    .close = close_world,
};

__attribute__((visibility("default"))) const struct mpi_module *plait_mpi_module(void);

const struct mpi_module *plait_mpi_module(void)
{
    return &module;
}

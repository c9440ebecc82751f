/* remote -- a transfer among ranks of several hosts: MPI does it. Pairs need no communicator of their own:
 * the axis is their tag, and MPI keeps the order. */
#include <limits.h>

#include "base/clock.h"
#include "base/err.h"
#include "comm/traffic.h"

enum phase { BEGIN, UNDER_WAY };
enum { MOST = 1 << 28 /* elements of one call */ };

static bool is_pair(const struct channel *ch)
{
    return (ch->key.ranks & GROUP_PAIR) != 0;
}

static bool note_problem(struct traffic *t, const char *problem)
{
    if (!problem)
        return false;
    t->problem = problem;
    segment_break(t->segment, ERR_SYSTEM);
    return true;
}

static bool is_world(const struct channel *ch)
{
    return (ch->key.ranks & 7) == AXIS_ALL && ch->key.members == 0;
}

/* Making a communicator waits for all its ranks. */
void remote_open(struct traffic *t, struct channel *ch)
{
    const int *ranks = is_pair(ch) || is_world(ch) ? NULL : ch->ranks;

    note_problem(t, t->mpi->group(t->mpi_context, ranks, ch->size, &ch->handle));
}

static enum mpi_type type_of(enum dtype t)
{
    static const enum mpi_type types[DTYPE_COUNT] = {
        [DT_F32] = MPI_TYPE_F32, [DT_F64] = MPI_TYPE_F64, [DT_BF16] = MPI_TYPE_BF16,
        [DT_F16] = MPI_TYPE_F16, [DT_I32] = MPI_TYPE_I32, [DT_I64] = MPI_TYPE_I64
    };

    return types[t];
}

/* What every rank has a block of cannot go in pieces. */
static int64_t piece(const struct request *r)
{
    int64_t left = r->transfer.count - r->at;
    bool blocks = r->transfer.kind == TRANSFER_ALL_GATHER || r->transfer.kind == TRANSFER_REDUCE_SCATTER;

    if (blocks && left > INT_MAX)
        BUG("a block of %lld elements", (long long)left);
    return blocks || left < MOST ? left : MOST;
}

static int peer_of(const struct channel *ch, const struct request *r)
{
    if (is_pair(ch))
        return ch->ranks[!ch->me];
    return transfer_giver(&r->transfer);
}

static bool begin(struct traffic *t, struct channel *ch, struct request *r)
{
    int64_t offset = r->at * (int64_t)dtype_bytes(r->transfer.dtype);
    struct mpi_handle handle;
    struct mpi_transfer x = { .kind = (enum mpi_kind)r->transfer.kind,
                              .type = type_of(r->transfer.dtype),
                              .reduction = (enum mpi_reduction)r->transfer.reduction,
                              .peer = peer_of(ch, r),
                              .tag = (r->transfer.tag << 3) + r->transfer.axis + 1 };

    r->round = piece(r);
    x.count = (int)r->round;
    x.in = r->in ? (const char *)r->in + offset : NULL;
    x.out = r->out ? (char *)r->out + offset : NULL;
    if (note_problem(t, t->mpi->start(t->mpi_context, ch->handle, &x, &handle)))
        return false;
    r->handle = handle.bits;
    r->phase = UNDER_WAY;
    return true;
}

bool remote_step(struct traffic *t, struct channel *ch, struct request *r)
{
    struct mpi_handle handle = { r->handle };
    bool done = false;

    if (r->phase == BEGIN)
        return atomic_load(&t->segment->broken) == OK && begin(t, ch, r);
    if (note_problem(t, t->mpi->test(t->mpi_context, &handle, &done)) || !done)
        return false;
    r->at += r->round;
    r->phase = BEGIN;
    if (r->at >= r->transfer.count) {
        r->done = true;
        r->end = clock_seconds();
    }
    return true;
}

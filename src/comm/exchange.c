/* exchange -- a transfer among ranks that share memory. In rounds of as much as a window holds (without
 * windows: one): each rank shows its data; all meet; where there is a reduction, each makes its part of it
 * in rank order, and all meet; each takes what it wants from the others; all meet, and may change what
 * they have shown.
 *
 * A part of an all-reduce is left where only its rank has read before: in its window, or its output. */
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/parallel.h"
#include "comm/reduce.h"
#include "comm/traffic.h"

enum phase { SHOW, REDUCE, TAKE, LEAVE, GONE };
enum { COPY_TILE = 1 << 17, REDUCE_TILE = 1 << 15 };

/* ---- large copies and reductions on all threads ---- */

struct copying {
    char *to;
    const char *from;
    int64_t bytes;
};

static void copy_tile(void *context, int64_t tile)
{
    const struct copying *c = context;
    int64_t at = tile * COPY_TILE, n = c->bytes - at < COPY_TILE ? c->bytes - at : COPY_TILE;

    memcpy(c->to + at, c->from + at, (size_t)n);
}

static void copy(void *to, const void *from, int64_t bytes)
{
    struct copying c = { to, from, bytes };

    if (to != from && bytes > 0)
        parallel_for(ceil_div(bytes, COPY_TILE), copy_tile, &c);
}

struct reducing {
    const struct transfer *x;
    const void *const *in;
    int ranks;
    int64_t count;
    void *out;
};

static void reduce_tile(void *context, int64_t tile)
{
    const struct reducing *r = context;
    size_t bytes = dtype_bytes(r->x->dtype);
    int64_t at = tile * REDUCE_TILE, n = r->count - at < REDUCE_TILE ? r->count - at : REDUCE_TILE;
    const void *in[SEGMENT_MOST_RANKS];

    for (int k = 0; k < r->ranks; k++)
        in[k] = (const char *)r->in[k] + (size_t)at * bytes;
    reduce_in_order(r->x->reduction, r->x->dtype, in, r->ranks, n, (char *)r->out + (size_t)at * bytes);
}

/* ---- where things are ---- */

static int64_t bytes_of(const struct request *r, int64_t count)
{
    return count * (int64_t)dtype_bytes(r->transfer.dtype);
}

static bool deals(const struct request *r)
{
    return r->transfer.kind == TRANSFER_REDUCE_SCATTER;
}

static int64_t round_limit(const struct traffic *t, const struct channel *ch, const struct request *r)
{
    int64_t most = (int64_t)t->segment->window / 2 / bytes_of(r, 1);

    return t->segment->window == 0 ? r->transfer.count : deals(r) ? most / ch->size : most;
}

/* This round's data of rank k; what a reduce-scatter has for the rank `part`. */
static const char *shown(const struct traffic *t, const struct channel *ch, const struct request *r, int k,
                         int part)
{
    if (t->segment->window > 0)
        return (const char *)segment_window(t->segment, ch->group, k, ch->half) +
               bytes_of(r, part * r->round);
    return (const char *)segment_member(t->segment, ch->group, k, ch->half)->in +
           bytes_of(r, part * r->transfer.count + r->at);
}

/* What a reduce-scatter leaves in the place of what it reads is made where nobody else reads. */
static int64_t own_part(const struct channel *ch, const struct request *r)
{
    return deals(r) && r->in == r->out ? bytes_of(r, ch->me * r->transfer.count) : 0;
}

static char *output(const struct channel *ch, const struct request *r)
{
    return (char *)r->out + own_part(ch, r) + bytes_of(r, r->at);
}

/* The place of rank k's part of an all-reduce's round. */
static int64_t part_start(const struct request *r, int ranks, int k)
{
    int64_t part = ceil_div(r->round, ranks);

    return part * k < r->round ? part * k : r->round;
}

/* ---- the steps ---- */

static bool gives(const struct channel *ch, const struct request *r)
{
    if (r->transfer.kind == TRANSFER_BROADCAST)
        return ch->me == transfer_giver(&r->transfer);
    return r->transfer.kind != TRANSFER_RECV && r->transfer.kind != TRANSFER_BARRIER;
}

static void show(struct traffic *t, struct channel *ch, struct request *r)
{
    struct member *m = segment_member(t->segment, ch->group, ch->me, ch->half);
    int64_t count = r->transfer.count;
    int parts = deals(r) ? ch->size : 1;

    m->in = r->in;
    m->out = r->out;
    m->count = count;
    m->what = (int64_t)r->transfer.dtype + 64 * (int64_t)r->transfer.reduction;
    if (t->segment->window == 0 || !gives(ch, r))
        return;
    for (int p = 0; p < parts; p++)
        copy((char *)shown(t, ch, r, ch->me, p), (const char *)r->in + bytes_of(r, p * count + r->at),
             bytes_of(r, r->round));
}

static void check_equal(struct traffic *t, const struct channel *ch)
{
    const struct member *mine = segment_member(t->segment, ch->group, ch->me, ch->half);

    for (int k = 0; k < ch->size; k++) {
        const struct member *other = segment_member(t->segment, ch->group, k, ch->half);
        if (other->count != mine->count || other->what != mine->what)
            BUG("ranks %d and %d are in different transfers (%lld and %lld elements)", ch->ranks[ch->me],
                ch->ranks[k], (long long)mine->count, (long long)other->count);
    }
}

static void reduce_part(struct traffic *t, struct channel *ch, struct request *r)
{
    int64_t first = deals(r) ? 0 : part_start(r, ch->size, ch->me);
    int64_t end = deals(r) ? r->round : part_start(r, ch->size, ch->me + 1);
    struct reducing x = { .x = &r->transfer, .in = ch->sources, .ranks = ch->size, .count = end - first };

    for (int k = 0; k < ch->size; k++)
        ch->sources[k] = shown(t, ch, r, k, deals(r) ? ch->me : 0) + bytes_of(r, first);
    x.out = output(ch, r) + bytes_of(r, first);
    if (!deals(r) && t->segment->window > 0)
        x.out = (char *)segment_window(t->segment, ch->group, ch->me, ch->half) + bytes_of(r, first);
    if (x.count > 0)
        parallel_for(ceil_div(x.count, REDUCE_TILE), reduce_tile, &x);
}

static void take_parts(struct traffic *t, struct channel *ch, struct request *r)
{
    for (int k = 0; k < ch->size; k++) {
        int64_t first = part_start(r, ch->size, k), n = part_start(r, ch->size, k + 1) - first;
        const char *from =
            t->segment->window > 0
                ? shown(t, ch, r, k, 0)
                : (const char *)segment_member(t->segment, ch->group, k, ch->half)->out + bytes_of(r, r->at);
        if (k != ch->me || t->segment->window > 0)
            copy(output(ch, r) + bytes_of(r, first), from + bytes_of(r, first), bytes_of(r, n));
    }
}

static void take(struct traffic *t, struct channel *ch, struct request *r)
{
    int64_t bytes = bytes_of(r, r->round);

    switch (r->transfer.kind) {
    case TRANSFER_ALL_REDUCE: take_parts(t, ch, r); break;
    case TRANSFER_ALL_GATHER:
        for (int k = 0; k < ch->size; k++)
            copy(output(ch, r) + bytes_of(r, k * r->transfer.count), shown(t, ch, r, k, 0), bytes);
        break;
    case TRANSFER_BROADCAST:
    case TRANSFER_RECV: copy(output(ch, r), shown(t, ch, r, transfer_giver(&r->transfer), 0), bytes); break;
    default: break;
    }
}

/* ---- the whole ---- */

static enum phase after(const struct traffic *t, const struct request *r)
{
    enum phase last = t->segment->window > 0 ? GONE : LEAVE;

    switch (r->transfer.kind) {
    case TRANSFER_ALL_REDUCE: return r->phase == SHOW ? REDUCE : r->phase == REDUCE ? TAKE : last;
    case TRANSFER_REDUCE_SCATTER: return r->phase == SHOW ? REDUCE : last;
    case TRANSFER_BARRIER: return LEAVE;
    default: return r->phase == SHOW ? TAKE : last;
    }
}

static void arrive(struct traffic *t, struct channel *ch)
{
    uint32_t now = atomic_fetch_add(&ch->group->arrived, 1) + 1;

    ch->turn++;
    for (int k = 0; now == ch->turn * (uint32_t)ch->size && k < ch->size; k++)
        if (k != ch->me)
            bell_ring(t->segment, seat_of(t, ch->ranks[k]));
}

static bool all_are_here(const struct channel *ch)
{
    return (int32_t)(atomic_load(&ch->group->arrived) - ch->turn * (uint32_t)ch->size) >= 0;
}

static void leave(struct channel *ch, struct request *r)
{
    ch->half = !ch->half;
    r->at += r->round;
    r->phase = SHOW;
    if (r->at < r->transfer.count)
        return;
    if (own_part(ch, r) > 0)
        memmove(r->out, (char *)r->out + own_part(ch, r), (size_t)bytes_of(r, r->transfer.count));
    r->done = true;
    r->end = clock_seconds();
}

bool exchange_step(struct traffic *t, struct channel *ch, struct request *r)
{
    if (r->phase == SHOW ? atomic_load(&t->segment->broken) != 0 : !all_are_here(ch))
        return false;
    if (r->phase == SHOW) {
        int64_t left = r->transfer.count - r->at, limit = round_limit(t, ch, r);
        r->round = left < limit ? left : limit;
        show(t, ch, r);
    } else if (r->phase == LEAVE) {
        leave(ch, r);
        return true;
    } else if (reading_begin(t->segment)) {
        check_equal(t, ch);
        if (r->phase == REDUCE)
            reduce_part(t, ch, r);
        else
            take(t, ch, r);
        reading_end(t->segment);
    } else {
        return false;
    }
    r->phase = after(t, r);
    if (r->phase == GONE)
        leave(ch, r);
    else
        arrive(t, ch);
    return true;
}

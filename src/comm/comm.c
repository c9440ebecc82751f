#include "comm/comm.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "comm/traffic.h"

enum { LONGEST_SLEEP = 200000000, POLL = 20000 /* ns */ };

/* ---- channels ---- */

static int axis_size(const struct comm *c, int axis)
{
    return axis == AXIS_ALL ? mesh_ranks(&c->mesh) : mesh_size(&c->mesh, (enum axis)axis);
}

static int coordinate(const struct comm *c, int axis)
{
    return axis == AXIS_ALL ? c->rank : mesh_coordinate(&c->mesh, c->rank, (enum axis)axis);
}

static int rank_at(const struct comm *c, int axis, int coordinate)
{
    return axis == AXIS_ALL ? coordinate : mesh_neighbour(&c->mesh, c->rank, (enum axis)axis, coordinate);
}

static bool is_pair(const struct transfer *x)
{
    return x->kind == TRANSFER_SEND || x->kind == TRANSFER_RECV;
}

/* The first rank of the line of an axis names it; sender, receiver and tag name a pair. */
static struct group_key key_of(const struct comm *c, const struct transfer *x)
{
    uint64_t me = (uint64_t)c->rank, other, line;

    if (is_pair(x)) {
        other = (uint64_t)rank_at(c, x->axis, x->peer);
        line = x->kind == TRANSFER_SEND ? me << 20 | other : other << 20 | me;
        return (struct group_key){ line << 4 | GROUP_PAIR | (uint64_t)x->axis, (uint64_t)x->tag };
    }
    line = (uint64_t)rank_at(c, x->axis, 0);
    return (struct group_key){ line << 4 | (uint64_t)x->axis, x->members };
}

static void set_ranks(const struct comm *c, const struct transfer *x, struct channel *ch)
{
    int size = axis_size(c, x->axis);

    ch->ranks = mem_alloc_array((size_t)size + 2, sizeof(ch->ranks[0]));
    if (is_pair(x)) {
        ch->size = 2;
        ch->me = x->kind == TRANSFER_RECV;
        ch->ranks[ch->me] = c->rank;
        ch->ranks[!ch->me] = rank_at(c, x->axis, x->peer);
        return;
    }
    for (int i = 0; i < size; i++) {
        if (x->members && !(x->members >> i & 1))
            continue;
        if (i == coordinate(c, x->axis))
            ch->me = ch->size;
        ch->ranks[ch->size++] = rank_at(c, x->axis, i);
    }
}

int transfer_giver(const struct transfer *x)
{
    if (x->kind != TRANSFER_BROADCAST)
        return 0;
    return x->members ? __builtin_popcountll(x->members & ((1ull << x->peer) - 1)) : x->peer;
}

int seat_of(const struct traffic *t, int rank)
{
    return t->seats ? t->seats[rank] : rank;
}

static void open_channel(struct traffic *t, struct channel *ch)
{
    for (int i = 0; i < ch->size; i++)
        ch->remote = ch->remote || seat_of(t, ch->ranks[i]) < 0;
    if (ch->remote) {
        remote_open(t, ch);
        return;
    }
    ch->sources = mem_alloc_array((size_t)ch->size, sizeof(ch->sources[0]));
    ch->group = segment_group(t->segment, ch->key, ch->size);
    if (!ch->group)
        BUG("too many groups of ranks");
}

static struct channel *channel_of(struct comm *c, const struct transfer *x)
{
    struct traffic *t = c->traffic;
    struct group_key key = key_of(c, x);
    struct channel *ch;

    for (size_t i = 0; i < t->channel_count; i++) {
        ch = t->channels[i];
        if (ch->key.ranks == key.ranks && ch->key.members == key.members)
            return ch;
    }
    ch = mem_alloc(sizeof(*ch));
    ch->key = key;
    set_ranks(c, x, ch);
    open_channel(t, ch);
    t->channels = mem_grow(t->channels, t->channel_count, &t->channel_capacity, sizeof(t->channels[0]));
    t->channels[t->channel_count++] = ch;
    return ch;
}

/* ---- moving on ---- */

static bool step(struct traffic *t, struct channel *ch)
{
    return ch->remote ? remote_step(t, ch, ch->first) : exchange_step(t, ch, ch->first);
}

static void count_time(struct traffic *t, const struct request *r)
{
    double start = r->start > t->busy_until ? r->start : t->busy_until;

    if (r->end <= start)
        return;
    t->busy += r->end - start;
    t->busy_until = r->end;
}

static bool move_channel(struct traffic *t, struct channel *ch)
{
    bool moved = false;

    while (ch->first && step(t, ch)) {
        struct request *r = ch->first;
        moved = true;
        if (!r->done)
            continue;
        ch->first = r->next;
        t->open -= r->apart;
        count_time(t, r);
    }
    t->polls = t->polls || (ch->remote && ch->first);
    return moved;
}

static bool move_all(struct traffic *t)
{
    bool moved = false;

    t->polls = false;
    for (size_t i = 0; i < t->channel_count && !t->given_up; i++)
        moved = move_channel(t, t->channels[i]) || moved;
    return moved;
}

static int broken(const struct traffic *t)
{
    return atomic_load(&t->segment->broken);
}

static void sleep_until(struct traffic *t, uint32_t bell, bool polls)
{
    bell_sleep(t->segment, t->seat, bell, polls ? POLL : LONGEST_SLEEP);
}

static void *help(void *context)
{
    struct traffic *t = context;

    parallel_set_threads(1);
    pthread_mutex_lock(&t->mutex);
    while (!t->leaving) {
        uint32_t bell = bell_value(t->segment, t->seat);
        if (t->open == 0 || broken(t) != OK) {
            pthread_cond_wait(&t->work, &t->mutex);
        } else if (!move_all(t)) {
            bool polls = t->polls;
            pthread_mutex_unlock(&t->mutex);
            sleep_until(t, bell, polls);
            pthread_mutex_lock(&t->mutex);
        }
    }
    pthread_mutex_unlock(&t->mutex);
    return NULL;
}

/* ---- requests ---- */

static void enqueue(struct channel *ch, struct request *r)
{
    r->channel = ch;
    if (ch->first)
        ch->last->next = r;
    else
        ch->first = r;
    ch->last = r;
}

/* Among one rank: a copy. */
static void finish_alone(struct request *r)
{
    const struct transfer *x = &r->transfer;

    if (is_pair(x))
        BUG("a rank sends to itself");
    if (r->in && r->out && r->in != r->out)
        memcpy(r->out, r->in, (size_t)x->count * dtype_bytes(x->dtype));
    r->done = true;
    r->end = r->start;
}

static struct seat *own_seat(const struct traffic *t)
{
    return &t->segment->seats[t->seat];
}

static void move_on(const struct traffic *t)
{
    atomic_store_explicit(&own_seat(t)->moved, (int64_t)(clock_seconds() * 1e9), memory_order_relaxed);
}

static void begin(struct comm *c, const struct transfer *x, const void *in, void *out, struct request *r)
{
    struct channel *ch = channel_of(c, x);
    bool apart = r->apart;

    *r = (struct request){ .transfer = *x, .in = in, .out = out, .apart = apart, .start = clock_seconds() };
    c->times.count++;
    c->times.bytes += x->count * (int64_t)dtype_bytes(x->dtype);
    if (ch->size == 1)
        finish_alone(r);
    else if (!c->traffic->given_up)
        enqueue(ch, r);
}

void comm_start(struct comm *c, const struct transfer *x, const void *in, void *out, struct request *r)
{
    struct traffic *t = c->traffic;

    pthread_mutex_lock(&t->mutex);
    r->apart = true;
    begin(c, x, in, out, r);
    if (!r->done) {
        t->open++;
        if (!t->has_helper && !t->alone && pthread_create(&t->helper, NULL, help, t) != 0)
            BUG("no thread for transfers of rank %d", c->rank);
        t->has_helper = !t->alone;
        pthread_cond_signal(&t->work);
    }
    pthread_mutex_unlock(&t->mutex);
}

/* Nobody reads this rank's memory when this returns. */
static int fail_broken(struct comm *c)
{
    struct traffic *t = c->traffic;

    reading_settle(t->segment);
    c->echo = !t->problem;
    return t->problem ? fail(ERR_SYSTEM, "%s", t->problem) : fail(broken(t), "another rank has failed");
}

/* A failure is looked for before the last try: what has ended for another rank ends here too. */
int comm_wait(struct comm *c, struct request *r)
{
    struct traffic *t = c->traffic;
    double start = clock_seconds(), busy;
    bool moved, done, failed, polls;

    atomic_store_explicit(&own_seat(t)->waiting, 1, memory_order_relaxed);
    do {
        uint32_t bell = bell_value(t->segment, t->seat);
        failed = broken(t) != OK;
        pthread_mutex_lock(&t->mutex);
        moved = !r->done && move_all(t);
        done = r->done;
        polls = t->polls;
        busy = t->busy;
        t->given_up = t->given_up || (failed && !done);
        pthread_mutex_unlock(&t->mutex);
        if (!done && !moved && !failed)
            sleep_until(t, bell, polls);
    } while (!done && !failed);
    move_on(t);
    atomic_store_explicit(&own_seat(t)->waiting, 0, memory_order_release);
    if (!done)
        return fail_broken(c);
    c->times.exposed += clock_seconds() - start;
    c->times.busy = busy;
    return OK;
}

int comm_run(struct comm *c, const struct transfer *x, const void *in, void *out)
{
    struct traffic *t = c->traffic;
    struct request r = { 0 };

    pthread_mutex_lock(&t->mutex);
    begin(c, x, in, out, &r);
    pthread_mutex_unlock(&t->mutex);
    return comm_wait(c, &r);
}

int comm_barrier(struct comm *c)
{
    return comm_run(c, &(struct transfer){ .kind = TRANSFER_BARRIER, .axis = AXIS_ALL }, NULL, NULL);
}

void comm_break(struct comm *c, int status)
{
    segment_break(c->traffic->segment, status);
    reading_settle(c->traffic->segment);
}

/* ---- for the watch ---- */

void comm_enter(struct comm *c, enum comm_phase phase)
{
    if (!c)
        return;
    atomic_store(&own_seat(c->traffic)->phase, phase);
    move_on(c->traffic);
}

void comm_moved(struct comm *c)
{
    move_on(c->traffic);
}

/* A long step counts for a while, then less and less. */
void comm_step(struct comm *c, int64_t step, double seconds)
{
    struct seat *s = own_seat(c->traffic);
    int64_t now = (int64_t)(seconds * 1e9), before = atomic_load(&s->longest) / 16 * 15;

    atomic_store(&s->step, step);
    atomic_store(&s->longest, now > before ? now : before);
}

/* ---- life ---- */

struct comm *traffic_create(const struct mesh *mesh, int rank, struct segment *s)
{
    struct comm *c = mem_alloc(sizeof(*c));
    struct traffic *t = mem_alloc(sizeof(*t));

    c->mesh = *mesh;
    c->rank = rank;
    c->traffic = t;
    t->segment = s;
    t->seat = rank;
    pthread_mutex_init(&t->mutex, NULL);
    pthread_cond_init(&t->work, NULL);
    return c;
}

static void end_helper(struct comm *c)
{
    struct traffic *t = c->traffic;

    if (!t->has_helper)
        return;
    pthread_mutex_lock(&t->mutex);
    t->leaving = true;
    pthread_cond_signal(&t->work);
    pthread_mutex_unlock(&t->mutex);
    bell_ring(t->segment, t->seat);
    pthread_join(t->helper, NULL);
}

void comm_free(struct comm *c)
{
    struct traffic *t;

    if (!c)
        return;
    t = c->traffic;
    end_helper(c);
    for (size_t i = 0; i < t->channel_count; i++) {
        mem_free(t->channels[i]->ranks);
        mem_free(t->channels[i]->sources);
        mem_free(t->channels[i]);
    }
    mem_free(t->channels);
    pthread_cond_destroy(&t->work);
    pthread_mutex_destroy(&t->mutex);
    t->release(t);
    mem_free(t);
    mem_free(c);
}

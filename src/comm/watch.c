#include "comm/watch.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

enum {
    LOOK_EVERY = 250 /* ms */,
    PATIENCE = 1 /* s */,
    SIGN_PATIENCE = 2 /* s: signs come every second */,
    SIGN_TAG = 7 /* none of remote.c */,
    DEFAULT_LIMIT = 30,
    MOST_TURNS = 10
};
enum { PHASE_BITS = 4, PHASE_MASK = (1 << PHASE_BITS) - 1 };

static const char *const phases[] = { "starting",  "reading data", "reading the model",
                                      "training",  "evaluating",   "saving",
                                      "computing", "verifying",    "ending" };

/* Signs of life between two hosts. */
struct line {
    struct leader peer;
    int64_t in, out; /* phase and steps */
    struct mpi_handle receive, send;
    bool sending;
    double heard;
    double cut; /* when its lifeline was; 0: it was not, or signs have come since */
};

struct watch {
    struct watch_options o;
    pthread_t thread;
    double limit;       /* seconds; 0: nobody is said to stand still */
    struct pollfd *fds; /* [seat]: its process; what ends the watch, the listener, each line's lifeline */
    int seats;
    struct lifeline_door door;
    struct line *lines;
    int line_count;
    int turn;             /* of this host: 0, 1 ... */
    double looked, awake; /* awake: since when this process has not been stopped itself */
    double signed_at, lost_at;
};

static struct seat *seat(const struct watch *w, int i)
{
    return &w->o.traffic->segment->seats[i];
}

static struct pollfd *end_of(const struct watch *w)
{
    return &w->fds[w->seats];
}

static struct pollfd *listener_of(const struct watch *w)
{
    return &w->fds[w->seats + 1];
}

static struct pollfd *lifeline_of(const struct watch *w, int line)
{
    return &w->fds[w->seats + 2 + line];
}

/* ---- telling ---- */

static void leave_lifelines(struct watch *w)
{
    for (int i = 0; i < w->line_count; i++) {
        if (lifeline_of(w, i)->fd >= 0)
            lifeline_leave(lifeline_of(w, i)->fd);
        lifeline_of(w, i)->fd = -1;
    }
}

/* Nobody else shall be in MPI, if that can be had. */
static void abort_all(struct watch *w, int status)
{
    struct timespec soon;

    clock_gettime(CLOCK_REALTIME, &soon);
    soon.tv_sec++;
    pthread_mutex_timedlock(&w->o.traffic->mutex, &soon);
    w->o.traffic->mpi->abort(w->o.traffic->mpi_context, error_exit_code(status));
}

static void end_all(struct watch *w, int status)
{
    struct segment *s = w->o.traffic->segment;
    int told = 0;

    if (!atomic_compare_exchange_strong(&s->told, &told, 1)) {
        error_clear();
        return;
    }
    w->o.tell(status);
    error_clear();
    leave_lifelines(w); /* it is told */
    atomic_store(&s->lost, 1);
    segment_break(s, status);
    abort_all(w, status);
}

/* Where the launcher does not see to it that all end, each rank does. */
static void look_at_end(struct watch *w)
{
    struct segment *s = w->o.traffic->segment;

    if (!atomic_load(&s->lost))
        w->lost_at = w->looked;
    else if (w->looked - w->lost_at > PATIENCE)
        abort_all(w, atomic_load(&s->broken));
}

/* who: "rank 3 on node7", what: "has died"; doing: a phase and steps, as signs have them. */
static void tell_lost(struct watch *w, const char *who, const char *what, int64_t doing, int status)
{
    int phase = (int)(doing & PHASE_MASK);

    if (phase >= PHASE_TRAIN && phase <= PHASE_SAVE) {
        fail(status, "%s %s while %s, after step %" PRId64, who, what, phases[phase], doing >> PHASE_BITS);
        error_hint("the same command with --resume_from_checkpoint auto goes on from the newest checkpoint");
    } else {
        fail(status, "%s %s while %s", who, what, phases[phase]);
    }
    end_all(w, status);
}

static int64_t doing(const struct seat *s)
{
    return atomic_load(&s->step) << PHASE_BITS | atomic_load(&s->phase);
}

/* ---- this host ---- */

static double limit_of(const struct watch *w)
{
    int64_t longest = 0;

    for (int i = 0; i < w->seats; i++)
        if (atomic_load(&seat(w, i)->longest) > longest)
            longest = atomic_load(&seat(w, i)->longest);
    return 5e-9 * (double)longest > w->limit ? 5e-9 * (double)longest : w->limit;
}

/* Phases in which a rank begins transfers again and again. */
static bool keeps_moving(const struct seat *s)
{
    int phase = atomic_load(&s->phase);

    return phase == PHASE_TRAIN || phase == PHASE_EVALUATE || phase == PHASE_RUN;
}

/* Seconds, but none of those in which this process was stopped itself. */
static double since(const struct watch *w, int64_t nanoseconds)
{
    double then = 1e-9 * (double)nanoseconds;

    return w->looked - (then > w->awake ? then : w->awake);
}

static bool stands_still(const struct watch *w, const struct seat *s, double limit)
{
    if (atomic_load(&s->left))
        return false;
    if (since(w, atomic_load(&s->alive)) > limit)
        return true;
    return keeps_moving(s) && !atomic_load(&s->waiting) && since(w, atomic_load(&s->moved)) > limit;
}

static void tell_seat(struct watch *w, int i, const char *what, int status)
{
    const struct seat *s = seat(w, i);
    char host[64] = "", who[128];

    gethostname(host, sizeof(host) - 1);
    snprintf(who, sizeof(who), "rank %d on %s (process %d)", atomic_load(&s->rank), host,
             atomic_load(&s->pid));
    tell_lost(w, who, what, doing(s), status);
}

static void look_at_host(struct watch *w)
{
    double limit = limit_of(w);
    char what[64];

    for (int i = 0; i < w->seats; i++)
        if (w->fds[i].revents & POLLIN && !atomic_load(&seat(w, i)->left))
            tell_seat(w, i, "has died", ERR_SYSTEM);
    snprintf(what, sizeof(what), "has stood still for %.0f seconds", limit);
    for (int i = 0; i < w->seats && w->limit > 0; i++)
        if (stands_still(w, seat(w, i), limit)) {
            if (w->fds[i].fd >= 0)
                syscall(SYS_pidfd_send_signal, w->fds[i].fd, SIGCONT, NULL, 0); /* or it could not be ended */
            tell_seat(w, i, what, ERR_STOPPED);
        }
}

/* ---- other hosts ---- */

static bool take_sign(struct watch *w, struct line *l)
{
    const struct traffic *t = w->o.traffic;
    bool done = false;

    if (t->mpi->test(t->mpi_context, &l->receive, &done) || !done)
        return false;
    l->heard = w->looked;
    return true;
}

static void receive_sign(struct watch *w, struct line *l)
{
    const struct traffic *t = w->o.traffic;
    const struct mpi_transfer x = { .kind = MPI_KIND_RECV,
                                    .type = MPI_TYPE_I64,
                                    .count = 1,
                                    .peer = l->peer.rank,
                                    .tag = SIGN_TAG,
                                    .out = &l->in };

    t->mpi->start(t->mpi_context, w->o.all, &x, &l->receive);
}

static void send_sign(struct watch *w, struct line *l)
{
    const struct traffic *t = w->o.traffic;
    const struct mpi_transfer x = { .kind = MPI_KIND_SEND,
                                    .type = MPI_TYPE_I64,
                                    .count = 1,
                                    .peer = l->peer.rank,
                                    .tag = SIGN_TAG,
                                    .in = &l->out };
    bool done = true;

    if (l->sending && (t->mpi->test(t->mpi_context, &l->send, &done) || !done))
        return;
    l->out = doing(seat(w, t->seat));
    l->sending = t->mpi->start(t->mpi_context, w->o.all, &x, &l->send) == NULL;
}

static void tell_silent(struct watch *w, const struct line *l, double seconds)
{
    char who[128], what[64];

    snprintf(who, sizeof(who), "rank %d on %s", l->peer.rank, l->peer.host);
    snprintf(what, sizeof(what), "has given no sign for %.0f seconds", seconds);
    tell_lost(w, who, what, l->in, ERR_STOPPED);
}

/* A second longer than on its own host, where more is known of it; and one after the other, so that one
 * tells. */
static void look_at_hosts(struct watch *w)
{
    struct traffic *t = w->o.traffic;
    double limit = limit_of(w) + 1 + 0.5 * w->turn;
    bool due = w->looked - w->signed_at >= 1;

    if (w->line_count == 0 || pthread_mutex_trylock(&t->mutex) != 0)
        return;
    for (int i = 0; i < w->line_count; i++) {
        struct line *l = &w->lines[i];
        while (take_sign(w, l))
            receive_sign(w, l);
        if (due)
            send_sign(w, l);
    }
    pthread_mutex_unlock(&t->mutex);
    if (due)
        w->signed_at = w->looked;
    for (int i = 0; i < w->line_count && w->limit > 0; i++) {
        double heard = w->lines[i].heard > w->awake ? w->lines[i].heard : w->awake;
        if (w->looked - heard > limit)
            tell_silent(w, &w->lines[i], limit);
    }
}

/* ---- lifelines ---- */

static void accept_lifeline(struct watch *w)
{
    int rank, fd = lifeline_accept(listener_of(w)->fd, &w->door, &rank);

    for (int i = 0; i < w->line_count && fd >= 0; i++)
        if (w->lines[i].peer.rank == rank) {
            if (lifeline_of(w, i)->fd >= 0)
                close(lifeline_of(w, i)->fd);
            *lifeline_of(w, i) = (struct pollfd){ .fd = fd, .events = POLLIN };
            fd = -1;
        }
    if (fd >= 0)
        close(fd);
}

static void look_at_lifeline(struct watch *w, struct line *l, struct pollfd *p)
{
    enum lifeline_state state = p->fd >= 0 && p->revents ? lifeline_look(p->fd) : LIFELINE_HERE;

    if (state == LIFELINE_HERE)
        return;
    l->cut = state == LIFELINE_CUT ? w->looked : 0;
    close(p->fd);
    p->fd = -1;
}

/* A host whose first rank is not alone tells of it sooner. */
static void look_at_lifelines(struct watch *w)
{
    char who[128];

    if (listener_of(w)->revents & POLLIN)
        accept_lifeline(w);
    for (int i = 0; i < w->line_count; i++) {
        struct line *l = &w->lines[i];
        look_at_lifeline(w, l, lifeline_of(w, i));
        if (l->cut > 0 && l->heard > l->cut + 2e-3 * LOOK_EVERY)
            l->cut = 0;
        if (l->cut == 0 || w->looked - l->cut < SIGN_PATIENCE + 0.5 * w->turn)
            continue;
        l->cut = 0;
        snprintf(who, sizeof(who), "rank %d on %s", l->peer.rank, l->peer.host);
        tell_lost(w, who, "has died", l->in, ERR_SYSTEM);
    }
}

static void join_first(struct watch *w)
{
    if (w->o.rank != 0 && w->line_count == 1)
        *lifeline_of(w, 0) =
            (struct pollfd){ .fd = lifeline_join(&w->door, w->o.rank, end_of(w)->fd), .events = POLLIN };
}

/* ---- the thread ---- */

static void *run(void *context)
{
    struct watch *w = context;
    struct seat *own = seat(w, w->o.traffic->seat);
    nfds_t count = (nfds_t)(w->seats + 2 + w->line_count);

    join_first(w);
    while (poll(w->fds, count, LOOK_EVERY) >= 0 || errno == EINTR) {
        double now = clock_seconds();
        if (end_of(w)->revents & POLLIN)
            break;
        if (now - w->looked > 8e-3 * LOOK_EVERY)
            w->awake = now;
        w->looked = now;
        atomic_store(&own->alive, (int64_t)(now * 1e9));
        look_at_end(w);
        look_at_host(w);
        look_at_hosts(w);
        look_at_lifelines(w);
        for (int i = 0; i < w->seats; i++)
            if (w->fds[i].revents & POLLIN)
                w->fds[i].fd = -1; /* left, or told of */
    }
    return NULL;
}

static void open_fds(struct watch *w)
{
    w->fds = mem_alloc_array((size_t)(w->seats + 2 + w->line_count), sizeof(w->fds[0]));
    for (int i = 0; i < w->seats; i++) {
        int pid = atomic_load(&seat(w, i)->pid), own = i == w->o.traffic->seat;
        w->fds[i] =
            (struct pollfd){ .fd = own ? -1 : (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };
    }
    *end_of(w) = (struct pollfd){ .fd = eventfd(0, EFD_CLOEXEC), .events = POLLIN };
    *listener_of(w) = (struct pollfd){ .fd = w->o.listener, .events = POLLIN };
    for (int i = 0; i < w->line_count; i++)
        lifeline_of(w, i)->fd = -1;
}

static void open_lines(struct watch *w)
{
    bool leads = w->o.traffic->seat == 0 && w->o.leader_count > 1 && !w->o.traffic->alone;

    while (leads && w->o.leaders[w->turn].rank != w->o.rank)
        w->turn++;
    w->turn = w->turn < MOST_TURNS ? w->turn : MOST_TURNS;
    w->line_count = !leads ? 0 : w->o.rank == 0 ? w->o.leader_count - 1 : 1;
    w->lines = mem_alloc_array((size_t)w->line_count + 1, sizeof(w->lines[0]));
    w->door = w->o.leaders[0].door;
    for (int i = 0; i < w->line_count; i++) {
        w->lines[i].peer = w->o.leaders[w->o.rank == 0 ? i + 1 : 0];
        w->lines[i].heard = w->looked;
        receive_sign(w, &w->lines[i]);
    }
}

double watch_limit(void)
{
    const char *text = getenv("PLAIT_HANG_SECONDS");

    return text ? strtod(text, NULL) : DEFAULT_LIMIT;
}

static void watch_free(struct watch *w)
{
    leave_lifelines(w);
    for (int i = 0; i < w->seats + 2; i++)
        if (w->fds[i].fd >= 0)
            close(w->fds[i].fd);
    mem_free(w->fds);
    mem_free(w->lines);
    mem_free(w);
}

int watch_begin(const struct watch_options *o, struct watch **out)
{
    struct watch *w = mem_alloc(sizeof(*w));

    w->o = *o;
    w->limit = watch_limit();
    w->seats = o->traffic->segment->ranks;
    w->looked = w->awake = clock_seconds();
    open_lines(w);
    open_fds(w);
    w->o.leaders = NULL; /* the caller's */
    if (end_of(w)->fd < 0 || pthread_create(&w->thread, NULL, run, w) != 0) {
        watch_free(w);
        return fail(ERR_SYSTEM, "cannot start a thread that watches over ranks");
    }
    *out = w;
    return OK;
}

void watch_end(struct watch *w)
{
    uint64_t one = 1;

    if (!w)
        return;
    while (write(end_of(w)->fd, &one, sizeof(one)) < 0 && errno == EINTR)
        ;
    pthread_join(w->thread, NULL);
    for (int i = 0; i < w->line_count; i++)
        w->o.traffic->mpi->cancel(w->o.traffic->mpi_context, w->lines[i].receive);
    watch_free(w);
}

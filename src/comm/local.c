/* local -- ranks as threads of one process. */
#include "base/err.h"
#include "base/mem.h"
#include "base/parallel.h"
#include "comm/traffic.h"

struct shared {
    struct segment *segment;
    _Atomic int ends; /* that are not freed yet */
};

static void release(struct traffic *t)
{
    struct shared *s = t->context;

    if (atomic_fetch_sub(&s->ends, 1) > 1)
        return;
    mem_unmap(s->segment, s->segment->bytes);
    mem_free(s);
}

int comm_local_create(const struct mesh *mesh, struct comm *ends[])
{
    int ranks = mesh_ranks(mesh);
    struct shared *s;
    struct segment *segment;

    if (ranks > SEGMENT_MOST_RANKS)
        return fail(ERR_CONFIG, "too many ranks for one process (found %d, expected at most %d)", ranks,
                    SEGMENT_MOST_RANKS);
    segment = mem_map(segment_bytes(ranks, 0));
    if (!segment)
        return fail(ERR_SYSTEM, "no memory for what %d ranks share", ranks);
    segment_init(segment, ranks, 0);
    s = mem_alloc(sizeof(*s));
    s->segment = segment;
    s->ends = ranks;
    for (int r = 0; r < ranks; r++) {
        ends[r] = traffic_create(mesh, r, segment);
        ends[r]->traffic->release = release;
        ends[r]->traffic->context = s;
    }
    return OK;
}

/* ---- Running ranks ---- */

struct rank_run {
    pthread_t thread;
    struct comm *comm;
    int (*fn)(void *context, int rank, struct comm *comm);
    void *context;
    int threads, status;
    char *message, *hint;
};

static void *run_rank(void *argument)
{
    struct rank_run *r = argument;

    parallel_set_threads(r->threads);
    r->status = r->fn(r->context, r->comm->rank, r->comm);
    if (r->status != OK) {
        r->message = mem_strdup(error_message());
        r->hint = mem_strdup(error_hint_text());
        comm_break(r->comm, r->status);
    }
    error_clear();
    return NULL;
}

int comm_local_run_on(struct comm *const ends[], int ranks, int threads_each,
                      int (*fn)(void *context, int rank, struct comm *comm), void *context)
{
    struct rank_run *runs = mem_alloc_array((size_t)ranks, sizeof(runs[0]));
    int status = OK;

    for (int r = 0; r < ranks; r++) {
        runs[r] = (struct rank_run){ .comm = ends[r], .fn = fn, .context = context, .threads = threads_each };
        if (pthread_create(&runs[r].thread, NULL, run_rank, &runs[r]) != 0)
            BUG("no thread for rank %d", r);
    }
    for (int r = 0; r < ranks; r++)
        pthread_join(runs[r].thread, NULL);
    for (int r = 0; r < ranks; r++) { /* the cause, not its echo on other ranks */
        if (runs[r].status == OK || status != OK || runs[r].comm->echo)
            continue;
        status = fail(runs[r].status, "%s", runs[r].message);
        if (*runs[r].hint)
            error_hint("%s", runs[r].hint);
    }
    for (int r = 0; r < ranks && status == OK; r++)
        if (runs[r].status != OK)
            status = fail(runs[r].status, "%s", runs[r].message);
    for (int r = 0; r < ranks; r++) {
        mem_free(runs[r].message);
        mem_free(runs[r].hint);
    }
    mem_free(runs);
    return status;
}

int comm_local_run(const struct mesh *mesh, int threads_each,
                   int (*fn)(void *context, int rank, struct comm *comm), void *context)
{
    int ranks = mesh_ranks(mesh), status;
    struct comm **ends = mem_alloc_array((size_t)ranks, sizeof(ends[0]));

    status = comm_local_create(mesh, ends);
    if (status == OK)
        status = comm_local_run_on(ends, ranks, threads_each, fn, context);
    for (int r = 0; r < ranks; r++)
        comm_free(ends[r]); /* none were made: NULL */
    mem_free(ends);
    return status;
}
